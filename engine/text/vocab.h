/* The tokens of a tokenizer: their bytes, kinds and scores, and an index from bytes to id. */
#ifndef QN_TEXT_VOCAB_H
#define QN_TEXT_VOCAB_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are those of GGUF's tokenizer.ggml.token_type. */
typedef enum qn__token_type {
    QN__TOKEN_NORMAL = 1,
    QN__TOKEN_UNKNOWN = 2,
    QN__TOKEN_CONTROL = 3, /* found in text only on request; decodes to nothing */
    QN__TOKEN_USER = 4,    /* found in text before anything else; decodes to itself */
    QN__TOKEN_UNUSED = 5,  /* never made by encoding */
    QN__TOKEN_BYTE = 6     /* stands for one byte that no other token covers */
} qn__token_type;

typedef struct qn__token {
    size_t at; /* in the pool */
    uint32_t bytes;
    uint32_t rank; /* place in the order of scores, best first; equal scores, equal rank */
    float score;
    qn__token_type type;
    bool strips_left; /* swallows white space on that side when found in text */
    bool strips_right;
    bool is_end; /* generation stops here */
} qn__token;

typedef struct qn__vocab {
    qn__token *token;
    size_t count, capacity;
    uint8_t *pool;
    size_t pool_bytes, pool_capacity;
} qn__vocab;

/* Make it `count` tokens, the new ones empty and QN__TOKEN_UNUSED. count <= INT32_MAX. */
qn_status qn__vocab_resize(qn__vocab *vocab, size_t count) QN_MUST_USE;
/* Give token `id` its bytes and type. */
qn_status qn__vocab_set(qn__vocab *vocab, size_t id, const void *bytes, size_t count,
                        qn__token_type type) QN_MUST_USE;
/* The same for a new token at the end. */
qn_status qn__vocab_add(qn__vocab *vocab, const void *bytes, size_t count,
                        qn__token_type type) QN_MUST_USE;
const uint8_t *qn__vocab_text(const qn__vocab *vocab, size_t id);
/* Fill in the ranks from the scores, which must be finite. */
qn_status qn__vocab_rank(qn__vocab *vocab) QN_MUST_USE;
void qn__vocab_free(qn__vocab *vocab);

/* Open addressing; a slot keeps part of the hash to save most comparisons. */
typedef struct qn__index {
    struct qn__index_slot {
        uint32_t tag;
        int32_t id; /* -1: free */
    } *slot;
    size_t mask;
} qn__index;

/* Room for `count` tokens. */
qn_status qn__index_create(qn__index *index, size_t count) QN_MUST_USE;
/* If another token has the same bytes, the one added first stays. */
void qn__index_add(qn__index *index, const qn__vocab *vocab, int32_t id);
/* -1 when absent. An index never created is empty. */
int32_t qn__index_find(const qn__index *index, const qn__vocab *vocab, const void *bytes,
                       size_t count);
void qn__index_free(qn__index *index);

/* Make room for `need` elements of `size` bytes by doubling; *larger is the array, moved or not. */
qn_status qn__text_grow(void *data, size_t *capacity, size_t need, size_t size,
                        void **larger) QN_MUST_USE;
/* The same for `array`, which stays as it was on failure (then the caller returns the status). */
#define QN__GROW(array, capacity, need)                                                            \
    do {                                                                                           \
        void *qn__larger;                                                                          \
        QN_TRY(qn__text_grow(array, capacity, need, sizeof *(array), &qn__larger));                \
        (array) = qn__larger;                                                                      \
    } while (0)

/* A growing list of token ids. */
typedef struct qn__ids {
    int32_t *data;
    size_t count, capacity;
} qn__ids;

qn_status qn__ids_reserve(qn__ids *ids, size_t more) QN_MUST_USE;
qn_status qn__ids_push(qn__ids *ids, int32_t id) QN_MUST_USE;

#endif
