/* Parts of converting models: what lies beside the weights. */
#ifndef QN_MODEL_CONVERT_H
#define QN_MODEL_CONVERT_H

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

#endif
