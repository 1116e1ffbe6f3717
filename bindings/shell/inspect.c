/* quernel inspect: what lies in a model file. Everything in it may have been made to deceive: text
 * is shown with its control and direction characters escaped. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>

int qn__inspect(const qn_command *self, int argc, char **argv);

static const qn_flag flags[] = {
    {"elements", "N", "of arrays in the metadata, the first N elements (default: 3)"},
    QN_FLAG_JSON,
    {0},
};

enum { SHOWN = 100 }; /* bytes of a text */

/* Code point of valid UTF-8 at `text`; *bytes is its length. */
static unsigned decode(const char *text, int *bytes)
{
    unsigned char first = (unsigned char)*text;
    unsigned code = first;
    *bytes = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (*bytes > 1) code = first & (0x7Fu >> *bytes);
    for (int i = 1; i < *bytes; i++) code = code << 6 | ((unsigned char)text[i] & 0x3Fu);
    return code;
}

/* Would a terminal act on it, or show nothing, or turn the direction of the rest? */
static bool is_shown(unsigned code)
{
    static const struct {
        unsigned first, last;
    } hidden[] = {{0, 0x1F},          {0x7F, 0x9F},     {0xAD, 0xAD},     {0x61C, 0x61C},
                  {0x180E, 0x180E},   {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F},
                  {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF}, {0xFFF0, 0xFFFB}, {0xE000, 0xF8FF},
                  {0xE0000, 0x10FFFF}};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (code >= hidden[i].first && code <= hidden[i].last) return false;
    return true;
}

static void print_text(const char *text, size_t bytes, size_t most)
{
    size_t at = 0;
    while (at < bytes && at < most) {
        int length;
        unsigned code = decode(text + at, &length);
        if (code == '\n') printf("\\n");
        else if (code == '\t') printf("\\t");
        else if (!is_shown(code)) printf("\\u{%X}", code);
        else printf("%.*s", length, text + at);
        at += (size_t)length;
    }
    if (at < bytes) printf("... (%zu bytes)", bytes);
}

static void print_value(const json_t *value)
{
    char *text;
    switch (json_typeof(value)) {
    case JSON_STRING:
        putchar('"');
        print_text(json_string_value(value), json_string_length(value), SHOWN);
        putchar('"');
        break;
    case JSON_REAL: printf("%.9g", json_real_value(value)); break;
    default:
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        if (text) print_text(text, strlen(text), SHOWN);
        free(text);
    }
}

static void print_entry(const json_t *entry)
{
    const json_t *value = json_object_get(entry, "value"), *count = json_object_get(entry, "count");
    const char *key = qn__get_text(entry, "key");
    char type[64];
    if (count)
        snprintf(type, sizeof type, "%s[%" JSON_INTEGER_FORMAT "]", qn__get_text(entry, "type"),
                 json_integer_value(count));
    else snprintf(type, sizeof type, "%s", qn__get_text(entry, "type"));
    printf("  ");
    print_text(key, strlen(key), SHOWN);
    printf("%*s %-15s ", strlen(key) < 40 ? (int)(40 - strlen(key)) : 0, "", type);
    if (!count) print_value(value);
    for (size_t i = 0; count && i < json_array_size(value); i++) {
        if (i) printf(", ");
        print_value(json_array_get(value, i));
    }
    if (count && (json_int_t)json_array_size(value) < json_integer_value(count)) printf(", ...");
    putchar('\n');
}

static void print_tensor(const json_t *tensor, bool several)
{
    const json_t *shape = json_object_get(tensor, "shape");
    const char *name = qn__get_text(tensor, "name");
    char text[160] = "", *at = text;
    for (size_t i = 0; i < json_array_size(shape) && at < text + sizeof text - 24; i++)
        at += sprintf(at, i ? " x %lld" : "%lld",
                      (long long)json_integer_value(json_array_get(shape, i)));
    printf("  ");
    print_text(name, strlen(name), SHOWN);
    printf("%*s %-8s %-20s %14lld %12s", strlen(name) < 40 ? (int)(40 - strlen(name)) : 0, "",
           qn__get_text(tensor, "type"), text,
           (long long)json_integer_value(json_object_get(tensor, "offset")),
           qn__text_bytes(qn__get_number(tensor, "bytes")));
    if (json_is_number(json_object_get(tensor, "bits_per_weight")))
        printf(" %8.4g", qn__get_number(tensor, "bits_per_weight"));
    if (several) printf("  file %d", 1 + (int)json_integer_value(json_object_get(tensor, "file")));
    putchar('\n');
}

