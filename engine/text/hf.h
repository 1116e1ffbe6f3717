/* Hugging Face's tokenizer.json: what reading and writing share. */
#ifndef QN_TEXT_HF_H
#define QN_TEXT_HF_H

#include "base/json.h"
#include "text/tokenizer.h"

/* The pattern that cuts a text into characters, in the files we write for character tokenizers. */
#define QN__HF_CHARACTER "[\\s\\S]"

/* What qn__tokenizer_load_hf reads; `path` is for messages, and for the files beside it. */
qn_status qn__tokenizer_from_json(const json_t *root, const char *path,
                                  qn_tokenizer **tokenizer) QN_MUST_USE;
/* Decide the kind from the model and the steps round it. */
qn_status qn__hf_kind(const json_t *root, const char *path, qn_tokenizer_kind *kind) QN_MUST_USE;
/* Normalizer and pre-tokenizer into splitter, prefix and flags; QN_UNSUPPORTED names the step. */
qn_status qn__hf_read_steps(const json_t *root, const char *path, qn_tokenizer *t) QN_MUST_USE;
/* BOS, EOS and whether texts begin with BOS: from the post-processor, from tokenizer_config.json
 * beside the file if there is one, else from well-known names. After the indexes were built. */
qn_status qn__hf_read_ends(const json_t *root, const char *path, qn_tokenizer *t) QN_MUST_USE;

#endif
