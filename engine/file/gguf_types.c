/* The two type tables of GGUF: metadata values, and ggml's tensor types. */
#include "file/gguf_internal.h"

static const struct {
    const char *name;
    size_t bytes;
} value_types[QN_GGUF_TYPE_COUNT] = {
    [QN_GGUF_U8] = {"u8", 1},       [QN_GGUF_I8] = {"i8", 1},     [QN_GGUF_U16] = {"u16", 2},
    [QN_GGUF_I16] = {"i16", 2},     [QN_GGUF_U32] = {"u32", 4},   [QN_GGUF_I32] = {"i32", 4},
    [QN_GGUF_F32] = {"f32", 4},     [QN_GGUF_BOOL] = {"bool", 1}, [QN_GGUF_STRING] = {"string", 0},
    [QN_GGUF_ARRAY] = {"array", 0}, [QN_GGUF_U64] = {"u64", 8},   [QN_GGUF_I64] = {"i64", 8},
    [QN_GGUF_F64] = {"f64", 8},
};

size_t qn__gguf_type_bytes(uint32_t type)
{
    return type < QN_GGUF_TYPE_COUNT ? value_types[type].bytes : 0;
}

const char *qn__gguf_type_name(uint32_t type)
{
    return type < QN_GGUF_TYPE_COUNT ? value_types[type].name : "?";
}

#define PLAIN(type, size, ours) [QN_GGML_##type] = {#type, 1, size, ours}
#define BLOCK(type, elements, size) [QN_GGML_##type] = {#type, elements, size, QN_DTYPE_COUNT}
#define OURS(type, elements, size) [QN_GGML_##type] = {#type, elements, size, QN_##type}

/* Block sizes: ggml-common.h. Type 42 is 64 elements in 18 bytes there; one fork writes 128 in 34
 * under the same number, which the running sum of offsets then shows. */
static const qn_ggml_traits tensor_types[QN_GGML_TYPE_COUNT] = {
    PLAIN(F32, 4, QN_F32),
    PLAIN(F16, 2, QN_F16),
    PLAIN(BF16, 2, QN_BF16),
    PLAIN(I32, 4, QN_I32),
    PLAIN(I8, 1, QN_DTYPE_COUNT),
    PLAIN(I16, 2, QN_DTYPE_COUNT),
    PLAIN(I64, 8, QN_DTYPE_COUNT),
    PLAIN(F64, 8, QN_DTYPE_COUNT),
    OURS(Q4_0, 32, 18),
    OURS(Q4_1, 32, 20),
    OURS(Q5_0, 32, 22),
    OURS(Q5_1, 32, 24),
    OURS(Q8_0, 32, 34),
    BLOCK(Q8_1, 32, 36),
    OURS(Q2_K, 256, 84),
    OURS(Q3_K, 256, 110),
    OURS(Q4_K, 256, 144),
    OURS(Q5_K, 256, 176),
    OURS(Q6_K, 256, 210),
    BLOCK(Q8_K, 256, 292),
    BLOCK(IQ2_XXS, 256, 66),
    BLOCK(IQ2_XS, 256, 74),
    BLOCK(IQ3_XXS, 256, 98),
    BLOCK(IQ1_S, 256, 50),
    OURS(IQ4_NL, 32, 18),
    BLOCK(IQ3_S, 256, 110),
    BLOCK(IQ2_S, 256, 82),
    OURS(IQ4_XS, 256, 136),
    BLOCK(IQ1_M, 256, 56),
    BLOCK(TQ1_0, 256, 54),
    BLOCK(TQ2_0, 256, 66),
    OURS(MXFP4, 32, 17),
    BLOCK(NVFP4, 64, 36),
    BLOCK(Q1_0, 128, 18),
    BLOCK(Q2_0, 64, 18),
};

const qn_ggml_traits *qn__ggml_traits(uint32_t type)
{
    static const qn_ggml_traits none = {NULL, 0, 0, QN_DTYPE_COUNT};
    return type < QN_GGML_TYPE_COUNT ? &tensor_types[type] : &none;
}
