#include "file/writer.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 4 << 20 }; /* the most one system call is asked to write */

static int os_create(void *user, const char *path)
{
    (void)user;
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

static long os_write(void *user, int fd, const void *bytes, size_t count, uint64_t offset)
{
    (void)user;
    return pwrite(fd, bytes, count, (off_t)offset);
}

static int os_sync(void *user, int fd)
{
    (void)user;
    return fsync(fd);
}

static int os_close(void *user, int fd)
{
    (void)user;
    return close(fd);
}

static int os_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return rename(from, to);
}

static int os_make_folder(void *user, const char *path)
{
    (void)user;
    return mkdir(path, 0777);
}

static int os_remove_file(void *user, const char *path)
{
    (void)user;
    return unlink(path);
}

static int os_remove_folder(void *user, const char *path)
{
    (void)user;
    return rmdir(path);
}

static int os_sync_folder(void *user, const char *path)
{
    (void)user;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    /* Some file systems cannot fsync a folder and say EINVAL: then rename is all there is. */
    int result = fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static const qn_file_ops os_ops = {
    .create = os_create,           .write = os_write,
    .sync = os_sync,               .close = os_close,
    .rename = os_rename,           .make_folder = os_make_folder,
    .remove_file = os_remove_file, .remove_folder = os_remove_folder,
    .sync_folder = os_sync_folder,
};

static const qn_file_ops *ops_in_use = &os_ops;

const qn_file_ops *qn__file_ops(void)
{
    return ops_in_use;
}

void qn__file_ops_set(const qn_file_ops *ops)
{
    ops_in_use = ops ? ops : &os_ops;
}

struct qn_writer {
    const qn_file_ops *ops;
    int fd;
    char *path;
    char *temporary;
    uint64_t bytes;
    qn_hasher *hasher;
};

static qn_status cannot(const qn_writer *writer, const char *what)
{
    return qn__fail(QN_CANNOT_WRITE, "cannot write %s: %s: %s", writer->path, what,
                    strerror(errno));
}

qn_status qn__writer_create(const char *path, qn_writer **writer)
{
    *writer = NULL;
    qn_writer *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    size_t room = strlen(path) + 32;
    made->ops = ops_in_use;
    made->fd = -1;
    made->path = strdup(path);
    made->temporary = malloc(room);
    made->hasher = qn__hasher_create();
    if (!made->path || !made->temporary || !made->hasher) {
        if (made->temporary) made->temporary[0] = 0;
        qn__writer_destroy(&made);
        return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    }
    snprintf(made->temporary, room, "%s.tmp-%ld", path, (long)getpid());
    made->fd = made->ops->create(made->ops->user, made->temporary);
    if (made->fd < 0) {
        qn_status status = cannot(made, "open");
        made->temporary[0] = 0;
        qn__writer_destroy(&made);
        return status;
    }
    *writer = made;
    return QN_OK;
}

static qn_status write_at(qn_writer *writer, uint64_t offset, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    while (count > 0) {
        size_t piece = count < PIECE ? count : PIECE;
        long done = writer->ops->write(writer->ops->user, writer->fd, from, piece, offset);
        if (done < 0 && errno == EINTR) continue;
        if (done == 0) errno = ENOSPC;
        if (done <= 0) return cannot(writer, "write");
        from += done;
        offset += (uint64_t)done;
        count -= (size_t)done;
    }
    return QN_OK;
}

qn_status qn__writer_add(qn_writer *writer, const void *bytes, size_t count)
{
    if (count == 0) return QN_OK;
    QN_TRY(write_at(writer, writer->bytes, bytes, count));
    qn__hasher_add(writer->hasher, bytes, count);
    writer->bytes += count;
    return QN_OK;
}

qn_status qn__writer_patch(qn_writer *writer, uint64_t offset, const void *bytes, size_t count)
{
    QN_CHECK(offset <= writer->bytes && count <= writer->bytes - offset,
             "%s: bytes %llu to %llu were not written yet", writer->path,
             (unsigned long long)offset, (unsigned long long)(offset + count));
    return write_at(writer, offset, bytes, count);
}

uint64_t qn__writer_bytes(const qn_writer *writer)
{
    return writer->bytes;
}

uint64_t qn__writer_hash(const qn_writer *writer)
{
    return qn__hasher_value(writer->hasher);
}

const char *qn__writer_path(const qn_writer *writer)
{
    return writer->path;
}

/* An fsync that fails means lost pages: the file is given up, never synced again. */
static qn_status settle(qn_writer *writer)
{
    const qn_file_ops *ops = writer->ops;
    if (ops->sync(ops->user, writer->fd) != 0) return cannot(writer, "fsync");
    int fd = writer->fd;
    writer->fd = -1;
    if (ops->close(ops->user, fd) != 0) return cannot(writer, "close");
    if (ops->rename(ops->user, writer->temporary, writer->path) != 0)
        return cannot(writer, "rename");
    writer->temporary[0] = 0; /* nothing left to remove */
    char *copy = strdup(writer->path);
    if (!copy) return qn__fail(QN_OS_ERROR, "%s: out of memory", writer->path);
    int result = ops->sync_folder(ops->user, dirname(copy));
    free(copy);
    return result == 0 ? QN_OK : cannot(writer, "fsync of the folder");
}

qn_status qn__writer_finish(qn_writer **writer)
{
    qn_status status = settle(*writer);
    qn__writer_destroy(writer);
    return status;
}

void qn__writer_destroy(qn_writer **writer)
{
    qn_writer *old = *writer;
    if (!old) return;
    if (old->fd >= 0) old->ops->close(old->ops->user, old->fd);
    if (old->temporary && old->temporary[0])
        old->ops->remove_file(old->ops->user, old->temporary);
    qn__hasher_destroy(&old->hasher);
    free(old->temporary);
    free(old->path);
    free(old);
    *writer = NULL;
}

qn_status qn__write_file(const char *path, const void *bytes, size_t count)
{
    qn_writer *writer;
    QN_TRY(qn__writer_create(path, &writer));
    qn_status status = qn__writer_add(writer, bytes, count);
    if (status == QN_OK) return qn__writer_finish(&writer);
    qn__writer_destroy(&writer);
    return status;
}
