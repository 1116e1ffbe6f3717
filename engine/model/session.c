/* Generation: one sequence against a KV cache, with the kernels that train. */
#include "base/check.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

enum { FEED_ROWS = 128 }; /* tokens of a prompt taken at once */

struct qn_session {
    qn_model *model;
    qn_sampler *sampler;
    int32_t length;
    float *logits;
    bool fresh; /* logits are those after the last token */
};

static qn_status declare_cache(qn_model *model)
{
    const qn_model_config *c = &model->config;
    qn_shape shape = {.rank = 3, .dim = {c->context, c->kv_heads, qn__head_size(c)}};
    for (int layer = 0; layer < c->layers; layer++)
        for (int which = 0; which < 2; which++) {
            char name[32];
            snprintf(name, sizeof name, "kv.%s.%d", which ? "v" : "k", layer);
            QN_TRY(qn_store_add(model->store, "kv", name, model->type, &shape));
        }
    qn_shape one = {.rank = 1, .dim = {1}}, logits = {.rank = 2, .dim = {1, c->vocab}};
    QN_TRY(qn_store_add(model->store, "kv", "kv.last", QN_I32, &one));
    return qn_store_add(model->store, "kv", "kv.logits", QN_F32, &logits);
}

/* Rows of hidden states, of which only the last meets the head. */
qn_status qn__model_plan_cache(qn_model *model)
{
    if (model->cache_plan) return QN_OK;
    model->cache_rows = model->config.context < FEED_ROWS ? model->config.context : FEED_ROWS;
    qn_network network = {.config = &model->config,
                          .prefix = "kv.in",
                          .rows = true,
                          .cached = true,
                          .lora = &model->lora,
                          .type = model->type};
    QN_TRY(declare_cache(model));
    QN_TRY(qn__network_inputs(model->store, &network, model->cache_rows));
    QN_TRY(qn_graph_create(model->store, &model->cache_graph));
    network.graph = model->cache_graph;
    qn_tensor *hidden = qn__network_hidden(&network);
    qn_tensor *last = qn_apply(model->cache_graph, "embedding", hidden,
                               qn_graph_input(model->cache_graph, "kv.last"));
    qn_tensor *logits = qn__network_head(&network, last);
    if (model->type != QN_F32) logits = qn_apply(model->cache_graph, "cast to=f32", logits);
    qn__network_free(&network);
    QN_TRY(qn_graph_status(model->cache_graph));
    QN_TRY(qn_graph_assign(model->cache_graph, logits, "kv.logits"));
    return qn_plan_create(model->cache_graph, NULL, &model->cache_plan);
}

qn_status qn_session_create(qn_model *model, const qn_sampler_options *options,
                            qn_session **session)
{
    *session = NULL;
    qn_session *s = calloc(1, sizeof *s);
    if (!s) return qn__fail(QN_OS_ERROR, "out of memory");
    s->model = model;
    s->logits = malloc((size_t)model->config.vocab * sizeof *s->logits);
    qn_status status = s->logits ? qn_sampler_create(options, model->config.vocab, &s->sampler)
                                 : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) status = qn__model_plan_cache(model);
    if (status == QN_OK) status = qn_plan_prepare(model->cache_plan);
    if (status == QN_OUT_OF_DEVICE_MEMORY)
        qn__wrap(status, "the keys and values of %d tokens do not fit (--context takes less): ",
                 model->config.context);
    if (status != QN_OK) {
        qn_session_destroy(&s);
        return status;
    }
    model->holder = s;
    *session = s;
    return QN_OK;
}

void qn_session_destroy(qn_session **session)
{
    qn_session *s = *session;
    if (!s) return;
    if (s->model->holder == s) s->model->holder = NULL;
    qn_sampler_destroy(&s->sampler);
    free(s->logits);
    free(s);
    *session = NULL;
}

void qn_session_reset(qn_session *session)
{
    session->length = 0;
    session->fresh = false;
    qn_sampler_rewind(session->sampler, 0);
}

int32_t qn_session_length(const qn_session *session)
{
    return session->length;
}

static qn_status write_part(qn_store *store, const char *name, const int32_t *values, int count)
{
    return qn__store_write_part(store, qn__store_index(store, name), 0, values,
                                (uint64_t)count * sizeof *values);
}

static qn_status feed_some(qn_session *session, const int32_t *tokens, int count)
{
    qn_store *store = session->model->store;
    int32_t pos[FEED_ROWS], ranges[FEED_ROWS * 4], last = count - 1;
    for (int i = 0; i < count; i++) {
        int32_t at = session->length + i;
        pos[i] = at;
        ranges[i * 4] = ranges[i * 4 + 1] = 0;
        ranges[i * 4 + 2] = at + 1;
        ranges[i * 4 + 3] = at + 1;
    }
    QN_TRY(write_part(store, "kv.in.ids", tokens, count));
    QN_TRY(write_part(store, "kv.in.pos", pos, count));
    QN_TRY(write_part(store, "kv.in.index", pos, count));
    QN_TRY(
        qn__network_write_ranges(store, &session->model->config, "kv.in", ranges, (size_t)count));
    QN_TRY(write_part(store, "kv.last", &last, 1));
    QN_TRY(qn_plan_run(session->model->cache_plan, QN_FORWARD, count, 0));
    session->length += count;
    session->fresh = false;
    for (int i = 0; i < count; i++) QN_TRY(qn_sampler_accept(session->sampler, tokens[i]));
    return QN_OK;
}

qn_status qn_session_feed(qn_session *session, const int32_t *tokens, size_t count)
{
    const qn_model *model = session->model;
    QN_CHECK(model->holder == session,
             "another session of this model was made since and holds the cache");
    QN_CHECK(count <= (size_t)(model->config.context - session->length),
             "%d tokens are in the context of %d; %zu more do not fit", session->length,
             model->config.context, count);
    for (size_t i = 0; i < count; i++)
        QN_CHECK(tokens[i] >= 0 && tokens[i] < model->config.vocab,
                 "token %d is outside the vocabulary of %d", tokens[i], model->config.vocab);
    while (count > 0) {
        int some = count < (size_t)model->cache_rows ? (int)count : model->cache_rows;
        QN_TRY(feed_some(session, tokens, some));
        tokens += some;
        count -= (size_t)some;
    }
    return QN_OK;
}

qn_status qn_session_logits(qn_session *session, const float **logits)
{
    QN_CHECK(session->length > 0, "feed a token first: there is nothing to continue");
    if (!session->fresh)
        QN_TRY(qn_store_read(session->model->store, "kv.logits", session->logits,
                             (size_t)session->model->config.vocab * sizeof *session->logits));
    session->fresh = true;
    *logits = session->logits;
    return QN_OK;
}

qn_status qn_session_sample(qn_session *session, int32_t *token)
{
    const float *logits = NULL;
    QN_TRY(qn_session_logits(session, &logits));
    return qn_sampler_choose(session->sampler, logits, NULL, token);
}
