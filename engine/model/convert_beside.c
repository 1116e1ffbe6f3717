/* What lies beside the weights: tokenizers and chat templates, from one format's place to
 * another's. */
#include "base/check.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "file/writer.h"
#include "model/convert.h"

#include <stdlib.h>
#include <string.h>

static qn_status no_memory(void)
{
    return qn__fail(QN_OS_ERROR, "out of memory");
}

static bool is_folder_kind(const qn_model_file *file)
{
    return file->kind == QN_MODEL_FILE_HF_FOLDER || file->kind == QN_MODEL_FILE_CHECKPOINT;
}

/* A checkpoint's lie in the folder of its run. The caller frees. */
static char *folder_of(const qn_model_file *file, const char *in)
{
    if (file->kind != QN_MODEL_FILE_CHECKPOINT) return strdup(in);
    return qn__path_join(qn__checkpoint_folder(file->checkpoint), "..");
}

static bool has_tokenizer(const qn_gguf *gguf)
{
    const char *model = "";
    size_t bytes = 0;
    if (qn__gguf_string(gguf, "tokenizer.ggml.model", false, &model, &bytes) != QN_OK) return false;
    bool none = bytes == 0 || (bytes == 8 && memcmp(model, "no_vocab", 8) == 0) ||
                (bytes == 4 && memcmp(model, "none", 4) == 0);
    return !none;
}

/* ---- into a folder ---- */

static qn_status save_tokenizer(const char *from, const char *folder)
{
    qn_tokenizer *tokenizer = NULL;
    qn_status status = qn_tokenizer_load(from, &tokenizer);
    if (status == QN_OK) status = qn_tokenizer_save(tokenizer, folder);
    qn_tokenizer_destroy(&tokenizer);
    return status;
}

static qn_status save_template(const qn_gguf *gguf, const char *folder)
{
    const char *text = NULL;
    size_t bytes = 0;
    QN_TRY(qn__gguf_string(gguf, "tokenizer.chat_template", false, &text, &bytes));
    if (!text) return QN_OK;
    char *path = qn__path_join(folder, "chat_template.jinja");
    qn_status status = path ? qn__write_file(path, text, bytes) : no_memory();
    free(path);
    return status;
}

qn_status qn__beside_to_folder(const qn_model_file *file, const char *in, const char *tokenizer,
                               const char *out)
{
    if (tokenizer && strcmp(tokenizer, "none") == 0) return QN_OK;
    if (tokenizer) return save_tokenizer(tokenizer, out);
    if (is_folder_kind(file)) {
        char *folder = folder_of(file, in);
        qn_status status = folder ? qn__hf_folder_copy_tokenizer(folder, out) : no_memory();
        free(folder);
        return status;
    }
    if (file->kind != QN_MODEL_FILE_GGUF || !has_tokenizer(file->gguf)) return QN_OK;
    qn_status status = save_tokenizer(in, out);
    if (status == QN_UNSUPPORTED) {
        qn__log(QN_LOG_WARN, "the model is written without a tokenizer: %s", qn_last_error());
        return QN_OK;
    }
    return status == QN_OK ? save_template(file->gguf, out) : status;
}

/* ---- into a file ---- */

/* chat_template.jinja, or what tokenizer_config.json says; *text is NULL where there is none. */
static qn_status read_template(const char *folder, char **text)
{
    char *path = qn__path_join(folder, "chat_template.jinja"),
         *config = qn__path_join(folder, "tokenizer_config.json");
    json_t *root = NULL;
    size_t bytes;
    qn_status status = path && config ? QN_OK : no_memory();
    if (status == QN_OK && qn__is_file(path)) status = qn__file_read(path, text, &bytes);
    else if (status == QN_OK && qn__is_file(config)) {
        status = qn__json_load(config, &root);
        const char *said = json_string_value(json_object_get(root, "chat_template"));
        if (status == QN_OK && said && !(*text = strdup(said))) status = no_memory();
    }
    json_decref(root);
    free(path);
    free(config);
    return status;
}

static qn_status open_folder(const char *folder, qn_beside *beside)
{
    char *path = qn__path_join(folder, "tokenizer.json");
    bool there = path && qn__is_file(path);
    free(path);
    if (!there) {
        qn__log(QN_LOG_WARN,
                "%s has no tokenizer.json: the file is written without a tokenizer, "
                "and llama.cpp takes token ids only; --tokenizer PATH gives it one",
                folder);
        return QN_OK;
    }
    QN_TRY(qn_tokenizer_load(folder, &beside->tokenizer));
    return read_template(folder, &beside->chat_template);
}

qn_status qn__beside_open(const qn_model_file *file, const char *in, const char *tokenizer,
                          qn_beside *beside)
{
    *beside = (qn_beside){0};
    if (tokenizer && strcmp(tokenizer, "none") == 0) return QN_OK;
    if (tokenizer && qn__is_folder(tokenizer)) return open_folder(tokenizer, beside);
    if (tokenizer) return qn_tokenizer_load(tokenizer, &beside->tokenizer);
    if (file->kind == QN_MODEL_FILE_GGUF) {
        beside->like = file->gguf;
        return QN_OK;
    }
    if (!is_folder_kind(file)) return QN_OK;
    char *folder = folder_of(file, in);
    qn_status status = folder ? open_folder(folder, beside) : no_memory();
    free(folder);
    return status;
}

void qn__beside_close(qn_beside *beside)
{
    qn_tokenizer_destroy(&beside->tokenizer);
    free(beside->chat_template);
    *beside = (qn_beside){0};
}
