#include "cluster/sum.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* Recursive halving and doubling adds the parts of ranks r and r^1, then those of pairs, and so on.
 * That is the tree if each of these groups is a node of it that splits between its halves; then a
 * rank has one root. */
static bool halves(const int64_t *first, int size)
{
    if (size & (size - 1)) return false;
    for (int r = 0; r < size; r++)
        if (!qn__tree_is_node(first[size], first[r], first[r + 1])) return false;
    for (int group = 2; group <= size; group *= 2)
        for (int r = 0; r < size; r += group) {
            int64_t from = first[r], to = first[r + group];
            if (!qn__tree_is_node(first[size], from, to) ||
                from + qn__tree_split(to - from) != first[r + group / 2])
                return false;
        }
    return true;
}

static qn_status want(qn_sum_room *room, uint64_t floats)
{
    if (floats <= room->floats) return QN_OK;
    free(room->data);
    room->floats = 0;
    room->data = malloc(floats * sizeof *room->data);
    if (!room->data)
        return qn__fail(QN_OS_ERROR, "no memory for %llu bytes",
                        (unsigned long long)(floats * sizeof *room->data));
    room->floats = floats;
    return QN_OK;
}

static void add(float *restrict into, const float *restrict other, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) into[i] += other[i];
}

/* ---- halving and doubling ---- */

/* A rank's piece [from, to) as it shrinks: the half it keeps at each distance. */
typedef struct piece {
    uint64_t from, to;
} piece;

static void cut(piece whole, bool upper, piece *keep, piece *give)
{
    uint64_t middle = whole.from + (whole.to - whole.from) / 2;
    piece low = {whole.from, middle}, high = {middle, whole.to};
    *keep = upper ? high : low;
    *give = upper ? low : high;
}

static uint64_t bytes_of(piece p)
{
    return (p.to - p.from) * sizeof(float);
}

static qn_status halve_and_double(qn_wire *wire, float *data, uint64_t count, qn_sum_room *room)
{
    piece mine = {0, count}, keep, give, had[32], gave[32];
    int steps = 0;
    QN_TRY(want(room, count / 2 + 1));
    for (int distance = 1; distance < wire->size; distance *= 2) {
        int peer = wire->rank ^ distance;
        cut(mine, (wire->rank & distance) != 0, &keep, &give);
        QN_TRY(wire->exchange(wire, data + give.from, bytes_of(give), peer, room->data,
                              bytes_of(keep), peer));
        add(data + keep.from, room->data, keep.to - keep.from);
        had[steps] = mine;
        gave[steps++] = give;
        mine = keep;
    }
    for (int distance = wire->size / 2; distance >= 1; distance /= 2) {
        int peer = wire->rank ^ distance;
        give = gave[--steps]; /* what the peer has now */
        QN_TRY(wire->exchange(wire, data + mine.from, bytes_of(mine), peer, data + give.from,
                              bytes_of(give), peer));
        mine = had[steps];
    }
    return QN_OK;
}

/* ---- all to all: each rank adds one part, of every root there is ---- */

static piece part_of(uint64_t count, int rank, int size)
{
    return (piece){count / (uint64_t)size * (uint64_t)rank +
                       count % (uint64_t)size * (uint64_t)rank / (uint64_t)size,
                   count / (uint64_t)size * (uint64_t)(rank + 1) +
                       count % (uint64_t)size * (uint64_t)(rank + 1) / (uint64_t)size};
}

static int roots_of(const int64_t *first, int rank, int size)
{
    return qn__tree_cover(first[size], first[rank], first[rank + 1], NULL);
}

/* Roots in ascending order, ready to be added. */
typedef struct row {
    const int64_t *first;
    int size;
    float **data; /* of each root, this rank's part */
    uint64_t count;
} row;

/* The sum of node [from, to); *next is the row's next root. It comes into the node's first. */
static float *add_node(const row *r, int rank, qn_span node, int *next)
{
    while (r->first[rank + 1] <= node.from) rank++;
    if (node.to <= r->first[rank + 1]) return r->data[(*next)++]; /* one rank's: it is a root */
    int64_t middle = node.from + qn__tree_split(node.to - node.from);
    float *left = add_node(r, rank, (qn_span){node.from, middle}, next);
    const float *right = add_node(r, rank, (qn_span){middle, node.to}, next);
    add(left, right, r->count);
    return left;
}

