/* Four floats at once: a search tries four candidates side by side, one a lane, so that its sums
 * need no order of their own. GCC's and clang's vector types; any machine has them. */
#ifndef QN_NUMERIC_LANES_H
#define QN_NUMERIC_LANES_H

typedef float qn_lanes __attribute__((vector_size(16)));
typedef int qn_masks __attribute__((vector_size(16)));

static inline qn_lanes qn__lanes_select(qn_masks which, qn_lanes yes, qn_lanes no)
{
    return (qn_lanes)(((qn_masks)yes & which) | ((qn_masks)no & ~which));
}

/* As qn__between and qn__nearest of each: NaN becomes `low`. */
static inline qn_lanes qn__lanes_between(qn_lanes v, qn_lanes low, qn_lanes high)
{
    v = qn__lanes_select(v > low, v, low);
    return qn__lanes_select(v < high, v, high);
}

static inline qn_lanes qn__lanes_nearest(qn_lanes v)
{
    return v + 12582912.0f - 12582912.0f;
}

/* 1 / d, 0 where that is no number a grid could use. */
static inline qn_lanes qn__lanes_inverse(qn_lanes d)
{
    qn_lanes inverse = 1.0f / qn__lanes_select(d == 0, d + 1e30f, d);
    return qn__lanes_select((inverse < 1e30f) & (inverse > -1e30f) & (d != 0), inverse, d * 0);
}

/* The lane of the least; *least likewise. */
static inline int qn__lanes_least(qn_lanes v, float *least)
{
    int lane = 0;
    for (int l = 1; l < 4; l++)
        if (v[l] < v[lane]) lane = l;
    *least = v[lane];
    return lane;
}

#endif
