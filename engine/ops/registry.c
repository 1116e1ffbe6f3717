/* The op table: rows of op_list.def parsed once, and the definitions behind them. */
#include "ops/op.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QN_OP(stem, NAME, inputs, outputs, attributes, gradient, recompute)                        \
    extern const qn_op qn__op_##stem;
#include "ops/op_list.def"
#undef QN_OP

static const qn_op *const definitions[QN_OP_COUNT] = {
#define QN_OP(stem, NAME, inputs, outputs, attributes, gradient, recompute)                        \
    [QN_OP_##NAME] = &qn__op_##stem,
#include "ops/op_list.def"
#undef QN_OP
};

#define KEEP false
#define CHEAP true
static const struct {
    const char *stem, *inputs, *outputs, *attributes;
    qn_gradient gradient;
    bool cheap;
} sources[QN_OP_COUNT] = {
#define QN_OP(stem, NAME, inputs, outputs, attributes, gradient, recompute)                        \
    [QN_OP_##NAME] = {#stem, inputs, outputs, attributes, QN_GRAD_##gradient, recompute},
#include "ops/op_list.def"
#undef QN_OP
};

static qn_op_row rows[QN_OP_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int parse_slots(const char *text, qn_op_slot *slots, int limit)
{
    int count = 0;
    bool saved = false;
    while (*text && count < limit) {
        while (*text == ' ') text++;
        if (*text == '|') {
            saved = true;
            text++;
            continue;
        }
        if (!*text) break;
        qn_op_slot *slot = &slots[count++];
        slot->saved = saved;
        for (; strchr("?#~!", *text); text++) {
            if (*text == '?') slot->optional = true;
            if (*text == '#') slot->integer = true;
            if (*text == '~') slot->constant = true;
            if (*text == '!') slot->in_place = true;
        }
        size_t length = strcspn(text, " ");
        snprintf(slot->name, sizeof slot->name, "%.*s", (int)length, text);
        text += length;
    }
    return count;
}

static void parse_words(const char *text, size_t length, qn_op_attr *attr)
{
    const char *end = text + length;
    while (text < end && attr->word_count < 8) {
        size_t word = strcspn(text, "/ ");
        snprintf(attr->words[attr->word_count++], sizeof attr->words[0], "%.*s", (int)word, text);
        text += word + 1;
    }
}

static int parse_attrs(const char *text, qn_op_attr *attrs)
{
    int count = 0;
    while (*text && count < QN_OP_MAX_ATTR) {
        qn_op_attr *attr = &attrs[count++];
        size_t length = strcspn(text, ":");
        snprintf(attr->name, sizeof attr->name, "%.*s", (int)length, text);
        attr->kind = text[length + 1];
        text += length + 3;
        length = strcspn(text, " ");
        if (attr->kind == 'e') parse_words(text, length, attr);
        else attr->value.f = strtod(text, NULL);
        attr->value.i = (int64_t)attr->value.f;
        text += length;
        while (*text == ' ') text++;
    }
    return count;
}

static void parse_all(void)
{
    for (int id = 0; id < QN_OP_COUNT; id++) {
        qn_op_row *row = &rows[id];
        row->stem = sources[id].stem;
        row->id = (qn_op_id)id;
        row->gradient = sources[id].gradient;
        row->cheap = sources[id].cheap;
        row->in_count = parse_slots(sources[id].inputs, row->in, QN_OP_MAX_IN);
        row->out_count = parse_slots(sources[id].outputs, row->out, QN_OP_MAX_OUT);
        row->attr_count = parse_attrs(sources[id].attributes, row->attr);
        for (int o = 0; o < row->out_count; o++) {
            row->saved_count += row->out[o].saved;
            row->alias[o] = -1;
            for (int i = 0; i < row->in_count; i++)
                if (row->in[i].in_place && strcmp(row->in[i].name, row->out[o].name) == 0)
                    row->alias[o] = i;
        }
    }
}

const qn_op_row *qn__op_row(qn_op_id id)
{
    pthread_once(&once, parse_all);
    return &rows[id];
}

const qn_op *qn__op(qn_op_id id)
{
    return definitions[id];
}

qn_op_id qn__op_id(const qn_op *op)
{
    int id = 0;
    while (definitions[id] != op) id++;
    return (qn_op_id)id;
}

const qn_op_row *qn__op_find(const char *stem, size_t length)
{
    for (int id = 0; id < QN_OP_COUNT; id++)
        if (strlen(sources[id].stem) == length && memcmp(sources[id].stem, stem, length) == 0)
            return qn__op_row((qn_op_id)id);
    return NULL;
}

static bool parse_value(const qn_op_attr *attr, const char *text, size_t length, qn_attr *value)
{
    char word[32], *end;
    if (length == 0 || length >= sizeof word) return false;
    snprintf(word, sizeof word, "%.*s", (int)length, text);
    if (attr->kind == 'e') {
        for (int i = 0; i < attr->word_count; i++)
            if (strcmp(word, attr->words[i]) == 0) {
                *value = (qn_attr){.i = i, .f = i};
                return true;
            }
        return false;
    }
    value->f = strtod(word, &end);
    bool whole = value->f > -0x1p62 && value->f < 0x1p62;
    value->i = whole ? (int64_t)value->f : 0;
    return *end == 0 && (attr->kind == 'f' || (double)value->i == value->f);
}

qn_status qn__op_parse(const char *line, qn_op_id *id, qn_attr attr[QN_OP_MAX_ATTR],
                       const char **rest)
{
    size_t length = strcspn(line, " ");
    const qn_op_row *row = qn__op_find(line, length);
    if (!row) return qn__fail(QN_BAD_ARGUMENT, "there is no op \"%.*s\"", (int)length, line);
    *id = row->id;
    for (int i = 0; i < row->attr_count; i++) attr[i] = row->attr[i].value;
    line += length;
    for (;;) {
        while (*line == ' ') line++;
        if (!*line || *line == ':') break;
        size_t name = strcspn(line, "= "), word = strcspn(line, " ");
        int found = -1;
        for (int i = 0; i < row->attr_count; i++)
            if (strlen(row->attr[i].name) == name && memcmp(row->attr[i].name, line, name) == 0)
                found = i;
        if (found < 0 || line[name] != '=' ||
            !parse_value(&row->attr[found], line + name + 1, word - name - 1, &attr[found]))
            return qn__fail(QN_BAD_ARGUMENT,
                            "%s: attribute \"%.*s\" is not one of its row in op_list.def",
                            row->stem, (int)word, line);
        line += word;
    }
    if (rest) *rest = line;
    return QN_OK;
}
