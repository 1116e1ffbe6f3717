/* What a tokenizer is inside: a vocabulary, a way to cut text, and an order of merging. */
#ifndef QN_TEXT_TOKENIZER_H
#define QN_TEXT_TOKENIZER_H

#include "text/fold.h"
#include "text/merge.h"
#include "text/split.h"
#include "text/vocab.h"

#include <quernel/text.h>

/* Which parts of a text get a space put before them. */
typedef enum qn__prefix {
    QN__PREFIX_NONE,
    QN__PREFIX_FIRST, /* the part at the start of the text */
    QN__PREFIX_EACH   /* also each part after a special token */
} qn__prefix;

enum { QN__LONGEST_WORD = 100 }; /* BERT's */

/* Pieces are kept with spaces as spaces, not as U+2581, and byte tokens as their byte; of words,
 * tokens that begin one are kept with a space before them, and "##ing" as "ing". */
struct qn__chat_family;

struct qn_tokenizer {
    qn_tokenizer_kind kind;
    qn__vocab vocab;
    qn__index normal;  /* what merging can produce */
    qn__index special; /* user-defined and control tokens, found in text by their bytes */
    qn__merges merges; /* by rank; unused if by_score */
    qn__splitter splitter;
    int32_t byte_id[256]; /* the token of a single byte, or -1 */
    int32_t bos, eos, unknown; /* -1: none */

    uint32_t *special_length; /* the different lengths of special tokens, longest first */
    size_t special_lengths;
    bool special_first[256]; /* can a special token begin with this byte? */

    qn__prefix prefix;
    bool prefix_only_if_needed; /* not if a space is there already */
    bool drops_space; /* decoding leaves out a space at the start of the text */
    bool wants_bos;
    bool ignores_merges; /* a piece of text that is a token is taken as it is */
    bool by_score;       /* pieces: any two that make a token join, the best score first */
    bool marks_spaces;   /* pieces: U+2581 in a text means a space */
    bool cuts_at_spaces; /* pieces: no token has a space after another character */

    const struct qn__chat_family *chat; /* of the template in the file; NULL: none known */

    unsigned fold;         /* words: QN__FOLD_... */
    uint32_t longest;      /* words: bytes of the longest token */
    uint32_t longest_word; /* words: a word of more characters is unknown */
};

qn_status qn__tokenizer_create(qn_tokenizer_kind kind, qn_tokenizer **tokenizer) QN_MUST_USE;

/* Build the indexes from the vocabulary, once it is complete; then merges may be added. */
qn_status qn__tokenizer_index(qn_tokenizer *tokenizer) QN_MUST_USE;

/* Merge `left` and `right` (bytes of tokens) with this rank. A pair whose parts or whole are not
 * tokens is left out, and *missing counts it. */
qn_status qn__tokenizer_add_merge(qn_tokenizer *tokenizer, const void *left, size_t left_bytes,
                                  const void *right, size_t right_bytes, uint32_t rank,
                                  size_t *missing) QN_MUST_USE;

/* Mark the tokens that end a generation: EOS and the well-known names of turn ends. */
void qn__tokenizer_mark_ends(qn_tokenizer *tokenizer);

/* A file's token: for byte-level vocabularies characters that stand for bytes, for pieces and words
 * U+2581 that stands for a space. out has room for `bytes`; returns the length. */
size_t qn__token_from_file(qn_tokenizer_kind kind, const char *text, size_t bytes, uint8_t *out);
/* WordPiece, longest match first, of one word with a space before it; all of it is the unknown
 * token if a part of it is in no token. */
qn_status qn__word_match(const qn_tokenizer *tokenizer, const uint8_t *text, size_t bytes,
                         qn__ids *ids) QN_MUST_USE;
/* "<0xNN>" gives NN, anything else -1. */
int qn__token_byte(const char *text, size_t bytes);

/* XXH3 of all that decides which tokens a text becomes; 0: out of memory. */
uint64_t qn__tokenizer_hash(const qn_tokenizer *tokenizer);

/* One format each. */
qn_status qn__tokenizer_load_gguf(const char *path, qn_tokenizer **tokenizer) QN_MUST_USE;
qn_status qn__tokenizer_load_hf(const char *path, qn_tokenizer **tokenizer) QN_MUST_USE;
struct qn_gguf;
qn_status qn__tokenizer_from_gguf(const struct qn_gguf *gguf, qn_tokenizer **tokenizer) QN_MUST_USE;
qn_status qn__tokenizer_load_llama2c(const char *path, qn_tokenizer **tokenizer) QN_MUST_USE;

#endif
