/* The cache of keys and values, and the plans that run against it. */
#include "base/check.h"
#include "base/checked.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

/* Tokens taken at once: of prompts, with all logits; rows of prompts whose logits are made. */
enum { FEED_ROWS = 128, LOGIT_ROWS = 32, FEW_LOGITS = 16, MOST_SEQUENCES = 4096 };
/* Of models that state more; where even that is too much memory, down to so many. */
enum { USUAL_CONTEXT = 4096, LEAST_CONTEXT = 256 };

int32_t qn__model_default_context(const qn_model_config *config, const qn_model_options *options,
                                  uint64_t device_bytes)
{
    qn_dtype type = QN_F32;
    int32_t context = config->context < USUAL_CONTEXT ? config->context : USUAL_CONTEXT;
    if (qn__arch(config->arch)->learned_positions) return config->context;
    if (options->cache_type)
        (void)qn__dtype_parse(options->cache_type, strlen(options->cache_type), &type);
    int bytes = 4, elements = qn_dtype_block(type, &bytes);
    double token = 2.0 * config->layers * config->kv_heads * qn__head_size(config) * bytes /
                   elements * (options->sequences > 1 ? options->sequences : 1);
    while (context > LEAST_CONTEXT && token * context > (double)device_bytes / 4) context /= 2;
    return context;
}

static qn_status set_type(qn_model *model, const char *type)
{
    qn_dtype found;
    model->cache_type = model->type;
    if (!type) return QN_OK;
    QN_CHECK(qn__dtype_parse(type, strlen(type), &found) &&
                 (found <= QN_BF16 || found == QN_Q8_0 || found == QN_Q4_0),
             "the cache cannot be of type \"%s\"; there are f32, f16, bf16, q8_0 and q4_0", type);
    int head = qn__head_size(&model->config);
    QN_CHECK(!qn_dtype_is_block(found) || head % 32 == 0,
             "a cache in %s has blocks of 32 elements, and the heads of this model have %d: take "
             "--cache-type f16 or f32",
             type, head);
    model->cache_type = found;
    return QN_OK;
}

qn_status qn__model_set_cache(qn_model *model, const qn_model_options *options)
{
    const qn_model_options none = {0};
    if (!options) options = &none;
    QN_TRY(set_type(model, options->cache_type));
    QN_CHECK(options->sequences >= 0 && options->sequences <= MOST_SEQUENCES,
             "%d sequences at once; 1 to %d can be had", options->sequences, MOST_SEQUENCES);
    model->sequences = options->sequences > 0 ? options->sequences : 1;
    int64_t all = (int64_t)model->sequences * model->config.context;
    int64_t cells = options->cache_tokens > 0 && model->sequences > 1 ? options->cache_tokens : all;
    if (cells > all) cells = all;
    QN_CHECK(all <= INT32_MAX / 2 && options->cache_tokens >= 0,
             "%d sequences of up to %d tokens, and a cache of %d: fewer of them, or a shorter "
             "context",
             model->sequences, model->config.context, options->cache_tokens);
    model->cells = (int32_t)cells;
    return QN_OK;
}

static qn_desc cache_desc(const qn_model *model)
{
    const qn_model_config *c = &model->config;
    return (qn_desc){.dtype = model->cache_type,
                     .shape = {.rank = 3, .dim = {model->cells, c->kv_heads, qn__head_size(c)}}};
}

uint64_t qn__model_cache_bytes(const qn_model *model)
{
    const qn_desc desc = cache_desc(model);
    return 2 * (uint64_t)model->config.layers * qn__desc_bytes(&desc);
}

static qn_status declare_cache(qn_model *model)
{
    const qn_model_config *c = &model->config;
    const qn_desc desc = cache_desc(model);
    for (int layer = 0; layer < c->layers; layer++)
        for (int which = 0; which < 2; which++) {
            char name[32];
            snprintf(name, sizeof name, "kv.%s.%d", which ? "v" : "k", layer);
            QN_TRY(qn__store_add_desc(model->store, "kv", name, &desc));
        }
    qn_shape last = {.rank = 1, .dim = {model->cache_logits}};
    qn_shape logits = {.rank = 2, .dim = {model->cache_logits, c->vocab}};
    qn_shape slots = {.rank = 1, .dim = {(int64_t)model->sequences * c->context}};
    if (model->sequences > 1) QN_TRY(qn_store_add(model->store, "kv", "kv.slots", QN_I32, &slots));
    QN_TRY(qn_store_add(model->store, "kv", "kv.last", QN_I32, &last));
    return qn_store_add(model->store, "kv", "kv.logits", QN_F32, &logits);
}

