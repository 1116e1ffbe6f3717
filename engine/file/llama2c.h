/* llama2.c checkpoints (the first version, f32): seven numbers, then tensors without names.
 *
 * Tensors come out in file order under Hugging Face's Llama names: "model.embed_tokens.weight",
 * "model.layers.3.self_attn.q_proj.weight", ..., "model.norm.weight", and "lm_head.weight" when it
 * is not tied to the embedding. Unlike Hugging Face's, the rows of Q and K are ordered for rotary
 * embedding by interleaved pairs (2i, 2i + 1). Source: llama2.c, export.py legacy_export. */
#ifndef QN_FILE_LLAMA2C_H
#define QN_FILE_LLAMA2C_H

#include "file/range.h"

typedef struct qn_llama2c_config {
    int32_t dim;        /* width of the residual stream */
    int32_t hidden_dim; /* of the feed-forward network */
    int32_t layers;
    int32_t heads;
    int32_t kv_heads;
    int32_t vocab;
    int32_t max_tokens;
    bool tied;             /* the output matrix is the embedding */
    bool rope_interleaved; /* always true */
} qn_llama2c_config;

typedef struct qn_llama2c qn_llama2c;

/* QN_BAD_DATA unless the file has exactly the bytes its header asks for. */
qn_status qn__llama2c_open(const char *path, qn_llama2c **model) QN_MUST_USE;
void qn__llama2c_close(qn_llama2c **model);

/* Could a file of `total` bytes that begins with these be one? */
bool qn__llama2c_looks_like(const void *bytes, size_t count, uint64_t total);

const qn_llama2c_config *qn__llama2c_config(const qn_llama2c *model);
const char *qn__llama2c_path(const qn_llama2c *model);
size_t qn__llama2c_count(const qn_llama2c *model);
const qn_range *qn__llama2c_at(const qn_llama2c *model, size_t i);
/* By name; NULL when absent. */
const qn_range *qn__llama2c_find(const qn_llama2c *model, const char *name);

#endif
