/* libFuzzer: any bytes as a GGUF file. Either refused, or everything it offers can be read.
 *
 *   clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Iengine \
 *     -Iengine/include tests/fuzz/fuzz_gguf.c engine/{file,base,numeric}/?*.c \
 *     -ljansson -lxxhash -lm -o fuzz_gguf
 *   ./fuzz_gguf -max_len=4096 -malloc_limit_mb=64 corpus/
 *
 * Inputs are at most a few kilobytes, so the allocation limit shows any parser that believes a
 * count. A structure-aware step fixes the magic number and version, and often sets one aligned or
 * unaligned 64-bit field to a value that breaks arithmetic. */
#include "file/gguf.h"
#include "heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

static volatile uint64_t sink; /* so that no read is optimised away */

static void read_value(const qn_gguf_value *value)
{
    for (uint32_t i = 0; i < value->key_bytes; i++) sink += (uint8_t)value->key[i];
    for (uint64_t i = 0; i < value->count; i++) {
        size_t bytes = 0;
        if (value->element == QN_GGUF_STRING) {
            const char *text = qn__gguf_element_string(value, i, &bytes);
            for (size_t k = 0; k < bytes; k++) sink += (uint8_t)text[k];
        } else if (value->element == QN_GGUF_F32 || value->element == QN_GGUF_F64) {
            sink += qn__gguf_element_f64(value, i) > 0;
        } else {
            sink += (uint64_t)qn__gguf_element_i64(value, i);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    qn_gguf *gguf;
    heap_watch();
    qn_status status = qn__gguf_parse(data, size, "fuzz", &gguf);
    size_t entries = size / 14; /* the shortest key */
    if (status == QN_OK) entries = qn__gguf_value_count(gguf) + qn__gguf_tensor_count(gguf);
    heap_judge(size, entries, 512, 8192);
    if (status != QN_OK) {
        if (gguf) abort();
        return 0;
    }
    for (size_t i = 0; i < qn__gguf_value_count(gguf); i++) read_value(qn__gguf_value_at(gguf, i));
    for (size_t i = 0; i < qn__gguf_tensor_count(gguf); i++) {
        const qn_gguf_tensor *tensor = qn__gguf_tensor_at(gguf, i);
        if (qn__gguf_tensor(gguf, tensor->name) != tensor) abort();
        for (uint64_t k = 0; k < tensor->bytes; k++) sink += tensor->data[k];
    }
    qn__gguf_close(&gguf);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      31,
                                      32,
                                      63,
                                      64,
                                      1ULL << 31,
                                      1ULL << 32,
                                      1ULL << 61,
                                      1ULL << 62,
                                      1ULL << 63,
                                      UINT64_MAX,
                                      UINT64_MAX - 7,
                                      INT64_MAX,
                                      UINT64_MAX / 48 + 1,
                                      0x7FFFFFFFFFFFFFC0ULL};
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size >= 8 && seed % 16) memcpy(data, "GGUF\3\0\0\0", 8);
    if (size >= 16 && seed % 3 == 0) {
        size_t at = (seed >> 8) % (size - 7);
        memcpy(data + at, &values[(seed >> 4) % (sizeof values / sizeof values[0])], 8);
    }
    return size;
}
