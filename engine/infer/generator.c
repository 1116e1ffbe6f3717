/* One token after another; guesses are checked several rows at a time. */
#include "base/check.h"

#include <quernel/generate.h>
#include <stdlib.h>
#include <string.h>

struct qn_generator {
    qn_model *model;
    qn_session *session, *draft;
    qn_sampler *sampler;
    qn_grammar_matcher *matcher; /* NULL: no grammar */
    int32_t vocab, context, draft_context;
    int32_t lookup, draft_tokens;
    bool shift;
    int32_t keep;
    uint32_t *mask;   /* [vocab / 32] */
    int32_t *tokens;  /* [context + 1] the sequence; the last may not be fed yet */
    int32_t *drafted; /* [context] what the draft model was fed */
    int32_t length, drafted_length;
    const float *rows; /* logits after the tokens fed last */
    int32_t rows_left; /* of them, the first being after the end of what is certain */
    qn_generator_stats stats;
};

/* ---- life ---- */

static qn_status open_draft(qn_generator *g, qn_model *draft)
{
    const qn_model_config *config = qn_model_get_config(draft);
    QN_CHECK(config->vocab == g->vocab,
             "the draft model has a vocabulary of %d, the model of %d: they must share a tokenizer",
             config->vocab, g->vocab);
    g->draft_context = config->context;
    g->drafted = calloc((size_t)config->context + 1, sizeof *g->drafted);
    if (!g->drafted) return qn__fail(QN_OS_ERROR, "out of memory");
    return qn_session_create(draft, NULL, &g->draft);
}

static qn_status open_all(qn_generator *g, const qn_generator_options *o)
{
    const qn_model_config *config = qn_model_get_config(g->model);
    g->vocab = config->vocab;
    g->context = config->context;
    g->lookup = o->lookup;
    g->draft_tokens = o->draft_tokens ? o->draft_tokens : 8;
    g->shift = o->shift;
    g->keep = o->keep;
    g->tokens = calloc((size_t)g->context + 1, sizeof *g->tokens);
    g->mask = calloc((size_t)g->vocab / 32 + 1, sizeof *g->mask);
    if (!g->tokens || !g->mask) return qn__fail(QN_OS_ERROR, "out of memory");
    QN_TRY(qn_sampler_create(o->sampler, g->vocab, &g->sampler));
    if (o->grammar) QN_TRY(qn_grammar_matcher_create(o->grammar, o->tokenizer, &g->matcher));
    QN_TRY(qn_session_create(g->model, NULL, &g->session));
    if (g->shift) QN_TRY(qn_session_shift(g->session, 0, 0)); /* can it? */
    return o->draft ? open_draft(g, o->draft) : QN_OK;
}

qn_status qn_generator_create(qn_model *model, const qn_generator_options *options,
                              qn_generator **generator)
{
    *generator = NULL;
    QN_CHECK(options->size == sizeof *options,
             "qn_generator_options.size is %u, this library's is %zu", options->size,
             sizeof *options);
    QN_CHECK(options->lookup >= 0 && options->draft_tokens >= 0 &&
                 options->draft_tokens <= QN_MAX_DRAFT,
             "lookup %d, draft_tokens %d; at most %d tokens are guessed at a time", options->lookup,
             options->draft_tokens, QN_MAX_DRAFT);
    const int32_t context = qn_model_get_config(model)->context;
    QN_CHECK(options->keep >= 0 && (!options->shift || options->keep <= context - 2),
             "keep %d tokens of a context of %d: two or more must be left to drop", options->keep,
             context);
    QN_CHECK(!options->grammar || options->tokenizer, "a grammar needs the tokenizer, too");
    QN_CHECK(options->draft != model, "the draft model is the model itself");
    qn_generator *g = calloc(1, sizeof *g);
    if (!g) return qn__fail(QN_OS_ERROR, "out of memory");
    g->model = model;
    qn_status status = open_all(g, options);
    if (status != QN_OK) qn_generator_destroy(&g);
    *generator = g;
    return status;
}

void qn_generator_destroy(qn_generator **generator)
{
    qn_generator *g = *generator;
    if (!g) return;
    qn_session_destroy(&g->session);
    qn_session_destroy(&g->draft);
    qn_sampler_destroy(&g->sampler);
    qn_grammar_matcher_destroy(&g->matcher);
    free(g->mask);
    free(g->tokens);
    free(g->drafted);
    free(g);
    *generator = NULL;
}

/* ---- guesses ---- */

/* What followed the latest earlier place with the same last tokens, the longest such run. */
static int look_up(const qn_generator *g, int most, int32_t *guess)
{
    const int32_t *end = g->tokens + g->length;
    for (int32_t run = g->lookup; run > 0; run--)
        for (int32_t at = g->length - run - 1; at >= 0; at--) {
            if (memcmp(g->tokens + at, end - run, (size_t)run * sizeof *end) != 0) continue;
            int32_t after = at + run, there = g->length - after;
            int count = there < most ? (int)there : most;
            memcpy(guess, g->tokens + after, (size_t)count * sizeof *guess);
            return count;
        }
    return 0;
}

static qn_status feed_draft(qn_generator *g, const int32_t *tokens, int32_t count)
{
    memcpy(g->drafted + g->drafted_length, tokens, (size_t)count * sizeof *tokens);
    g->drafted_length += count;
    return qn_session_feed(g->draft, tokens, (size_t)count);
}

