#include "train/sample_text.h"

#include "base/check.h"
#include "base/log.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

struct qn_sample_text {
    const qn_tokenizer *tokenizer;
    const char *prompt; /* of the options */
    int32_t *ids;       /* its tokens */
    size_t count;
    int64_t tokens; /* to add */
    qn_sampler_options sampler;
    qn_str text;
};

/* What a text can begin with when the vocabulary has nothing for that: a line end, a space, or its
 * first token. */
static qn_status begin_somehow(qn_sample_text *samples)
{
    int32_t id = qn_tokenizer_eos(samples->tokenizer);
    if (id < 0) id = qn_tokenizer_find(samples->tokenizer, "\n", 1);
    if (id < 0) id = qn_tokenizer_find(samples->tokenizer, " ", 1);
    samples->ids = malloc(sizeof *samples->ids);
    if (!samples->ids) return qn__fail(QN_OS_ERROR, "out of memory");
    *samples->ids = id < 0 ? 0 : id;
    samples->count = 1;
    return QN_OK;
}

static qn_status take_prompt(qn_sample_text *samples, int64_t context)
{
    const char *prompt = samples->prompt;
    bool bos = qn_tokenizer_wants_bos(samples->tokenizer) || !*prompt;
    if (qn_tokenizer_encode(samples->tokenizer, prompt, strlen(prompt), bos ? QN_ENCODE_BOS : 0u,
                            &samples->ids, &samples->count) != QN_OK)
        return qn__wrap(QN_BAD_ARGUMENT, "sample_prompt: ");
    if (samples->count == 0) return begin_somehow(samples);
    QN_CHECK(samples->count <= (size_t)context,
             "sample_prompt has %zu tokens, more than a context of %lld: use a shorter one",
             samples->count, (long long)context);
    return QN_OK;
}

qn_status qn__sample_text_create(const qn_train_options *o, const qn_tokenizer *tokenizer,
                                 qn_sample_text **samples)
{
    *samples = NULL;
    if (o->sample_tokens == 0) return QN_OK;
    qn_sample_text *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
    made->tokenizer = tokenizer;
    made->prompt = o->sample_prompt;
    made->tokens = o->sample_tokens;
    made->sampler = (qn_sampler_options){.size = sizeof made->sampler,
                                         .temperature = (float)o->sample_temperature,
                                         .top_p = 0.95f,
                                         .seed = (uint64_t)o->seed};
    qn_status status = take_prompt(made, o->context);
    if (status != QN_OK) qn__sample_text_destroy(&made);
    *samples = made;
    return status;
}

void qn__sample_text_destroy(qn_sample_text **samples)
{
    qn_sample_text *old = *samples;
    if (!old) return;
    free(old->ids);
    qn__str_free(&old->text);
    free(old);
    *samples = NULL;
}

/* A NUL would end the text: it becomes U+FFFD, as what is no character does. */
static void append(qn_str *to, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i]) qn__str_add_bytes(to, text + i, 1);
        else qn__str_add(to, "\xEF\xBF\xBD");
    }
}

static qn_status write_on(qn_sample_text *samples, qn_session *session, int32_t context,
                          qn_decoder *decoder)
{
    const char *text;
    size_t bytes;
    QN_TRY(qn_session_feed(session, samples->ids, samples->count));
    for (int64_t i = 0; i < samples->tokens; i++) {
        int32_t token;
        QN_TRY(qn_session_sample(session, &token));
        if (qn_tokenizer_is_end(samples->tokenizer, token)) break;
        QN_TRY(qn_decoder_push(decoder, token, &text, &bytes));
        append(&samples->text, text, bytes);
        if (i + 1 == samples->tokens || qn_session_length(session) >= context) break;
        QN_TRY(qn_session_feed(session, &token, 1));
    }
    QN_TRY(qn_decoder_finish(decoder, &text, &bytes));
    append(&samples->text, text, bytes);
    return QN_OK;
}

qn_status qn__sample_text_make(qn_sample_text *samples, qn_model *model, const char **text)
{
    qn_session *session = NULL;
    qn_decoder *decoder = NULL;
    *text = NULL;
    if (!samples) return QN_OK;
    qn__str_free(&samples->text);
    qn__str_add(&samples->text, "%s", samples->prompt);
    qn_status status = qn_session_create(model, &samples->sampler, &session);
    if (status == QN_OK)
        status = qn_decoder_create(samples->tokenizer, !*samples->prompt, &decoder);
    if (status == QN_OK)
        status = write_on(samples, session, qn_model_get_config(model)->context, decoder);
    if (status == QN_OK && samples->text.failed) status = qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) *text = qn__str_text(&samples->text);
    qn_decoder_destroy(&decoder);
    qn_session_destroy(&session);
    if (status != QN_NON_FINITE) return status;
    qn__log(QN_LOG_WARN, "no sample of text: %s", qn_last_error());
    return QN_OK;
}
