/* Generation: one sequence against a KV cache, with the kernels that train. */
#include "base/check.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEED_ROWS = 128, LOGIT_ROWS = 32 }; /* tokens taken at once: of a prompt, with all logits */

struct qn_session {
    qn_model *model;
    qn_sampler *sampler;
    int32_t length;
    float *logits;
    float *rows; /* [LOGIT_ROWS, vocab]; NULL until they are asked for */
    bool fresh;  /* logits are those after the last token */
    bool cut;    /* the last tokens were taken back: there are no such logits */
};

static qn_status declare_cache(qn_model *model)
{
    const qn_model_config *c = &model->config;
    qn_shape shape = {.rank = 3, .dim = {c->context, c->kv_heads, qn__head_size(c)}};
    for (int layer = 0; layer < c->layers; layer++)
        for (int which = 0; which < 2; which++) {
            char name[32];
            snprintf(name, sizeof name, "kv.%s.%d", which ? "v" : "k", layer);
            QN_TRY(qn_store_add(model->store, "kv", name, model->cache_type, &shape));
        }
    qn_shape one = {.rank = 1, .dim = {1}}, logits = {.rank = 2, .dim = {1, c->vocab}};
    QN_TRY(qn_store_add(model->store, "kv", "kv.last", QN_I32, &one));
    return qn_store_add(model->store, "kv", "kv.logits", QN_F32, &logits);
}

