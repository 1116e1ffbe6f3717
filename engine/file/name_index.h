/* Names to numbers: a hash table for keys and tensor names that come from files. */
#ifndef QN_FILE_NAME_INDEX_H
#define QN_FILE_NAME_INDEX_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QN_NAME_ABSENT = -1 };

typedef struct qn_name_slot {
    const char *name; /* borrowed; NULL marks a free slot */
    uint32_t bytes;
    uint32_t value;
} qn_name_slot;

/* Zero-initialise; grows as names are added. The names must outlive it. */
typedef struct qn_name_index {
    qn_name_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    uint64_t seed;
} qn_name_index;

/* *earlier becomes the number of the same name added before (nothing is added then), or
 * QN_NAME_ABSENT. Fails only when out of memory. */
qn_status qn__name_index_add(qn_name_index *index, const char *name, size_t bytes, uint32_t value,
                             int64_t *earlier) QN_MUST_USE;
/* The number of a name, or QN_NAME_ABSENT. */
int64_t qn__name_index_find(const qn_name_index *index, const char *name, size_t bytes);
void qn__name_index_free(qn_name_index *index);

/* May a file say that this is a file beside it? Not if it has a '/', "..", a leading '.', a control
 * character, or more than 255 bytes. */
bool qn__name_is_plain(const char *name);

#endif
