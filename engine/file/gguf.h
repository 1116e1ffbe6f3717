/* GGUF version 3 (and 2): metadata and tensors, read through a memory map.
 *
 *   qn_gguf *gguf = NULL;
 *   QN_TRY(qn__gguf_open("model.gguf", &gguf));
 *   QN_TRY(qn__gguf_i64(gguf, "llama.block_count", true, 1, 4096, &layers));
 *   const qn_gguf_tensor *tensor = qn__gguf_tensor(gguf, "token_embd.weight");
 *   qn__gguf_close(&gguf);
 *
 * The whole file is checked when it is opened: every length against the bytes really left, every
 * product for overflow, every name for duplicates. What a handle returns lies within the map, is
 * borrowed, and is valid until the handle is closed. A handle may be read from many threads.
 * Source: ggml docs/gguf.md; as strict as ggml's own reader, stricter on keys and alignment. */
#ifndef QN_FILE_GGUF_H
#define QN_FILE_GGUF_H

#include <quernel/tensor.h>
#include <stddef.h>

typedef enum qn_gguf_type {
    QN_GGUF_U8,
    QN_GGUF_I8,
    QN_GGUF_U16,
    QN_GGUF_I16,
    QN_GGUF_U32,
    QN_GGUF_I32,
    QN_GGUF_F32,
    QN_GGUF_BOOL,
    QN_GGUF_STRING,
    QN_GGUF_ARRAY,
    QN_GGUF_U64,
    QN_GGUF_I64,
    QN_GGUF_F64,
    QN_GGUF_TYPE_COUNT
} qn_gguf_type;

/* One metadata entry. Scalars are arrays of one element. */
typedef struct qn_gguf_value {
    const char *key; /* printable ASCII, not NUL-terminated */
    uint32_t key_bytes;
    qn_gguf_type type;    /* QN_GGUF_ARRAY for arrays */
    qn_gguf_type element; /* type of an element; the same as `type` for scalars */
    uint64_t count;       /* elements; 1 for scalars */
    const uint8_t *data;  /* first element, little-endian, packed, NOT aligned: use the calls below,
                             or memcpy(out, data, count * size) for numbers */
    const uint8_t *const *strings; /* string arrays: where each element lies; internal */
} qn_gguf_value;

/* ggml's tensor types, with its numbers. The gaps are types ggml removed. */
typedef enum qn_ggml_type {
    QN_GGML_F32 = 0,
    QN_GGML_F16 = 1,
    QN_GGML_Q4_0 = 2,
    QN_GGML_Q4_1 = 3,
    QN_GGML_Q5_0 = 6,
    QN_GGML_Q5_1 = 7,
    QN_GGML_Q8_0 = 8,
    QN_GGML_Q8_1 = 9,
    QN_GGML_Q2_K = 10,
    QN_GGML_Q3_K = 11,
    QN_GGML_Q4_K = 12,
    QN_GGML_Q5_K = 13,
    QN_GGML_Q6_K = 14,
    QN_GGML_Q8_K = 15,
    QN_GGML_IQ2_XXS = 16,
    QN_GGML_IQ2_XS = 17,
    QN_GGML_IQ3_XXS = 18,
    QN_GGML_IQ1_S = 19,
    QN_GGML_IQ4_NL = 20,
    QN_GGML_IQ3_S = 21,
    QN_GGML_IQ2_S = 22,
    QN_GGML_IQ4_XS = 23,
    QN_GGML_I8 = 24,
    QN_GGML_I16 = 25,
    QN_GGML_I32 = 26,
    QN_GGML_I64 = 27,
    QN_GGML_F64 = 28,
    QN_GGML_IQ1_M = 29,
    QN_GGML_BF16 = 30,
    QN_GGML_TQ1_0 = 34,
    QN_GGML_TQ2_0 = 35,
    QN_GGML_MXFP4 = 39,
    QN_GGML_NVFP4 = 40,
    QN_GGML_Q1_0 = 41,
    QN_GGML_Q2_0 = 42,
    QN_GGML_TYPE_COUNT = 43
} qn_ggml_type;

typedef struct qn_ggml_traits {
    const char *name; /* "Q4_K"; NULL for a number without a type */
    int block;        /* elements in a block; 0 for a number without a type */
    int bytes;        /* bytes of a block */
    qn_dtype dtype;   /* ours; QN_DTYPE_COUNT: none of ours */
} qn_ggml_traits;

/* Never NULL: a number without a type has block == 0. */
const qn_ggml_traits *qn__ggml_traits(uint32_t type);

