/* A model with the gradients and moments of what is trained: the graphs and plans of a step. Knows
 * nothing of data or files. */
#ifndef QN_TRAIN_TRAINING_H
#define QN_TRAIN_TRAINING_H

#include "base/trace.h"
#include "graph/comm.h"
#include "model/model.h"

typedef struct qn_hyper { /* as op adamw reads it */
    float lr, beta1, beta2, eps, weight_decay, correction1, correction2, scale;
} qn_hyper;

/* Older sums that a leaf's products are added to at once, at most: as matmul's onto. */
enum { QN_JOINS = 3, QN_STEP_PLANS = 3 + QN_JOINS };

typedef struct qn_training {
    qn_store *store;
    qn_model_config config;
    int64_t batch, micro; /* sequences; batch = micro * all_leaves */
    int64_t all_leaves;   /* of a step, on all ranks */
    int64_t leaves;       /* those of this rank: from first[rank] to first[rank + 1] */
    int64_t *first;       /* [ranks + 1]; with chain a rank counts as one leaf */
    int64_t first_leaf;   /* of this rank */
    int rank, ranks;
    qn_comm *comm;            /* NULL: this process is alone */
    bool zero;                /* each rank has the moments of its run: see shard.h */
    int64_t *starts;          /* [tensors + 1]: elements of trained tensors before each */
    int tensors;              /* that are trained */
    struct qn_shard *shard;   /* NULL likewise */
    qn_trace *trace;          /* borrowed; NULL: nothing is noted */
    struct qn_reduce *reduce; /* NULL likewise */
    int64_t length;           /* tokens a sequence, at most the context */
    int64_t rows;             /* micro * length */
    float dropout;
    qn_dtype type;      /* of activations and compute weights */
    qn_dtype matrices;  /* of the weights that are matrices: f32, or type */
    qn_dtype moments;   /* of AdamW's: f32 or bf16 */
    bool chain;         /* one gradient, leaf after leaf, instead of a tree */
    double loss_scale;  /* gradients on the device are this many times theirs */
    qn_lora lora;       /* of rank above 0: what is trained */
    qn_lora lora_still; /* the same without dropout, for evaluation */
    bool packed;        /* each leaf has its own positions and ranges */
    int64_t head_chunk; /* rows of logits at a time; rows: all */
    qn_recompute recompute;
    bool offload;               /* moments live in host memory */
    const char *variant, *tune; /* as the options; for the plans while they are made */
    double tune_seconds;
    qn_graph *step_graph, *eval_graph, *norm_graph, *update_graph;
    qn_plan *step_plan, *eval_plan, *norm_plan, *update_plan;
    qn_graph *more_graph[QN_JOINS]; /* of leaves that add to older sums: see leaves.h; NULL where */
    qn_plan *more_plan[QN_JOINS];   /* no leaf does */
    bool separate_eval; /* evaluation has its own plan: no dropout, or no gradient of the head */
    /* host side, two steps deep because writes are only enqueued */
    int32_t *host[2];  /* a leaf: ids, targets [rows] */
    int32_t *spans[2]; /* packed: a leaf: positions [rows], ranges [rows, 4] */
    float *seed_host[2];
    qn_hyper hyper[2];
    int32_t rounding[2][4]; /* key of stochastic rounding */
    int32_t *rng_host[2];   /* dropout keys [leaves, 4] */
    int turn;
    qn_model *writer; /* generates text from the same weights; NULL: not asked for */
    float *norms;     /* an arena of partial sums */
    uint64_t norms_bytes;
    float *losses;
    double *shares; /* of every rank: its norm and the losses of its leaves */
} qn_training;

typedef struct qn_training_options {
    int64_t batch, micro; /* sequences, of all ranks together; of a leaf */
    int rank, ranks;      /* ranks 0: one */
    bool zero;            /* ranks share out the moments */
    qn_comm *comm;        /* the other ranks; NULL: none, or only to look at */
    int64_t length;       /* tokens a sequence; 0: the context */
    float dropout;
    qn_dtype type;       /* of activations and compute weights; sums and masters are f32 */
    bool no_master;      /* matrices are kept in type, not in f32 */
    qn_dtype moments;    /* of AdamW's: QN_F32 or QN_BF16 */
    bool chain;          /* leaves add into one gradient instead of a tree of them */
    const qn_lora *lora; /* NULL, or of rank 0: all weights are trained */
    bool packed;         /* sequences hold documents: see qn__training_set_positions */
    int64_t head_chunk;  /* rows of logits at a time; 0: all; below: see head.h */
    qn_recompute recompute;
    bool offload;        /* keep the moments in host memory */
    const char *variant; /* force this kernel variant wherever it applies; NULL: our choice */
    bool writes;         /* also generate text with it */
    const char *tune;    /* as qn_plan_options; copied into the plans */
    double tune_seconds;
} qn_training_options;

/* Declare everything and make the plans; device NULL: only to look at. */
qn_status qn__training_create(qn_device *device, const qn_caps *caps, const qn_model_config *config,
                              const qn_training_options *options,
                              qn_training **training) QN_MUST_USE;
void qn__training_destroy(qn_training **training);
/* Bytes on the device in all. */
uint64_t qn__training_bytes(const qn_training *training);
/* Allocate, build programs, write what never changes. Weights stay zero: initialise or load them
 * next. */
qn_status qn__training_prepare(qn_training *training) QN_MUST_USE;

/* One of this rank's leaves' tokens and targets (negative: not trained), [rows] each, for the
 * coming step. Copied.
 */
void qn__training_set_leaf(qn_training *training, int64_t leaf, const int32_t *ids,
                           const int32_t *targets);
/* Packed trainings only: where each row stands in its document, [rows], for the coming step (leaf
 * 0: also for the next evaluation). A row of position 0 begins a document; rows see the rows of
 * their own document up to themselves. Every sequence begins a document. Copied. */
void qn__training_set_positions(qn_training *training, int64_t leaf, const int32_t *positions);
/* Forward and backward of all leaves, gradient tree, norm. Waits once. *loss: mean over the trained
 * tokens. The backward pass starts from loss_scale times the loss; *grad_norm and the update are
 * those of the gradient itself. */
qn_status qn__training_step(qn_training *training, uint64_t seed, int64_t step, double *loss,
                            double *grad_norm) QN_MUST_USE;
/* AdamW on the gradients of the last step; enqueued. Collective where ranks share out the moments.
 */
qn_status qn__training_update(qn_training *training, const qn_hyper *hyper) QN_MUST_USE;
/* Op adamw with its attributes for elements [first, ..) of the number-th trained tensor. */
void qn__training_adamw_line(const qn_training *training, int number, bool decay, int64_t first,
                             char *line, size_t bytes);
/* Are some states of AdamW rounded stochastically? */
bool qn__training_rounds(const qn_training *training);
/* The plans of a step and how often it runs each: a leaf's, those of leaves that add to older sums,
 * the norm's, the update's. Returns their number. */
int qn__training_plans(const qn_training *training, qn_plan *plans[QN_STEP_PLANS],
                       int64_t runs[QN_STEP_PLANS]);
/* Sum of losses of leaf 0's tokens, forward only. */
qn_status qn__training_eval(qn_training *training, const int32_t *ids, const int32_t *targets,
                            double *nll, int64_t *count) QN_MUST_USE;
/* Matrix flops of a whole step. */
double qn__training_flops(const qn_training *training);

#endif
