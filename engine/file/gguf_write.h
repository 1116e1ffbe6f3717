/* Writing GGUF version 3: metadata first, then tensors, streamed in the order they were declared.
 *
 *   QN_TRY(qn__gguf_writer_create("model.gguf", 0, &writer));
 *   QN_TRY_GOTO(status, done, qn__gguf_writer_text(writer, "general.architecture", "llama"));
 *   QN_TRY_GOTO(status, done, qn__gguf_writer_tensor(writer, "w", QN_GGML_Q8_0, 2, ne));
 *   QN_TRY_GOTO(status, done, qn__gguf_writer_add(writer, "w", blocks, bytes));
 *   QN_TRY_GOTO(status, done, qn__gguf_writer_finish(&writer));
 * done:
 *   qn__gguf_writer_destroy(&writer);
 *
 * All metadata and all tensors are declared before the first byte of a tensor is added; sizes,
 * offsets and padding follow. The file appears under its name, whole, at _finish; before that, and
 * after any failure, there is nothing to see. After a failed call only _destroy is allowed. What a
 * reader would refuse (a key twice, a name of 64 bytes, rows that are no whole blocks) is
 * QN_BAD_ARGUMENT. */
#ifndef QN_FILE_GGUF_WRITE_H
#define QN_FILE_GGUF_WRITE_H

#include "file/gguf.h"

typedef struct qn_gguf_writer qn_gguf_writer;

/* shard_bytes > 0: tensors are cut into files "model-00001-of-00003.gguf" of at most so many bytes
 * of tensors each (or one tensor that is larger), where one file does not hold them all. The first
 * has the metadata and appears last. */
qn_status qn__gguf_writer_create(const char *path, uint64_t shard_bytes,
                                 qn_gguf_writer **writer) QN_MUST_USE;

/* Metadata, in the order of the calls. general.alignment (u32) is obeyed as well as written; the
 * keys "split.*" are the writer's own. */
qn_status qn__gguf_writer_u32(qn_gguf_writer *writer, const char *key, uint32_t value) QN_MUST_USE;
qn_status qn__gguf_writer_f32(qn_gguf_writer *writer, const char *key, float value) QN_MUST_USE;
qn_status qn__gguf_writer_bool(qn_gguf_writer *writer, const char *key, bool value) QN_MUST_USE;
qn_status qn__gguf_writer_string(qn_gguf_writer *writer, const char *key, const void *text,
                                 size_t bytes) QN_MUST_USE;
/* The same of a C string. */
qn_status qn__gguf_writer_text(qn_gguf_writer *writer, const char *key,
                               const char *text) QN_MUST_USE;
/* An array of numbers or bools, packed and little-endian as a host has them. */
qn_status qn__gguf_writer_array(qn_gguf_writer *writer, const char *key, qn_gguf_type element,
                                const void *elements, uint64_t count) QN_MUST_USE;
/* An array of `count` strings; then exactly so many calls of _element. */
qn_status qn__gguf_writer_strings(qn_gguf_writer *writer, const char *key,
                                  uint64_t count) QN_MUST_USE;
qn_status qn__gguf_writer_element(qn_gguf_writer *writer, const void *text,
                                  size_t bytes) QN_MUST_USE;
/* An entry of another file, as it is; "split.*" entries are left out. */
qn_status qn__gguf_writer_copy(qn_gguf_writer *writer, const qn_gguf_value *value) QN_MUST_USE;

/* Declare a tensor: ne[0] is contiguous, rank in [0, QN_GGUF_RANK]. */
qn_status qn__gguf_writer_tensor(qn_gguf_writer *writer, const char *name, qn_ggml_type type,
                                 int rank, const int64_t *ne) QN_MUST_USE;
/* Append bytes of a tensor, in pieces of any size; tensors in the order declared. */
qn_status qn__gguf_writer_add(qn_gguf_writer *writer, const char *name, const void *bytes,
                              size_t count) QN_MUST_USE;

/* Every tensor must be complete. Destroys the writer, also on failure. */
qn_status qn__gguf_writer_finish(qn_gguf_writer **writer) QN_MUST_USE;
void qn__gguf_writer_destroy(qn_gguf_writer **writer);

/* "model-00002-of-00003.gguf" of "model.gguf", index from 0. The caller frees; NULL: no memory. */
char *qn__gguf_shard_path(const char *path, int index, int count);

/* The type of a file with our dtype, QN_GGML_TYPE_COUNT where there is none. */
qn_ggml_type qn__ggml_type_of(qn_dtype dtype);

#endif
