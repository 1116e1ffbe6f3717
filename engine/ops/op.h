/* What an op is: its row, its shape rule, its cost, its variants and its launchers. */
#ifndef QN_OPS_OP_H
#define QN_OPS_OP_H

#include "base/check.h"
#include "device/device.h"
#include "numeric/tensor.h"

typedef enum qn_op_id {
#define QN_OP(stem, NAME, inputs, outputs, attributes, gradient, recompute) QN_OP_##NAME,
#include "ops/op_list.def"
#undef QN_OP
    QN_OP_COUNT
} qn_op_id;

enum { QN_OP_MAX_IN = 8, QN_OP_MAX_OUT = 4, QN_OP_MAX_ATTR = 6 };

typedef enum qn_gradient { QN_GRAD_KERNEL, QN_GRAD_GRAPH, QN_GRAD_NONE } qn_gradient;

/* The five families, and the order in which a variant adds (DESIGN: two variants of one order agree
 * bit for bit). */
typedef enum qn_family { QN_PLAIN, QN_WIDE, QN_TILE, QN_MATRIX, QN_CLBLAST } qn_family;
typedef enum qn_order { QN_CHAIN, QN_LANES64, QN_MMA, QN_MMA32, QN_OWN, QN_EXACT } qn_order;

typedef struct qn_attr {
    int64_t i; /* integer, or position of a word */
    double f;
} qn_attr;

/* A tensor in a call: its type, and where it lies. desc.shape is the actual one, with the run-time
 * dimension filled in. `there` is false for an absent optional tensor. */
typedef struct qn_operand {
    bool there;
    qn_desc desc;
    qn_buffer *buffer;
    uint64_t offset; /* bytes */
} qn_operand;

typedef struct qn_op qn_op;
typedef struct qn_variant qn_variant;

/* One setting of a variant's knobs: tile sizes, blocks, depths. No setting changes a bit of the
 * result. */
enum { QN_KNOBS = 6 };
typedef struct qn_setting {
    const char *name;       /* "64x64" */
    int32_t knob[QN_KNOBS]; /* as the launcher reads them */
    const char *macros;     /* options added to every program of the call's own file; NULL: none */
} qn_setting;

/* One use of an op, forward or backward. Forward: in -> out (saved tensors are the last of out).
 * Backward: din from dout, and those of in and out that the op says it reads. */
typedef struct qn_call {
    const qn_op *op;
    bool backward;
    qn_attr attr[QN_OP_MAX_ATTR];
    qn_operand in[QN_OP_MAX_IN];
    qn_operand out[QN_OP_MAX_OUT];
    qn_operand dout[QN_OP_MAX_OUT];
    qn_operand din[QN_OP_MAX_IN];
    qn_operand scratch;
    const qn_variant *variant;
    int setting; /* row of variant->settings; 0 where it has none */
    const qn_caps *caps;
} qn_call;

typedef struct qn_cost {
    double flops;
    double bytes; /* each tensor read or written once */
} qn_cost;

struct qn_variant {
    const char *name; /* "wide" */
    qn_family family;
    qn_order order;
    /* NULL: applies. Else why not. Pure: depends on call->caps, descs and attributes only. */
    const char *(*refuse)(const qn_call *call);
    /* Bytes of workspace for this call with its setting; NULL: none. Pure. */
    uint64_t (*scratch)(const qn_call *call);
    bool only_forced; /* never a default: its sum order is not ours */
    /* What the tuner may choose among; name == NULL ends. NULL: there is nothing to set. */
    const qn_setting *settings;
    /* The row of settings for this call that nobody timed; NULL: row 0. Pure. */
    int (*preset)(const qn_call *call);
    /* NULL: this row fits the call. Else why not; the preset always fits. NULL for all rows. Pure.
     */
    const char *(*refuse_setting)(const qn_call *call, int setting);
};

typedef struct qn_exec qn_exec;

/* Builds the gradient of ops that are their own gradient's material. Tensors are the builder's
 * handles. */
typedef struct qn_grad_builder qn_grad_builder;
struct qn_grad_builder {
    const qn_call *call;  /* attributes and descs of the op being differentiated */
    int in[QN_OP_MAX_IN]; /* handles; -1: absent */
    int out[QN_OP_MAX_OUT];
    int dout[QN_OP_MAX_OUT]; /* -1: zero */
    bool wanted[QN_OP_MAX_IN];
    int din[QN_OP_MAX_IN]; /* to fill; -1: none */
    /* "matmul trans_a=1" applied to n handles (-1: absent) -> handle of its first output */
    qn_status (*emit)(qn_grad_builder *builder, const char *line, const int *inputs, int n,
                      int *output);
    qn_status (*reshape)(qn_grad_builder *builder, int tensor, const qn_shape *shape, int *output);
    void *user;
};

