/* libFuzzer: any bytes as llm.c's file of multiple-choice questions. Either refused, or everything
 * it offers can be read.
 *
 *   clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Iengine \
 *     -Iengine/include tests/fuzz/fuzz_choices.c engine/{file,base,numeric}/?*.c \
 *     -ljansson -lxxhash -lm -o fuzz_choices
 *   ./fuzz_choices -max_len=2048 -malloc_limit_mb=64 corpus/
 *
 * The header is put right most of the time, so that the questions behind it are reached. */
#include "file/choices.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

static volatile int64_t sink; /* so that no read is optimised away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    qn_choices *choices;
    if (qn__choices_parse(data, size, "fuzz", &choices) != QN_OK) {
        if (choices) abort();
        return 0;
    }
    for (size_t q = 0; q < choices->count; q++) {
        const qn_question *question = &choices->questions[q];
        if (question->label < 0 || question->label >= question->endings) abort();
        for (size_t e = 0; e <= (size_t)question->endings; e++) {
            const qn_span *span = &choices->spans[question->spans + e];
            if (span->count < 1) abort();
            for (size_t i = 0; i < (size_t)span->count; i++)
                sink += choices->tokens[span->first + i];
        }
    }
    qn_choices_destroy(&choices);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    const int32_t header[] = {20240522, 1, (int32_t)(seed >> 4 & 3) + 1, 65535};
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < 1064 && seed % 16 && max_size >= 1064) { /* a header and room for a question */
        memset(data + size, (int)(seed >> 6 & 1), 1064 - size);
        size = 1064;
    }
    if (size >= 1024 && seed % 16) memcpy(data, header, sizeof header);
    for (uint16_t k = 0; k < 2 && size >= 1040; k++) {
        size_t at = 1024 + (seed >> 8) % (size - 1038) / 2 * 2 * k;
        const uint16_t words[] = {65535, (uint16_t)(size - 1024), k, 0, 2};
        if (seed % 3 == k) memcpy(data + at, words, sizeof words);
    }
    return size;
}
