/* Sums over ranks that are threads here: the bits of the tree over all leaves, written down once
 * more as what it is, for any number of ranks and leaves; and the bytes that are said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/cores.h"
#include "cluster/sum.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANKS = 9 };

/* ---- threads that pass each other pointers ---- */

typedef struct letter {
    const void *data; /* NULL: taken */
    uint64_t bytes;
} letter;

typedef struct office {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    letter box[MOST_RANKS][MOST_RANKS]; /* [to][from] */
} office;

typedef struct thread_wire {
    qn_wire wire;
    office *office;
} thread_wire;

static qn_status exchange(qn_wire *wire, const void *send, uint64_t send_bytes, int to,
                          void *receive, uint64_t receive_bytes, int from)
{
    office *o = ((thread_wire *)wire)->office;
    pthread_mutex_lock(&o->lock);
    if (send_bytes) {
        o->box[to][wire->rank] = (letter){send, send_bytes};
        pthread_cond_broadcast(&o->changed);
    }
    if (receive_bytes) {
        letter *mine = &o->box[wire->rank][from];
        while (!mine->data) pthread_cond_wait(&o->changed, &o->lock);
        assert_int_equal(mine->bytes, receive_bytes);
        memcpy(receive, mine->data, receive_bytes);
        mine->data = NULL;
        pthread_cond_broadcast(&o->changed);
    }
    while (send_bytes && o->box[to][wire->rank].data) pthread_cond_wait(&o->changed, &o->lock);
    pthread_mutex_unlock(&o->lock);
    wire->sent_bytes += send_bytes;
    return QN_OK;
}

/* ---- what is to come out ---- */

static float leaf_value(int64_t leaf, uint64_t element)
{
    uint32_t x = (uint32_t)leaf * 2654435761u ^ ((uint32_t)element * 40503u + 12345u);
    x = (x ^ x >> 15) * 2246822519u;
    x ^= x >> 13;
    return ((float)(x & 0xffff) - 32768.0f) * (x >> 16 & 1 ? 1e-3f : 17.0f);
}

/* A full left part of a power of two of leaves, and the rest. */
static float tree(int64_t from, int64_t to, uint64_t element)
{
    int64_t left = 1;
    if (to - from == 1) return leaf_value(from, element);
    while (left * 2 < to - from) left *= 2;
    return tree(from, from + left, element) + tree(from + left, to, element);
}

/* ---- a rank ---- */

typedef struct member {
    thread_wire own;
    qn_comm_sum sum;
    float *result;
} member;

static void *take_part(void *user)
{
    member *m = user;
    qn_span nodes[QN_TREE_SPANS];
    float *roots[QN_TREE_SPANS];
    qn_sum_room room = {0};
    const int64_t *first = m->sum.first;
    int rank = m->own.wire.rank, size = m->own.wire.size;
    int count = qn__tree_cover(first[size], first[rank], first[rank + 1], nodes);
    for (int i = 0; i < count; i++) {
        roots[i] = malloc(m->sum.count * sizeof **roots + 1);
        for (uint64_t e = 0; e < m->sum.count; e++)
            roots[i][e] = tree(nodes[i].from, nodes[i].to, e);
    }
    if (qn__sum_leaves(&m->own.wire, &m->sum, roots, &room) == QN_OK) m->result = roots[0];
    for (int i = 1; i < count; i++) free(roots[i]);
    free(room.data);
    return NULL;
}

static void check(int size, int64_t leaves, uint64_t count)
{
    office o = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    member members[MOST_RANKS];
    pthread_t threads[MOST_RANKS];
    int64_t first[MOST_RANKS + 1];
    for (int r = 0; r <= size; r++) first[r] = leaves * r / size;
    for (int r = 0; r < size; r++) {
        members[r] =
            (member){.own = {.wire = {.rank = r, .size = size, .exchange = exchange}, .office = &o},
                     .sum = {.count = count, .first = first}};
        assert_int_equal(pthread_create(&threads[r], NULL, take_part, &members[r]), 0);
    }
    for (int r = 0; r < size; r++) {
        pthread_join(threads[r], NULL);
        assert_non_null(members[r].result);
        for (uint64_t e = 0; e < count; e++) {
            float want = tree(0, leaves, e);
            if (memcmp(&members[r].result[e], &want, sizeof want) != 0)
                fail_msg("%d ranks, %d leaves, element %d of %d: %a on rank %d, not %a", size,
                         (int)leaves, (int)e, (int)count, (double)members[r].result[e], r,
                         (double)want);
        }
        assert_int_equal(members[r].own.wire.sent_bytes, qn__sum_bytes(&members[r].sum, r, size));
        free(members[r].result);
    }
}

static void any_ranks_and_leaves(void **state)
{
    (void)state;
    static const uint64_t counts[] = {0, 1, 5, 64, 131};
    for (int size = 1; size <= MOST_RANKS; size++)
        for (int64_t leaves = size; leaves <= 3 * size + 2; leaves++)
            check(size, leaves, counts[(size + leaves) % 5]);
    check(8, 64, 4099);
    check(4, 12, 4099);
}

/* Each leaf is in one node, nodes cannot be joined, and the whole is one. */
static void covers(void **state)
{
    (void)state;
    qn_span nodes[QN_TREE_SPANS];
    for (int64_t all = 1; all < 40; all++)
        for (int64_t from = 0; from <= all; from++)
            for (int64_t to = from; to <= all; to++) {
                int count = qn__tree_cover(all, from, to, nodes);
                int64_t at = from;
                for (int i = 0; i < count; i++) {
                    assert_int_equal(nodes[i].from, at);
                    at = nodes[i].to;
                    assert_true(qn__tree_is_node(all, nodes[i].from, at));
                }
                assert_int_equal(at, to);
                if (from == 0 && to == all) assert_int_equal(count, 1);
            }
    assert_true(qn__tree_cover(INT64_MAX, 1, INT64_MAX - 1, nodes) <= QN_TREE_SPANS);
}

static cpu_set_t cores_from(int from, int to)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = from; i < to; i++) CPU_SET(i, &set);
    return set;
}

/* No core twice while there are enough, all of them used, and own ones kept. */
static void cores_are_shared_out(void **state)
{
    (void)state;
    bool twice;
    for (int ranks = 1; ranks <= 8; ranks++)
        for (int cores = 1; cores <= 16; cores++) {
            cpu_set_t masks[8], seen = cores_from(0, 0), both;
            for (int r = 0; r < ranks; r++) masks[r] = cores_from(0, cores);
            for (int r = 0; r < ranks; r++) {
                cpu_set_t mine = qn__cores_share(masks, ranks, r, &twice);
                CPU_AND(&both, &seen, &mine);
                assert_true(CPU_COUNT(&mine) >= 1);
                assert_int_equal(twice, ranks > cores);
                if (!twice) assert_int_equal(CPU_COUNT(&both), 0);
                CPU_OR(&seen, &seen, &mine);
            }
            assert_int_equal(CPU_COUNT(&seen), cores);
        }
    cpu_set_t apart[2] = {cores_from(0, 1), cores_from(1, 4)};
    cpu_set_t kept = qn__cores_share(apart, 2, 1, &twice);
    assert_true(CPU_EQUAL(&kept, &apart[1]) && !twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(covers),
        cmocka_unit_test(any_ranks_and_leaves),
        cmocka_unit_test(cores_are_shared_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
