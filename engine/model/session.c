/* Generation: one sequence of a batch, and how its tokens are chosen. */
#include "base/check.h"
#include "model/batch.h"

#include <stdlib.h>
#include <string.h>

enum { FEED_ROWS = 128 }; /* tokens handed on at once */

struct qn_session {
    qn_model *model;
    qn_batch *batch;
    qn_sampler *sampler;
    int32_t sequence;
    size_t shifted; /* tokens that were dropped */
    float *logits;
    bool fresh; /* logits are those after the last token */
    bool cut;   /* the last tokens were taken back: there are no such logits */
};

static qn_status open_all(qn_session *s, const qn_sampler_options *options)
{
    int32_t reused;
    s->logits = malloc((size_t)s->model->config.vocab * sizeof *s->logits);
    if (!s->logits) return qn__fail(QN_OS_ERROR, "out of memory");
    QN_TRY(qn_sampler_create(options, s->model->config.vocab, &s->sampler));
    QN_TRY(qn_batch_create(s->model, &s->batch));
    return qn_batch_add(s->batch, NULL, 0, &s->sequence, &reused);
}

qn_status qn_session_create(qn_model *model, const qn_sampler_options *options,
                            qn_session **session)
{
    *session = NULL;
    qn_session *s = calloc(1, sizeof *s);
    if (!s) return qn__fail(QN_OS_ERROR, "out of memory");
    s->model = model;
    qn_status status = open_all(s, options);
    if (status != QN_OK) qn_session_destroy(&s);
    *session = s;
    return status;
}

void qn_session_destroy(qn_session **session)
{
    qn_session *s = *session;
    if (!s) return;
    qn_batch_destroy(&s->batch);
    qn_sampler_destroy(&s->sampler);
    free(s->logits);
    free(s);
    *session = NULL;
}

int32_t qn_session_length(const qn_session *session)
{
    return qn_batch_length(session->batch, session->sequence);
}

static void cut(qn_session *session, int32_t length)
{
    qn__cells_cut(&session->batch->cells, session->sequence, length);
    session->fresh = false;
    session->cut = true;
}

void qn_session_reset(qn_session *session)
{
    cut(session, 0);
    session->shifted = 0;
    qn_sampler_rewind(session->sampler, 0);
}

static qn_status check_feed(const qn_session *session, const int32_t *tokens, size_t count)
{
    const qn_model_config *config = &session->model->config;
    int32_t length = qn_session_length(session);
    QN_CHECK(count <= (size_t)(config->context - length),
             "%d tokens are in the context of %d; %zu more do not fit", length, config->context,
             count);
    for (size_t i = 0; i < count; i++)
        QN_CHECK(tokens[i] >= 0 && tokens[i] < config->vocab,
                 "token %d is outside the vocabulary of %d", tokens[i], config->vocab);
    return QN_OK;
}

/* Up to FEED_ROWS tokens, with logits of each or of the last. */
static qn_status feed_some(qn_session *session, const int32_t *tokens, size_t count, bool each,
                           const float **logits)
{
    qn_batch_row rows[FEED_ROWS] = {{0}};
    for (size_t i = 0; i < count; i++)
        rows[i] = (qn_batch_row){session->sequence, tokens[i], each || i + 1 == count};
    QN_TRY(qn_batch_run(session->batch, rows, count, logits));
    session->fresh = session->cut = false;
    for (size_t i = 0; i < count; i++) QN_TRY(qn_sampler_accept(session->sampler, tokens[i]));
    return QN_OK;
}

qn_status qn_session_feed(qn_session *session, const int32_t *tokens, size_t count)
{
    QN_TRY(check_feed(session, tokens, count));
    while (count > 0) {
        size_t some = count < FEED_ROWS ? count : FEED_ROWS;
        QN_TRY(feed_some(session, tokens, some, false, NULL));
        tokens += some;
        count -= some;
    }
    return QN_OK;
}

qn_status qn_session_feed_rows(qn_session *session, const int32_t *tokens, size_t count,
                               const float **logits)
{
    const size_t vocab = (size_t)session->model->config.vocab;
    const int most = session->model->most_rows;
    QN_TRY(check_feed(session, tokens, count));
    QN_CHECK(count > 0 && count <= (size_t)most, "logits of %zu rows at once; 1 to %d can be had",
             count, most);
    QN_TRY(feed_some(session, tokens, count, true, logits));
    memcpy(session->logits, *logits + (count - 1) * vocab, vocab * sizeof **logits);
    session->fresh = true;
    return QN_OK;
}

qn_status qn_session_rewind(qn_session *session, int32_t length)
{
    int32_t now = qn_session_length(session);
    QN_CHECK(length >= 0 && length <= now, "rewind to %d of %d tokens", length, now);
    if (length == now) return QN_OK;
    cut(session, length);
    qn_sampler_rewind(session->sampler, session->shifted + (size_t)length);
    return QN_OK;
}

qn_status qn_session_shift(qn_session *session, int32_t keep, int32_t drop)
{
    QN_TRY(qn_batch_shift(session->batch, session->sequence, keep, drop));
    session->shifted += (size_t)drop;
    session->fresh = false;
    session->cut |= drop > 0;
    return QN_OK;
}

qn_status qn_session_logits(qn_session *session, const float **logits)
{
    QN_CHECK(qn_session_length(session) > 0, "feed a token first: there is nothing to continue");
    QN_CHECK(!session->cut, "the sequence was cut back: feed a token first");
    if (!session->fresh) QN_TRY(qn__batch_last_logits(session->batch, session->logits));
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
        some = count - at < (size_t)model->most_rows ? count - at : (size_t)model->most_rows;
        status = qn_session_feed_rows(session, tokens + at, some, &rows);
        if (status == QN_OK) memcpy(logits + at * vocab, rows, some * vocab * sizeof *rows);
    }
    qn_session_destroy(&session);
    return status;
}
