/* Whole files in, whole files out. */
#include "shell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool qn__is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

int qn__read_stream(FILE *file, const char *name, char **data, size_t *bytes)
{
    size_t room = 1 << 16, used = 0;
    char *text = malloc(room);
    while (text) {
        used += fread(text + used, 1, room - 1 - used, file);
        if (used < room - 1) break;
        char *more = room < SIZE_MAX / 2 ? realloc(text, room * 2) : NULL;
        if (!more) {
            free(text);
            text = NULL;
        } else {
            text = more;
            room *= 2;
        }
    }
    *data = NULL;
    *bytes = 0;
    if (!text) return qn__say_error(QN_EXIT_OS, "%s: out of memory after %zu bytes", name, used);
    if (ferror(file)) {
        int code = qn__say_error(QN_EXIT_OS, "%s: cannot read: %s", name, strerror(errno));
        free(text);
        return code;
    }
    text[used] = 0;
    *data = text;
    *bytes = used;
    return QN_GO_ON;
}

int qn__read_file(const char *path, char **data, size_t *bytes)
{
    *data = NULL;
    *bytes = 0;
    FILE *file = fopen(path, "rb");
    if (!file) return qn__say_error(QN_EXIT_OS, "%s: cannot open: %s", path, strerror(errno));
    int code = qn__read_stream(file, path, data, bytes);
    fclose(file);
    return code;
}

int qn__write_file(const char *path, const char *data, size_t bytes)
{
    size_t length = strlen(path) + 32;
    char *temporary = malloc(length);
    if (!temporary) return qn__say_error(QN_EXIT_OS, "out of memory");
    snprintf(temporary, length, "%s.tmp-%ld", path, (long)getpid()); /* as the library: swept */
    FILE *file = fopen(temporary, "wb");
    bool good = file && fwrite(data, 1, bytes, file) == bytes;
    if (file && fflush(file) != 0) good = false;
    if (file && good && fsync(fileno(file)) != 0) good = false;
    int problem = errno;
    if (file && fclose(file) != 0 && good) {
        problem = errno;
        good = false;
    }
    if (good && rename(temporary, path) != 0) {
        problem = errno;
        good = false;
    }
    if (!good && file) unlink(temporary);
    free(temporary);
    return good ? QN_GO_ON
                : qn__say_error(QN_EXIT_WRITE, "%s: cannot write: %s", path, strerror(problem));
}
