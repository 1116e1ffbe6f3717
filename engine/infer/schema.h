/* Schemas that must hold together (allOf, and keywords beside $ref, anyOf or oneOf) as one. */
#ifndef QN_INFER_SCHEMA_H
#define QN_INFER_SCHEMA_H

#include "base/json.h"

#include <stdint.h>

typedef struct qn_schema_merger {
    const json_t *root;
    const char *origin; /* for messages */
    json_t *made;       /* an array that owns the merged schemas */
    uint32_t merges;    /* so far; a schema can refer to itself in more ways than it is long */
} qn_schema_merger;

/* Does the schema say allOf, or $ref, anyOf or oneOf beside a keyword about what is valid? */
bool qn__schema_is_joint(const json_t *schema);
/* *merged, owned by merger->made: the same without allOf, with $ref alone nowhere; anyOf only
 * alone, of schemas that may be joint. QN_UNSUPPORTED names two keywords that cannot be put
 * together, QN_BAD_DATA what nothing can fulfil. */
qn_status qn__schema_merge(qn_schema_merger *merger, const json_t *schema,
                           const json_t **merged) QN_MUST_USE;
/* Where a $ref leads to: "#", "#/a/b~1c". */
qn_status qn__schema_find(const qn_schema_merger *merger, const char *name,
                          const json_t **found) QN_MUST_USE;
/* A keyword that says nothing about what is valid: title, $defs, ... */
bool qn__schema_is_note(const char *key);

#endif