static qn_network network_of(const qn_model *model, const char *prefix)
{
    return (qn_network){.config = &model->config,
                        .prefix = prefix,
                        .rows = true,
                        .cached = true,
                        .slots = model->sequences > 1,
                        .lora = &model->lora,
                        .type = model->type};
}

/* Logits of rows of hidden states to `name`; the plan. */
static qn_status finish(qn_model *model, qn_network *network, qn_tensor *hidden, const char *name,
                        qn_plan **plan)
{
    qn_graph *graph = network->graph;
    qn_tensor *logits = qn__network_head(network, hidden);
    if (model->type != QN_F32) logits = qn_apply(graph, "cast to=f32", logits);
    qn__network_free(network);
    QN_TRY(qn_graph_status(graph));
    QN_TRY(qn_graph_assign(graph, logits, name));
    return qn_plan_create(graph, NULL, plan);
}

/* Rows of hidden states, of which only those that "kv.last" names meet the head. */
qn_status qn__model_plan_cache(qn_model *model)
{
    if (model->cache_plan) return QN_OK;
    if (model->sequences == 0) QN_TRY(qn__model_set_cache(model, NULL));
    model->cache_rows = model->cells < FEED_ROWS ? model->cells : FEED_ROWS;
    model->cache_logits = model->sequences < FEW_LOGITS ? model->sequences : FEW_LOGITS;
    model->most_rows = model->sequences > LOGIT_ROWS ? model->sequences : LOGIT_ROWS;
    if (model->most_rows > model->cache_rows) model->most_rows = model->cache_rows;
    qn_network network = network_of(model, "kv.in");
    QN_TRY(declare_cache(model));
    QN_TRY(qn__network_inputs(model->store, &network, model->cache_rows));
    QN_TRY(qn_graph_create(model->store, &model->cache_graph));
    network.graph = model->cache_graph;
    qn_tensor *hidden = qn__network_hidden(&network);
    qn_tensor *last = qn_apply(model->cache_graph, "embedding", hidden,
                               qn_graph_input(model->cache_graph, "kv.last"));
    return finish(model, &network, last, "kv.logits", &model->cache_plan);
}

/* Every row meets the head. */
qn_status qn__model_plan_rows(qn_model *model)
{
    if (model->rows_plan) return QN_OK;
    const int rows = model->most_rows;
    qn_shape shape = {.rank = 2, .dim = {rows, model->config.vocab}};
    qn_network network = network_of(model, "kv.rows");
    QN_TRY(qn__network_inputs(model->store, &network, rows));
    QN_TRY(qn_store_add(model->store, "kv.rows", "kv.rows.logits", QN_F32, &shape));
    QN_TRY(qn_graph_create(model->store, &model->rows_graph));
    network.graph = model->rows_graph;
    return finish(model, &network, qn__network_hidden(&network), "kv.rows.logits",
                  &model->rows_plan);
}

qn_status qn__model_plan_turn(qn_model *model)
{
    if (model->turn_plan) return QN_OK;
    const qn_model_config *c = &model->config;
    const char *const lists[] = {"turn.from", "turn.to", "turn.copy"};
    qn_shape rows = {.rank = 1, .dim = {model->cache_rows}};
    qn_shape table = {.rank = 2, .dim = {qn__head_size(c) / 2, 2}};
    for (int i = 0; i < 3; i++) QN_TRY(qn_store_add(model->store, "turn", lists[i], QN_I32, &rows));
    QN_TRY(qn_store_add(model->store, "turn", "turn.table", QN_F32, &table));
    QN_TRY(qn_graph_create(model->store, &model->turn_graph));
    qn_graph *graph = model->turn_graph;
    qn_tensor *list[3], *angles = qn_graph_input(graph, "turn.table");
    for (int i = 0; i < 3; i++) list[i] = qn_graph_rows(graph, lists[i]);
    for (int layer = 0; layer < c->layers; layer++) {
        char name[32];
        snprintf(name, sizeof name, "kv.k.%d", layer);
        qn_apply(graph, c->rope_pairs ? "turn_rows" : "turn_rows halves=1",
                 qn_graph_input(graph, name), list[0], list[1], angles);
        snprintf(name, sizeof name, "kv.v.%d", layer);
        qn_apply(graph, "turn_rows", qn_graph_input(graph, name), list[0], list[2]);
    }
    QN_TRY(qn_graph_status(graph));
    return qn_plan_create(graph, NULL, &model->turn_plan);
}
