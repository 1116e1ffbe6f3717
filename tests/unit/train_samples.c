/* Orders of samples and packing: permutations are permutations, every token of every document is
 * in exactly one place of an epoch, nothing is predicted across a boundary or where it is masked,
 * and a step's samples follow from its number alone. */
#include "file_support.h"

#include "base/rng.h"
#include "train/samples.h"
#include "train/shuffle.h"

#include <math.h>

static void is_permutation(uint64_t count, uint64_t seed, uint64_t epoch)
{
    uint8_t *seen = calloc(count + 1, 1);
    assert_non_null(seen);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = qn__shuffle(i, count, seed, epoch);
        if (at >= count || seen[at])
            fail_msg("place %llu of %llu is %llu, %s", (unsigned long long)i,
                     (unsigned long long)count, (unsigned long long)at,
                     at < count ? "again" : "outside");
        seen[at] = 1;
    }
    free(seen);
}

static void permutations(void **state)
{
    (void)state;
    static const uint64_t large[] = {4095, 4096, 4097, 65521, 65536, 65537, 99991, 1000003};
    for (uint64_t count = 1; count <= 300; count++)
        for (uint64_t epoch = 0; epoch < 4; epoch++)
            is_permutation(count, 1337 * epoch * epoch + count, epoch);
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) is_permutation(large[i], 7, i);
    /* A range that no table could hold: places differ, and stay inside. */
    const uint64_t most = (UINT64_C(1) << 61) + 3;
    for (uint64_t i = 1; i < 1000; i++) {
        assert_true(qn__shuffle(most - i, most, 5, 9) < most);
        assert_true(qn__shuffle(most - i, most, 5, 9) != qn__shuffle(most - i - 1, most, 5, 9));
    }
}

/* Where sample 0 lands, over seeds and over epochs: 13 places, each as often as the others
 * (chi-square, 12 degrees of freedom: 39.1 is exceeded once in ten thousand). And orders of
 * neighbouring epochs have nothing in common. */
static void shuffled_evenly(void **state)
{
    (void)state;
    enum { PLACES = 13, TRIES = 13000 };
    for (int by_epoch = 0; by_epoch < 2; by_epoch++)
        for (uint64_t item = 0; item < PLACES; item += 6) {
            double counts[PLACES] = {0}, chi = 0;
            for (uint64_t i = 0; i < TRIES; i++)
                counts[qn__shuffle(item, PLACES, by_epoch ? 3 : i, by_epoch ? i : 3)]++;
            for (int p = 0; p < PLACES; p++) chi += pow(counts[p] - 1000, 2) / 1000;
            if (chi > 39.1) fail_msg("item %llu: chi-square %.1f", (unsigned long long)item, chi);
        }
    enum { MANY = 10007 };
    double same = 0, correlation = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        double a = (double)qn__shuffle(i, MANY, 1, 0), b = (double)qn__shuffle(i, MANY, 1, 1);
        same += a == b;
        correlation += (a / MANY - 0.5) * (b / MANY - 0.5) + (a / MANY - 0.5) * (i / 10007.0 - 0.5);
    }
    assert_true(same < 10);                                /* one is expected */
    assert_true(fabs(correlation / MANY) < 5.0 / 12 / 70); /* about five deviations of two sums */
}

/* ---- documents ---- */

typedef struct library {
    uint16_t *words;
    uint64_t *ends;
    qn_tokens tokens;
} library;

/* Documents of 1 to `longest` tokens; a token is its place mod 32000, masked now and then. */
static library make(qn_rng *rng, uint64_t documents, uint64_t longest)
{
    library made = {.ends = malloc((documents + 1) * sizeof *made.ends),
                    .words = malloc((documents * longest + 1) * sizeof *made.words)};
    assert_true(made.ends && made.words);
    uint64_t count = 0;
    for (uint64_t d = 0; d < documents; d++) {
        uint64_t length = 1 + qn__rng_below(rng, longest);
        bool masked = qn__rng_below(rng, 3) == 0;
        for (uint64_t i = 0; i < length; i++, count++)
            made.words[count] = (uint16_t)(count % 32000 | (masked && i % 3 ? 0x8000 : 0));
        made.ends[d] = count;
    }
    made.tokens = (qn_tokens){.words = (const uint8_t *)made.words,
                              .ends = made.ends,
                              .count = count,
                              .documents = documents,
                              .word_bytes = 2,
                              .masked = true,
                              .vocab = 32000,
                              .name = "library"};
    return made;
}

static void drop(library *l)
{
    free(l->words);
    free(l->ends);
}

typedef struct tally {
    uint8_t *tokens, *targets; /* how often each token was there, was predicted */
    uint64_t padding;
} tally;

