/* Documents into sequences: each sequence of `context` rows holds whole documents, or one piece of
 * a document that is longer. */
#ifndef QN_TRAIN_PACKING_H
#define QN_TRAIN_PACKING_H

#include "train/tokens.h"

typedef struct qn_piece {
    uint64_t first;  /* token of the run */
    uint32_t tokens; /* in [1, context] */
    bool goes_on;    /* its document has a token after it */
} qn_piece;

typedef struct qn_packing {
    qn_piece *pieces;    /* by sequence */
    uint64_t *sequences; /* first piece of each, [count + 1] */
    uint64_t count;
    uint64_t cut; /* documents longer than a sequence */
} qn_packing;

/* Best fit, longest pieces first (Ding et al., "Fewer truncations improve language modeling", ICML
 * 2024): every token is in exactly one piece, or in none where its piece would have nothing to
 * predict. A function of the documents and of context alone. */
qn_status qn__packing_create(const qn_tokens *tokens, int64_t context,
                             qn_packing *packing) QN_MUST_USE;
void qn__packing_free(qn_packing *packing);

#endif
