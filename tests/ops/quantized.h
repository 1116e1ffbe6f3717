/* Random blocks for tests of quantized ops. */
#ifndef QN_TESTS_OPS_QUANTIZED_H
#define QN_TESTS_OPS_QUANTIZED_H

#include "runner.h"

#define ALL_FORMATS "{q8_0,q4_0,q4_1,q5_0,q5_1,q2_K,q3_K,q4_K,q5_K,q6_K,iq4_nl,iq4_xs,mxfp4}"

/* Input `in`, a matrix in panels: every bit random but for scales of a moderate size. */
bool fill_panels(test *t, int in);
/* Input `in`, row-major in q8_0 or q4_0: every bit random but for scales of 2^-11 to 2^-8. */
bool fill_blocks(test *t, int in);
/* Input `in`, activations in q8x, some blocks of which are zeros. */
bool fill_q8x(test *t, int in);

#endif
