/* Samplers against plain ones in doubles written here, on random and on hostile logits; what the
 * draws are distributed like; how long a choice takes. */
#include "model/sampler.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MOST = 4096 };

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("QN_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

/* ---- plain samplers ---- */

typedef struct ref_token {
    int id;
    double logit, key;
} ref_token;

typedef struct ref_list {
    int count;
    ref_token token[MOST];
} ref_list;

static int by_key(const void *a, const void *b)
{
    const ref_token *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->id - y->id;
}

static void ref_sort(ref_list *list)
{
    for (int i = 0; i < list->count; i++) list->token[i].key = -list->token[i].logit;
    qsort(list->token, (size_t)list->count, sizeof *list->token, by_key);
}

static double ref_total(const ref_list *list)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < list->count; i++) most = fmax(most, list->token[i].logit);
    for (int i = 0; i < list->count; i++) sum += exp(list->token[i].logit - most);
    return most + log(sum);
}

static void ref_mass(ref_list *list, double p)
{
    double total = ref_total(list), sum = 0;
    int kept = 0;
    while (kept < list->count && sum < p) sum += exp(list->token[kept++].logit - total);
    list->count = kept;
}

static void ref_stage(ref_list *list, const char *name, const qn_sampler_options *o)
{
    double total = ref_total(list), mean = 0, most = -INFINITY;
    int kept = 0;
    for (int i = 0; i < list->count; i++) most = fmax(most, list->token[i].logit);
    if (strcmp(name, "top_k") == 0) {
        ref_sort(list);
        if (list->count > o->top_k) list->count = (int)o->top_k;
    } else if (strcmp(name, "top_p") == 0) {
        ref_sort(list);
        ref_mass(list, o->top_p);
    } else if (strcmp(name, "min_p") == 0) {
        for (int i = 0; i < list->count; i++)
            if (exp(list->token[i].logit - most) >= o->min_p) list->token[kept++] = list->token[i];
        list->count = kept;
    } else if (strcmp(name, "typical") == 0) {
        for (int i = 0; i < list->count; i++) {
            double log_p = list->token[i].logit - total;
            mean -= exp(log_p) > 0 ? exp(log_p) * log_p : 0;
        }
        for (int i = 0; i < list->count; i++)
            list->token[i].key = fabs(-(list->token[i].logit - total) - mean);
        qsort(list->token, (size_t)list->count, sizeof *list->token, by_key);
        ref_mass(list, o->typical);
    } else if (strcmp(name, "xtc") == 0) {
        int above = 0;
        ref_sort(list);
        while (above < list->count && exp(list->token[above].logit - total) >= o->xtc_threshold)
            above++;
        int drop = above > 1 ? above - 1 : 0;
        list->count -= drop;
        memmove(list->token, list->token + drop, (size_t)list->count * sizeof *list->token);
    } else {
        for (int i = 0; i < list->count; i++) list->token[i].logit /= o->temperature;
    }
}

/* ---- logits ---- */

typedef enum shape { NORMAL, WIDE, EQUAL, HALF_GONE, ONE_HOT, COARSE, HUGE_ONES, SHAPES } shape;

static void make_logits(float *logits, int vocab, shape kind, qn_rng *rng)
{
    for (int i = 0; i < vocab; i++) {
        float normal = qn__rng_normal(rng);
        switch (kind) {
        case NORMAL: logits[i] = 3 * normal; break;
        case WIDE: logits[i] = 40 * normal; break;
        case EQUAL: logits[i] = 1.5f; break;
        case HALF_GONE: logits[i] = i % 2 && vocab > 1 ? -INFINITY : normal; break;
        case ONE_HOT: logits[i] = i == vocab / 2 ? 10.0f : -INFINITY; break;
        case COARSE: logits[i] = floorf(2 * normal); break;
        default: logits[i] = i % 3 ? -3e38f : 3e38f;
        }
    }
}

static qn_sampler_options plain(double temperature)
{
    return (qn_sampler_options){.size = sizeof(qn_sampler_options), .temperature = temperature};
}

/* The probabilities left in the sampler after a choice. */
static void probabilities(const qn_sampler *s, double *p)
{
    double total = 0;
    for (int i = 0; i < s->vocab; i++) p[i] = 0;
    for (int i = 0; i < s->list.count; i++) total += (double)s->list.weight[i];
    for (int i = 0; i < s->list.count; i++) p[s->list.id[i]] += (double)s->list.weight[i] / total;
}