enum { QN_GGUF_NAME = 64, QN_GGUF_RANK = 4 };

typedef struct qn_gguf_tensor {
    char name[QN_GGUF_NAME];
    qn_ggml_type type;
    int rank;
    int64_t ne[QN_GGUF_RANK]; /* ne[0] is contiguous (the reverse of qn_shape); 1 beyond rank */
    uint64_t offset;          /* from the start of its file's data section */
    uint64_t bytes;
    int file;             /* of its shards */
    uint64_t file_offset; /* from the start of its file */
    const uint8_t *data;  /* aligned to general.alignment (at least 8); NULL when bytes == 0 */
} qn_gguf_tensor;

typedef struct qn_gguf qn_gguf;

/* QN_BAD_DATA with file name, place and value if the file is not what it says it is. The first of
 * several shards, "model-00001-of-00003.gguf", opens the others, which lie beside it: the metadata
 * is that of the first, the tensors are those of all. */
qn_status qn__gguf_open(const char *path, qn_gguf **gguf) QN_MUST_USE;
/* One file by itself, also where it is a shard. */
qn_status qn__gguf_open_part(const char *path, qn_gguf **gguf) QN_MUST_USE;
/* The same over bytes that the caller keeps alive; `origin` stands for the file name in messages.
 * `bytes` should lie at a multiple of the alignment. */
qn_status qn__gguf_parse(const void *bytes, size_t count, const char *origin,
                         qn_gguf **gguf) QN_MUST_USE;
void qn__gguf_close(qn_gguf **gguf);

const char *qn__gguf_path(const qn_gguf *gguf);
uint32_t qn__gguf_version(const qn_gguf *gguf);
uint32_t qn__gguf_alignment(const qn_gguf *gguf);
/* How many files: 1 where there are no shards; and the path and bytes of each. */
size_t qn__gguf_file_count(const qn_gguf *gguf);
const char *qn__gguf_file(const qn_gguf *gguf, size_t i, uint64_t *bytes);

/* Enumerate metadata in file order: i in [0, count). */
size_t qn__gguf_value_count(const qn_gguf *gguf);
const qn_gguf_value *qn__gguf_value_at(const qn_gguf *gguf, size_t i);
/* By key; NULL when absent. */
const qn_gguf_value *qn__gguf_find(const qn_gguf *gguf, const char *key);

/* "u32": the type of its elements. */
const char *qn__gguf_type_text(const qn_gguf_value *value);

/* Typed scalars. A missing key leaves *value as it was if `required` is false; a value of another
 * kind or outside [low, high] is QN_BAD_DATA. _i64 reads any integer type, _f64 f32 and f64. */
qn_status qn__gguf_i64(const qn_gguf *gguf, const char *key, bool required, int64_t low,
                       int64_t high, int64_t *value) QN_MUST_USE;
qn_status qn__gguf_f64(const qn_gguf *gguf, const char *key, bool required,
                       double *value) QN_MUST_USE;
qn_status qn__gguf_bool(const qn_gguf *gguf, const char *key, bool required,
                        bool *value) QN_MUST_USE;
/* Not NUL-terminated, any bytes. */
qn_status qn__gguf_string(const qn_gguf *gguf, const char *key, bool required, const char **text,
                          size_t *bytes) QN_MUST_USE;
/* An array whose elements are of type `element`, exactly: scores declared as bytes are refused.
 * *value is NULL when the key is missing and not required. */
qn_status qn__gguf_array(const qn_gguf *gguf, const char *key, bool required, qn_gguf_type element,
                         const qn_gguf_value **value) QN_MUST_USE;

/* Element i < count of an entry, in O(1). The kind must fit (see value->element): integers for _i64
 * (u64 above INT64_MAX reads as INT64_MAX) and bool, f32 and f64 for _f64, strings for _string. */
int64_t qn__gguf_element_i64(const qn_gguf_value *value, uint64_t i);
double qn__gguf_element_f64(const qn_gguf_value *value, uint64_t i);
const char *qn__gguf_element_string(const qn_gguf_value *value, uint64_t i, size_t *bytes);

/* Tensors in file order, and by name (NULL when absent). */
size_t qn__gguf_tensor_count(const qn_gguf *gguf);
const qn_gguf_tensor *qn__gguf_tensor_at(const qn_gguf *gguf, size_t i);
const qn_gguf_tensor *qn__gguf_tensor(const qn_gguf *gguf, const char *name);

#endif
