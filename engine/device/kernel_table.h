/* The kernel sources inside the library; the table itself is generated from cl_kernels/. */
#ifndef QN_DEVICE_KERNEL_TABLE_H
#define QN_DEVICE_KERNEL_TABLE_H

#include <stddef.h>

typedef struct qn_kernel_source {
    const char *name; /* "rope.wide.cl"; NULL ends the table */
    const char *text; /* NUL-terminated */
    size_t bytes;
} qn_kernel_source;

extern const qn_kernel_source qn__kernel_table[];

#endif
