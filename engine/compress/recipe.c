#include "compress/recipe.h"

#include "base/check.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- the table ---- */

/* What a tensor is for, so far as a mix cares. Queries, keys and values in one matrix count as
 * values. */
typedef enum part_kind {
    PART_REST,
    PART_HEAD,
    PART_EMBEDDING,
    PART_KEYS,
    PART_VALUES,
    PART_OUTPUT,
    PART_DOWN,
    PART_COUNT
} part_kind;

typedef enum when_kind {
    ALWAYS,
    SPREAD,            /* the first and the last eighth of the layers, every third between */
    FIRST_TWO,         /* layers */
    FIRST_FOUR,        /* layers */
    FIRST_16TH,        /* of the layers */
    FIRST_8TH,         /* of the layers */
    FIRST_8TH_BLIND,   /* without an importance matrix */
    FIRST_8TH_WEIGHED, /* with one */
    GROUPED            /* four or more query heads a kv head */
} when_kind;

/* The first that holds decides; none: the base type. */
typedef struct rule {
    part_kind part;
    when_kind when;
    qn_dtype type;
} rule;

enum { MAX_RULES = 6 };

typedef struct mix {
    const char *name, *help;
    uint32_t file_type;
    qn_dtype base;
    rule rules[MAX_RULES]; /* ended by type 0 */
} mix;

static const mix rows[] = {
    {"F32", "32 bits, as trained", 0, QN_F32, {{0}}},
    {"F16", "16 bits, of f16", 1, QN_F16, {{0}}},
    {"BF16", "16 bits, of bf16", 32, QN_BF16, {{0}}},
    {"Q8_0", "8.5 bits a weight; hardly to be told from 16", 7, QN_Q8_0, {{0}}},
    {"Q6_K", "6.6 bits", 18, QN_Q6_K, {{0}}},
    {"Q5_K_M",
     "5.7 bits",
     17,
     QN_Q5_K,
     {{PART_VALUES, SPREAD, QN_Q6_K}, {PART_DOWN, SPREAD, QN_Q6_K}}},
    {"Q5_K_S", "5.5 bits", 16, QN_Q5_K, {{0}}},
    {"Q4_K_M",
     "4.9 bits, the usual choice",
     15,
     QN_Q4_K,
     {{PART_VALUES, SPREAD, QN_Q6_K}, {PART_DOWN, SPREAD, QN_Q6_K}}},
    {"Q4_K_S",
     "4.6 bits",
     14,
     QN_Q4_K,
     {{PART_VALUES, FIRST_FOUR, QN_Q5_K}, {PART_DOWN, FIRST_8TH, QN_Q5_K}}},
    {"IQ4_NL",
     "4.5 bits, levels denser around zero, blocks of 32",
     25,
     QN_IQ4_NL,
     {{PART_VALUES, GROUPED, QN_Q5_K}, {PART_DOWN, FIRST_8TH_BLIND, QN_Q5_K}}},
    {"IQ4_XS",
     "4.3 bits, levels denser around zero",
     30,
     QN_IQ4_XS,
     {{PART_VALUES, GROUPED, QN_Q5_K}, {PART_DOWN, FIRST_8TH_BLIND, QN_Q5_K}}},
    {"Q3_K_L",
     "4.2 bits",
     13,
     QN_Q3_K,
     {{PART_VALUES, ALWAYS, QN_Q5_K},
      {PART_DOWN, ALWAYS, QN_Q5_K},
      {PART_OUTPUT, ALWAYS, QN_Q5_K}}},
    {"Q3_K_M",
     "3.9 bits",
     12,
     QN_Q3_K,
     {{PART_VALUES, FIRST_TWO, QN_Q5_K},
      {PART_VALUES, ALWAYS, QN_Q4_K},
      {PART_DOWN, FIRST_16TH, QN_Q5_K},
      {PART_DOWN, ALWAYS, QN_Q4_K},
      {PART_OUTPUT, ALWAYS, QN_Q4_K}}},
    {"Q3_K_S", "3.5 bits", 11, QN_Q3_K, {{0}}},
    {"Q2_K",
     "3 bits",
     10,
     QN_Q2_K,
     {{PART_VALUES, GROUPED, QN_Q4_K},
      {PART_VALUES, ALWAYS, QN_Q3_K},
      {PART_DOWN, ALWAYS, QN_Q3_K},
      {PART_OUTPUT, ALWAYS, QN_Q3_K}}},
    {"Q5_1", "6 bits, the older format", 9, QN_Q5_1, {{0}}},
    {"Q5_0", "5.5 bits, the older format", 8, QN_Q5_0, {{PART_DOWN, FIRST_8TH_WEIGHED, QN_Q5_1}}},
    {"Q4_1", "5 bits, the older format", 3, QN_Q4_1, {{0}}},
    {"Q4_0",
     "4.5 bits, the older format, the fastest to compute with",
     2,
     QN_Q4_0,
     {{PART_DOWN, FIRST_8TH_WEIGHED, QN_Q4_1}}},
    {"MXFP4_MOE", "experts in mxfp4, everything else in q8_0", 38, QN_Q8_0, {{0}}},
};

