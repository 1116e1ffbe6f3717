#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(qn_str *str, size_t more)
{
    if (str->failed) return false;
    if (more > (size_t)-1 / 4 - str->length) {
        str->failed = true;
        return false;
    }
    size_t need = str->length + more + 1;
    if (need <= str->capacity) return true;
    size_t capacity = str->capacity ? str->capacity : 64;
    while (capacity < need) capacity *= 2;
    char *data = realloc(str->data, capacity);
    if (!data) {
        str->failed = true;
        return false;
    }
    str->data = data;
    str->capacity = capacity;
    return true;
}

void qn__str_add_bytes(qn_str *str, const void *bytes, size_t count)
{
    if (!reserve(str, count)) return;
    if (count) memcpy(str->data + str->length, bytes, count);
    str->length += count;
    str->data[str->length] = 0;
}

void qn__str_add(qn_str *str, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int count = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (count < 0) {
        str->failed = true;
    } else if (reserve(str, (size_t)count)) {
        vsnprintf(str->data + str->length, (size_t)count + 1, format, again);
        str->length += (size_t)count;
    }
    va_end(again);
}

const char *qn__str_text(const qn_str *str)
{
    return str->data && !str->failed ? str->data : "";
}

void qn__str_free(qn_str *str)
{
    free(str->data);
    *str = (qn_str){0};
}
