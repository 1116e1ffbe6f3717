#include "model/lora.h"

#include "base/check.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_linear(qn_role role)
{
    switch (role) {
    case QN_QKV:
    case QN_Q:
    case QN_K:
    case QN_V_:
    case QN_O:
    case QN_GATE_UP:
    case QN_GATE:
    case QN_UP:
    case QN_DOWN: return true;
    default: return false;
    }
}

float qn__lora_scale(const qn_lora *lora)
{
    double rank = (double)lora->rank;
    return (float)((double)lora->alpha / (lora->rank_stable ? sqrt(rank) : rank));
}

bool qn__lora_has(const qn_lora *lora, qn_role role)
{
    return lora && lora->rank > 0 && lora->roles[role];
}

/* ---- targets ---- */

/* Of "model.layers.%d.self_attn.q_proj.weight": "q_proj", and its length. */
static const char *module_name(const char *weight, int *length)
{
    const char *end = strrchr(weight, '.'), *begin = end;
    while (begin > weight && begin[-1] != '.') begin--;
    *length = (int)(end - begin);
    return begin;
}

/* PEFT: a target is a module's name, or its last parts: "c_proj", "attn.c_proj". */
static bool matches(const char *weight, const char *target, int length)
{
    const char *end = strrchr(weight, '.');
    long before = end - weight - length;
    if (length < 1 || before < 0 || strncmp(weight + before, target, (size_t)length) != 0)
        return false;
    return before == 0 || weight[before - 1] == '.';
}

static qn_status no_such_target(const qn_model_config *config, const char *target, int length)
{
    char known[256] = "";
    for (const qn_weight_row *row = qn__arch(config->arch)->weights; row->name; row++) {
        int part, used = (int)strlen(known);
        const char *name = module_name(row->name, &part);
        char word[64];
        snprintf(word, sizeof word, "%.*s", part, name);
        if (is_linear(row->role) && !strstr(known, word))
            snprintf(known + used, sizeof known - (size_t)used, "%s%s", used ? ", " : "", word);
    }
    return qn__fail(QN_BAD_ARGUMENT,
                    "lora_targets: \"%.*s\" is no linear layer of %s; there are %s, and all-linear",
                    length < 80 ? length : 80, target, qn_arch_name(config->arch), known);
}

/* Which of the weights does this target name? Counts layers by role. */
static bool count_matches(const qn_model_config *config, const char *target, int length,
                          int counts[QN_ROLE_COUNT])
{
    qn_weight weight;
    bool found = false;
    for (int cursor = 0; qn__weight_next(config, &cursor, &weight);) {
        if (!is_linear(weight.role) || !matches(weight.name, target, length)) continue;
        counts[weight.role]++;
        found = true;
    }
    return found;
}

/* PEFT writes full names of all layers for "all-linear". */
qn_status qn__lora_targets(const qn_model_config *config, const char *targets, qn_lora *lora)
{
    int counts[QN_ROLE_COUNT] = {0};
    memset(lora->roles, 0, sizeof lora->roles);
    if (strcmp(targets, "all-linear") == 0) {
        for (const qn_weight_row *row = qn__arch(config->arch)->weights; row->name; row++)
            lora->roles[row->role] = is_linear(row->role);
        return QN_OK;
    }
    for (const char *at = targets; *at;) {
        at += strspn(at, ", ");
        int length = (int)strcspn(at, ", ");
        if (length > 0 && !count_matches(config, at, length, counts))
            return no_such_target(config, at, length);
        at += length;
    }
    bool any = false;
    for (int role = 0; role < QN_ROLE_COUNT; role++) {
        any |= lora->roles[role] = counts[role] >= config->layers;
        if (counts[role] > 0 && counts[role] < config->layers)
            return qn__fail(QN_UNSUPPORTED,
                            "lora_targets: adapters in %d of %d layers; only all layers alike are "
                            "supported",
                            counts[role], config->layers);
    }
    return any ? QN_OK : no_such_target(config, "", 0);
}

/* "attn.c_proj" where "c_proj" alone would name another layer, too. */
const char *qn__lora_target(const qn_model_config *config, const qn_lora *lora, int i)
{
    static _Thread_local char text[64];
    const qn_weight_row *rows = qn__arch(config->arch)->weights;
    for (const qn_weight_row *row = rows; row->name; row++) {
        int length, others = 0;
        if (!is_linear(row->role) || !lora->roles[row->role] || i-- > 0) continue;
        const char *name = module_name(row->name, &length);
        for (const qn_weight_row *other = rows; other->name; other++)
            others += other != row && is_linear(other->role) && matches(other->name, name, length);
        if (others > 0) name--, length++;
        while (others > 0 && name > row->name && name[-1] != '.') name--, length++;
        snprintf(text, sizeof text, "%.*s", length, name);
        return text;
    }
    return NULL;
}