struct qn_op {
    /* Shapes and types of outputs (and saved tensors) from inputs and attributes; all checks. Pure.
     */
    qn_status (*shape)(qn_call *call);
    void (*cost)(const qn_call *call, qn_cost *cost);
    qn_status (*fwd)(qn_exec *exec, const qn_call *call);
    qn_status (*bwd)(qn_exec *exec, const qn_call *call); /* KERNEL */
    qn_status (*grad)(qn_grad_builder *builder);          /* GRAPH */
    /* Which inputs and outputs (saved included) the backward call reads: bit i. */
    uint32_t bwd_reads_in, bwd_reads_out;
    /* Inputs whose gradient is f32 whatever their own type: bit i. */
    uint32_t grad_f32;
    /* Bit i: output 0 may be written over input i (fwd); din[0] may be written over dout[0] (bwd).
     */
    uint32_t fwd_in_place;
    bool bwd_in_place;
    bool bwd_over_in;           /* din[0] may be written over in[0] */
    const qn_variant *variants; /* special to general; name == NULL ends; the last always applies */
};

/* The row, parsed. */
typedef struct qn_op_slot {
    char name[16];
    bool optional, integer, constant, in_place, saved;
} qn_op_slot;

typedef struct qn_op_attr {
    char name[16];
    char kind;     /* 'i', 'f' or 'e' */
    qn_attr value; /* default */
    char words[8][16];
    int word_count;
} qn_op_attr;

typedef struct qn_op_row {
    const char *stem;
    qn_op_id id;
    qn_gradient gradient;
    bool cheap;
    int in_count, out_count, saved_count, attr_count; /* out_count includes saved */
    qn_op_slot in[QN_OP_MAX_IN];
    qn_op_slot out[QN_OP_MAX_OUT];
    qn_op_attr attr[QN_OP_MAX_ATTR];
    int alias[QN_OP_MAX_OUT]; /* output i is input alias[i] written in place; -1: a tensor of its
                                 own */
} qn_op_row;

const qn_op_row *qn__op_row(qn_op_id id);
const qn_op *qn__op(qn_op_id id);
qn_op_id qn__op_id(const qn_op *op);
/* NULL when there is no such op. */
const qn_op_row *qn__op_find(const char *stem, size_t length);

/* "matmul trans_b=1 act=gelu": the op and its attributes. QN_BAD_ARGUMENT names the word that is
 * wrong. Stops at " :" (what follows in a case line are tensors); *rest, if wanted, is set there.
 */
qn_status qn__op_parse(const char *line, qn_op_id *id, qn_attr attr[QN_OP_MAX_ATTR],
                       const char **rest) QN_MUST_USE;
/* The same line again, attributes that differ from their default only, then " : " and the tensors.
 * Verbose mode, failing tests and bench share it. */
const char *qn__call_text(const qn_call *call, char *text, size_t bytes);

/* Check presence of inputs against the row, then the op's own shape rule. */
qn_status qn__call_shape(qn_call *call) QN_MUST_USE;
/* First variant that applies, at its preset; or the one named `force`, "wide" or "wide/deep", with
 * its refusal as the error. Sets call->variant and call->setting. What was timed: ops/choice.h. */
qn_status qn__call_choose(qn_call *call, const char *force) QN_MUST_USE;
qn_cost qn__call_cost(const qn_call *call);
/* What the chosen variant computes with, flop/s as measured: the matrix unit or f32 arithmetic. 0:
 * not measured. */
double qn__call_peak(const qn_call *call);

/* Whether a matmul does well to add its sum onto older ones itself: not where its sums wait in y
 * between stretches of k, and it would give that up. Pure. */
bool qn__product_joins(const qn_call *call);

/* ---- for writing ops ---- */

