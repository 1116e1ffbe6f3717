/* Parts of converting models: what lies beside the weights. */
#ifndef QN_MODEL_CONVERT_H
#define QN_MODEL_CONVERT_H

#include "model/adapter.h"
#include "model/weights.h"

/* Tokenizer files into a folder: those of `tokenizer` (a path; "none": nothing), or with NULL those
 * that the model has. */
qn_status qn__beside_to_folder(const qn_model_file *file, const char *in, const char *tokenizer,
                               const char *out) QN_MUST_USE;

/* The same to be written into a file. */
typedef struct qn_beside {
    const qn_gguf *like; /* its tokenizer goes along as it is; borrowed from the file */
    qn_tokenizer *tokenizer;
    char *chat_template;
} qn_beside;

qn_status qn__beside_open(const qn_model_file *file, const char *in, const char *tokenizer,
                          qn_beside *beside) QN_MUST_USE;
void qn__beside_close(qn_beside *beside);

/* A model in a file as a source of weights, which have been checked; an adapter is folded in, NULL:
 * none. It stays where it is, and qn__adapter_close(&from->adapter) ends it. */
typedef struct qn_convert_from {
    qn_model_config config;
    qn_adapter adapter;
    qn_weight_source source;
} qn_convert_from;

qn_status qn__convert_source(const qn_model_file *file, const char *in, const char *adapter,
                             qn_convert_from *from) QN_MUST_USE;
/* Its GGUF file, with the tokenizer that lies beside it or is given. codec may be NULL. */
qn_status qn__convert_to_gguf(const qn_weight_source *source, const char *tokenizer,
                              uint64_t shard_bytes, const qn_gguf_codec *codec,
                              const qn_save_options *save, const char *out) QN_MUST_USE;
/* Nothing is written over what is read. */
qn_status qn__check_places(const char *in, const char *out) QN_MUST_USE;

#endif