qn_status qn__model_set_cache(qn_model *model, const char *type)
{
    model->cache_type = model->type;
    if (!type) return QN_OK;
    qn_dtype found;
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

/* Every row meets the head. */
static qn_status plan_rows(qn_model *model)
{
    if (model->rows_plan) return QN_OK;
    int rows = model->cache_rows < LOGIT_ROWS ? model->cache_rows : LOGIT_ROWS;
    qn_shape shape = {.rank = 2, .dim = {rows, model->config.vocab}};
    qn_network network = {.config = &model->config,
                          .prefix = "kv.rows",
                          .rows = true,
                          .cached = true,
                          .lora = &model->lora,
                          .type = model->type};
    QN_TRY(qn__network_inputs(model->store, &network, rows));
    QN_TRY(qn_store_add(model->store, "kv.rows", "kv.rows.logits", QN_F32, &shape));
    QN_TRY(qn_graph_create(model->store, &model->rows_graph));
    network.graph = model->rows_graph;
    qn_tensor *logits = qn__network_head(&network, qn__network_hidden(&network));
    if (model->type != QN_F32) logits = qn_apply(model->rows_graph, "cast to=f32", logits);
    qn__network_free(&network);
    QN_TRY(qn_graph_status(model->rows_graph));
    QN_TRY(qn_graph_assign(model->rows_graph, logits, "kv.rows.logits"));
    QN_TRY(qn_plan_create(model->rows_graph, NULL, &model->rows_plan));
    model->most_rows = rows;
    return QN_OK;
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
    free(s->rows);
    free(s);
    *session = NULL;
}

void qn_session_reset(qn_session *session)
{
    session->length = 0;
    session->fresh = session->cut = false;
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

/* Ids, places and ranges of `count` tokens as inputs of one of the two plans. */
static qn_status write_inputs(qn_session *session, const char *prefix, const int32_t *tokens,
                              int count)
{
    qn_store *store = session->model->store;
    int32_t pos[FEED_ROWS], ranges[FEED_ROWS * 4];
    char ids[32], places[32], index[32];
    snprintf(ids, sizeof ids, "%s.ids", prefix);
    snprintf(places, sizeof places, "%s.pos", prefix);
    snprintf(index, sizeof index, "%s.index", prefix);
    for (int i = 0; i < count; i++) {
        int32_t at = session->length + i;
        pos[i] = at;
        ranges[i * 4] = ranges[i * 4 + 1] = 0;
        ranges[i * 4 + 2] = at + 1;
        ranges[i * 4 + 3] = at + 1;
    }
    QN_TRY(write_part(store, ids, tokens, count));
    QN_TRY(write_part(store, places, pos, count));
    QN_TRY(write_part(store, index, pos, count));
    return qn__network_write_ranges(store, &session->model->config, prefix, ranges, (size_t)count);
}

static qn_status advance(qn_session *session, const int32_t *tokens, int count)
{
    session->length += count;
    session->fresh = session->cut = false;
    for (int i = 0; i < count; i++) QN_TRY(qn_sampler_accept(session->sampler, tokens[i]));
    return QN_OK;
}

static qn_status feed_some(qn_session *session, const int32_t *tokens, int count)
{
    int32_t last = count - 1;
    QN_TRY(write_inputs(session, "kv.in", tokens, count));
    QN_TRY(write_part(session->model->store, "kv.last", &last, 1));
    QN_TRY(qn_plan_run(session->model->cache_plan, QN_FORWARD, count, 0));
    return advance(session, tokens, count);
}

static qn_status check_feed(const qn_session *session, const int32_t *tokens, size_t count)
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
    return QN_OK;
}

qn_status qn_session_feed(qn_session *session, const int32_t *tokens, size_t count)
{
    const qn_model *model = session->model;
    QN_TRY(check_feed(session, tokens, count));
    while (count > 0) {
        int some = count < (size_t)model->cache_rows ? (int)count : model->cache_rows;
        QN_TRY(feed_some(session, tokens, some));
        tokens += some;
        count -= (size_t)some;
    }
    return QN_OK;
}

qn_status qn_session_feed_rows(qn_session *session, const int32_t *tokens, size_t count,
                               const float **logits)
{
    qn_model *model = session->model;
    uint64_t row = (uint64_t)model->config.vocab * sizeof **logits;
    QN_TRY(check_feed(session, tokens, count));
    QN_TRY(plan_rows(model));
    QN_TRY(qn_plan_prepare(model->rows_plan));
    QN_CHECK(count > 0 && count <= (size_t)model->most_rows,
             "logits of %zu rows at once; 1 to %d can be had", count, model->most_rows);
    if (!session->rows) session->rows = malloc((size_t)model->most_rows * row);
    if (!session->rows) return qn__fail(QN_OS_ERROR, "out of memory");
    QN_TRY(write_inputs(session, "kv.rows", tokens, (int)count));
    QN_TRY(qn_plan_run(model->rows_plan, QN_FORWARD, (int64_t)count, 0));
    int index = qn__store_index(model->store, "kv.rows.logits");
    QN_TRY(qn__store_read_part(model->store, index, 0, session->rows, count * row));
    QN_TRY(advance(session, tokens, (int)count));
    memcpy(session->logits, session->rows + (count - 1) * (size_t)model->config.vocab, row);
    session->fresh = true;
    *logits = session->rows;
    return QN_OK;
}

qn_status qn_session_rewind(qn_session *session, int32_t length)
{
    QN_CHECK(length >= 0 && length <= session->length, "rewind to %d of %d tokens", length,
             session->length);
    if (length == session->length) return QN_OK;
    session->length = length;
    session->fresh = false;
    session->cut = true;
    qn_sampler_rewind(session->sampler, (size_t)length);
    return QN_OK;
}

qn_status qn_session_logits(qn_session *session, const float **logits)
{
    QN_CHECK(session->length > 0, "feed a token first: there is nothing to continue");
    QN_CHECK(!session->cut, "the sequence was cut back: feed a token first");
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

qn_status qn__model_cached_logits(qn_model *model, const int32_t *tokens, size_t count,
                                  float *logits)
{
    qn_session *session;
    const float *rows;
    size_t vocab = (size_t)model->config.vocab;
    QN_TRY(qn_session_create(model, NULL, &session));
    qn_status status = QN_OK;
    for (size_t at = 0, some; status == QN_OK && at < count; at += some) {
        some = count - at < LOGIT_ROWS ? count - at : LOGIT_ROWS;
        status = qn_session_feed_rows(session, tokens + at, some, &rows);
        if (status == QN_OK) memcpy(logits + at * vocab, rows, some * vocab * sizeof *rows);
    }
    qn_session_destroy(&session);
    return status;
}