enum { ROWS = sizeof rows / sizeof rows[0], MXFP4_MOE = ROWS - 1 };

/* What takes the place of blocks of 256 where rows are no whole number of them. */
static qn_dtype smaller_blocks(qn_dtype type)
{
    switch (type) {
    case QN_Q2_K:
    case QN_Q3_K:
    case QN_IQ4_XS: return QN_IQ4_NL;
    case QN_Q4_K: return QN_Q5_0;
    case QN_Q5_K: return QN_Q5_1;
    case QN_Q6_K: return QN_Q8_0;
    default: return QN_F16;
    }
}

/* ---- names ---- */

qn_status qn__recipe_find(const char *name, int *found)
{
    qn_str names = {0};
    for (int i = 0; name && i < ROWS; i++) {
        *found = i;
        if (strcasecmp(name, rows[i].name) == 0) return QN_OK;
    }
    for (int i = 0; i < ROWS; i++) qn__str_add(&names, i ? ", %s" : "%s", rows[i].name);
    qn_status status = qn__fail(QN_BAD_ARGUMENT, "type: \"%s\" is none of %s", name ? name : "",
                                qn__str_text(&names));
    qn__str_free(&names);
    return status;
}

const char *qn__recipe_name(int i)
{
    return i >= 0 && i < ROWS ? rows[i].name : NULL;
}

const char *qn__recipe_help(int i)
{
    return i >= 0 && i < ROWS ? rows[i].help : NULL;
}

uint32_t qn__recipe_file_type(int i)
{
    return rows[i].file_type;
}

static bool ends(const char *name, const char *ending)
{
    size_t length = strlen(name), tail = strlen(ending);
    return length >= tail && strcmp(name + length - tail, ending) == 0;
}

bool qn__recipe_converts(const char *name, int rank, const int64_t *ne)
{
    static const char *const kept[] = {"_norm.weight",
                                       "ffn_gate_inp.weight",
                                       "ssm_conv1d",
                                       "shortconv.conv",
                                       "attn_rel_b.weight",
                                       "time_mix_first",
                                       "time_mix_w0",
                                       "time_mix_w1",
                                       "time_mix_w2",
                                       "time_mix_v0",
                                       "time_mix_v1",
                                       "time_mix_v2",
                                       "time_mix_a0",
                                       "time_mix_a1",
                                       "time_mix_a2",
                                       "time_mix_g1",
                                       "time_mix_g2",
                                       "time_mix_decay_w",
                                       "time_mix_lerp_",
                                       "altup",
                                       "per_layer_model_proj",
                                       "laurel",
                                       ".rel_pos",
                                       ".patch_embd",
                                       ".position_embd"};
    while (rank > 1 && ne[rank - 1] == 1) rank--;
    if (rank < 2 || !ends(name, "weight")) return false;
    if (strcmp(name, "position_embd.weight") == 0 || strcmp(name, "token_types.weight") == 0)
        return false;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (strstr(name, kept[i])) return false;
    return true;
}