static void compare(const qn_sampler_options *o, const char *stages, const float *logits, int vocab,
                    const char *what)
{
    static ref_list list;
    static double got[MOST], want[MOST];
    qn_sampler_options options = *o;
    qn_sampler *sampler;
    int32_t token;
    options.samplers = stages;
    must(qn_sampler_create(&options, vocab, &sampler));
    must(qn_sampler_choose(sampler, logits, NULL, &token));
    probabilities(sampler, got);
    double most = -INFINITY;
    list.count = 0;
    for (int i = 0; i < vocab; i++) most = fmax(most, (double)logits[i]);
    for (int i = 0; i < vocab; i++)
        if (logits[i] > -INFINITY)
            list.token[list.count++] = (ref_token){i, (double)logits[i] - most, 0};
    char copy[128], *save = NULL;
    snprintf(copy, sizeof copy, "%s", stages);
    for (char *name = strtok_r(copy, " ", &save); name; name = strtok_r(NULL, " ", &save))
        ref_stage(&list, name, &options);
    double total = ref_total(&list);
    memset(want, 0, sizeof want);
    for (int i = 0; i < list.count; i++) want[list.token[i].id] = exp(list.token[i].logit - total);
    for (int i = 0; i < vocab; i++)
        if (!(fabs(got[i] - want[i]) <= 2e-6 + 2e-5 * want[i]))
            fail_msg("%s, %s, vocabulary %d: token %d has probability %.9g, not %.9g", stages, what,
                     vocab, i, got[i], want[i]);
    assert_true(want[token] > 0);
    qn_sampler_destroy(&sampler);
}

static void stages_equal_plain_ones(void **state)
{
    static const int vocabs[] = {1, 2, 3, 7, 40, 100, 1000, 4096};
    static const char *const names[] = {"normal",  "wide",   "equal",   "half -inf",
                                        "one hot", "coarse", "enormous"};
    static const char *const chains[] = {
        "top_k",           "top_p",        "min_p",
        "typical",         "xtc",          "temperature",
        "top_k top_p",     "top_p top_k",  "temperature top_p",
        "top_k typical",   "min_p xtc",    "top_k typical top_p min_p xtc temperature",
        "temperature xtc", "typical top_p"};
    static float logits[MOST];
    qn_rng rng = {.seed = seed_of_run()};
    int cases = 0;
    (void)state;
    print_message("QN_TEST_SEED=%llu\n", (unsigned long long)rng.seed);
    for (int round = 0; round < 3; round++)
        for (size_t v = 0; v < sizeof vocabs / sizeof *vocabs; v++)
            for (int kind = 0; kind < SHAPES; kind++) {
                qn_sampler_options o = plain(0.3 + 1.5 * (double)qn__rng_uniform(&rng));
                o.top_k = 1 + (int64_t)qn__rng_below(&rng, 60);
                o.top_p = 0.05 + 0.9 * (double)qn__rng_uniform(&rng);
                o.min_p = 0.3 * (double)qn__rng_uniform(&rng);
                o.typical = 0.05 + 0.9 * (double)qn__rng_uniform(&rng);
                o.xtc_probability = 1;
                o.xtc_threshold = 0.4 * (double)qn__rng_uniform(&rng);
                make_logits(logits, vocabs[v], (shape)kind, &rng);
                for (size_t c = 0; c < sizeof chains / sizeof *chains; c++, cases++)
                    compare(&o, chains[c], logits, vocabs[v], names[kind]);
            }
    print_message("%d chains\n", cases);
}

/* ---- penalties ---- */

static void ref_penalties(double *logits, const int32_t *history, int length, int vocab,
                          const qn_sampler_options *o)
{
    int begin =
        o->penalty_window && length > o->penalty_window ? length - (int)o->penalty_window : 0;
    for (int id = 0; id < vocab; id++) {
        int count = 0;
        for (int i = begin; i < length; i++) count += history[i] == id;
        if (count == 0) continue;
        if (o->repeat_penalty > 0)
            logits[id] =
                logits[id] > 0 ? logits[id] / o->repeat_penalty : logits[id] * o->repeat_penalty;
        logits[id] -= o->presence_penalty + o->frequency_penalty * count;
    }
}