/* Shape rules: outputs like an input. */
void qn__out_like(qn_call *call, int out, int in);
/* Of the same shape, in q8x: whole blocks of 32. */
qn_status qn__out_q8x(qn_call *call, int out, int in) QN_MUST_USE;
void qn__out_shape(qn_call *call, int out, qn_dtype dtype, const qn_shape *shape);
/* The type that attribute `attr`, same/f32/f16/bf16, names; same: that of input `in`. */
qn_dtype qn__out_type(const qn_call *call, int attr, int in);
qn_status qn__check_dtype(const qn_call *call, int in, qn_dtype dtype) QN_MUST_USE;
qn_status qn__check_rank(const qn_call *call, int in, int low, int high) QN_MUST_USE;
qn_status qn__check_dim(const qn_call *call, int in, int axis, int64_t want) QN_MUST_USE;
/* All float inputs f32, all integer inputs i32: the start of most shape rules. */
qn_status qn__check_f32(const qn_call *call) QN_MUST_USE;
/* The inputs of `mask` (bit i) that are there are f32, f16 or bf16, all of one type; the rest as
 * qn__check_f32 says. */
qn_status qn__check_elements(const qn_call *call, uint32_t mask) QN_MUST_USE;
/* Elements of 4 or 2 bytes, row-major: what ops that only move elements take. */
qn_status qn__check_word(const qn_call *call, int in) QN_MUST_USE;
bool qn__is_float(qn_dtype dtype);
/* Row-major in a type that a cache of keys and values may have: f32, f16, bf16, q8_0, q4_0. */
qn_status qn__check_cached(const qn_call *call, int in) QN_MUST_USE;
/* The type of input `like`; and its shape. */
qn_status qn__check_type_like(const qn_call *call, int in, int like) QN_MUST_USE;
qn_status qn__check_like(const qn_call *call, int in, int like) QN_MUST_USE;
/* attr[0], the axis, is one of the dimensions of input 0. */
qn_status qn__check_axis(const qn_call *call) QN_MUST_USE;

/* Elements; rows x cols over the last dimension. */
int64_t qn__elements(const qn_operand *operand);
int64_t qn__cols(const qn_operand *operand);
int64_t qn__rows(const qn_operand *operand);
/* Bytes of the tensors present (backward: of in and out only those it reads), and flops_per_element
 * times the elements of the first output (or its gradient). */
void qn__cost_elementwise(const qn_call *call, double flops_per_element, qn_cost *cost);

/* The usual refusals. */
const char *qn__refuse_never(const qn_call *call);
const char *qn__refuse_wide(const qn_call *call);
const char *qn__refuse_tile(const qn_call *call);

/* Into how many launches work of this many operations is cut, so that none is predicted to take
 * half a second: a GPU that also draws the screen is reset by its driver after a few. At a fifth of
 * the measured peak, or of 100 GFLOP/s where none was measured; 1 on CPUs. Pure. */
int64_t qn__launch_parts(const qn_call *call, double flops);

/* Of qn__exec_elementwise: knob 0 is the number of elements an item. */
extern const qn_setting qn__each_settings[];
const char *qn__refuse_each(const qn_call *call, int setting);

/* { wide, tile, plain } for ops whose variants agree in their sums, launched by
 * qn__exec_elementwise. */
#define QN_VARIANTS_EACH(sums)                                                                     \
    (const qn_variant[])                                                                           \
    {                                                                                              \
        {.name = "wide",                                                                           \
         .family = QN_WIDE,                                                                        \
         .order = sums,                                                                            \
         .refuse = qn__refuse_wide,                                                                \
         .settings = qn__each_settings,                                                            \
         .refuse_setting = qn__refuse_each},                                                       \
            {"tile", QN_TILE, sums, qn__refuse_tile, NULL},                                        \
            {"plain", QN_PLAIN, sums, qn__refuse_never, NULL},                                     \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* The same for other grids: nothing to set. */
#define QN_VARIANTS_WIDE_PLAIN(order)                                                              \
    (const qn_variant[])                                                                           \
    {                                                                                              \
        {"wide", QN_WIDE, order, qn__refuse_wide, NULL},                                           \
            {"plain", QN_PLAIN, order, qn__refuse_never, NULL},                                    \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* { wide, tile, plain }, likewise. */
#define QN_VARIANTS_WIDE_TILE_PLAIN(order)                                                         \
    (const qn_variant[])                                                                           \
    {                                                                                              \
        {"wide", QN_WIDE, order, qn__refuse_wide, NULL},                                           \
            {"tile", QN_TILE, order, qn__refuse_tile, NULL},                                       \
            {"plain", QN_PLAIN, order, qn__refuse_never, NULL},                                    \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

#endif
