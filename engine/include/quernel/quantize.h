/* Smaller weights: a model of any format we read, as a GGUF file in blocks of few bits. */
#ifndef QUERNEL_QUANTIZE_H
#define QUERNEL_QUANTIZE_H

#include <quernel/model.h>
#include <quernel/tensor.h>

/* Name of the i-th type of file, best first among the mixes: "Q8_0", "Q4_K_M" ...; NULL at the end.
 */
QN_API const char *qn_quantize_type(int i);
/* One line about it, static storage. */
QN_API const char *qn_quantize_type_help(int i);

typedef struct qn_quantize_options {
    uint32_t size;    /* sizeof(qn_quantize_options) */
    const char *type; /* of file: most matrices have the type it is named after, and those that
                         bear it badly a better one, by llama.cpp's rules (docs/quantize.md) */
    const char *importance; /* an importance matrix of llama.cpp's (GGUF or .dat): the mean square
                               of what meets each column, which weighs its errors; NULL: none */
    const char *adapter;    /* a folder in PEFT's layout, folded in; NULL: none */
    const char *tokenizer;  /* as in qn_convert_options */
    uint64_t shard_bytes;   /* the most bytes of tensors in a file; 0: one file */
    int32_t threads;        /* 0: one a core */
    bool pure;              /* every matrix in the type itself, no mix */
} qn_quantize_options;

typedef struct qn_quantize_row {
    int64_t tensors, elements, bytes;
    double error; /* sum (x - y)^2 / sum x^2 over the tensors that were converted; 0: none was */
} qn_quantize_row;

typedef struct qn_quantize_report {
    uint32_t size;                         /* sizeof(qn_quantize_report) */
    qn_quantize_row types[QN_DTYPE_COUNT]; /* by element type in the file */
    qn_quantize_row total;                 /* error: over all that were converted */
    int64_t raw;                           /* tensors of other types, copied as they are */
    int64_t fallbacks; /* tensors whose rows are no whole blocks of the type they should have */
    int64_t weighed;   /* tensors that the importance matrix has an opinion on */
    double bits_per_weight;
} qn_quantize_report;

/* Read a model and write it to `out`, in pieces of a tensor when it is a GGUF file (of any
 * architecture, whether we run it or not) and tensor by tensor else, never the whole. Tokenizer and
 * metadata go along. The file appears under its name whole or not at all. report may be NULL;
 * progress too, it counts elements, and false stops with QN_INTERRUPTED.
 * Errors: QN_BAD_ARGUMENT lists the types; QN_NON_FINITE names the tensor with a value that is no
 * number; QN_UNSUPPORTED one of a type we do not read. */
QN_API qn_status qn_model_quantize(const char *in, const char *out,
                                   const qn_quantize_options *options, qn_progress_fn progress,
                                   void *user, qn_quantize_report *report) QN_MUST_USE;

#endif