/* Check one sequence; tokens are recognised by walking the packing's pieces. */
static void check_sequence(const library *l, const qn_samples *s, uint64_t i, tally *seen)
{
    int64_t context = s->how.context;
    int32_t *ids = malloc((size_t)context * 3 * sizeof *ids), *targets = ids + context,
            *positions = targets + context;
    int64_t row = 0;
    assert_ok(qn__samples_get(s, i, ids, targets, positions));
    for (uint64_t p = s->packing.sequences[i]; p < s->packing.sequences[i + 1]; p++) {
        const qn_piece *piece = &s->packing.pieces[p];
        uint64_t document = 0;
        while (l->ends[document] <= piece->first) document++;
        uint64_t begin = document ? l->ends[document - 1] : 0, end = l->ends[document];
        assert_true(piece->first + piece->tokens <= end); /* not over a boundary */
        assert_int_equal((piece->first - begin) % (uint64_t)context, 0);
        for (uint32_t t = 0; t < piece->tokens; t++, row++) {
            uint64_t at = piece->first + t;
            bool learned = at + 1 < end && !(l->words[at + 1] & 0x8000);
            assert_int_equal(ids[row], l->words[at] & 0x7FFF);
            assert_int_equal(positions[row], t);
            assert_int_equal(targets[row], learned ? l->words[at + 1] & 0x7FFF : -1);
            seen->tokens[at]++;
            if (learned) seen->targets[at + 1]++;
        }
    }
    for (; row < context; row++, seen->padding++)
        assert_true(targets[row] == -1 && ids[row] == 0 && positions[row] == 0);
    free(ids);
}

/* Is a token predicted, and learned, by a row of the piece that token `at` is in? */
static bool in_a_piece_that_learns(const library *l, uint64_t begin, uint64_t end, uint64_t at,
                                   int64_t context)
{
    uint64_t first = begin + (at - begin) / (uint64_t)context * (uint64_t)context;
    for (uint64_t i = first + 1; i <= first + (uint64_t)context && i < end; i++)
        if (!(l->words[i] & 0x8000)) return true;
    return false;
}

static void packs(qn_rng *rng, uint64_t documents, uint64_t longest, int64_t context)
{
    library l = make(rng, documents, longest);
    qn_samples s, again;
    const qn_sampling how = {.context = context, .seed = 3, .documents = true, .permutation = true};
    assert_ok(qn__samples_create(&l.tokens, &how, &s));
    tally seen = {calloc(l.tokens.count + 1, 1), calloc(l.tokens.count + 1, 1), 0};
    for (uint64_t i = 0; i < s.count; i++) /* an epoch, in its order */
        check_sequence(&l, &s, qn__samples_index(&s, 0, (int64_t)s.count, (int64_t)i), &seen);
    for (uint64_t d = 0, at = 0; d < documents; d++)
        for (uint64_t begin = at; at < l.ends[d]; at++) {
            assert_int_equal(seen.tokens[at],
                             in_a_piece_that_learns(&l, begin, l.ends[d], at, context));
            assert_int_equal(seen.targets[at], at > begin && !(l.words[at] & 0x8000));
        }
    /* Best fit leaves no two sequences that would fit into one. */
    uint64_t halves = 0;
    for (uint64_t i = 0; i < s.count; i++) {
        uint64_t used = 0;
        for (uint64_t p = s.packing.sequences[i]; p < s.packing.sequences[i + 1]; p++)
            used += s.packing.pieces[p].tokens;
        assert_in_range(used, 1, (uint64_t)context);
        halves += 2 * used <= (uint64_t)context;
    }
    assert_true(halves <= 1);
    assert_ok(qn__samples_create(&l.tokens, &how, &again));
    assert_true(again.count == s.count);
    assert_memory_equal(again.packing.sequences, s.packing.sequences,
                        (s.count + 1) * sizeof *s.packing.sequences);
    qn__samples_free(&again);
    qn__samples_free(&s);
    free(seen.tokens);
    free(seen.targets);
    drop(&l);
}

static void packing(void **state)
{
    (void)state;
    qn_rng rng = {.seed = 11, .stream = 1};
    static const int64_t contexts[] = {1, 2, 3, 63, 64, 65, 127, 128, 1000};
    for (size_t c = 0; c < sizeof contexts / sizeof contexts[0]; c++)
        for (uint64_t longest = 1; longest <= 3000; longest *= 7)
            packs(&rng, 1 + qn__rng_below(&rng, 60), longest, contexts[c]);
    packs(&rng, 0, 1, 16);
    packs(&rng, 400, 90, 128);
}