static qn_status send_parts(qn_wire *wire, const qn_comm_sum *sum, float *const *roots,
                            float **theirs)
{
    int size = wire->size, me = wire->rank, own = roots_of(sum->first, me, size);
    piece mine = part_of(sum->count, me, size);
    for (int step = 1; step < size; step++) {
        int to = (me + step) % size, from = (me - step + size) % size, before = 0;
        piece part = part_of(sum->count, to, size);
        for (int r = 0; r < from; r++) before += roots_of(sum->first, r, size);
        int coming = roots_of(sum->first, from, size);
        for (int i = 0; i < own || i < coming; i++)
            QN_TRY(wire->exchange(
                wire, i < own ? roots[i] + part.from : NULL, i < own ? bytes_of(part) : 0, to,
                i < coming ? theirs[before + i] : NULL, i < coming ? bytes_of(mine) : 0, from));
    }
    return QN_OK;
}

static qn_status all_to_all(qn_wire *wire, const qn_comm_sum *sum, float *const *roots,
                            qn_sum_room *room)
{
    int size = wire->size, me = wire->rank, all = 0, before = 0, next = 0;
    piece mine = part_of(sum->count, me, size);
    for (int r = 0; r < size; r++) {
        if (r == me) before = all;
        all += roots_of(sum->first, r, size);
    }
    row r = {.first = sum->first, .size = size, .count = mine.to - mine.from};
    int own = roots_of(sum->first, me, size);
    QN_TRY(want(room, r.count * (uint64_t)(all - own) + 1));
    r.data = malloc((size_t)all * sizeof *r.data);
    if (!r.data) return qn__fail(QN_OS_ERROR, "out of memory");
    uint64_t at = 0;
    for (int i = 0; i < all; i++) {
        bool here = i >= before && i < before + own;
        r.data[i] = here ? roots[i - before] + mine.from : room->data + at;
        if (!here) at += r.count;
    }
    qn_status status = send_parts(wire, sum, roots, r.data);
    if (status == QN_OK) {
        const float *result = add_node(&r, 0, (qn_span){0, sum->first[size]}, &next);
        if (result != roots[0] + mine.from) memcpy(roots[0] + mine.from, result, bytes_of(mine));
    }
    free(r.data);
    for (int step = 1; step < size && status == QN_OK; step++) {
        int to = (me + step) % size, from = (me - step + size) % size;
        piece theirs = part_of(sum->count, from, size);
        status = wire->exchange(wire, roots[0] + mine.from, bytes_of(mine), to,
                                roots[0] + theirs.from, bytes_of(theirs), from);
    }
    return status;
}

qn_status qn__sum_leaves(qn_wire *wire, const qn_comm_sum *sum, float *const *roots,
                         qn_sum_room *room)
{
    if (wire->size == 1) return QN_OK;
    if (halves(sum->first, wire->size)) return halve_and_double(wire, roots[0], sum->count, room);
    return all_to_all(wire, sum, roots, room);
}

uint64_t qn__sum_bytes(const qn_comm_sum *sum, int rank, int size)
{
    uint64_t bytes = 0;
    piece mine = {0, sum->count}, keep, give, had[32];
    int steps = 0;
    if (size == 1) return 0;
    if (!halves(sum->first, size)) {
        for (int r = 0; r < size; r++)
            if (r != rank)
                bytes += bytes_of(part_of(sum->count, r, size)) *
                             (uint64_t)roots_of(sum->first, rank, size) +
                         bytes_of(part_of(sum->count, rank, size));
        return bytes;
    }
    for (int distance = 1; distance < size; distance *= 2) {
        had[steps++] = mine;
        cut(mine, (rank & distance) != 0, &keep, &give);
        bytes += bytes_of(give);
        mine = keep;
    }
    for (; steps > 0; mine = had[--steps]) bytes += bytes_of(mine);
    return bytes;
}
