/* Measuring: one op, a matrix product, a training step, decoding. */
#ifndef QUERNEL_BENCH_H
#define QUERNEL_BENCH_H

#include <quernel/device.h>
#include <quernel/model.h>
#include <stdbool.h>

typedef struct qn_bench_options {
    uint32_t size;          /* sizeof(qn_bench_options) */
    const char *variant;    /* force; NULL: the engine's choice */
    int repeats;            /* 0: until the figures settle */
    const char *precision;  /* of a training step: "f32", "bf16", "f16"; NULL: f32 */
    int32_t context;        /* decoding: at most so many tokens; 0: as the model says */
    const char *type;       /* decoding: quantize what is in floats to this first; NULL: as it is */
    const char *cache_type; /* decoding: as in qn_model_options */
    int batch;              /* decoding: sequences at once; 0: 1 */
    int micro_batches;      /* of a training step, of `batch` sequences each; 0: 1 */
    bool chain;             /* add their gradients as a chain instead of a tree */
} qn_bench_options;

/* A case line as tests and verbose mode print it: "matmul trans_b=1 : a=f32[5,7] b=f32[3,7]",
 * "(backward)" at its end for the backward pass. JSON: {"case", "variant", "device", "ms",
 * "gflops", "gbytes_per_s", "percent_of_peak", "bound"}; medians; free with qn_free. */
QN_API qn_status qn_bench_op(qn_device *device, const char *line, const qn_bench_options *options,
                             char **json) QN_MUST_USE;
/* A training step on random tokens. JSON: {"step_ms", "tokens_per_s", "percent_of_peak",
 * "parameters", "device", "device_bytes", "planned_bytes", "profile" (device opened with profile)};
 * of several micro-batches also {"leaves_ms": forward and backward of each by itself, nothing kept;
 * "accumulated_ms": the same with their gradients added, and the norm; "accumulation_percent": how
 * much longer}, medians of runs in turn. */
QN_API qn_status qn_bench_train(qn_device *device, const qn_model_config *config, int batch,
                                int context, const qn_bench_options *options,
                                char **json) QN_MUST_USE;
/* Token by token after a prompt, `batch` sequences at once; tokens 0: only the prompts, JSON
 * {"tokens_per_s" (of all), "gflops", "percent_of_peak", "of" (which peak: "int8" or "f32"),
 * "batch", "device"}. Else JSON: {"tokens_per_s" (of all), "gbytes_per_s" (of weights, which all
 * sequences read once), "percent_of_bandwidth", "prompt_tokens_per_s", "batch", "cache_bytes",
 * "device"}. model: NULL means random weights of `config`. */
QN_API qn_status qn_bench_decode(qn_device *device, const qn_model_config *config,
                                 const char *model, int prompt_tokens, int tokens,
                                 const qn_bench_options *options, char **json) QN_MUST_USE;

#endif
