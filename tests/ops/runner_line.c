/* Case lines: alternatives in braces, and tensors into a call. */
#include "runner.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* head + middle + tail, with every {name} in tail replaced by middle. */
static void join(char *line, const char *head, size_t head_length, const char *name,
                 const char *middle, const char *tail)
{
    size_t used = (size_t)snprintf(line, LINE_BYTES, "%.*s%s", (int)head_length, head, middle);
    char again[64];
    snprintf(again, sizeof again, "{%s}", name);
    while (*tail && used + 1 < LINE_BYTES) {
        if (*name && strncmp(tail, again, strlen(again)) == 0) {
            used += (size_t)snprintf(line + used, LINE_BYTES - used, "%s", middle);
            tail += strlen(again);
        } else {
            line[used++] = *tail++;
            line[used] = 0;
        }
    }
}

void line_expand(const char *line, void (*take)(void *user, const char *one), void *user)
{
    const char *open = strchr(line, '{'), *close = open ? strchr(open, '}') : NULL;
    if (!close) {
        take(user, line);
        return;
    }
    char name[48] = "", word[128], one[LINE_BYTES];
    const char *from = open + 1, *colon = memchr(open, ':', (size_t)(close - open));
    if (colon) {
        snprintf(name, sizeof name, "%.*s", (int)(colon - from), from);
        from = colon + 1;
    }
    while (from <= close) {
        size_t length = strcspn(from, ",}");
        snprintf(word, sizeof word, "%.*s", (int)length, from);
        join(one, line, (size_t)(open - line), name, word, close + 1);
        line_expand(one, take, user);
        from += length + 1;
    }
}

/* "f32[3,4]"; sets *end behind it. */
static qn_status parse_desc(const char *text, qn_desc *desc, const char **end)
{
    size_t length = strcspn(text, "[ "), name = strcspn(text, ".[ ");
    bool panels = strncmp(text + name, ".panels[", 8) == 0;
    *desc = (qn_desc){.layout = panels ? QN_PANELS : QN_ROWS};
    if (text[length] != '[' || !qn__dtype_parse(text, panels ? name : length, &desc->dtype))
        return qn__fail(QN_BAD_ARGUMENT, "not a tensor: %s", text);
    const char *at = text + length + 1;
    while (*at != ']') {
        char *after;
        if (desc->shape.rank == QN_MAX_RANK)
            return qn__fail(QN_BAD_ARGUMENT, "too many dimensions: %s", text);
        desc->shape.dim[desc->shape.rank++] = strtoll(at, &after, 10);
        if (after == at || (*after != ',' && *after != ']'))
            return qn__fail(QN_BAD_ARGUMENT, "not a shape: %s", text);
        at = *after == ',' ? after + 1 : after;
    }
    *end = at + 1;
    return QN_OK;
}

static int find_slot(const qn_op_slot *slots, int count, const char *text, size_t length)
{
    for (int i = 0; i < count; i++)
        if (strlen(slots[i].name) == length && memcmp(slots[i].name, text, length) == 0) return i;
    return -1;
}

static qn_status parse_tensors(const qn_op_row *row, const char *text, qn_call *call)
{
    for (;;) {
        while (*text == ' ') text++;
        if (!*text || strncmp(text, "(backward)", 10) == 0) return QN_OK;
        bool output = *text == '+';
        text += output;
        size_t length = strcspn(text, output ? " " : "= ");
        int slot = output ? find_slot(row->out, row->out_count, text, length)
                          : find_slot(row->in, row->in_count, text, length);
        if (slot < 0 || (!output && text[length] != '='))
            return qn__fail(QN_BAD_ARGUMENT, "%s has no tensor %s", row->stem, text);
        if (output) {
            call->out[slot].there = true;
            text += length;
        } else {
            call->in[slot].there = true;
            QN_TRY(parse_desc(text + length + 1, &call->in[slot].desc, &text));
        }
    }
}

qn_status line_parse(const char *line, qn_op_id *id, qn_call *call)
{
    const char *rest;
    *call = (qn_call){0};
    QN_TRY(qn__op_parse(line, id, call->attr, &rest));
    call->op = qn__op(*id);
    return parse_tensors(qn__op_row(*id), rest + (*rest == ':'), call);
}
