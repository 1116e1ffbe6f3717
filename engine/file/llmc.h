/* llm.c's GPT-2 checkpoints: a header of 256 int32, then 16 tensors, each for all layers at once.
 *
 * Tensors come out under llm.c's names, whole ("qkvw" [L, 3C, C]) and by layer ("qkvw.3" [3C, C]):
 * wte [Vp, C], wpe [T, C], ln1w, ln1b, qkvw, qkvb, attprojw, attprojb, ln2w, ln2b, fcw, fcb,
 * fcprojw, fcprojb, lnfw [C], lnfb [C]. Linear weights are [out, in]. Rows of wte from `vocab` to
 * `padded_vocab` are zero; the output matrix is wte. Source: llm.c, gpt2_write_to_checkpoint. */
#ifndef QN_FILE_LLMC_H
#define QN_FILE_LLMC_H

#include "file/range.h"

enum { QN_LLMC_TENSORS = 16 };

typedef struct qn_llmc_config {
    int32_t max_tokens;
    int32_t vocab;
    int32_t padded_vocab; /* >= vocab */
    int32_t layers;
    int32_t heads;
    int32_t channels;
    qn_dtype dtype; /* QN_F32 (version 3) or QN_BF16 (version 5) */
} qn_llmc_config;

typedef struct qn_llmc qn_llmc;

/* QN_BAD_DATA unless the file has exactly the bytes its header asks for. */
qn_status qn__llmc_open(const char *path, qn_llmc **model) QN_MUST_USE;
void qn__llmc_close(qn_llmc **model);

/* Do these first bytes of a file carry llm.c's number for a GPT-2 model? */
bool qn__llmc_looks_like(const void *bytes, size_t count);

const qn_llmc_config *qn__llmc_config(const qn_llmc *model);
const char *qn__llmc_path(const qn_llmc *model);
size_t qn__llmc_count(const qn_llmc *model);
const qn_range *qn__llmc_at(const qn_llmc *model, size_t i);
/* By name; NULL when absent. */
const qn_range *qn__llmc_find(const qn_llmc *model, const char *name);

/* Name and number of elements of whole tensor i in [0, QN_LLMC_TENSORS), in file order. */
const char *qn__llmc_tensor_name(int i);
uint64_t qn__llmc_tensor_elements(const qn_llmc_config *config, int i);

/* Write a checkpoint of config->dtype: all tensors in file order, in pieces of any size, given in
 * f32. The file appears, whole, at _finish; before that, and after any failure, there is nothing to
 * see. */
typedef struct qn_llmc_writer qn_llmc_writer;
qn_status qn__llmc_writer_create(const char *path, const qn_llmc_config *config,
                                 qn_llmc_writer **writer) QN_MUST_USE;
qn_status qn__llmc_writer_add(qn_llmc_writer *writer, const float *values,
                              uint64_t count) QN_MUST_USE;
/* Destroys the writer, also on failure. */
qn_status qn__llmc_writer_finish(qn_llmc_writer **writer) QN_MUST_USE;
void qn__llmc_writer_destroy(qn_llmc_writer **writer);

#endif
