/* Byte-pair merging of one word: repeatedly join the adjacent pair that comes first in order. */
#ifndef QN_TEXT_MERGE_H
#define QN_TEXT_MERGE_H

#include "text/vocab.h"

/* Pairs of tokens that join, by rank (lower joins first). */
typedef struct qn__merge {
    int32_t left, right; /* left < 0: a free slot */
    int32_t id;          /* what they become */
    uint32_t rank;
} qn__merge;

typedef struct qn__merges {
    qn__merge *slot;
    size_t mask, count;
} qn__merges;

/* Room for `count` merges. */
qn_status qn__merges_create(qn__merges *merges, size_t count) QN_MUST_USE;
/* The first merge of a pair stays. */
void qn__merges_add(qn__merges *merges, qn__merge merge);
/* NULL when the pair does not join. */
const qn__merge *qn__merges_find(const qn__merges *merges, int32_t left, int32_t right);
void qn__merges_free(qn__merges *merges);

/* Part of the word; a linked list, so that joining is O(1). */
typedef struct qn__symbol {
    uint32_t at, bytes; /* bytes == 0: joined into its left neighbour */
    uint32_t prev, next;
    int32_t id; /* -1: no token is exactly this */
} qn__symbol;

typedef struct qn__candidate {
    uint64_t key; /* order first, then place: the leftmost of equals joins first */
    uint32_t right;
    uint32_t bytes; /* of both together; another sum means the candidate is out of date */
    int32_t id;
} qn__candidate;

/* Working memory, reused from word to word. Zero-initialise; free with qn__word_free. */
typedef struct qn__word {
    qn__symbol *symbol;
    size_t count, symbol_capacity;
    qn__candidate *heap;
    size_t heap_count, heap_capacity;
} qn__word;

/* How two neighbours join: false if they do not. */
typedef bool (*qn__join_fn)(const void *context, const uint8_t *text, const qn__symbol *left,
                            const qn__symbol *right, uint32_t *order, int32_t *id);

/* Begin a word; then add its symbols in order. */
void qn__word_begin(qn__word *word);
qn_status qn__word_add(qn__word *word, size_t at, size_t bytes, int32_t id) QN_MUST_USE;
/* Join until nothing joins, in n log n. What is left: the symbols with bytes > 0. */
qn_status qn__word_join(qn__word *word, const uint8_t *text, qn__join_fn join,
                        const void *context) QN_MUST_USE;
void qn__word_free(qn__word *word);

#endif
