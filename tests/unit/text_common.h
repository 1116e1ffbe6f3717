/* What the tokenizer tests share: where the data is, whole files, random bytes, a round trip. */
#ifndef TESTS_UNIT_TEXT_COMMON_H
#define TESTS_UNIT_TEXT_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/rng.h"
#include <quernel/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef QN_TEST_DATA_DEFAULT
#define QN_TEST_DATA_DEFAULT "../shared/data"
#endif

#define ASSERT_OK(call)                                                                            \
    do {                                                                                           \
        qn_status test_status = (call);                                                            \
        if (test_status != QN_OK)                                                                  \
            fail_msg("%s: %s: %s", #call, qn_status_name(test_status), qn_last_error());           \
    } while (0)

/* Path of a data file, in a buffer that the next call reuses; skips the test if it is missing. */
static inline const char *data_path(const char *name)
{
    static char path[4096];
    const char *folder = getenv("QN_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : QN_TEST_DATA_DEFAULT, name);
    if (access(path, R_OK) != 0) {
        print_message("%s is missing (set QN_TEST_DATA); skipped\n", path);
        skip();
    }
    return path;
}

static inline char *data_read(const char *name, size_t *bytes)
{
    char *text = NULL;
    ASSERT_OK(qn__file_read(data_path(name), &text, bytes));
    return text;
}

/* A path for a scratch file of this process. */
static inline const char *scratch_path(const char *name)
{
    static char path[4096];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/quernel-text-%ld-%s", folder ? folder : "/tmp", (long)getpid(),
             name);
    return path;
}

static inline void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* Random texts in three moods: any bytes, ASCII, and a mixture with multi-byte characters. */
static inline void random_text(qn_rng *rng, char *text, size_t bytes)
{
    static const char *const bits[] = {" ",  "  ", "\n", "a",  "the", "\xC3\xA9", "\xE2\x96\x81",
                                       "7",  "'s", "\t", "ing", ".",  "\xF0\x9F\x98\x81", "Z"};
    uint64_t mood = qn__rng_below(rng, 3);
    for (size_t i = 0; i < bytes;) {
        if (mood < 2) {
            text[i++] = (char)(mood ? 32 + qn__rng_below(rng, 95) : qn__rng_below(rng, 256));
            continue;
        }
        const char *bit = bits[qn__rng_below(rng, sizeof bits / sizeof bits[0])];
        size_t length = strlen(bit) < bytes - i ? strlen(bit) : bytes - i;
        memcpy(text + i, bit, length);
        i += length;
    }
}

static inline void assert_round_trip(const qn_tokenizer *t, const char *text, size_t bytes)
{
    int32_t *ids;
    size_t count, again_bytes;
    char *again;
    ASSERT_OK(qn_tokenizer_encode(t, text, bytes, 0, &ids, &count));
    ASSERT_OK(qn_tokenizer_decode(t, ids, count, &again, &again_bytes));
    assert_int_equal(again_bytes, bytes);
    assert_memory_equal(again, text, bytes);
    free(ids);
    free(again);
}

static inline double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

#endif