/* The draft model's likeliest tokens, after what it has in common with the sequence. */
static qn_status ask_draft(qn_generator *g, int most, int32_t *guess, int *count)
{
    int32_t same = 0;
    *count = 0;
    if (g->length + most > g->draft_context) return QN_OK;
    while (same < g->drafted_length && same < g->length - 1 && g->drafted[same] == g->tokens[same])
        same++;
    g->drafted_length = same;
    QN_TRY(qn_session_rewind(g->draft, same));
    QN_TRY(feed_draft(g, g->tokens + same, g->length - same));
    while (*count < most) {
        QN_TRY(qn_session_sample(g->draft, &guess[*count]));
        ++*count;
        if (*count < most) QN_TRY(feed_draft(g, &guess[*count - 1], 1));
    }
    return QN_OK;
}

/* ---- tokens ---- */

qn_status qn_generator_feed(qn_generator *generator, const int32_t *tokens, size_t count)
{
    qn_generator *g = generator;
    QN_CHECK(count <= (size_t)(g->context - g->length),
             "%d tokens are in the context of %d; %zu more do not fit", g->length, g->context,
             count);
    int32_t fed = qn_session_length(g->session);
    if (fed > g->length) fed = g->length;
    QN_TRY(qn_session_rewind(g->session, fed));
    if (fed < g->length) QN_TRY(qn_session_feed(g->session, g->tokens + fed, 1));
    QN_TRY(qn_session_feed(g->session, tokens, count));
    for (size_t i = 0; i < count; i++) QN_TRY(qn_sampler_accept(g->sampler, tokens[i]));
    if (count > 0) memcpy(g->tokens + g->length, tokens, count * sizeof *tokens);
    g->length += (int32_t)count;
    g->rows_left = 0;
    return QN_OK;
}

/* Feed the last token and guesses behind it. */
static qn_status feed_rows(qn_generator *g)
{
    int32_t run[QN_MAX_DRAFT + 1] = {g->tokens[g->length - 1]};
    int32_t room = g->context - g->length;
    int most = g->draft_tokens < room ? g->draft_tokens : (int)room, count = 0;
    if (g->lookup > 0) count = look_up(g, most, run + 1);
    if (g->draft && count == 0) QN_TRY(ask_draft(g, most, run + 1, &count));
    g->stats.drafted += count;
    g->stats.feeds++;
    if (count == 0) {
        QN_TRY(qn_session_feed(g->session, run, 1));
        QN_TRY(qn_session_logits(g->session, &g->rows));
    } else {
        QN_TRY(qn_session_feed_rows(g->session, run, (size_t)count + 1, &g->rows));
        memcpy(g->tokens + g->length, run + 1, (size_t)count * sizeof *run);
    }
    g->rows_left = count + 1;
    return QN_OK;
}

/* Half of what was fed after the first `keep`; the last token is not fed yet. */
static qn_status shift(qn_generator *g)
{
    int32_t fed = g->length - 1, drop = (fed - g->keep + 1) / 2, from = g->keep + drop;
    QN_TRY(qn_session_shift(g->session, g->keep, drop));
    memmove(g->tokens + g->keep, g->tokens + from, (size_t)(g->length - from) * sizeof *g->tokens);
    g->length -= drop;
    g->stats.dropped += drop;
    return QN_OK;
}

static qn_status choose(qn_generator *g, int32_t *token)
{
    const uint32_t *allowed = NULL;
    if (g->matcher) {
        bool any = false;
        size_t words = (size_t)g->vocab / 32 + 1;
        size_t there = qn_grammar_matcher_words(g->matcher);
        QN_TRY(qn_grammar_matcher_allowed(g->matcher, &allowed));
        for (size_t w = 0; w < words; w++) {
            g->mask[w] = w < there ? allowed[w] : 0;
            any |= g->mask[w] != 0;
        }
        if (!any)
            return qn__fail(QN_BAD_DATA,
                            "no token of the vocabulary goes on with the grammar here");
        allowed = g->mask;
    }
    QN_TRY(qn_sampler_choose(g->sampler, g->rows, allowed, token));
    QN_TRY(qn_sampler_accept(g->sampler, *token));
    return g->matcher ? qn_grammar_matcher_accept(g->matcher, *token) : QN_OK;
}

qn_status qn_generator_next(qn_generator *generator, int32_t *token)
{
    qn_generator *g = generator;
    QN_CHECK(g->length > 0, "feed a token first: there is nothing to continue");
    if (g->rows_left == 0 && qn_session_length(g->session) == g->length) {
        QN_TRY(qn_session_logits(g->session, &g->rows));
        g->rows_left = 1;
    }
    if (g->rows_left == 0) {
        if (g->shift && g->length > g->context) QN_TRY(shift(g));
        QN_CHECK(g->length <= g->context, "the context of %d tokens is full", g->context);
        QN_TRY(feed_rows(g));
    }
    QN_TRY(choose(g, token));
    bool guessed = g->rows_left > 1 && g->tokens[g->length] == *token;
    g->tokens[g->length++] = *token;
    g->stats.tokens++;
    g->stats.accepted += guessed;
    if (guessed) {
        g->rows += g->vocab;
        g->rows_left--;
        return QN_OK;
    }
    g->rows_left = 0;
    return qn_session_rewind(g->session, g->length - 1);
}

int32_t qn_generator_length(const qn_generator *generator)
{
    return generator->length;
}

bool qn_generator_done(const qn_generator *generator)
{
    bool ends = false;
    if (generator->matcher) qn_grammar_matcher_whole(generator->matcher, &ends);
    return ends;
}

qn_generator_stats qn_generator_get_stats(const qn_generator *generator)
{
    return generator->stats;
}
