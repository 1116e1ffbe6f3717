#include "file/range_list.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

qn_status qn__range_list_create(size_t capacity, qn_range_list *list)
{
    *list = (qn_range_list){.capacity = capacity};
    list->ranges = calloc(capacity ? capacity : 1, sizeof *list->ranges);
    list->names = calloc(capacity ? capacity : 1, sizeof *list->names);
    if (list->ranges && list->names) return QN_OK;
    qn__range_list_free(list);
    return qn__fail(QN_OS_ERROR, "no memory for a table of %zu tensors", capacity);
}

void qn__range_list_free(qn_range_list *list)
{
    qn__name_index_free(&list->index);
    free(list->ranges);
    free(list->names);
    *list = (qn_range_list){0};
}

qn_status qn__range_list_add(qn_range_list *list, const qn_range *range, const char *format, ...)
{
    va_list args;
    int64_t earlier;
    if (list->count >= list->capacity)
        return qn__fail(QN_INTERNAL, "a table of %zu tensors is full", list->capacity);
    char *name = list->names[list->count];
    va_start(args, format);
    vsnprintf(name, QN_MADE_NAME, format, args);
    va_end(args);
    list->ranges[list->count] = *range;
    list->ranges[list->count].name = name;
    QN_TRY(qn__name_index_add(&list->index, name, strlen(name), (uint32_t)list->count, &earlier));
    if (earlier != QN_NAME_ABSENT) return qn__fail(QN_INTERNAL, "two tensors called %s", name);
    list->count++;
    return QN_OK;
}

const qn_range *qn__range_list_find(const qn_range_list *list, const char *name)
{
    int64_t found = qn__name_index_find(&list->index, name, strlen(name));
    return found == QN_NAME_ABSENT ? NULL : &list->ranges[found];
}
