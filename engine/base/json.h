/* JSON through jansson, with messages that name the file and the key. Depth is limited to 64, keys
 * must be unique, sizes are bounded by the file. */
#ifndef QN_BASE_JSON_H
#define QN_BASE_JSON_H

#include <jansson.h>
#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parse text; `origin` (a path) is for messages. The caller owns *root: json_decref. */
qn_status qn__json_parse(const char *text, size_t bytes, const char *origin,
                         json_t **root) QN_MUST_USE;
/* The same for line `line` of a file that holds a JSON text on each. */
qn_status qn__json_parse_line(const char *text, size_t bytes, const char *path, uint64_t line,
                              json_t **root) QN_MUST_USE;
qn_status qn__json_load(const char *path, json_t **root) QN_MUST_USE;
/* Written to a temporary name, fsynced, renamed. */
qn_status qn__json_save(const char *path, const json_t *root) QN_MUST_USE;

/* Typed members of an object. A missing key leaves *value as it was if `required` is false; a value
 * of another type or outside [low, high] is QN_BAD_DATA. */
qn_status qn__json_i64(const json_t *object, const char *origin, const char *key, bool required,
                       int64_t low, int64_t high, int64_t *value) QN_MUST_USE;
qn_status qn__json_f64(const json_t *object, const char *origin, const char *key, bool required,
                       double *value) QN_MUST_USE;
qn_status qn__json_bool(const json_t *object, const char *origin, const char *key, bool required,
                        bool *value) QN_MUST_USE;
/* Borrowed from the object. */
qn_status qn__json_string(const json_t *object, const char *origin, const char *key, bool required,
                          const char **value) QN_MUST_USE;

#endif
