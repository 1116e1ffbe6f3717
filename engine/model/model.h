/* Inside a model. */
#ifndef QN_MODEL_MODEL_H
#define QN_MODEL_MODEL_H

#include "model/network.h"
#include "model/weights.h"

struct qn_model {
    qn_device *device;
    qn_store *store;
    bool borrows; /* the store is another's */
    qn_model_config config;
    qn_dtype type;       /* of activations, as qn_network has it */
    qn_dtype cache_type; /* of keys and values in the cache */
    qn_lora lora;        /* of rank above 0: the store has adapters, too */
    qn_graph *all_graph; /* logits of every token of one sequence */
    qn_plan *all_plan;
    qn_graph *loss_graph; /* losses of a batch of windows */
    qn_plan *loss_plan;
    int loss_batch;
    qn_graph *choose_graph; /* losses of many short sequences */
    qn_plan *choose_plan;
    int64_t choose_rows;
    qn_session *holder;    /* the newest session: it holds the cache */
    qn_graph *cache_graph; /* one sequence against the cache */
    qn_plan *cache_plan;
    int cache_rows;       /* most tokens fed at once */
    qn_graph *rows_graph; /* the same with logits of every row, for few rows */
    qn_plan *rows_plan;
    int most_rows;
};

/* A model around weights made some other way: declared, not yet filled. */
qn_status qn__model_create(qn_device *device, const qn_model_config *config,
                           qn_model **model) QN_MUST_USE;
/* A model with the weights of a source; what products read is kept as it is quantized there, or
 * quantized to `wanted` (QN_DTYPE_COUNT: not). *model is set, for destruction, after a failure too.
 */
qn_status qn__model_from(qn_device *device, const qn_weight_source *source, qn_dtype wanted,
                         qn_model **model) QN_MUST_USE;
/* A model over a store that has its weights (qn__weights_declare), and adapters; the store must
 * outlive it. */
qn_status qn__model_over(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                         qn_dtype type, qn_model **model) QN_MUST_USE;
/* What the options say of the cache; before it is declared. */
qn_status qn__model_set_cache(qn_model *model, const char *type) QN_MUST_USE;
/* Declare the cache of a session and plan for it, without touching a device: its memory then counts
 * before it is needed. */
qn_status qn__model_plan_cache(qn_model *model) QN_MUST_USE;
/* qn_model_logits by way of the cache. */
qn_status qn__model_cached_logits(qn_model *model, const int32_t *tokens, size_t count,
                                  float *logits) QN_MUST_USE;

#endif
