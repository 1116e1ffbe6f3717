/* What the tokens so far do to the logits. */
#include "base/check.h"
#include "model/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool has_penalties(const qn_sampler_options *o)
{
    return (o->repeat_penalty > 0 && o->repeat_penalty != 1) || o->presence_penalty != 0 ||
           o->frequency_penalty != 0;
}

/* ---- options ---- */

static qn_status bad_bias(const char *text)
{
    return qn__fail(QN_BAD_ARGUMENT,
                    "logit_bias: \"%.40s\" is not ID=BIAS (like 15=-2.5 or 15=-inf), several with "
                    "commas between",
                    text);
}

static qn_status read_biases(qn_sampler *s)
{
    const char *text = s->options.logit_bias ? s->options.logit_bias : "";
    size_t room = 1;
    if (!*text) return QN_OK;
    for (const char *c = text; *c; c++) room += *c == ',';
    s->biases = calloc(room, sizeof *s->biases);
    if (!s->biases) return qn__fail(QN_OS_ERROR, "out of memory");
    for (;;) {
        char *end;
        long long id = strtoll(text, &end, 10);
        if (end == text || *end != '=') return bad_bias(text);
        QN_CHECK(id >= 0 && id < s->vocab, "logit_bias: token %lld is outside the vocabulary of %d",
                 id, s->vocab);
        const char *number = end + 1;
        double bias = strtod(number, &end);
        if (end == number || (*end && *end != ',') || !(bias < INFINITY)) return bad_bias(text);
        s->biases[s->bias_count++] = (qn_bias){(int32_t)id, (float)bias};
        if (!*end) return QN_OK;
        text = end + 1;
    }
}

/* Where the text of a token has one of the characters, a repeat ends. */
static qn_status find_breakers(qn_sampler *s)
{
    const char *text = s->options.dry_breakers ? s->options.dry_breakers : "\\n:\"*";
    bool breaks[256] = {false};
    for (; *text; text++) {
        char c = *text;
        if (c == '\\' && text[1]) {
            c = *++text;
            if (c == 'n') c = '\n';
            else if (c == 't') c = '\t';
        }
        breaks[(uint8_t)c] = true;
    }
    s->breaks = calloc(((size_t)s->vocab + 7) / 8, 1);
    if (!s->breaks) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int32_t id = 0; s->options.tokenizer && id < s->vocab; id++) {
        size_t bytes;
        const char *token = qn_tokenizer_token_bytes(s->options.tokenizer, id, &bytes);
        bool control = qn_tokenizer_is_control(s->options.tokenizer, id);
        for (size_t i = 0; i < bytes; i++)
            if (control || breaks[(uint8_t)token[i]])
                s->breaks[id / 8] = (uint8_t)(s->breaks[id / 8] | 1u << id % 8);
    }
    return QN_OK;
}

qn_status qn__sampler_penalties_create(qn_sampler *s)
{
    qn_sampler_options *o = &s->options;
    QN_TRY(read_biases(s));
    if (has_penalties(o)) {
        s->counts = calloc((size_t)s->vocab, sizeof *s->counts);
        if (!s->counts) return qn__fail(QN_OS_ERROR, "out of memory");
    }
    if (o->dry_multiplier > 0) {
        if (o->dry_base == 0) o->dry_base = 1.75;
        QN_CHECK(o->dry_base >= 1,
                 "dry_base: %.9g would penalize long repeats less; it is at least 1", o->dry_base);
        s->longest = calloc((size_t)s->vocab, sizeof *s->longest);
        if (!s->longest) return qn__fail(QN_OS_ERROR, "out of memory");
        QN_TRY(find_breakers(s));
    }
    return QN_OK;
}

/* ---- history ---- */

static size_t window_of(const qn_sampler *s, int64_t window)
{
    return window > 0 && (uint64_t)window < s->length ? (size_t)window : s->length;
}

