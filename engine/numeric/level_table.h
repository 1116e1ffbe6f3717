/* The sixteen levels of iq4_nl and iq4_xs (ggml-common.h, kvalues_iq4nl), and of E2M1, doubled, in
 * mxfp4 (OCP Microscaling Formats 1.0, table 5). */
#ifndef QN_NUMERIC_LEVEL_TABLE_H
#define QN_NUMERIC_LEVEL_TABLE_H

#include <stdint.h>

static const int8_t qn__iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
static const int8_t qn__e2m1_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

#endif
