/* libFuzzer: any bytes as quantized blocks, and as floats to quantize. Blocks always decode; floats
 * are refused when one is no number, and otherwise become blocks whose values are numbers.
 *
 * The first byte chooses the type, the second how far from alignment and whether there are weights.
 */
#include "numeric/blocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A buffer of exactly these bytes, so that one beyond is seen. */
static void *copy_of(const uint8_t *data, size_t bytes)
{
    void *copy = malloc(bytes ? bytes : 1);
    if (!copy) abort();
    if (bytes) memcpy(copy, data, bytes);
    return copy;
}

static void decode(qn_dtype type, const uint8_t *data, size_t size, size_t shift)
{
    int bytes, block = qn_dtype_block(type, &bytes);
    if (size < shift) return;
    const size_t blocks = (size - shift) / (size_t)bytes;
    uint8_t *from = copy_of(data, shift + blocks * (size_t)bytes);
    float *to = malloc(blocks * (size_t)block * sizeof *to + 1);
    if (!to) abort();
    if (qn__blocks_decode(type, from + shift, (int64_t)blocks * block, to) != QN_OK) abort();
    free(from);
    free(to);
}

static void encode(qn_dtype type, const uint8_t *data, size_t size, bool weighed)
{
    int bytes, block = qn_dtype_block(type, &bytes);
    const size_t row = (size_t)block * sizeof(float), rows = size / row;
    if (rows < 1 + (size_t)weighed) return;
    float *importance = weighed ? copy_of(data, row) : NULL;
    float *x = copy_of(data + (weighed ? row : 0), row * (rows - weighed));
    const int64_t elements = (int64_t)(rows - weighed) * block;
    uint8_t *to = malloc((size_t)(elements / block * bytes));
    float *back = malloc((size_t)elements * sizeof *back);
    if (!to || !back) abort();
    bool finite = true;
    for (int64_t i = 0; i < elements; i++) finite = finite && isfinite(x[i]);
    for (int i = 0; i < block && weighed; i++) finite = finite && isfinite(importance[i]);
    qn_status status = qn__blocks_encode(type, x, elements, block, importance, to);
    if (status != (finite ? QN_OK : QN_NON_FINITE)) abort();
    if (status == QN_OK) {
        if (qn__blocks_decode(type, to, elements, back) != QN_OK) abort();
        for (int64_t i = 0; i < elements; i++)
            if (!isfinite(back[i])) abort();
    }
    free(importance);
    free(x);
    free(to);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const qn_dtype type = (qn_dtype)(QN_Q8_0 + data[0] % (QN_DTYPE_COUNT - QN_Q8_0));
    if (qn__blocks_decode(type, NULL, 0, NULL) != QN_OK) return 0; /* no type of a file */
    decode(type, data + 2, size - 2, data[1] % 8);
    encode(type, data + 2, size - 2, data[1] >= 128);
    return 0;
}
