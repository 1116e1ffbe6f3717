/* libFuzzer: any bytes as a safetensors file. Either refused, or everything it offers can be read.
 * Build and run as fuzz_gguf.c says. A structure-aware step writes a header length that fits. */
#include "file/safetensors.h"
#include "heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

static volatile uint64_t sink; /* so that no read is optimised away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    qn_safetensors *file;
    heap_watch();
    qn_status status = qn__safetensors_parse(data, size, "fuzz", &file);
    heap_judge(size, heap_json_elements(data, size), 256, 4096);
    if (status != QN_OK) {
        if (file) abort();
        return 0;
    }
    for (size_t i = 0; i < qn__safetensors_count(file); i++) {
        const qn_range *range = qn__safetensors_at(file, i);
        char text[64];
        qn_desc desc;
        if (qn__safetensors_find(file, range->name) != range) abort();
        sink += strlen(qn__range_text(range, text, sizeof text));
        if (qn__range_desc(range, "fuzz", &desc) == QN_OK && qn__desc_bytes(&desc) != range->bytes)
            abort();
        for (uint64_t k = 0; k < range->bytes; k++) sink += range->data[k];
    }
    sink += qn__safetensors_meta(file, "format") != NULL;
    qn__safetensors_close(&file);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    uint64_t length = 0;
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < 16 || seed % 16 == 0) return size;
    memcpy(&length, data, 8);
    if (length > size - 8 || seed % 16 == 1) {
        length = seed % 2 ? size - 8 : (seed >> 8) % (size - 8);
        memcpy(data, &length, 8);
    }
    data[8] = '{';
    return size;
}