/* ---- steps ---- */

/* Samples of an epoch over steps that do not divide it: each once, then all again in another order;
 * asking for a step out of turn gives the same. */
static void steps(void **state)
{
    (void)state;
    enum { COUNT = 37, BATCH = 8 };
    qn_rng rng = {.seed = 5, .stream = 1};
    library l = make(&rng, 1, 1);
    qn_samples s;
    uint16_t words[COUNT * 4 + 1];
    for (int i = 0; i < COUNT * 4 + 1; i++) words[i] = (uint16_t)i;
    l.tokens.words = (const uint8_t *)words;
    l.tokens.count = COUNT * 4 + 1;
    const qn_sampling how = {.context = 4, .seed = 8, .permutation = true};
    assert_ok(qn__samples_create(&l.tokens, &how, &s));
    assert_true(s.count == COUNT);
    uint64_t order[COUNT * BATCH];
    for (int64_t i = 0; i < COUNT * BATCH; i++)
        order[i] = qn__samples_index(&s, i / BATCH, BATCH, i % BATCH);
    for (int epoch = 0; epoch < BATCH; epoch++) {
        uint8_t times[COUNT] = {0};
        for (int i = 0; i < COUNT; i++) times[order[epoch * COUNT + i]]++;
        for (int i = 0; i < COUNT; i++) assert_int_equal(times[i], 1);
        if (epoch) assert_memory_not_equal(order, order + epoch * COUNT, sizeof order / BATCH);
    }
    for (int64_t step = COUNT - 1; step >= 0; step--)
        for (int64_t i = 0; i < BATCH; i++) {
            int32_t ids[4], targets[4], positions[4];
            assert_ok(qn__samples_of_step(&s, step, BATCH, i, ids, targets, positions));
            for (int t = 0; t < 4; t++) {
                assert_int_equal(ids[t], order[step * BATCH + i] * 4 + (uint64_t)t);
                assert_int_equal(targets[t], ids[t] + 1);
                assert_int_equal(positions[t], t);
            }
        }
    qn__samples_free(&s);
    drop(&l);
}

/* Windows drawn anew stay inside and differ from step to step; the last window of a stream may be
 * short; too few tokens are an error or no sample. */
static void windows(void **state)
{
    (void)state;
    uint32_t words[101];
    for (uint32_t i = 0; i < 101; i++) words[i] = i;
    qn_tokens tokens = {.words = (const uint8_t *)words,
                        .count = 101,
                        .word_bytes = 4,
                        .vocab = 101,
                        .name = "text"};
    qn_samples s;
    int32_t ids[32], targets[32], first[4] = {0};
    qn_sampling how = {.context = 32, .seed = 8};
    assert_ok(qn__samples_create(&tokens, &how, &s));
    assert_true(s.count == 4);
    for (int64_t step = 0; step < 200; step++) {
        assert_ok(qn__samples_of_step(&s, step, 1, 0, ids, targets, NULL));
        assert_true(ids[0] >= 0 && ids[0] <= 68 && ids[31] == ids[0] + 31);
        assert_true(targets[31] == ids[31] + 1);
        first[ids[0] / 18]++;
    }
    for (int i = 0; i < 4; i++) assert_in_range(first[i], 20, 90);
    assert_ok(qn__samples_get(&s, 3, ids, targets, NULL));
    for (int t = 0; t < 32; t++) assert_int_equal(targets[t], t < 4 ? 97 + t : -1);
    words[50] |= UINT32_C(1) << 31; /* read, not learned */
    assert_ok(qn__samples_get(&s, 1, ids, targets, NULL));
    assert_true(ids[18] == 50 && targets[17] == -1 && targets[18] == 51 && ids[17] == 49);
    words[50] = 101;
    assert_bad(qn__samples_get(&s, 1, ids, targets, NULL), "text", "101");
    tokens.count = 32;
    assert_int_equal(qn__samples_of_step(&s, 0, 1, 0, ids, targets, NULL), QN_BAD_ARGUMENT);
    qn__samples_free(&s);
    tokens.count = 1;
    assert_ok(qn__samples_create(&tokens, &how, &s));
    assert_true(s.count == 0);
    how.documents = true;
    assert_int_equal(qn__samples_create(&tokens, &how, &s), QN_OK); /* no documents, no samples */
    assert_true(s.count == 0);
    qn__samples_free(&s);
    tokens.documents = 1;
    assert_int_equal(qn__samples_create(&tokens, &how, &s), QN_BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(permutations),
                                       cmocka_unit_test(shuffled_evenly), cmocka_unit_test(packing),
                                       cmocka_unit_test(steps), cmocka_unit_test(windows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