/* For each token: the longest end of the history, without a breaker, that was followed by it. */
static void ref_dry(double *logits, const int32_t *history, int length, int vocab,
                    const qn_sampler_options *o, const uint8_t *breaks)
{
    int begin = o->dry_window && length > o->dry_window ? length - (int)o->dry_window : 0;
    for (int id = 0; id < vocab; id++) {
        int longest = 0;
        for (int at = begin + 1; at < length; at++) {
            int same = 0;
            if (history[at] != id) continue;
            while (at - 1 - same >= begin && history[at - 1 - same] == history[length - 1 - same] &&
                   !(breaks[history[length - 1 - same] / 8] >> history[length - 1 - same] % 8 & 1))
                same++;
            if (same > longest) longest = same;
        }
        if (longest > 0 && longest >= o->dry_length)
            logits[id] -= o->dry_multiplier * pow(o->dry_base, (double)(longest - o->dry_length));
    }
}

static void penalties_equal_plain_ones(void **state)
{
    enum { VOCAB = 50, LENGTH = 200 };
    qn_rng rng = {.seed = seed_of_run(), .stream = 1};
    (void)state;
    for (int round = 0; round < 60; round++) {
        qn_sampler_options o = plain(0);
        float logits[VOCAB];
        double want[VOCAB];
        int32_t token, used = 2 + (int32_t)qn__rng_below(&rng, VOCAB - 2);
        qn_sampler *s;
        make_logits(logits, VOCAB, NORMAL, &rng);
        if (round % 3 != 0) {
            o.repeat_penalty = 1 + (double)qn__rng_uniform(&rng);
            o.presence_penalty = (double)qn__rng_uniform(&rng);
            o.frequency_penalty = (double)qn__rng_uniform(&rng);
        }
        o.penalty_window = (int64_t)qn__rng_below(&rng, 100);
        o.dry_multiplier = round % 3 == 1 ? 0 : 0.8;
        o.dry_base = 1.2;
        o.dry_length = (int64_t)qn__rng_below(&rng, 5);
        o.dry_window = round % 2 ? (int64_t)qn__rng_below(&rng, 150) : 0;
        must(qn_sampler_create(&o, VOCAB, &s));
        uint8_t none[(VOCAB + 7) / 8] = {0}, *breaks = s->breaks ? s->breaks : none;
        for (int i = 0; s->breaks && i < VOCAB; i++)
            if (qn__rng_below(&rng, 8) == 0) breaks[i / 8] |= (uint8_t)(1u << i % 8);
        for (int i = 0; i < LENGTH; i++) {
            if (i == 150) qn_sampler_rewind(s, 90 + (size_t)round);
            must(qn_sampler_accept(s, (int32_t)qn__rng_below(&rng, (uint64_t)used)));
            must(qn_sampler_choose(s, logits, NULL, &token));
            for (int k = 0; k < VOCAB; k++) want[k] = (double)logits[k];
            ref_penalties(want, s->history, (int)s->length, VOCAB, &o);
            if (o.dry_multiplier > 0) ref_dry(want, s->history, (int)s->length, VOCAB, &o, breaks);
            for (int k = 0; k < VOCAB; k++)
                if (!(fabs((double)s->logits[k] - want[k]) <= 1e-4 + 1e-5 * fabs(want[k])))
                    fail_msg("round %d after %zu tokens: token %d has %.9g, not %.9g", round,
                             s->length, k, (double)s->logits[k], want[k]);
        }
        qn_sampler_destroy(&s);
    }
}

static void breakers_stop_repeats(void **state)
{
    qn_tokenizer *tokenizer;
    qn_sampler *s;
    int32_t token;
    static float logits[257];
    (void)state;
    must(qn_tokenizer_create_bytes(&tokenizer));
    for (int broken = 0; broken < 2; broken++) {
        qn_sampler_options o = plain(0);
        o.dry_multiplier = 1;
        o.dry_base = 2;
        o.tokenizer = tokenizer;
        o.dry_breakers = broken ? "\\nb" : "";
        must(qn_sampler_create(&o, 257, &s));
        for (const char *c = "abcXabc"; *c; c++) must(qn_sampler_accept(s, *c));
        must(qn_sampler_choose(s, logits, NULL, &token));
        assert_true(s->logits['X'] == (broken ? -2.0f : -8.0f)); /* "c" or "abc" again */
        qn_sampler_destroy(&s);
    }
    qn_tokenizer_destroy(&tokenizer);
}

