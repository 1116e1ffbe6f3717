/* The middle of measurements. */
#ifndef QN_BASE_MEDIAN_H
#define QN_BASE_MEDIAN_H

/* Of count > 0 values, which are sorted; of an even number the larger of the two in the middle. */
double qn__median(double *values, int count);

#endif
