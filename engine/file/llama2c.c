#include "file/llama2c.h"

#include "base/check.h"
#include "base/fs.h"
#include "file/range_list.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 28,
    /* Far above any real model, and low enough that no product below passes 2^62. */
    MAX_WIDTH = 1 << 20,
    MAX_LAYERS = 1 << 12,
    MAX_VOCAB = 1 << 24,
    MAX_TOKENS = 1 << 26,
    LAYER_TENSORS = 9
};

struct qn_llama2c {
    qn_map map;
    qn_llama2c_config config;
    qn_range_list list;
};

/* The kinds of tensor in file order; each lies there for all layers at once. */
typedef struct part {
    const char *name; /* after "model.layers.N." if it is of a layer */
    int64_t rows;     /* 0: a vector */
    int64_t cols;
} part;

enum { PART_COUNT = 13, FIRST_LAYER_PART = 1, LAST_LAYER_PART = 9 };

static void parts_of(const qn_llama2c_config *c, part parts[PART_COUNT])
{
    const int64_t dim = c->dim, hidden = c->hidden_dim, kv = dim / c->heads * c->kv_heads;
    const part all[PART_COUNT] = {
        {"model.embed_tokens.weight", c->vocab, dim},
        {"input_layernorm.weight", 0, dim},
        {"self_attn.q_proj.weight", dim, dim},
        {"self_attn.k_proj.weight", kv, dim},
        {"self_attn.v_proj.weight", kv, dim},
        {"self_attn.o_proj.weight", dim, dim},
        {"post_attention_layernorm.weight", 0, dim},
        {"mlp.gate_proj.weight", hidden, dim},
        {"mlp.down_proj.weight", dim, hidden},
        {"mlp.up_proj.weight", hidden, dim},
        {"model.norm.weight", 0, dim},
        {NULL, c->max_tokens, dim / c->heads}, /* cosines, then sines: no longer read */
        {"lm_head.weight", c->vocab, dim},
    };
    memcpy(parts, all, sizeof all);
}

static uint64_t part_elements(const part *one)
{
    return (uint64_t)(one->rows ? one->rows : 1) * (uint64_t)one->cols;
}

static uint64_t file_bytes(const qn_llama2c_config *c)
{
    part parts[PART_COUNT];
    uint64_t elements = 0;
    parts_of(c, parts);
    for (int i = 0; i < PART_COUNT - (c->tied ? 1 : 0); i++) {
        bool layered = i >= FIRST_LAYER_PART && i <= LAST_LAYER_PART;
        elements += part_elements(&parts[i]) * (uint64_t)(layered ? c->layers : 1);
    }
    return HEADER_BYTES + 4 * elements;
}

/* NULL, or what is wrong with the header. */
static const char *read_config(const void *bytes, qn_llama2c_config *c)
{
    int32_t h[7];
    memcpy(h, bytes, sizeof h);
    *c = (qn_llama2c_config){h[0], h[1], h[2], h[3], h[4], 0, h[6], h[5] > 0, true};
    if (c->dim < 1 || c->dim > MAX_WIDTH) return "dim";
    if (c->hidden_dim < 1 || c->hidden_dim > MAX_WIDTH) return "hidden_dim";
    if (c->layers < 1 || c->layers > MAX_LAYERS) return "n_layers";
    if (c->heads < 1 || c->heads > c->dim || c->dim % c->heads) return "n_heads";
    if ((c->dim / c->heads) % 2) return "n_heads (a head has an odd size)";
    if (c->kv_heads < 1 || c->heads % c->kv_heads) return "n_kv_heads";
    if (h[5] == 0 || h[5] > MAX_VOCAB || h[5] < -MAX_VOCAB) return "vocab_size";
    c->vocab = h[5] > 0 ? h[5] : -h[5]; /* negative means untied */
    if (c->max_tokens < 1 || c->max_tokens > MAX_TOKENS) return "seq_len";
    return NULL;
}

bool qn__llama2c_looks_like(const void *bytes, size_t count, uint64_t total)
{
    qn_llama2c_config config;
    return count >= HEADER_BYTES && !read_config(bytes, &config) && file_bytes(&config) == total;
}

/* The tensors of one part, from *at on. */
static qn_status add_part(qn_llama2c *model, int i, const part *one, const uint8_t **at)
{
    bool layered = i >= FIRST_LAYER_PART && i <= LAST_LAYER_PART;
    qn_range range = {.dtype_name = "F32", .dtype = QN_F32, .rank = one->rows ? 2 : 1};
    range.dim[0] = one->rows ? one->rows : one->cols;
    range.dim[1] = one->rows ? one->cols : 0;
    range.bytes = 4 * part_elements(one);
    for (int layer = 0; layer < (layered ? model->config.layers : 1); layer++) {
        range.data = *at;
        range.offset = (uint64_t)(*at - model->map.data);
        *at += range.bytes;
        if (layered)
            QN_TRY(qn__range_list_add(&model->list, &range, "model.layers.%d.%s", layer,
                                      one->name));
        else if (one->name)
            QN_TRY(qn__range_list_add(&model->list, &range, "%s", one->name));
    }
    return QN_OK;
}

static qn_status read_all(qn_llama2c *model)
{
    const qn_map *map = &model->map;
    part parts[PART_COUNT];
    if (map->bytes < HEADER_BYTES)
        return qn__fail(QN_BAD_DATA, "%s: %zu bytes are too few for a llama2.c checkpoint",
                        map->path, map->bytes);
    const char *wrong = read_config(map->data, &model->config);
    if (wrong)
        return qn__fail(QN_BAD_DATA, "%s: not a llama2.c checkpoint: its %s cannot be right",
                        map->path, wrong);
    if (file_bytes(&model->config) != map->bytes)
        return qn__fail(QN_BAD_DATA, "%s: a llama2.c header that asks for %" PRIu64 " bytes, but "
                        "the file has %zu: truncated, or not such a checkpoint", map->path,
                        file_bytes(&model->config), map->bytes);
    size_t tensors = (size_t)model->config.layers * LAYER_TENSORS + 3;
    QN_TRY(qn__range_list_create(tensors, &model->list));
    const uint8_t *at = map->data + HEADER_BYTES;
    parts_of(&model->config, parts);
    for (int i = 0; i < PART_COUNT - (model->config.tied ? 1 : 0); i++)
        QN_TRY(add_part(model, i, &parts[i], &at));
    return QN_OK;
}

qn_status qn__llama2c_open(const char *path, qn_llama2c **model)
{
    *model = NULL;
    qn_llama2c *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    qn_status status = qn__map_open(path, &made->map);
    if (status == QN_OK) status = read_all(made);
    if (status != QN_OK) qn__llama2c_close(&made);
    *model = made;
    return status;
}

void qn__llama2c_close(qn_llama2c **model)
{
    qn_llama2c *old = *model;
    if (!old) return;
    qn__range_list_free(&old->list);
    qn__map_close(&old->map);
    free(old);
    *model = NULL;
}

const qn_llama2c_config *qn__llama2c_config(const qn_llama2c *model)
{
    return &model->config;
}

const char *qn__llama2c_path(const qn_llama2c *model)
{
    return model->map.path;
}

size_t qn__llama2c_count(const qn_llama2c *model)
{
    return model->list.count;
}

const qn_range *qn__llama2c_at(const qn_llama2c *model, size_t i)
{
    QN_ASSERT(i < model->list.count);
    return &model->list.ranges[i];
}

const qn_range *qn__llama2c_find(const qn_llama2c *model, const char *name)
{
    return qn__range_list_find(&model->list, name);
}
