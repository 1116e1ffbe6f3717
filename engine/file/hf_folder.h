/* A Hugging Face folder: config.json, and model.safetensors or shards of it listed in
 * model.safetensors.index.json. */
#ifndef QN_FILE_HF_FOLDER_H
#define QN_FILE_HF_FOLDER_H

#include "file/safetensors.h"

#include <jansson.h>

typedef struct qn_hf_folder qn_hf_folder;

/* Opens every shard. Nothing outside the folder is opened, whatever the index says. */
qn_status qn__hf_folder_open(const char *path, qn_hf_folder **folder) QN_MUST_USE;
void qn__hf_folder_close(qn_hf_folder **folder);

const char *qn__hf_folder_path(const qn_hf_folder *folder);
/* config.json, an object. Borrowed. Read it with qn__json_i64 and its kin. */
const json_t *qn__hf_folder_config(const qn_hf_folder *folder);
/* Where config.json lies, for messages. */
const char *qn__hf_folder_config_path(const qn_hf_folder *folder);

/* Its safetensors files. */
size_t qn__hf_folder_file_count(const qn_hf_folder *folder);
const qn_safetensors *qn__hf_folder_file(const qn_hf_folder *folder, size_t i);

size_t qn__hf_folder_count(const qn_hf_folder *folder);
const qn_range *qn__hf_folder_at(const qn_hf_folder *folder, size_t i);
/* By name; NULL when absent. */
const qn_range *qn__hf_folder_find(const qn_hf_folder *folder, const char *name);

/* Tokenizers, chat templates and their kin, those that are there, byte for byte. */
qn_status qn__hf_folder_copy_tokenizer(const char *from, const char *to) QN_MUST_USE;

#endif
