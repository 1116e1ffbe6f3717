/* What gguf.c (parsing) and gguf_values.c (reading values) share; nobody else includes it. */
#ifndef QN_FILE_GGUF_INTERNAL_H
#define QN_FILE_GGUF_INTERNAL_H

#include "base/fs.h"
#include "file/gguf.h"
#include "file/name_index.h"

/* Bytes of one element of a type, 0 for strings, arrays and numbers without a type. */
size_t qn__gguf_type_bytes(uint32_t type);
/* "u32"; "?" for numbers without a type. */
const char *qn__gguf_type_name(uint32_t type);

struct qn_gguf {
    qn_map map; /* map.path is the origin even when the bytes are the caller's */
    bool owns_map;
    const uint8_t *data;
    size_t bytes;
    uint32_t version;
    uint32_t alignment;
    qn_gguf_value *values;
    size_t value_count;
    size_t value_capacity;
    qn_name_index keys;
    qn_gguf_tensor *tensors;
    size_t tensor_count;
    size_t tensor_capacity;
    qn_name_index names;
    struct qn_gguf **parts; /* the other shards, whose tensors are in the list too */
    size_t part_count;
};

/* The other shards of a file that is the first of several: their tensors come into its list. */
qn_status qn__gguf_open_shards(qn_gguf *gguf) QN_MUST_USE;

/* Check general.alignment, or take the default. */
qn_status qn__gguf_read_alignment(qn_gguf *gguf) QN_MUST_USE;

#endif