static void mirostat_equals_plain_one(void **state)
{
    enum { VOCAB = 300 };
    qn_rng rng = {.seed = seed_of_run(), .stream = 2};
    qn_sampler_options o = plain(0.9);
    qn_sampler *s;
    static float logits[VOCAB];
    static double got[VOCAB];
    double mu = 6;
    (void)state;
    o.mirostat = 2;
    o.mirostat_tau = 3;
    o.mirostat_eta = 0.2;
    o.top_k = 1; /* has no say */
    must(qn_sampler_create(&o, VOCAB, &s));
    for (int step = 0; step < 300; step++) {
        static ref_list list;
        int32_t token;
        double total, left = 0, p = 0;
        make_logits(logits, VOCAB, step % 5 == 4 ? WIDE : NORMAL, &rng);
        must(qn_sampler_choose(s, logits, NULL, &token));
        probabilities(s, got);
        list.count = VOCAB;
        for (int i = 0; i < VOCAB; i++) list.token[i] = (ref_token){i, (double)logits[i] / 0.9, 0};
        total = ref_total(&list);
        ref_sort(&list);
        int kept = 0;
        while (kept < VOCAB && (kept == 0 || -(list.token[kept].logit - total) / log(2) <= mu))
            left += exp(list.token[kept++].logit - total);
        for (int i = 0; i < VOCAB; i++) {
            double want = i < kept ? exp(list.token[i].logit - total) / left : 0;
            assert_true(fabs(got[list.token[i].id] - want) <= 1e-5);
            if (list.token[i].id == token) p = want;
        }
        assert_true(p > 0);
        mu -= 0.2 * (-log2(p) - 3);
        must(qn_sampler_accept(s, token));
        assert_true(fabs(s->mu - mu) <= 1e-3);
        mu = s->mu;
    }
    qn_sampler_destroy(&s);
}

/* ---- draws ---- */

/* P(chi-square with k degrees > x), by Wilson and Hilferty's normal approximation (1931). */
static double tail(double x, double k)
{
    double z = (cbrt(x / k) - (1 - 2 / (9 * k))) / sqrt(2 / (9 * k));
    return 0.5 * erfc(z / sqrt(2));
}

static void draws_follow_the_probabilities(void **state)
{
    enum { VOCAB = 24, DRAWS = 60000 };
    static const char *const chains[] = {"temperature", "top_p temperature", "typical", "top_k"};
    (void)state;
    print_message("QN_TEST_SEED=%llu\n", (unsigned long long)seed_of_run());
    for (int c = 0; c < 4; c++) {
        qn_rng rng = {.seed = seed_of_run(), .stream = 3 + (uint64_t)c};
        qn_sampler_options o = plain(1.3);
        float logits[VOCAB];
        double p[VOCAB], chi = 0;
        int64_t seen[VOCAB] = {0};
        int32_t token, kinds = 0;
        qn_sampler *s;
        o.top_p = o.typical = 0.9;
        o.top_k = 12;
        o.seed = (int64_t)seed_of_run() + c;
        o.samplers = chains[c];
        for (int i = 0; i < VOCAB; i++) logits[i] = qn__rng_normal(&rng);
        must(qn_sampler_create(&o, VOCAB, &s));
        for (int i = 0; i < DRAWS; i++) {
            must(qn_sampler_choose(s, logits, NULL, &token));
            must(qn_sampler_accept(s, token));
            seen[token]++;
        }
        probabilities(s, p);
        for (int i = 0; i < VOCAB; i++) {
            double expected = p[i] * DRAWS;
            if (p[i] == 0) assert_int_equal(seen[i], 0);
            else chi += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
            kinds += p[i] > 0;
        }
        double chance = tail(chi, kinds - 1);
        print_message("%s: chi-square %.1f over %d tokens, chance %.3g\n", chains[c], chi, kinds,
                      chance);
        assert_true(chance > 1e-5 && chance < 1 - 1e-5);
        qn_sampler_destroy(&s);
    }
}

