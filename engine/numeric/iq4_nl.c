/* iq4_nl: f16 d, u8 qs[16] as q4_0's; y = d level[q], levels denser around zero. */
#include "numeric/block_format.h"
#include "numeric/level_table.h"

void qn__iq4_nl_decode(const uint8_t *block, float *y)
{
    float d = qn__load_half(block);
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)qn__iq4_levels[block[2 + j] & 15];
        y[j + 16] = d * (float)qn__iq4_levels[block[2 + j] >> 4];
    }
}
