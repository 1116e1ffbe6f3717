/* A run of tokens: where each document begins, and which tokens are learned. */
#ifndef QN_TRAIN_TOKENS_H
#define QN_TRAIN_TOKENS_H

#include "file/shards.h"

#include <stdbool.h>

/* A view; whoever made it keeps what it points at. Tokens are words of 2 or 4 bytes; with `masked`
 * the highest bit of a word says that the token is read but not learned. */
typedef struct qn_tokens {
    const uint8_t *words; /* NULL: in shards */
    const uint64_t *ends; /* [documents], from the first token of this run; NULL: not known */
    qn_shards *shards;
    uint64_t count, documents, ends_from;
    int word_bytes;
    bool masked;
    int32_t vocab;    /* larger ids are refused */
    const char *name; /* of where they come from, for messages */
} qn_tokens;

/* out[i] = token first + i, i < count: its id, or ~id where it is not learned. QN_BAD_DATA where an
 * id is outside the vocabulary. */
qn_status qn__tokens_read(const qn_tokens *tokens, uint64_t first, size_t count,
                          int32_t *out) QN_MUST_USE;
/* Where document d ends, from the first token of the run. */
static inline uint64_t qn__document_end(const qn_tokens *tokens, uint64_t d)
{
    return tokens->ends[d] - tokens->ends_from;
}
static inline int32_t qn__token_id(int32_t word)
{
    return word < 0 ? ~word : word;
}

#endif
