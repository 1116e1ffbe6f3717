/* Tokens of a data set as made once: in a file of the cache, read by memory map, or in memory where
 * there is no cache.
 *
 * The file: a header of 16 little-endian u64, the tokens as words of 2 or 4 bytes (the highest bit,
 * if the header says "masked": read, not learned), zeros to a multiple of 8, the ends of the
 * documents as u64. */
#ifndef QN_TRAIN_TOKEN_FILE_H
#define QN_TRAIN_TOKEN_FILE_H

#include "base/fs.h"
#include "train/tokens.h"

#define QN_TOKEN_MAGIC UINT64_C(0x736E656B6F746E71) /* "qntokens" */
enum { QN_TOKEN_VERSION = 1 };

typedef struct qn_token_head {
    uint64_t magic, version;
    uint64_t key; /* of what the tokens were made from, and how */
    uint64_t vocab, word_bytes, masked;
    uint64_t tokens, documents;
    uint64_t val_token, val_document; /* what follows is for validation; = tokens: nothing */
    uint64_t learned;                 /* tokens that are */
    uint64_t text_bytes;              /* they were made from */
    uint64_t empty;                   /* documents left out: without a text */
    uint64_t body_hash, unused;       /* XXH3 of all after the header */
    uint64_t head_hash;               /* of the fields above */
} qn_token_head;

typedef struct qn_token_file {
    qn_token_head head;
    const uint8_t *words;
    const uint64_t *ends; /* [documents], from the first token on */
    qn_map map;
    uint8_t *owned; /* instead of a map: words; and ends */
    uint64_t *owned_ends;
} qn_token_file;

typedef bool (*qn_token_progress_fn)(void *user, int64_t done, int64_t total);

/* Sizes, the header's hash and the order of the ends are checked, and the hash of the rest, which
 * reads all of it. QN_BAD_DATA: not a token file, damaged, or made for another key; QN_OS_ERROR:
 * not there. progress may be NULL; false stops. */
qn_status qn__token_file_open(const char *path, uint64_t key, qn_token_progress_fn progress,
                              void *user, qn_token_file *file) QN_MUST_USE;
/* One that this process has just written: its hash is not checked again. */
qn_status qn__token_file_open_own(const char *path, uint64_t key, qn_token_file *file) QN_MUST_USE;
void qn__token_file_close(qn_token_file *file);

/* Making one, in a file or (path NULL) in memory. masked: may some tokens be read only? */
typedef struct qn_token_sink qn_token_sink;
qn_status qn__token_sink_create(const char *path, uint64_t key, int32_t vocab, bool masked,
                                qn_token_sink **sink) QN_MUST_USE;
/* learned [count] may be NULL: all are. Ids are in [0, vocab). */
qn_status qn__token_sink_add(qn_token_sink *sink, const int32_t *ids, const uint8_t *learned,
                             size_t count) QN_MUST_USE;
/* End the document, if it has a token. */
qn_status qn__token_sink_end_document(qn_token_sink *sink) QN_MUST_USE;
uint64_t qn__token_sink_tokens(const qn_token_sink *sink);
/* Tokens of the document not yet ended. */
uint64_t qn__token_sink_open_tokens(const qn_token_sink *sink);
/* What follows is for validation. */
void qn__token_sink_begin_val(qn_token_sink *sink);
/* Renames the file into place and opens it, or hands the memory over; destroys the sink, also on
 * failure. */
qn_status qn__token_sink_finish(qn_token_sink **sink, uint64_t text_bytes, uint64_t empty,
                                qn_token_file *file) QN_MUST_USE;
void qn__token_sink_destroy(qn_token_sink **sink);

#endif
