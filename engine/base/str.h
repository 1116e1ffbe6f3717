/* A growing text; a failed allocation makes it sticky-bad and is reported once, at the end. */
#ifndef QN_BASE_STR_H
#define QN_BASE_STR_H

#include <quernel/export.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct qn_str {
    char *data; /* NUL-terminated once anything was added; owned */
    size_t length;
    size_t capacity;
    bool failed;
} qn_str;

void qn__str_add(qn_str *str, const char *format, ...) QN_PRINTF(2, 3);
void qn__str_add_bytes(qn_str *str, const void *bytes, size_t count);
/* Never NULL: "" when empty or failed. */
const char *qn__str_text(const qn_str *str);
void qn__str_free(qn_str *str);

#endif