void qn__sampler_count(qn_sampler *s)
{
    if (!s->counts) return;
    size_t window = (size_t)s->options.penalty_window;
    s->counts[s->history[s->length - 1]]++;
    if (window > 0 && s->length > window) s->counts[s->history[s->length - 1 - window]]--;
}

void qn__sampler_recount(qn_sampler *s)
{
    if (!s->counts) return;
    memset(s->counts, 0, (size_t)s->vocab * sizeof *s->counts);
    size_t window = window_of(s, s->options.penalty_window);
    for (size_t i = s->length - window; i < s->length; i++) s->counts[s->history[i]]++;
}

/* ---- penalties ---- */

/* Keskar et al., "CTRL", 2019 (repetition), with negative logits multiplied; the other two are
 * taken off. Each token once: its count is negative while it is done. */
static void penalize_counts(qn_sampler *s)
{
    const qn_sampler_options *o = &s->options;
    size_t begin = s->length - window_of(s, o->penalty_window);
    float repeat = o->repeat_penalty > 0 ? (float)o->repeat_penalty : 1.0f;
    for (size_t i = begin; i < s->length; i++) {
        int32_t id = s->history[i], count = s->counts[id];
        float *logit = &s->logits[id];
        if (count <= 0) continue;
        *logit = *logit > 0 ? *logit / repeat : *logit * repeat;
        *logit -= (float)(o->presence_penalty + o->frequency_penalty * (double)count);
        s->counts[id] = -count;
    }
    for (size_t i = begin; i < s->length; i++) {
        int32_t *count = &s->counts[s->history[i]];
        if (*count < 0) *count = -*count;
    }
}

static bool breaks(const qn_sampler *s, int32_t id)
{
    return s->breaks[id / 8] >> id % 8 & 1;
}

/* matches[i], i >= 1: how long the end of the text is the same as what ends i tokens before its
 * end. Z-function of the reversed text (Gusfield 1997): each token is compared about twice. */
static void find_matches(qn_sampler *s, size_t window)
{
    const int32_t *end = s->history + s->length - 1;
    int32_t *z = s->matches;
    size_t left = 0, right = 0;
    for (size_t i = 1; i < window; i++) {
        size_t same = 0;
        if (i < right) {
            same = (size_t)z[i - left];
            if (same > right - i) same = right - i;
        }
        while (i + same < window && end[-(ptrdiff_t)same] == end[-(ptrdiff_t)(i + same)]) same++;
        if (i + same > right) {
            left = i;
            right = i + same;
        }
        z[i] = (int32_t)same;
    }
}

/* "Don't repeat yourself": a token that would make the last L tokens, which were there before, go
 * on as they did then, loses multiplier base^(L - length). A repeat ends at a breaker. */
static void penalize_repeats(qn_sampler *s)
{
    const qn_sampler_options *o = &s->options;
    const int32_t *end = s->history + s->length - 1;
    size_t window = window_of(s, o->dry_window);
    int64_t most = 0;
    while ((size_t)most < window && !breaks(s, end[-most])) most++;
    if (most < o->dry_length || most == 0) return;
    find_matches(s, window);
    for (size_t i = 1; i < window; i++) {
        int32_t next = *(end - i + 1), same = s->matches[i];
        if (same > most) same = (int32_t)most;
        if (same > 0 && same >= o->dry_length && same > s->longest[next]) s->longest[next] = same;
    }
    for (size_t i = 1; i < window; i++) {
        int32_t next = *(end - i + 1);
        if (s->longest[next] == 0) continue;
        double penalty =
            o->dry_multiplier * pow(o->dry_base, (double)(s->longest[next] - o->dry_length));
        s->logits[next] -= (float)(penalty < FLT_MAX ? penalty : (double)FLT_MAX);
        s->longest[next] = 0;
    }
}

void qn__sampler_penalize(qn_sampler *s)
{
    for (int i = 0; i < s->bias_count; i++) s->logits[s->biases[i].id] += s->biases[i].bias;
    if (s->counts && s->length > 0) penalize_counts(s);
    if (s->longest && s->length > 0) penalize_repeats(s);
}
