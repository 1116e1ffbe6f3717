/* Inside a model. */
#ifndef QN_MODEL_MODEL_H
#define QN_MODEL_MODEL_H

#include "model/network.h"
#include "model/weights.h"

#include <quernel/batch.h>

struct qn_model {
    qn_device *device;
    qn_store *store;
    bool borrows; /* the store is another's */
    qn_model_config config;
    int32_t stated_context;
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
    int32_t sequences, cells; /* of the cache: sequences at once, tokens of all of them */
    qn_batch *holder;         /* the newest: it has the cache */
    qn_graph *cache_graph;    /* rows of sequences against the cache, logits of a few of them */
    qn_plan *cache_plan;
    int cache_rows, cache_logits; /* the most of each */
    qn_graph *rows_graph;         /* the same with logits of every row, for fewer rows */
    qn_plan *rows_plan;
    int most_rows;
    qn_graph *turn_graph; /* cells moved, keys turned to other positions */
    qn_plan *turn_plan;
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
/* The context of a model whose caller names none, by what it states and the device's memory. Pure.
 */
int32_t qn__model_default_context(const qn_model_config *config, const qn_model_options *options,
                                  uint64_t device_bytes);
/* What the options say of the cache, NULL: nothing; before it is declared. */
qn_status qn__model_set_cache(qn_model *model, const qn_model_options *options) QN_MUST_USE;
/* Declare the cache and plan for it, without touching a device: its memory then counts
 * before it is needed. */
qn_status qn__model_plan_cache(qn_model *model) QN_MUST_USE;
/* qn_model_logits by way of the cache. */
qn_status qn__model_cached_logits(qn_model *model, const int32_t *tokens, size_t count,
                                  float *logits) QN_MUST_USE;
/* Bytes of the keys and values of all tokens. */
uint64_t qn__model_cache_bytes(const qn_model *model);
/* Plans that are made when they are first needed. */
qn_status qn__model_plan_rows(qn_model *model) QN_MUST_USE;
qn_status qn__model_plan_turn(qn_model *model) QN_MUST_USE;

#endif
