/* Token shards: llm.c's .bin files, 16 bits a token (GPT-2) or 32 (Llama 3), as one long stream.
 *
 * A header of 256 int32: 20240520, 1, tokens (16 bits) or 20240801, 7, tokens (32 bits); then the
 * tokens, and nothing after them. */
#ifndef QN_FILE_SHARDS_H
#define QN_FILE_SHARDS_H

#include <quernel/status.h>
#include <stddef.h>
#include <stdint.h>

typedef enum qn_shard_kind { QN_SHARD_U16, QN_SHARD_U32 } qn_shard_kind;

typedef struct qn_shards qn_shards;

/* Open every file that matches a pattern ("data/train_*.bin"), in the order of their names' bytes.
 * All must be of one kind. Opening maps; it does not read the tokens. */
qn_status qn__shards_open(const char *pattern, qn_shards **shards) QN_MUST_USE;
void qn__shards_close(qn_shards **shards);

size_t qn__shards_files(const qn_shards *shards);
qn_shard_kind qn__shards_kind(const qn_shards *shards);
/* Tokens in all. */
uint64_t qn__shards_tokens(const qn_shards *shards);
/* out[i] = token first + i, i < count, across files. May be called from many threads. */
qn_status qn__shards_read(const qn_shards *shards, uint64_t first, size_t count,
                          int32_t *out) QN_MUST_USE;

/* Write a shard, in pieces. It appears under its name, whole, at _finish. */
typedef struct qn_shard_writer qn_shard_writer;
qn_status qn__shard_writer_create(const char *path, qn_shard_kind kind,
                                  qn_shard_writer **writer) QN_MUST_USE;
qn_status qn__shard_writer_add(qn_shard_writer *writer, const int32_t *tokens,
                               size_t count) QN_MUST_USE;
/* Destroys the writer, also on failure. */
qn_status qn__shard_writer_finish(qn_shard_writer **writer) QN_MUST_USE;
void qn__shard_writer_destroy(qn_shard_writer **writer);

#endif
