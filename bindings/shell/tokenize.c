/* quernel tokenize: bytes to token ids, and back. */
#include "shell.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int qn__tokenize(const qn_command *self, int argc, char **argv);

static const qn_flag flags[] = {
    {"tokenizer", "PATH",
     "a folder with tokenizer.json, that file, a GGUF file or llama2.c's tokenizer.bin"},
    {"decode", NULL, "ids on standard input to the exact bytes that they stand for"},
    {"bos", NULL, "begin with the token that begins a text, where there is one"},
    {"special", NULL, "names of control tokens in the text become these tokens"},
    QN_FLAG_JSON,
    {0},
};

static int encode(const qn_tokenizer *tokenizer, const qn_args *args, const char *text,
                  size_t bytes)
{
    int32_t *ids = NULL;
    size_t count = 0;
    unsigned how = (qn__arg(args, "bos") ? QN_ENCODE_BOS : 0u) |
                   (qn__arg(args, "special") ? QN_ENCODE_SPECIAL : 0u);
    qn_status status = qn_tokenizer_encode(tokenizer, text, bytes, how, &ids, &count);
    if (status != QN_OK) return qn__say_status(status);
    int code = QN_EXIT_OK;
    if (qn__arg(args, "json")) {
        json_t *list = json_array();
        for (size_t i = 0; i < count; i++) json_array_append_new(list, json_integer(ids[i]));
        code = qn__print_json(json_pack("{s:o}", "ids", list));
    } else {
        for (size_t i = 0; i < count; i++) printf(i ? " %d" : "%d", (int)ids[i]);
        putchar('\n');
    }
    free(ids);
    return code;
}

/* White space, and the commas and brackets of a JSON list, part the ids. */
static int read_ids(const char *text, size_t bytes, int32_t **ids, size_t *count)
{
    size_t at = 0, room = 0;
    *ids = NULL;
    *count = 0;
    while (at < bytes) {
        if (isspace((unsigned char)text[at]) || strchr(",[]", text[at])) {
            at += text[at] != 0;
            if (text[at - (at > 0)] != 0) continue;
        }
        char *end;
        errno = 0;
        long id = strtol(text + at, &end, 10);
        if (end == text + at || errno || id < 0 || id > INT32_MAX)
            return qn__say_error(
                65, "tokenize: standard input is not a list of token ids at byte %zu", at);
        if (*count == room) {
            int32_t *more = realloc(*ids, sizeof **ids * (room = room ? room * 2 : 1024));
            if (!more) return qn__say_error(QN_EXIT_OS, "out of memory");
            *ids = more;
        }
        (*ids)[(*count)++] = (int32_t)id;
        at = (size_t)(end - text);
    }
    return QN_GO_ON;
}

static int decode(const qn_tokenizer *tokenizer, const qn_args *args, const char *input,
                  size_t input_bytes)
{
    int32_t *ids;
    size_t count, bytes = 0;
    char *text = NULL;
    int code = read_ids(input, input_bytes, &ids, &count);
    if (code == QN_GO_ON) {
        qn_status status = qn_tokenizer_decode(tokenizer, ids, count, &text, &bytes);
        code = status == QN_OK ? QN_EXIT_OK : qn__say_status(status);
    }
    free(ids);
    if (code == QN_EXIT_OK && qn__arg(args, "json")) {
        json_t *made = json_stringn(text, bytes);
        code =
            made ? qn__print_json(json_pack("{s:o}", "text", made))
                 : qn__say_error(
                       65,
                       "tokenize: these ids stand for bytes that are not UTF-8, which JSON cannot "
                       "hold: leave out --json");
    } else if (code == QN_EXIT_OK) {
        fwrite(text, 1, bytes, stdout);
    }
    free(text);
    return code;
}

int qn__tokenize(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    const char *path;
    qn_tokenizer *tokenizer = NULL;
    char *input = NULL;
    size_t bytes = 0;
    int code = qn__args_parse(&args, self, flags, 0, argc, argv);
    if (code == QN_GO_ON) code = qn__arg_need(&args, "tokenizer", &path);
    if (code == QN_GO_ON) code = qn__open_tokenizer(path, NULL, &tokenizer);
    if (code == QN_GO_ON) code = qn__read_stream(stdin, "standard input", &input, &bytes);
    if (code == QN_GO_ON)
        code = (qn__arg(&args, "decode") ? decode : encode)(tokenizer, &args, input, bytes);
    qn_tokenizer_destroy(&tokenizer);
    free(input);
    return code;
}
