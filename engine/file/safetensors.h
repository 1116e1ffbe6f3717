/* safetensors: reading through a memory map, and writing as a stream.
 *
 * A file is a u64 header length, a JSON header, and one buffer without holes. Everything the header
 * says is checked when the file is opened; tensors come out in the order of their bytes. */
#ifndef QN_FILE_SAFETENSORS_H
#define QN_FILE_SAFETENSORS_H

#include "file/range.h"

#include <jansson.h>

typedef struct qn_safetensors qn_safetensors;

/* QN_BAD_DATA with the file's name and the offending value if the file is not what it says. */
qn_status qn__safetensors_open(const char *path, qn_safetensors **file) QN_MUST_USE;
/* The same over bytes the caller keeps alive; `origin` stands for the file name in messages. */
qn_status qn__safetensors_parse(const void *bytes, size_t count, const char *origin,
                                qn_safetensors **file) QN_MUST_USE;
void qn__safetensors_close(qn_safetensors **file);

/* Do these bytes (the first of a file of `total`) look like a safetensors header? */
bool qn__safetensors_looks_like(const void *bytes, size_t count, uint64_t total);

const char *qn__safetensors_path(const qn_safetensors *file);
size_t qn__safetensors_count(const qn_safetensors *file);
const qn_range *qn__safetensors_at(const qn_safetensors *file, size_t i);
/* By name; NULL when absent. */
const qn_range *qn__safetensors_find(const qn_safetensors *file, const char *name);
/* A string of __metadata__; NULL when absent. */
const char *qn__safetensors_meta(const qn_safetensors *file, const char *key);

/* All of __metadata__; NULL where there is none. */
const json_t *qn__safetensors_metadata(const qn_safetensors *file);
/* Of the file. */
uint64_t qn__safetensors_bytes(const qn_safetensors *file);

/* Writing: declare every tensor, then write the bytes of each, in the order declared, in pieces of
 * any size. The file appears under its name, whole, at _finish; before that, and after any failure,
 * there is nothing to see. After a failed call only _destroy is allowed.
 *
 *   QN_TRY(qn__safetensors_writer_create(path, &writer));
 *   QN_TRY_GOTO(status, done, qn__safetensors_writer_declare(writer, "w", QN_F32, &shape));
 *   QN_TRY_GOTO(status, done, qn__safetensors_writer_add(writer, "w", values, bytes));
 *   QN_TRY_GOTO(status, done, qn__safetensors_writer_finish(&writer));
 * done:
 *   qn__safetensors_writer_destroy(&writer);                                                   */
typedef struct qn_safetensors_writer qn_safetensors_writer;

qn_status qn__safetensors_writer_create(const char *path,
                                        qn_safetensors_writer **writer) QN_MUST_USE;
qn_status qn__safetensors_writer_meta(qn_safetensors_writer *writer, const char *key,
                                      const char *value) QN_MUST_USE;
qn_status qn__safetensors_writer_declare(qn_safetensors_writer *writer, const char *name,
                                         qn_dtype dtype, const qn_shape *shape) QN_MUST_USE;
qn_status qn__safetensors_writer_add(qn_safetensors_writer *writer, const char *name,
                                     const void *bytes, size_t count) QN_MUST_USE;
/* {"name", "bytes", "hash", "tensors": {name: hash}} of a file whose every tensor was added. The
 * caller owns *record. */
qn_status qn__safetensors_writer_record(qn_safetensors_writer *writer,
                                        json_t **record) QN_MUST_USE;
/* Destroys the writer, also on failure. */
qn_status qn__safetensors_writer_finish(qn_safetensors_writer **writer) QN_MUST_USE;
void qn__safetensors_writer_destroy(qn_safetensors_writer **writer);

/* safetensors' name for one of our dtypes: "BF16". */
const char *qn__safetensors_dtype_name(qn_dtype dtype);

#endif