static part_kind part_of(const char *name)
{
    static const struct {
        const char *piece;
        part_kind part;
    } pieces[] = {{"attn_qkv.weight", PART_VALUES},    {"attn_kv_b.weight", PART_VALUES},
                  {"attn_v.weight", PART_VALUES},      {"attn_k.weight", PART_KEYS},
                  {"attn_output.weight", PART_OUTPUT}, {"ffn_down", PART_DOWN}};
    if (strcmp(name, "output.weight") == 0) return PART_HEAD;
    if (strcmp(name, "token_embd.weight") == 0) return PART_EMBEDDING;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        if (strstr(name, pieces[i].piece)) return pieces[i].part;
    return PART_REST;
}

/* ---- the rules ---- */

static bool holds(when_kind when, int64_t layer, const qn_recipe_facts *facts)
{
    const int64_t n = facts->layers;
    const bool first_8th = layer < n / 8;
    switch (when) {
    case SPREAD: return first_8th || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
    case FIRST_TWO: return layer < 2;
    case FIRST_FOUR: return layer < 4;
    case FIRST_16TH: return layer < n / 16;
    case FIRST_8TH: return first_8th;
    case FIRST_8TH_BLIND: return first_8th && !facts->weighed;
    case FIRST_8TH_WEIGHED: return first_8th && facts->weighed;
    case GROUPED: return facts->group >= 4;
    default: return true;
    }
}

static qn_dtype by_rules(const mix *row, const qn_recipe_facts *facts, part_kind part,
                         int64_t layer)
{
    for (int i = 0; i < MAX_RULES && row->rules[i].type; i++)
        if (row->rules[i].part == part && holds(row->rules[i].when, layer, facts))
            return row->rules[i].type;
    return row->base;
}

/* Where eight experts share the attention, it is a small part of the model. */
static qn_dtype beside_experts(const mix *row, part_kind part, qn_dtype type)
{
    if (part == PART_KEYS || part == PART_VALUES) return QN_Q8_0;
    bool five_bits = row->base == QN_Q2_K || row->base == QN_Q4_K || row->base == QN_IQ4_NL ||
                     row->base == QN_IQ4_XS || (row->base == QN_Q3_K && row->file_type != 13);
    return part != PART_OUTPUT ? type : five_bits ? QN_Q5_K : row->base;
}

static qn_dtype by_mix(const qn_recipe *recipe, const char *name, int rank, const int64_t *ne)
{
    const mix *row = &rows[recipe->row];
    const qn_recipe_facts *facts = &recipe->facts;
    const part_kind part = part_of(name);
    int layer = 0, bytes;
    if (part == PART_HEAD || (facts->tied && part == PART_EMBEDDING)) {
        if (row->base == QN_Q8_0 || ne[0] % qn_dtype_block(row->base, &bytes) != 0) return QN_Q8_0;
        return QN_Q6_K;
    }
    if (recipe->row == MXFP4_MOE)
        return rank > 2 && ne[2] > 1 && strstr(name, "_exps") ? QN_MXFP4 : QN_Q8_0;
    if (sscanf(name, "blk.%d.", &layer) != 1) layer = 0;
    qn_dtype type = by_rules(row, facts, part, layer);
    /* The 70 billion of Llama and Qwen: values are an eighth of the queries' size. */
    bool wide = facts->layers == 80 && facts->group > 1;
    if (wide && part == PART_VALUES && (type == QN_Q3_K || type == QN_Q4_K)) type = QN_Q5_K;
    return facts->experts == 8 ? beside_experts(row, part, type) : type;
}

qn_dtype qn__recipe_type(const qn_recipe *recipe, const char *name, int rank, const int64_t *ne,
                         bool *fallback)
{
    int bytes;
    qn_dtype type = rows[recipe->row].base;
    *fallback = false;
    if (!qn_dtype_is_block(type)) return type;
    if (!recipe->facts.pure) type = by_mix(recipe, name, rank, ne);
    while (ne[0] % qn_dtype_block(type, &bytes) != 0) {
        *fallback = true;
        type = smaller_blocks(type);
    }
    return type;
}
