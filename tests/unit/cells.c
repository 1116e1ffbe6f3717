/* Cells of a cache under random use: every count agrees with a plain recount, what is written has
 * one user, and sequences that begin alike share. */
#include "model/cells.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CELLS = 90, SEQUENCES = 6, CONTEXT = 40, STEPS = 20000 };

/* Also that each token lies somewhere of its own, but for beginnings that agree. */
static void recount(const qn_cells *c)
{
    int32_t uses[CELLS] = {0}, holds[CELLS], place[CELLS], free_cells = 0, room = 0;
    bool alive[CELLS] = {false};
    for (int32_t s = 0; s < SEQUENCES; s++) {
        const qn_sequence *q = &c->sequence[s];
        assert_true(q->alive || q->kept || q->length == 0);
        assert_false(q->alive && q->kept);
        assert_in_range(q->exact, 0, q->length);
        for (int32_t p = 0; p < q->length; p++) {
            int32_t cell = q->cell[p];
            assert_in_range(cell, 0, CELLS - 1);
            if (uses[cell]++ > 0) assert_true(holds[cell] == q->token[p] && place[cell] == p);
            holds[cell] = q->token[p];
            place[cell] = p;
            alive[cell] |= q->alive;
        }
    }
    for (int32_t i = 0; i < CELLS; i++) {
        assert_int_equal(uses[i], c->uses[i]);
        free_cells += uses[i] == 0;
        room += !alive[i];
    }
    assert_int_equal(free_cells, c->free);
    assert_int_equal(room, qn__cells_room(c));
}

static void append(qn_cells *c, int32_t s, int32_t count, qn_rng *rng)
{
    if (count > CONTEXT - c->sequence[s].length) count = CONTEXT - c->sequence[s].length;
    if (!qn__cells_reserve(c, count)) return;
    for (; count > 0; count--) {
        qn__cells_append(c, s, (int32_t)qn__rng_below(rng, 2));
        assert_int_equal(c->uses[c->sequence[s].cell[c->sequence[s].length - 1]], 1);
    }
}

static void shift(qn_cells *c, int32_t s, qn_rng *rng)
{
    qn_sequence *q = &c->sequence[s];
    int32_t before[CONTEXT], from[CONTEXT], to[CONTEXT], length = q->length;
    int32_t keep = (int32_t)qn__rng_below(rng, (uint64_t)length + 1);
    int32_t drop = (int32_t)qn__rng_below(rng, (uint64_t)(length - keep) + 1);
    if (!qn__cells_reserve(c, qn__cells_shared(c, s, keep + drop))) return;
    memcpy(before, q->token, sizeof before);
    qn__cells_shift(c, s, keep, drop, false, from, to);
    assert_int_equal(q->length, length - drop);
    assert_memory_equal(q->token, before, (size_t)keep * sizeof *before);
    for (int32_t p = keep; p < q->length; p++) {
        assert_int_equal(q->token[p], before[p + drop]);
        assert_int_equal(q->cell[p], to[p - keep]);
        assert_int_equal(c->uses[to[p - keep]], 1);
        for (int32_t i = 0; from[p - keep] != to[p - keep] && i < q->length - keep; i++)
            assert_int_not_equal(from[i], to[p - keep]);
    }
}

/* As many tokens as the longest beginning has that can be had. */
static void add(qn_cells *c, qn_rng *rng)
{
    int32_t prompt[CONTEXT], count = (int32_t)qn__rng_below(rng, CONTEXT + 1), longest = 0, s, got;
    bool full = true;
    for (int32_t i = 0; i < count; i++) prompt[i] = (int32_t)qn__rng_below(rng, 2);
    const qn_sequence *like = &c->sequence[qn__rng_below(rng, SEQUENCES)];
    for (int32_t i = 0; i < count && i < like->length; i++) prompt[i] = like->token[i];
    for (int32_t i = 0; i < SEQUENCES; i++) {
        const qn_sequence *q = &c->sequence[i];
        int32_t same = 0;
        while (same < q->exact && same < count - 1 && q->token[same] == prompt[same]) same++;
        if (same > longest) longest = same;
        full = full && q->alive;
    }
    qn_status status = qn__cells_add(c, prompt, (size_t)count, &s, &got);
    assert_int_equal(status, full ? QN_BAD_ARGUMENT : QN_OK);
    if (full) return;
    assert_int_equal(got, longest);
    assert_int_equal(c->sequence[s].length, got);
    assert_memory_equal(c->sequence[s].token, prompt, (size_t)got * sizeof *prompt);
}

static void counts_agree(void **state)
{
    (void)state;
    qn_cells c;
    qn_rng rng = {.seed = 5};
    assert_int_equal(qn__cells_create(CELLS, SEQUENCES, CONTEXT, &c), QN_OK);
    for (int i = 0; i < STEPS; i++) {
        int32_t s = (int32_t)qn__rng_below(&rng, SEQUENCES);
        int what = (int)qn__rng_below(&rng, 8);
        if (what == 0) add(&c, &rng);
        if (!c.sequence[s].alive) continue;
        if (what == 1) qn__cells_remove(&c, s, qn__rng_below(&rng, 2) == 0);
        else if (what == 2)
            qn__cells_cut(&c, s, (int32_t)qn__rng_below(&rng, (uint64_t)c.sequence[s].length + 1));
        else if (what == 3) shift(&c, s, &rng);
        else if (what > 3) append(&c, s, (int32_t)qn__rng_below(&rng, 12), &rng);
        recount(&c);
    }
    qn__cells_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
