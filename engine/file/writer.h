/* Writing files so that a crash, a full disk or a failing one never leaves half a file under its
 * name. Everything this layer writes goes through here, and every system call through one table
 * that a test can replace to simulate crashes. */
#ifndef QN_FILE_WRITER_H
#define QN_FILE_WRITER_H

#include <quernel/status.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns what the system call of that name does: -1 (or a short count) with errno on failure.
 * sync_folder makes renames and new names in a folder last. */
typedef struct qn_file_ops {
    void *user;
    int (*create)(void *user, const char *path); /* write-only, truncated; a descriptor */
    long (*write)(void *user, int fd, const void *bytes, size_t count, uint64_t offset);
    int (*sync)(void *user, int fd);
    int (*close)(void *user, int fd);
    int (*rename)(void *user, const char *from, const char *to);
    int (*make_folder)(void *user, const char *path);
    int (*remove_file)(void *user, const char *path);
    int (*remove_folder)(void *user, const char *path);
    int (*sync_folder)(void *user, const char *path);
} qn_file_ops;

/* The table in use; the system's own unless a test has set another (NULL restores it). Set it only
 * while nothing is being written. */
const qn_file_ops *qn__file_ops(void);
void qn__file_ops_set(const qn_file_ops *ops);

typedef struct qn_writer qn_writer;

/* Begin writing `path`, under a temporary name in the same folder. */
qn_status qn__writer_create(const char *path, qn_writer **writer) QN_MUST_USE;
/* Append. After a failure only _destroy is allowed. */
qn_status qn__writer_add(qn_writer *writer, const void *bytes, size_t count) QN_MUST_USE;
/* Write over bytes added before (a header whose counts were not known). Such a file's hash is not
 * kept. */
qn_status qn__writer_patch(qn_writer *writer, uint64_t offset, const void *bytes,
                           size_t count) QN_MUST_USE;
uint64_t qn__writer_bytes(const qn_writer *writer);
/* qn__hash of all bytes added so far. */
uint64_t qn__writer_hash(const qn_writer *writer);
const char *qn__writer_path(const qn_writer *writer);

/* fsync, rename to the real name, fsync the folder, destroy. On failure the temporary file is gone
 * and the writer is destroyed too; what lies under the name is whole (the older file, or the new
 * one when only the last step failed). */
qn_status qn__writer_finish(qn_writer **writer) QN_MUST_USE;
/* Give up: the temporary file is removed. */
void qn__writer_destroy(qn_writer **writer);

/* Write a whole file this way. */
qn_status qn__write_file(const char *path, const void *bytes, size_t count) QN_MUST_USE;

#endif
