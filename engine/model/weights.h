/* Weights between files and stores. */
#ifndef QN_MODEL_WEIGHTS_H
#define QN_MODEL_WEIGHTS_H

#include "file/gguf_write.h"
#include "file/model_file.h"
#include "graph/store.h"
#include "model/lora.h"

/* The configuration a file states. QN_UNSUPPORTED names what we do not run. */
qn_status qn__config_from_file(const qn_model_file *file, const char *path,
                               qn_model_config *config) QN_MUST_USE;
/* llm.c's name for a GPT-2 weight, "qkvw"; NULL: it has none. */
const char *qn__llmc_weight_name(qn_role role);
/* f32, f16, bf16 or whole blocks to f32; `from` may be unaligned. */
void qn__to_f32(const uint8_t *from, qn_dtype dtype, int64_t count, float *to);
/* A tensor of GGUF with its dimensions in our order. */
qn_range qn__range_of_gguf(const qn_gguf_tensor *tensor);
/* Where weights come from, one by one, in f32 and in the store's layout. */
typedef struct qn_weight_source {
    /* values [elements of weight]; a weight that is not there stays as it is when it may be absent.
     */
    qn_status (*fetch)(const struct qn_weight_source *source, const qn_weight *weight,
                       float *values);
    /* The type it has where it comes from. */
    qn_dtype (*dtype)(const struct qn_weight_source *source, const qn_weight *weight);
    const qn_model_config *config; /* of the model there */
    const qn_model_file *file;
    qn_store *store;
    const struct qn_adapter *adapter; /* of a folder, folded in; may be NULL */
    const qn_lora *lora;              /* of the store, folded in; may be NULL */
    const char *path;
} qn_weight_source;

qn_weight_source qn__weights_of_file(const qn_model_file *file, const qn_model_config *config,
                                     const char *path);
qn_weight_source qn__weights_of_store(qn_store *store, const qn_model_config *config);
/* Where a weight lies in a file, and of what type it is there; its shape has been compared with the
 * configuration's. turned: the file has [out, in], the store [in, out]. */
qn_status qn__weights_locate(const qn_weight_source *source, const qn_weight *weight,
                             qn_range *range, bool *turned) QN_MUST_USE;
/* Is every weight there, of the shape the configuration says? Before anything is allocated on the
 * word of a configuration. */
qn_status qn__weights_check(const qn_weight_source *source) QN_MUST_USE;
/* Fill the store's weights; types are converted to f32. *hash of what was read; may be NULL. */
qn_status qn__weights_read(qn_store *store, const qn_weight_source *source,
                           uint64_t *hash) QN_MUST_USE;
/* config.json as transformers reads it; a new reference. */
json_t *qn__config_to_json(const qn_model_config *config);
qn_status qn__config_from_json(const json_t *json, const char *origin,
                               qn_model_config *config) QN_MUST_USE;
/* By which llama.cpp knows Gemma 2's largest model, whose scores have a scale of their own. */
enum { QN_GEMMA2_27B_LAYERS = 46 };
/* The configuration that GGUF metadata and tensors state, and the metadata of one; config->tied,
 * the biases and the rotary factors follow from which tensors there are. */
qn_status qn__config_from_gguf(const qn_gguf *gguf, qn_model_config *config) QN_MUST_USE;
qn_status qn__config_to_gguf(const qn_model_config *config, qn_gguf_writer *writer) QN_MUST_USE;
/* QN_UNSUPPORTED names a tensor that no part of this model is: another network than we would run.
 */
qn_status qn__gguf_check_names(const qn_gguf *gguf, const qn_model_config *config) QN_MUST_USE;
/* Factors [head size / 2] by which GGUF has a rule's frequencies divided: "rope_freqs.weight", or
 * "rope_factors_short.weight" and "rope_factors_long.weight" (i = 0, 1, 2 in that order); false
 * where the rule needs none of that name. */
bool qn__gguf_factors(const qn_model_config *config, int i, const char **name, float *factors);
/* What transformers and our checkpoints hold of this model: rotary halves; GPT-2 with biases. */
qn_model_config qn__config_as_saved(const qn_model_config *config);
/* What GGUF holds of it: rotary pairs or halves, as its architecture has them there. */
qn_model_config qn__config_as_gguf(const qn_model_config *config);
/* A weight of the saved model from a source: biases that the source lacks are zeros, rotary pairs
 * and halves become what `saved` has. */
qn_status qn__weights_fetch_saved(const qn_weight_source *source, const qn_model_config *saved,
                                  const qn_weight *weight, float *values) QN_MUST_USE;
/* config.json and model.safetensors in `folder`, each whole or not at all. dtype QN_DTYPE_COUNT:
 * as the source has it. progress may be NULL. */
typedef struct qn_save_options {
    qn_dtype dtype;
    qn_progress_fn progress;
    void *user;
} qn_save_options;
qn_status qn__weights_save_folder(const qn_weight_source *source, const qn_save_options *options,
                                  const char *folder) QN_MUST_USE;
/* f32 to `dtype` in place; *bytes is the size then. QN_UNSUPPORTED where f16 cannot hold a value.
 */
qn_status qn__weights_narrow(const char *name, float *values, size_t count, qn_dtype dtype,
                             size_t *bytes) QN_MUST_USE;
/* Tensors in other types than the options' dtype says, written by other hands. */
typedef struct qn_gguf_codec {
    void *user;
    /* Of a tensor; ne[0] is contiguous. */
    qn_dtype (*type)(void *user, const char *name, int rank, const int64_t *ne);
    /* Metadata: general.file_type and what belongs to it. */
    qn_status (*head)(void *user, qn_gguf_writer *writer);
    /* Add all of a tensor, whose values are in the order of the file. */
    qn_status (*add)(void *user, qn_gguf_writer *writer, const char *name, int rank,
                     const int64_t *ne, const float *values);
} qn_gguf_codec;

/* What a GGUF file has beside the weights. */
typedef struct qn_gguf_extras {
    const qn_gguf *like; /* tokenizer metadata comes from here; NULL: from the tokenizer */
    const qn_tokenizer *tokenizer; /* NULL: the file says that it has none */
    const char *chat_template;     /* NULL: none */
    const char *name;              /* general.name; NULL: none */
    uint64_t shard_bytes;          /* 0: one file */
    const qn_gguf_codec *codec;    /* NULL: none */
} qn_gguf_extras;
qn_status qn__weights_save_gguf(const qn_weight_source *source, const qn_save_options *options,
                                const qn_gguf_extras *extras, const char *path) QN_MUST_USE;
/* Tell progress; QN_INTERRUPTED when it says stop. */
qn_status qn__save_progress(const qn_save_options *options, int64_t done,
                            int64_t total) QN_MUST_USE;

#endif
