/* Which row of the cache holds which token of which sequence. On the host, without a device.
 *
 * Token p of sequence s lies in cell slots[s * context + p]. Sequences that begin alike share
 * cells: a cell is free when nobody uses it, and never changes while several do. */
#ifndef QN_MODEL_CELLS_H
#define QN_MODEL_CELLS_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qn_sequence {
    bool alive, kept;
    int32_t length;
    int32_t exact;         /* tokens from the start whose keys and values no shift has changed */
    uint64_t touched;      /* when it was last used */
    int32_t *token;        /* [context] */
    int32_t *cell;         /* [context] */
    int32_t coming, first; /* of a run: tokens of it, the place of its first */
} qn_sequence;

typedef struct qn_cells {
    int32_t count, free, cursor;
    int32_t sequences, context;
    int32_t *uses; /* [count] */
    qn_sequence *sequence;
    int32_t *slots; /* [sequences * context], as the device has them */
    uint64_t clock;
} qn_cells;

qn_status qn__cells_create(int32_t count, int32_t sequences, int32_t context,
                           qn_cells *cells) QN_MUST_USE;
void qn__cells_free(qn_cells *cells);
/* As qn_batch_add. */
qn_status qn__cells_add(qn_cells *cells, const int32_t *prompt, size_t count, int32_t *sequence,
                        int32_t *reused) QN_MUST_USE;
/* QN_BAD_ARGUMENT unless it is alive. */
qn_status qn__cells_check(const qn_cells *cells, int32_t sequence) QN_MUST_USE;
/* Make `count` cells free, kept sequences giving way; false: there are not so many. */
bool qn__cells_reserve(qn_cells *cells, int32_t count);
/* A free cell for the sequence's next token, by preference the one its slot names; there must be
 * one. */
void qn__cells_append(qn_cells *cells, int32_t sequence, int32_t token);
void qn__cells_cut(qn_cells *cells, int32_t sequence, int32_t length);
void qn__cells_remove(qn_cells *cells, int32_t sequence, bool keep);
/* Free cells, and those that only kept sequences use. */
int32_t qn__cells_room(const qn_cells *cells);
/* Token p + drop becomes token p, from `keep` on: which cell it lies in (from[p - keep]) and which
 * it is to lie in (to[p - keep]): the same where nobody else uses it. `in_order`: cell p instead,
 * for a cache without slots. Room for length - keep - drop in each; cells must have been reserved:
 * qn__cells_shared of them. */
void qn__cells_shift(qn_cells *cells, int32_t sequence, int32_t keep, int32_t drop, bool in_order,
                     int32_t *from, int32_t *to);
/* Of the tokens from `first` on, how many lie in cells that others use too. */
int32_t qn__cells_shared(const qn_cells *cells, int32_t sequence, int32_t first);

#endif
