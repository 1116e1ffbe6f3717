/* Any model file or folder, recognised by what is in it, not by its name. */
#ifndef QN_FILE_MODEL_FILE_H
#define QN_FILE_MODEL_FILE_H

#include "file/checkpoint.h"
#include "file/gguf.h"
#include "file/hf_folder.h"
#include "file/llama2c.h"
#include "file/llmc.h"
#include "file/safetensors.h"

typedef enum qn_model_file_kind {
    QN_MODEL_FILE_NONE,
    QN_MODEL_FILE_HF_FOLDER,
    QN_MODEL_FILE_SAFETENSORS,
    QN_MODEL_FILE_GGUF,
    QN_MODEL_FILE_LLAMA2C,
    QN_MODEL_FILE_LLMC,
    QN_MODEL_FILE_CHECKPOINT
} qn_model_file_kind;

/* One of the pointers is set: that of `kind`. */
typedef struct qn_model_file {
    qn_model_file_kind kind;
    qn_hf_folder *hf_folder;
    qn_safetensors *safetensors;
    qn_gguf *gguf;
    qn_llama2c *llama2c;
    qn_llmc *llmc;
    qn_checkpoint *checkpoint; /* of our own: a step's folder, or the newest of a run's */
} qn_model_file;

/* QN_BAD_DATA with the list of what is accepted if it is none of these; the format's own message if
 * it is one of them, but damaged. */
qn_status qn__model_file_open(const char *path, qn_model_file *file) QN_MUST_USE;
void qn__model_file_close(qn_model_file *file);

/* Does a file begin as GGUF does? False where it cannot be opened. */
bool qn__is_gguf(const char *path);

/* "GGUF", "Hugging Face folder", ... */
const char *qn__model_file_kind_name(qn_model_file_kind kind);

#endif
