/* Quantized matrices as references read them: out of panels of 32 rows, each element an integer, a
 * scale and something added. Written from the formats' definition, one element at a time. */
#ifndef QN_TESTS_REFERENCE_QUANTIZED_H
#define QN_TESTS_REFERENCE_QUANTIZED_H

#include "reference.h"

typedef struct ref_element {
    int value;   /* the integer, its offset taken off */
    float scale; /* of its group */
    float plus;  /* added, 0 where the format has none */
    int group;   /* elements that share a scale, 16 or 32 */
    int has_plus;
} ref_element;

/* Element (row, col) of a matrix [rows, cols] in panels. */
ref_element ref_quantized(const ref_tensor *w, int64_t row, int64_t col);
/* The IEEE half at byte `at`. */
float ref_half_at(const unsigned char *b, int at);

/* Element i of a row-major tensor, in blocks along its last dimension or not. */
double ref_cached(const ref_tensor *t, int64_t i);
/* 32 values as a cache stores them in a block of `type`, "q8_0" or "q4_0": its bytes. */
void ref_cache_block(const char *type, const double *x, double *bytes);

/* Bytes, or doubles of d, of one matrix of a stack [.., rows, cols] in panels. */
int64_t ref_panels_bytes(const ref_tensor *w);

#endif
