#include "base/fs.h"

#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static qn_status open_for_reading(const char *path, int *fd, size_t *bytes)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return qn__fail(QN_OS_ERROR, "cannot open %s: %s", path, strerror(errno));
    if (fstat(*fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(*fd);
        return qn__fail(QN_OS_ERROR, "%s is not a regular file", path);
    }
    *bytes = (size_t)info.st_size;
    return QN_OK;
}

qn_status qn__file_read(const char *path, char **text, size_t *bytes)
{
    int fd;
    size_t size, got = 0;
    *text = NULL;
    *bytes = 0;
    QN_TRY(open_for_reading(path, &fd, &size));
    char *data = malloc(size + 1);
    if (!data) {
        close(fd);
        return qn__fail(QN_OS_ERROR, "%s: no memory for %zu bytes", path, size);
    }
    while (got < size) {
        ssize_t count = read(fd, data + got, size - got);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        got += (size_t)count;
    }
    close(fd);
    if (got < size) {
        free(data);
        return qn__fail(QN_OS_ERROR, "%s: read %zu of %zu bytes: %s", path, got, size,
                        strerror(errno));
    }
    data[size] = 0;
    *text = data;
    *bytes = size;
    return QN_OK;
}

static bool write_all(int fd, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t done = write(fd, at, count);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        at += done;
        count -= (size_t)done;
    }
    return true;
}

qn_status qn__file_replace(const char *path, const void *bytes, size_t count)
{
    size_t length = strlen(path) + 32;
    char *temporary = malloc(length);
    if (!temporary) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    snprintf(temporary, length, "%s.tmp-%ld", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool good = fd >= 0 && write_all(fd, bytes, count) && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        error = errno;
        good = false;
    }
    if (good && rename(temporary, path) != 0) {
        error = errno;
        good = false;
    }
    if (!good && fd >= 0) unlink(temporary);
    free(temporary);
    if (!good) return qn__fail(QN_CANNOT_WRITE, "cannot write %s: %s", path, strerror(error));
    char *copy = strdup(path);
    if (!copy) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    qn_status status = qn__sync_folder(dirname(copy));
    free(copy);
    return status;
}

/* The process that was writing "name.tmp-123"; 0: no such name. */
static pid_t writer_of(const char *name)
{
    const char *at = strrchr(name, '.');
    if (!at || at == name || strncmp(at, ".tmp-", 5) != 0 || strlen(at) > 5 + 9) return 0;
    pid_t process = 0;
    for (at += 5; *at >= '0' && *at <= '9'; at++) process = process * 10 + (*at - '0');
    return *at == 0 ? process : 0;
}

void qn__folder_sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        pid_t process = writer_of(entry->d_name);
        bool lives =
            process > 0 && process != getpid() && (kill(process, 0) == 0 || errno == EPERM);
        if (process > 0 && !lives) unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

qn_status qn__map_open(const char *path, qn_map *map)
{
    int fd;
    *map = (qn_map){0};
    QN_TRY(open_for_reading(path, &fd, &map->bytes));
    if (map->bytes > 0) {
        void *data = mmap(NULL, map->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            int error = errno;
            close(fd);
            *map = (qn_map){0};
            return qn__fail(QN_OS_ERROR, "cannot map %s: %s", path, strerror(error));
        }
        map->data = data;
    }
    close(fd);
    map->path = strdup(path);
    if (!map->path) {
        qn__map_close(map);
        return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    }
    return QN_OK;
}

void qn__map_release(const void *data, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)data + bytes) / page * page;
    if (from < to) (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

void qn__map_close(qn_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->bytes);
    free(map->path);
    *map = (qn_map){0};
}

static mode_t mode_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_mode : 0;
}

bool qn__is_folder(const char *path)
{
    return S_ISDIR(mode_of(path));
}

bool qn__is_file(const char *path)
{
    return S_ISREG(mode_of(path));
}

/* A folder that was just made must last, or a power cut takes it with all it holds. Some file
 * systems cannot: then making it is all there is. */
static void sync_parent(const char *path)
{
    char *copy = strdup(path);
    int error = errno;
    if (copy) (void)!qn__sync_folder(dirname(copy));
    free(copy);
    errno = error;
}

qn_status qn__make_folders(const char *path)
{
    char *copy = strdup(path);
    if (!copy) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    bool good = true;
    for (char *at = copy + 1; good; at++) {
        if (*at != '/' && *at != 0) continue;
        char saved = *at;
        *at = 0;
        bool made = mkdir(copy, 0777) == 0;
        good = made || errno == EEXIST;
        if (made) sync_parent(copy);
        *at = saved;
        if (saved == 0) break;
    }
    int error = errno;
    free(copy);
    if (!good || !qn__is_folder(path))
        return qn__fail(QN_CANNOT_WRITE, "cannot make folder %s: %s", path,
                        good ? "a file of that name is there" : strerror(error));
    return QN_OK;
}

qn_status qn__sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return qn__fail(QN_OS_ERROR, "cannot open %s: %s", folder, strerror(errno));
    /* Some file systems cannot fsync a folder and say EINVAL: then rename is all there is. */
    bool good = fsync(fd) == 0 || errno == EINVAL;
    int error = errno;
    close(fd);
    if (!good) return qn__fail(QN_CANNOT_WRITE, "cannot sync %s: %s", folder, strerror(error));
    return QN_OK;
}

char *qn__path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder) + strlen(name) + 2;
    char *path = malloc(length);
    if (path) snprintf(path, length, "%s/%s", folder, name);
    return path;
}

qn_status qn__cache_folder(char **path)
{
    const char *own = getenv("QN_CACHE_DIR");
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char text[4096];
    if (own && *own) snprintf(text, sizeof text, "%s", own);
    else if (xdg && *xdg) snprintf(text, sizeof text, "%s/quernel", xdg);
    else if (home && *home) snprintf(text, sizeof text, "%s/.cache/quernel", home);
    else snprintf(text, sizeof text, "/tmp/quernel-%ld", (long)getuid());
    *path = NULL;
    QN_TRY(qn__make_folders(text));
    *path = strdup(text);
    return *path ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

char *qn__cache_path(const char *format, ...)
{
    char *cache, name[128];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if (qn__cache_folder(&cache) != QN_OK) return NULL;
    char *path = qn__path_join(cache, name);
    free(cache);
    char *copy = path ? strdup(path) : NULL;
    bool good = copy && qn__make_folders(dirname(copy)) == QN_OK;
    free(copy);
    if (good) return path;
    free(path);
    return NULL;
}
