/* Counts of adjacent token pairs over weighted words, and which pair is the most frequent. */
#ifndef QN_TEXT_PAIR_COUNTS_H
#define QN_TEXT_PAIR_COUNTS_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qn__pair {
    int32_t left, right;
    int64_t count;
    uint32_t *word; /* words that have or had this pair; may name one more than once */
    size_t words, word_capacity;
    bool grown; /* in the list of pairs to push */
} qn__pair;

typedef struct qn__pair_counts {
    qn__pair *pair;
    size_t count, capacity;
    uint32_t *slot; /* hash table of indexes into pair, + 1; 0: free */
    size_t mask;
    struct qn__pair_top {
        int64_t count; /* when pushed; the pair's count may have fallen since */
        uint32_t pair;
    } *heap;
    size_t heap_count, heap_capacity;
    uint32_t *grown; /* pairs whose count rose since they were pushed */
    size_t grown_count, grown_capacity;
} qn__pair_counts;

qn_status qn__pair_counts_create(qn__pair_counts *counts) QN_MUST_USE;
/* Add `change` to the count of a pair; if it is positive, remember that `word` has the pair. */
qn_status qn__pair_counts_add(qn__pair_counts *counts, int32_t left, int32_t right, int64_t change,
                              uint32_t word) QN_MUST_USE;
/* Take out the pair with the highest count, equal counts the smallest ids first. *index is into
 * counts->pair. *found is false when no count is above `least`. */
qn_status qn__pair_counts_best(qn__pair_counts *counts, int64_t least, uint32_t *index,
                               bool *found) QN_MUST_USE;
void qn__pair_counts_free(qn__pair_counts *counts);

#endif