static void xtc_has_its_chance(void **state)
{
    qn_sampler_options o = plain(1);
    const float logits[3] = {2, 1.9f, 1.8f};
    qn_sampler *s;
    int32_t token, without = 0;
    (void)state;
    o.xtc_probability = 0.3;
    o.xtc_threshold = 0.1;
    must(qn_sampler_create(&o, 3, &s));
    for (int i = 0; i < 10000; i++) {
        must(qn_sampler_choose(s, logits, NULL, &token));
        must(qn_sampler_accept(s, token));
        without += s->list.count == 1;
    }
    print_message("XTC applied in %d of 10000 (0.3 asked)\n", without);
    assert_in_range(without, 2770, 3230); /* five standard deviations */
    qn_sampler_destroy(&s);
}

static void position_and_seed_decide(void **state)
{
    enum { VOCAB = 1000, LENGTH = 50 };
    qn_rng rng = {.seed = seed_of_run(), .stream = 9};
    static float logits[VOCAB];
    int32_t first[LENGTH], token;
    int same = 0;
    (void)state;
    make_logits(logits, VOCAB, NORMAL, &rng);
    for (int run = 0; run < 3; run++) {
        qn_sampler_options o;
        qn_sampler *s;
        qn_sampler_options_init(&o);
        o.seed = run == 2 ? 8 : 7;
        must(qn_sampler_create(&o, VOCAB, &s));
        for (int i = 0; i < LENGTH; i++) {
            must(qn_sampler_choose(s, logits, NULL, &token));
            if (run == 1) must(qn_sampler_choose(s, logits, NULL, &token)); /* changes nothing */
            if (run == 0) first[i] = token;
            if (run == 1) assert_int_equal(token, first[i]);
            if (run == 2) same += token == first[i];
            must(qn_sampler_accept(s, token));
        }
        qn_sampler_rewind(s, 10);
        must(qn_sampler_choose(s, logits, NULL, &token));
        if (run < 2) assert_int_equal(token, first[10]);
        qn_sampler_destroy(&s);
    }
    assert_true(same < LENGTH / 2);
}

/* ---- hostile logits, masks, options ---- */

static void ties_and_strange_logits(void **state)
{
    const float equal[5] = {1, 3, 3, 3, 0}, nan[3] = {0, NAN, 0},
                none[3] = {-INFINITY, -INFINITY, -INFINITY}, two[3] = {INFINITY, 0, INFINITY};
    const uint32_t only = 1u << 4, nothing = 0;
    qn_sampler_options o = plain(0);
    qn_sampler *s;
    int32_t token;
    (void)state;
    for (int warm = 0; warm < 2; warm++) {
        o.temperature = warm;
        must(qn_sampler_create(&o, 3, &s));
        assert_int_equal(qn_sampler_choose(s, nan, NULL, &token), QN_NON_FINITE);
        assert_non_null(strstr(qn_last_error(), "token 1"));
        assert_int_equal(qn_sampler_choose(s, none, NULL, &token), QN_NON_FINITE);
        must(qn_sampler_choose(s, two, NULL, &token));
        assert_int_not_equal(token, 1);
        qn_sampler_destroy(&s);
        must(qn_sampler_create(&o, 5, &s));
        must(qn_sampler_choose(s, equal, &only, &token));
        assert_int_equal(token, 4);
        assert_int_equal(qn_sampler_choose(s, equal, &nothing, &token), QN_NON_FINITE);
        qn_sampler_destroy(&s);
    }
    must(qn_sampler_create(NULL, 5, &s));
    must(qn_sampler_choose(s, equal, NULL, &token));
    assert_int_equal(token, 1);
    assert_int_equal(qn_sampler_accept(s, 5), QN_BAD_ARGUMENT);
    assert_int_equal(qn_sampler_accept(s, -1), QN_BAD_ARGUMENT);
    qn_sampler_destroy(&s);
    o.temperature = 1e-300;
    must(qn_sampler_create(&o, 5, &s));
    must(qn_sampler_choose(s, equal, NULL, &token));
    assert_in_range(token, 1, 3);
    qn_sampler_destroy(&s);
}

