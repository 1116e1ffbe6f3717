/* A model as a graph, for training, evaluation and generation alike. */
#ifndef QN_MODEL_NETWORK_H
#define QN_MODEL_NETWORK_H

#include "graph/store.h"
#include "model/arch.h"
#include "model/lora.h"

/* What a network reads, and how. Names are of store tensors. */
typedef struct qn_network {
    qn_graph *graph;
    const qn_model_config *config;
    const char *prefix; /* of inputs: "<prefix>.ids" i32[R], ".pos" i32[R], ".ranges" i32[R,4];
                           where a layer has a window ".window" i32[R,4]; ".rng" i32[4] with
                           dropout; cached: also ".index" i32[R], where new keys go */
    bool rows;          /* R is the run-time dimension */
    bool
        cached; /* keys and values of each layer live in "kv.k.<layer>", "kv.v.<layer>" [S, G, D] */
    bool slots; /* cached: where they lie there is said by "kv.slots" */
    float dropout;
    const qn_lora
        *lora;      /* of rank above 0: adapters are trained, the weights are not; may be NULL */
    int64_t length; /* of a sequence, for cost estimates; 0: the context */
    qn_dtype type;  /* of activations: QN_F32, QN_F16 or QN_BF16; products read the copies of
                       qn__copies_declare */
    const char *const *sums; /* of gradients that go on adding, the stored names' beginnings: of a
                                weight's first use and of its second; NULL: from nothing */
    /* Filled while building: every use of a weight that is trained. */
    qn_tensor *rng;
    struct qn_use {
        int store;
        qn_tensor *tensor;
        bool again; /* not the first use of this weight */
    } *uses;
    int use_count, use_capacity;
    qn_tensor *head;                     /* its weight, once used */
    qn_tensor *quantized_of, *quantized; /* the last input of a quantized product, and its q8x */
} qn_network;

/* Has it dropout of some kind? Then it reads ".rng". */
bool qn__network_is_random(const qn_network *network);
/* Declare what the network reads: inputs for R rows. */
qn_status qn__network_inputs(qn_store *store, const qn_network *network, int64_t rows) QN_MUST_USE;
/* Weights, and the rotary table, in group "weights": matrices in `matrices`, vectors in f32. */
qn_status qn__weights_declare(qn_store *store, const qn_model_config *config,
                              qn_dtype matrices) QN_MUST_USE;
/* The same, each as `desc` says. */
qn_status qn__weights_declare_each(qn_store *store, const qn_model_config *config,
                                   qn_desc (*desc)(void *user, const qn_weight *weight),
                                   void *user) QN_MUST_USE;
/* The name of a tensor's copy in `type`, written to `text`; NULL: the store has none. */
const char *qn__copy_name(const qn_store *store, const char *name, qn_dtype type, char *text,
                          size_t bytes);
/* For each matrix that products of this network read, its copy in `type`, which plans make again
 * when the matrix has changed: "<name>.bf16". Nothing for QN_F32. After the weights and adapters.
 */
qn_status qn__copies_declare(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                             qn_dtype type) QN_MUST_USE;
/* Radians a token by which a pair turns, stretched as config.rope says. */
double qn__rope_frequency(const qn_model_config *config, int pair);
/* After allocation: the table of (cos, sin), stretched as config.rope says. */
qn_status qn__rope_fill(qn_store *store, const qn_model_config *config) QN_MUST_USE;
/* Normal(0, 0.02), residual projections divided by sqrt(2 layers), norms 1, biases 0; a function of
 * seed only. */
qn_status qn__weights_init(qn_store *store, const qn_model_config *config,
                           uint64_t seed) QN_MUST_USE;

/* The last norm's output [R, C]; NULL after a failure (see qn_graph_status). */
qn_tensor *qn__network_hidden(qn_network *network);
/* Logits [rows of hidden, V]; again for other rows: one use of the weight. */
qn_tensor *qn__network_head(qn_network *network, qn_tensor *hidden);
void qn__network_free(qn_network *network);

/* Ranges [rows, 4] with `from` moved up to the window. */
void qn__window_ranges(const qn_model_config *config, const int32_t *ranges, size_t rows,
                       int32_t *near);
/* Write ranges [rows, 4] as op attention reads them to "<prefix>.ranges", and those of the window
 * to
 * "<prefix>.window" where a layer has one. */
qn_status qn__network_write_ranges(qn_store *store, const qn_model_config *config,
                                   const char *prefix, const int32_t *ranges,
                                   size_t rows) QN_MUST_USE;
/* Ranges and positions of `sequences` sequences of `length` rows each, one after another. */
void qn__causal_ranges(int32_t *ranges, int32_t *positions, int sequences, int length);
/* Ranges of documents one after another, each beginning where the position is 0, as row 0's is. */
void qn__document_ranges(int32_t *ranges, const int32_t *positions, int rows);

#endif