/* ---- tensors ---- */

void qn__lora_pair(const qn_model_config *config, const qn_lora *lora, const qn_weight *of,
                   qn_weight *a, qn_weight *b)
{
    bool in_out = qn__arch(config->arch)->in_out;
    int module = (int)(strrchr(of->name, '.') - of->name);
    *a = *b = (qn_weight){.role = of->role, .layer = of->layer, .decay = true};
    a->shape = (qn_shape){.rank = 2, .dim = {lora->rank, of->shape.dim[in_out ? 0 : 1]}};
    b->shape = (qn_shape){.rank = 2, .dim = {of->shape.dim[in_out ? 1 : 0], lora->rank}};
    snprintf(a->name, sizeof a->name, "base_model.model.%.*s.lora_A.weight", module, of->name);
    snprintf(b->name, sizeof b->name, "base_model.model.%.*s.lora_B.weight", module, of->name);
}

/* The cursor counts weights twice: for A and for B. */
bool qn__trainable_next(const qn_model_config *config, const qn_lora *lora, int *cursor,
                        qn_weight *weight)
{
    if (!lora || lora->rank == 0) return qn__weight_next(config, cursor, weight);
    int base = *cursor / 2;
    bool second = *cursor % 2;
    for (int at = base; qn__weight_next(config, &at, weight); base = at) {
        qn_weight pair[2];
        if (!qn__lora_has(lora, weight->role)) continue;
        qn__lora_pair(config, lora, weight, &pair[0], &pair[1]);
        *weight = pair[second];
        *cursor = second ? 2 * at : 2 * base + 1;
        return true;
    }
    return false;
}

int64_t qn__trainable_parameters(const qn_model_config *config, const qn_lora *lora)
{
    int64_t count = 0;
    qn_weight weight;
    for (int cursor = 0; qn__trainable_next(config, lora, &cursor, &weight);)
        count += qn_shape_elements(&weight.shape);
    return count;
}

qn_status qn__lora_declare(qn_store *store, const qn_model_config *config, const qn_lora *lora)
{
    qn_weight weight;
    if (lora->rank == 0) return QN_OK;
    for (int cursor = 0; qn__trainable_next(config, lora, &cursor, &weight);)
        QN_TRY(qn_store_add(store, "adapter", weight.name, QN_F32, &weight.shape));
    return QN_OK;
}

qn_status qn__lora_init(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                        uint64_t seed)
{
    qn_weight weight;
    uint64_t stream = 0;
    for (int cursor = 0; qn__trainable_next(config, lora, &cursor, &weight); stream++) {
        size_t count = (size_t)qn_shape_elements(&weight.shape);
        bool a = stream % 2 == 0;
        double bound = 1 / sqrt((double)weight.shape.dim[1]);
        float *values = calloc(count + 1, sizeof *values);
        if (!values) return qn__fail(QN_OS_ERROR, "no memory for %zu numbers", count);
        qn_rng rng = {.seed = seed, .stream = UINT64_C(0x4C6F524100000000) + stream};
        for (size_t i = 0; a && i < count; i++)
            values[i] = (float)(bound * (2 * (double)qn__rng_uniform(&rng) - 1));
        qn_status status = qn__store_write_floats(store, weight.name, values, (int64_t)count);
        free(values);
        QN_TRY(status);
    }
    return QN_OK;
}

void qn__lora_fold(const qn_lora *lora, bool in_out, const qn_shape *shape, const float *a,
                   const float *b, float *w)
{
    int64_t in = shape->dim[in_out ? 0 : 1], out = shape->dim[in_out ? 1 : 0];
    float scale = qn__lora_scale(lora);
    for (int64_t o = 0; o < out; o++)
        for (int32_t r = 0; r < lora->rank; r++) {
            const float factor = scale * b[o * lora->rank + r], *row = a + r * in;
            if (in_out)
                for (int64_t i = 0; i < in; i++) w[i * out + o] += factor * row[i];
            else
                for (int64_t i = 0; i < in; i++) w[o * in + i] += factor * row[i];
        }
}