static void print_model(const json_t *model)
{
    if (!json_is_true(json_object_get(model, "runs"))) {
        const char *why = qn__get_text(model, "why");
        printf("does not run here: ");
        print_text(why, strlen(why), 4096);
        putchar('\n');
        return;
    }
    printf("runs here: %s, %s parameters", qn__get_text(model, "architecture"),
           qn__text_count(qn__get_number(model, "parameters")));
    static const char *const sizes[] = {"layers",    "embed", "heads", "kv_heads",
                                        "head_size", "ffn",   "vocab", "context"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        printf(", %s %.0f", sizes[i], qn__get_number(model, sizes[i]));
    if (qn__get_number(model, "window") > 0)
        printf(", window %.0f", qn__get_number(model, "window"));
    putchar('\n');
}

static void print_totals(const json_t *totals)
{
    const char *type;
    json_t *row;
    printf("\n%s elements in %s, %.4g bits a weight\n",
           qn__text_count(qn__get_number(totals, "elements")),
           qn__text_bytes(qn__get_number(totals, "bytes")),
           qn__get_number(totals, "bits_per_weight"));
    json_object_foreach(json_object_get(totals, "types"), type, row)
        printf("  %-8s %5.0f tensors %16s elements %12s\n", type, qn__get_number(row, "tensors"),
               qn__text_count(qn__get_number(row, "elements")),
               qn__text_bytes(qn__get_number(row, "bytes")));
}

static void print_all(const json_t *root, const char *path)
{
    const json_t *files = json_object_get(root, "files"),
                 *metadata = json_object_get(root, "metadata"),
                 *tensors = json_object_get(root, "tensors"), *row;
    size_t i;
    double bytes = 0;
    json_array_foreach(files, i, row) bytes += qn__get_number(row, "bytes");
    printf("%s: %s", qn__text_quoted(path), qn__get_text(root, "kind"));
    if (json_object_get(root, "version"))
        printf(" version %.0f, alignment %.0f", qn__get_number(root, "version"),
               qn__get_number(root, "alignment"));
    printf(", %s in %zu file%s\n", qn__text_bytes(bytes), json_array_size(files),
           json_array_size(files) == 1 ? "" : "s");
    print_model(json_object_get(root, "model"));
    if (json_array_size(metadata)) printf("\nmetadata: %zu\n", json_array_size(metadata));
    json_array_foreach(metadata, i, row) print_entry(row);
    printf("\ntensors: %zu (type, shape, offset, bytes, bits a weight)\n",
           json_array_size(tensors));
    json_array_foreach(tensors, i, row) print_tensor(row, json_array_size(files) > 1);
    if (json_array_size(tensors)) print_totals(json_object_get(root, "totals"));
}

int qn__inspect(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    int64_t elements = 3;
    char *text = NULL;
    int code = qn__args_parse(&args, self, flags, 1, argc, argv);
    if (code != QN_GO_ON) return code;
    if (args.operands != 1)
        return qn__say_error(QN_EXIT_USAGE, "inspect: give PATH: a model file or folder");
    code = qn__arg_int(&args, "elements", 0, INT32_MAX, &elements);
    if (code != QN_GO_ON) return code;
    qn_status status = qn_inspect(args.operand[0], elements, &text);
    if (status != QN_OK) return qn__say_status(status);
    json_t *root = qn__take_json(text);
    if (!root) return 70;
    if (qn__arg(&args, "json")) return qn__print_json(root);
    print_all(root, args.operand[0]);
    json_decref(root);
    return QN_EXIT_OK;
}
