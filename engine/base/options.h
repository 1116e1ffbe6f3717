/* Tables of options: the fields of a struct by key, with type, default, bounds and help, each a row
 * QN_OPTION(key, type, default, low, high, help) of a .def file. Flags, JSON keys, help and the
 * saved configuration follow from the rows. */
#ifndef QN_BASE_OPTIONS_H
#define QN_BASE_OPTIONS_H

#include "base/json.h"

#include <quernel/option.h>
#include <stddef.h>

/* INT: int64_t, FLOAT: double, TEXT: a pointer to characters, FLAG: bool. */
typedef enum qn_option_type {
    QN_OPTION_INT,
    QN_OPTION_FLOAT,
    QN_OPTION_TEXT,
    QN_OPTION_FLAG
} qn_option_type;

typedef struct qn_option_row {
    const char *key;
    qn_option_type type;
    size_t offset; /* of the field in its struct */
    const char *fallback;
    double low, high; /* of numbers */
    const char *help;
} qn_option_row;

typedef struct qn_option_table {
    const qn_option_row *rows;
    int count;
    bool owns_text;      /* texts are copies, and valid UTF-8; else they are borrowed */
    const char *command; /* whose --help lists the keys */
} qn_option_table;

/* A row of a table of `options`' fields; for QN_OPTION to expand to. */
#define QN_OPTION_ROW(options, key, type, fallback, low, high, help)                               \
    {#key, QN_OPTION_##type, offsetof(options, key), fallback, low, high, help},

/* The i-th row as the public interface has it; NULL past the last. The thread's own, until the next
 * call. */
const qn_option_info *qn__option_info(const qn_option_table *table, int i);

/* From text. QN_BAD_ARGUMENT names the key, the value and what is allowed. */
qn_status qn__options_set(const qn_option_table *table, void *options, const char *key,
                          const char *value) QN_MUST_USE;
/* Every field to its default; what is there before must be zero or of this table. */
qn_status qn__options_defaults(const qn_option_table *table, void *options) QN_MUST_USE;
/* Are the numbers within their bounds? For structs that are written without qn__options_set. */
qn_status qn__options_check(const qn_option_table *table, const void *options) QN_MUST_USE;
/* Texts that are owned; not the struct. */
void qn__options_free_texts(const qn_option_table *table, void *options);

/* A new reference; NULL: out of memory. */
json_t *qn__options_to_json(const qn_option_table *table, const void *options);
/* `origin` (a path) is for messages. */
qn_status qn__options_from_json(const qn_option_table *table, void *options, const json_t *json,
                                const char *origin) QN_MUST_USE;

#endif
