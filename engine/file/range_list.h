/* A list of ranges with made-up names, for formats whose tensors have an order but no names. */
#ifndef QN_FILE_RANGE_LIST_H
#define QN_FILE_RANGE_LIST_H

#include "file/name_index.h"
#include "file/range.h"

enum { QN_MADE_NAME = 64 };

typedef struct qn_range_list {
    qn_range *ranges;
    char (*names)[QN_MADE_NAME];
    size_t count;
    size_t capacity;
    qn_name_index index;
} qn_range_list;

/* Room for exactly `capacity` ranges. The caller has bounded it by the bytes of the file. */
qn_status qn__range_list_create(size_t capacity, qn_range_list *list) QN_MUST_USE;
void qn__range_list_free(qn_range_list *list);

/* Append `range` (its name is ignored) under a name printed from `format`. */
qn_status qn__range_list_add(qn_range_list *list, const qn_range *range, const char *format,
                             ...) QN_PRINTF(3, 4) QN_MUST_USE;
const qn_range *qn__range_list_find(const qn_range_list *list, const char *name);

#endif