static void bias_is_added(void **state)
{
    const float logits[4] = {0, 1, 2, 3};
    qn_sampler_options o = plain(0);
    qn_sampler *s;
    int32_t token;
    (void)state;
    o.logit_bias = "3=-inf,0=2.5";
    must(qn_sampler_create(&o, 4, &s));
    must(qn_sampler_choose(s, logits, NULL, &token));
    assert_int_equal(token, 0);
    qn_sampler_destroy(&s);
    static const char *const bad[] = {"4=1",   "-1=1", "1",       "1=",   "1=x",
                                      "1=nan", "1=2,", "1=2;3=4", "1=inf"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.logit_bias = bad[i];
        assert_int_equal(qn_sampler_create(&o, 4, &s), QN_BAD_ARGUMENT);
        assert_null(s);
        assert_non_null(strstr(qn_last_error(), "logit_bias"));
    }
}

static void options_are_checked(void **state)
{
    static const char *const bad[][2] = {
        {"top_p", "1.5"}, {"top_k", "-1"},        {"top_k", "1e3"},
        {"seed", " 1"},   {"mirostat", "3"},      {"min_p", "nan"},
        {"min_p", ""},    {"temperature", "hot"}, {"no_such_key", "1"}};
    qn_sampler_options o;
    qn_sampler *s;
    (void)state;
    qn_sampler_options_init(&o);
    must(qn_sampler_create(&o, 10, &s));
    qn_sampler_destroy(&s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(qn_sampler_options_set(&o, bad[i][0], bad[i][1]), QN_BAD_ARGUMENT);
        assert_non_null(strstr(qn_last_error(), bad[i][0]));
    }
    for (int i = 0; qn_sampler_option(i); i++) {
        const qn_option_info *info = qn_sampler_option(i);
        assert_true(strlen(info->help) > 5);
        must(qn_sampler_options_set(&o, info->key, info->fallback));
    }
    o.samplers = "top_k top_k";
    assert_int_equal(qn_sampler_create(&o, 10, &s), QN_BAD_ARGUMENT);
    o.samplers = "top_q";
    assert_int_equal(qn_sampler_create(&o, 10, &s), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "top_q"));
    qn_sampler_options_init(&o);
    o.mirostat = 1;
    assert_int_equal(qn_sampler_create(&o, 10, &s), QN_BAD_ARGUMENT);
    qn_sampler_options_init(&o);
    o.size--;
    assert_int_equal(qn_sampler_create(&o, 10, &s), QN_BAD_ARGUMENT);
    assert_int_equal(qn_sampler_create(NULL, 0, &s), QN_BAD_ARGUMENT);
}

/* ---- speed ---- */

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void a_large_vocabulary_is_fast(void **state)
{
    enum { VOCAB = 131072, RUNS = 40 };
    static const char *const keys[][4] = {{"temperature", "0", NULL},
                                          {"top_p", "0.95", NULL},
                                          {"top_k", "40", "min_p", "0.05"},
                                          {"min_p", "0.05", "top_p", "1"},
                                          {"dry_multiplier", "0.8", "repeat_penalty", "1.1"}};
    static float logits[VOCAB];
    qn_rng rng = {.seed = seed_of_run(), .stream = 5};
    (void)state;
    make_logits(logits, VOCAB, NORMAL, &rng);
    for (size_t c = 0; c < sizeof keys / sizeof *keys; c++) {
        qn_sampler_options o;
        qn_sampler *s;
        int32_t token;
        double best = 1e9;
        qn_sampler_options_init(&o);
        for (int k = 0; k < 4 && keys[c][k]; k += 2)
            must(qn_sampler_options_set(&o, keys[c][k], keys[c][k + 1]));
        must(qn_sampler_create(&o, VOCAB, &s));
        for (int i = 0; i < RUNS; i++) {
            double begin = cpu_ms();
            must(qn_sampler_choose(s, logits, NULL, &token));
            must(qn_sampler_accept(s, token));
            best = fmin(best, cpu_ms() - begin);
        }
        print_message("%s %s: %.3f ms of %d logits\n", keys[c][0], keys[c][1], best, VOCAB);
        assert_true(best < 5); /* 1 and less on an idle machine with optimisation */
        qn_sampler_destroy(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_equal_plain_ones),
        cmocka_unit_test(penalties_equal_plain_ones),
        cmocka_unit_test(breakers_stop_repeats),
        cmocka_unit_test(mirostat_equals_plain_one),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(xtc_has_its_chance),
        cmocka_unit_test(position_and_seed_decide),
        cmocka_unit_test(ties_and_strange_logits),
        cmocka_unit_test(bias_is_added),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(a_large_vocabulary_is_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
