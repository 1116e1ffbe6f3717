/* The one op test runner: cases as lines, made into calls, run on a device and judged.
 *
 *   "matmul trans_b={0,1} act=gelu : a=f32[{m:1,17},5] b=f32[3,5] +pre"
 *
 * is an op with attributes, then its tensors; "+pre" asks for an optional output. Braces are
 * alternatives, one case for each; {m:1,17} also names them, and {m} later stands for the one that
 * was taken. A failing case prints its line without braces, which --case runs again. */
#ifndef QN_TESTS_RUNNER_H
#define QN_TESTS_RUNNER_H

#include "ops/exec.h"
#include "reference/reference.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_BYTES = 512, NO_INPUT = -1 };

typedef struct test test;

/* |got - want| <= each |want| + largest max |want| + absolute terms. */
typedef struct tolerance {
    double each, largest, absolute;
} tolerance;

/* tests/ops/<stem>.c defines cases_<stem>. */
typedef struct op_cases {
    /* Lines, ended by NULL. tiny: every kernel once, for slow devices; device: 0, 1, a prime, one
     * below, at and above a group or tile; sizes: the full table. A tier includes those before it.
     * refused: lines whose shape rule fails. */
    const char *const *tiny, *const *device, *const *sizes, *const *refused;
    tolerance fwd, bwd; /* bwd 0: as fwd */
    const char *why;    /* of these figures */
    /* Fill input `in`; false: floats uniform in [-1, 1], integers of any size. NULL: all so. */
    bool (*fill)(test *t, int in);
    /* n of tolerance.absolute: how many terms an element sums. NULL: 1. */
    double (*terms)(const test *t);
    /* Why this case has no gradient, where the row has one. NULL: all have. */
    const char *(*no_gradient)(const test *t);
} op_cases;

/* A tensor on the host: as the device stores it, and its values as doubles. */
typedef struct host {
    bool there;
    qn_desc desc;
    int64_t count; /* elements stored, padding of the layout included; of blocks, bytes */
    uint64_t bytes;
    void *raw;
    double *d;
} host;

/* Figures of a run. */
typedef struct options {
    qn_device *device; /* NULL: no device is needed yet */
    const char *selector, *tier, *op, *line, *variant,
        *without; /* variants: only this; all but this */
    uint64_t seed;
    bool verbose, hash, list;
    bool dry;     /* no device */
    bool as_cpu;  /* say that the device is a CPU with proven vectors and local memory */
    bool as_gpu;  /* say that it is a GPU so slow that launches are cut as finely as they can be */
    bool alone;   /* the tier without those before it */
    bool loose;   /* variants of one order need not agree bit for bit: fma is emulated */
    qn_caps caps; /* of the device, or what as_cpu says */
    int cases, runs, refusals, failures;
} options;

/* One case: the call without buffers, its inputs, what the reference says. */
struct test {
    options *options;
    const op_cases *cases;
    const qn_op_row *row;
    char line[LINE_BYTES];
    qn_call call;
    host in[QN_OP_MAX_IN], dout[QN_OP_MAX_OUT];
    host want_out[QN_OP_MAX_OUT], want_din[QN_OP_MAX_IN]; /* d only; saved outputs are not there */
    uint32_t differentiable;                              /* inputs, bit i */
    uint64_t random;
    const char *variant; /* being run */
    bool failed;
};

/* What came out of a run. `own`: some part of it added in an order of its own. */
typedef struct result {
    host out[QN_OP_MAX_OUT], din[QN_OP_MAX_IN];
    bool own;
} result;

/* How to run a call. */
typedef struct manner {
    int shift;        /* elements by which all operands are displaced */
    bool again;       /* run twice in place with one exec; the second counts */
    int over;         /* forward: input that output 0 is written over, or NO_INPUT; backward: din[0]
                         over dout[0] (0) or over in[0] (1) */
    uint32_t wanted;  /* backward: inputs whose gradient is asked for */
    const host *dout; /* backward: instead of the case's */
} manner;

/* ---- runner_line.c ---- */

/* Calls take for each case of the line; its argument lives during the call only. */
void line_expand(const char *line, void (*take)(void *user, const char *one), void *user);
/* Op, attributes, descs, wanted outputs. */
qn_status line_parse(const char *line, qn_op_id *id, qn_call *call) QN_MUST_USE;

/* ---- runner_data.c ---- */

double random_uniform(test *t, double low, double high);
int64_t random_pick(test *t, int64_t low, int64_t high); /* both ends included */
void host_make(host *h, const qn_desc *desc);
void host_free(host *h);
void host_round(host *h);  /* d -> raw, and back, so that d holds what the dtype can */
void host_decode(host *h); /* raw -> d */
/* Fillers, for tests/ops/<stem>.c. */
bool fill_uniform(test *t, int in, double low, double high);
bool fill_integers(test *t, int in, int64_t low, int64_t high);
/* Around 0, to both saturated ends, and some zeros. */
bool fill_activation(test *t, int in);
bool fill_values(test *t, int in, const double *values, int count);
/* The input's elements in another order. */
void shuffle(test *t, int in);
int64_t dim_of(const test *t, int in, int axis);
/* Inputs, gradients and, if they will be judged, what the reference makes of them. */
void data_make(test *t, bool judged);
void data_free(test *t);
/* NaN, infinities, the largest, the smallest and denormals strewn over the float inputs. */
void data_spoil(test *t);
void result_free(result *r);

/* ---- runner_place.c: tensors between guards on the device ---- */

typedef struct place {
    const char *name;
    qn_operand operand;
    uint64_t total;
    unsigned char *image; /* what lay there before the run */
    bool written;         /* may change between its guards */
} place;

enum { PLACE_LIMIT = 64 };
typedef struct places {
    qn_device *device;
    int count;
    place item[PLACE_LIMIT];
} places;

/* raw NULL: filled with a pattern that reads as NaN. NULL on failure, which is reported. */
place *place_make(places *p, const char *name, const qn_desc *desc, const void *raw, int shift);
qn_status place_reset(places *p) QN_MUST_USE;
/* Guards and unwritten tensors are as they were; reports the first that is not. */
bool place_check(test *t, places *p);
qn_status place_read(const place *one, const qn_desc *desc, host *h) QN_MUST_USE;
void place_free(places *p);

/* ---- runner_call.c ---- */

/* False: reported. */
bool run_forward(test *t, const manner *how, result *r);
bool run_backward(test *t, const manner *how, const result *fwd, result *r);
/* Launch (and, if again, launch again), wait, check guards. */
bool run_placed(test *t, places *p, qn_call *call, bool again);

/* ---- runner_graph.c ---- */

bool run_graph(test *t, const manner *how, const result *fwd, result *r);

/* ---- runner_judge.c ---- */

/* Print the line that runs this case again, and what differed. */
void test_fail(test *t, const char *format, ...) QN_PRINTF(2, 3);
bool judge_close(test *t, const char *what, const char *name, const host *got, const double *want,
                 tolerance within);
bool judge_same(test *t, const char *what, const char *name, const host *got, const host *want);
bool judge_results_same(test *t, const char *what, const result *got, const result *want);

/* ---- runner_fused.c ---- */

/* The outputs of a fused op beside those of the ops that it replaces, bit for bit. */
/* Is output `out` judged beside the parts of the op alone? */
bool made_by_parts(const test *t, int out);
bool judge_fused(test *t, const result *r);

/* ---- runner_checks.c ---- */

/* Every variant of the case, all checks. */
void test_run(test *t);
void test_hash(test *t);

/* ---- runner_dry.c ---- */

/* Choice and recorded launches for imagined devices. */
void test_dry(test *t);

#endif
