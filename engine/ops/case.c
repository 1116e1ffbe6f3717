#include "ops/case.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static qn_status not_tensor(const char *text, size_t length)
{
    return qn__fail(QN_BAD_ARGUMENT, "\"%.*s\" is not a tensor like f32[4,64]", (int)length, text);
}

static qn_status parse_tensor(const char *text, size_t length, qn_desc *desc)
{
    static const char panels[] = ".panels";
    const char *open = memchr(text, '[', length);
    *desc = (qn_desc){0};
    if (!open || text[length - 1] != ']') return not_tensor(text, length);
    size_t name = (size_t)(open - text), ending = sizeof panels - 1;
    if (name > ending && memcmp(open - ending, panels, ending) == 0) {
        desc->layout = QN_PANELS;
        name -= ending;
    }
    if (!qn__dtype_parse(text, name, &desc->dtype)) return not_tensor(text, length);
    const char *at = open + 1, *end = text + length - 1;
    while (at < end) {
        char *stop;
        long long n = strtoll(at, &stop, 10);
        if (stop == at || stop > end || desc->shape.rank == QN_MAX_RANK || n < 0)
            return not_tensor(text, length);
        desc->shape.dim[desc->shape.rank++] = n;
        at = *stop == ',' ? stop + 1 : stop;
        if (at == stop && at < end) return not_tensor(text, length);
    }
    return qn__shape_check(&desc->shape, desc->dtype);
}

static bool named(const qn_op_slot *slot, const char *text, size_t length)
{
    return strlen(slot->name) == length && memcmp(slot->name, text, length) == 0;
}

/* One word of a case line: "a=f32[5,7]", "+pre" or "(backward)". */
static qn_status parse_word(const char *word, size_t length, qn_call *call)
{
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    const char *equals = memchr(word, '=', length);
    if (length == 10 && memcmp(word, "(backward)", length) == 0) {
        call->backward = true;
        return QN_OK;
    }
    for (int o = 0; *word == '+' && o < row->out_count; o++) {
        if (!row->out[o].optional || !named(&row->out[o], word + 1, length - 1)) continue;
        call->out[o].there = true;
        return QN_OK;
    }
    for (int i = 0; equals && i < row->in_count; i++) {
        if (!named(&row->in[i], word, (size_t)(equals - word))) continue;
        call->in[i].there = true;
        return parse_tensor(equals + 1, length - (size_t)(equals + 1 - word), &call->in[i].desc);
    }
    return qn__fail(QN_BAD_ARGUMENT, "%s: \"%.*s\" is not one of its inputs", row->stem,
                    (int)length, word);
}

/* " : a=f32[5,7] b=f32[3,7] +pre (backward)" */
static qn_status parse_tensors(const char *text, qn_call *call)
{
    while (*text == ' ' || *text == ':') text++;
    while (*text) {
        size_t length = strcspn(text, " ");
        QN_TRY(parse_word(text, length, call));
        text += length;
        while (*text == ' ') text++;
    }
    return QN_OK;
}

qn_status qn__case_parse(const char *line, qn_call *call)
{
    qn_op_id id;
    const char *rest;
    *call = (qn_call){0};
    QN_TRY(qn__op_parse(line, &id, call->attr, &rest));
    const qn_op_row *row = qn__op_row(id);
    call->op = qn__op(id);
    QN_TRY(parse_tensors(rest, call));
    QN_TRY(qn__call_shape(call));
    QN_CHECK(!call->backward || row->gradient == QN_GRAD_KERNEL,
             "%s has no backward kernel to time", row->stem);
    for (int o = 0; call->backward && o < row->out_count; o++)
        if (!row->out[o].saved) call->dout[o] = call->out[o];
    for (int i = 0; call->backward && i < row->in_count; i++)
        if (call->in[i].there && !row->in[i].integer && !row->in[i].constant)
            call->din[i] = call->in[i];
    return QN_OK;
}
