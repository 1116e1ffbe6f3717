/* What the tests of engine/file share: a growing byte buffer, a folder of their own, real data. */
#ifndef FILE_SUPPORT_H
#define FILE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <quernel/status.h>

#ifndef QN_TEST_DATA_DEFAULT
#define QN_TEST_DATA_DEFAULT "../shared/data"
#endif

typedef struct bytes {
    uint8_t *data;
    size_t count;
    size_t capacity;
} bytes;

static inline void put(bytes *to, const void *from, size_t count)
{
    if (to->count + count > to->capacity) {
        to->capacity = (to->count + count) * 2;
        to->data = realloc(to->data, to->capacity);
        assert_non_null(to->data);
    }
    if (count) memcpy(to->data + to->count, from, count);
    to->count += count;
}

static inline void put_u32(bytes *to, uint32_t value)
{
    put(to, &value, sizeof value);
}

static inline void put_u64(bytes *to, uint64_t value)
{
    put(to, &value, sizeof value);
}

static inline void put_zeros(bytes *to, size_t count)
{
    for (size_t i = 0; i < count; i++) put(to, "", 1);
}

static inline void put_text(bytes *to, const char *text)
{
    put(to, text, strlen(text));
}

/* A file of the real data, or NULL (and a line that says so) when it is not there. */
static inline const char *real_data(const char *name)
{
    static char path[4096];
    const char *folder = getenv("QN_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", folder && *folder ? folder : QN_TEST_DATA_DEFAULT, name);
    if (access(path, R_OK) == 0) return path;
    print_message("skipped: %s is not there; set QN_TEST_DATA\n", path);
    return NULL;
}

/* A fresh folder, removed with all its contents by `folder_drop`. */
static inline char *folder_make(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/qn-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

static inline void folder_drop(char *folder)
{
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    free(folder);
}

static inline char *path_in(const char *folder, const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char path[4096]; /* `folder` may be an earlier result */
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return memcpy(paths[next++ % 4], path, sizeof path);
}

static inline void file_write(const char *path, const void *data, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static inline bytes file_bytes(const char *path)
{
    bytes read = {0};
    uint8_t piece[65536];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;) put(&read, piece, got);
    fclose(file);
    return read;
}

/* QN_BAD_DATA, with a message that names the file and says `part`. */
#define assert_bad(call, file_name, part)                                                          \
    do {                                                                                           \
        qn_status status_ = (call);                                                                \
        if (status_ != QN_BAD_DATA)                                                                \
            fail_msg("%s gave %s (%s)", #call, qn_status_name(status_), qn_last_error());          \
        if (!strstr(qn_last_error(), (file_name)) || !strstr(qn_last_error(), (part)))             \
            fail_msg("message \"%s\" lacks \"%s\" or \"%s\"", qn_last_error(), file_name, part);   \
    } while (0)

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        qn_status status_ = (call);                                                                \
        if (status_ != QN_OK)                                                                      \
            fail_msg("%s gave %s: %s", #call, qn_status_name(status_), qn_last_error());           \
    } while (0)

#endif
