#include "file/model_file.h"

#include "base/check.h"
#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

const char *qn__model_file_kind_name(qn_model_file_kind kind)
{
    static const char *const names[] = {
        [QN_MODEL_FILE_NONE] = "nothing",
        [QN_MODEL_FILE_HF_FOLDER] = "Hugging Face folder",
        [QN_MODEL_FILE_SAFETENSORS] = "safetensors",
        [QN_MODEL_FILE_GGUF] = "GGUF",
        [QN_MODEL_FILE_LLAMA2C] = "llama2.c checkpoint",
        [QN_MODEL_FILE_LLMC] = "llm.c checkpoint",
    };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

static qn_status not_a_model(const char *path, const char *why)
{
    return qn__fail(QN_BAD_DATA, "%s is not a model: %s; give a folder with config.json and "
                    "safetensors, a .safetensors or .gguf file, or a .bin of llama2.c or llm.c",
                    path, why);
}

/* By magic number where there is one; llama2.c has none, so its sizes must fit the file's. */
static qn_status recognise(const char *path, qn_model_file_kind *kind)
{
    qn_map map;
    *kind = QN_MODEL_FILE_NONE;
    QN_TRY(qn__map_open(path, &map));
    if (map.bytes >= 4 && memcmp(map.data, "GGUF", 4) == 0) *kind = QN_MODEL_FILE_GGUF;
    else if (qn__llmc_looks_like(map.data, map.bytes)) *kind = QN_MODEL_FILE_LLMC;
    else if (qn__safetensors_looks_like(map.data, map.bytes, map.bytes))
        *kind = QN_MODEL_FILE_SAFETENSORS;
    else if (qn__llama2c_looks_like(map.data, map.bytes, map.bytes)) *kind = QN_MODEL_FILE_LLAMA2C;
    bool empty = map.bytes == 0;
    qn__map_close(&map);
    if (*kind != QN_MODEL_FILE_NONE) return QN_OK;
    return not_a_model(path, empty ? "the file is empty" : "its content is of no kind known here");
}

static qn_status open_folder(const char *path, qn_model_file *file)
{
    char *config = qn__path_join(path, "config.json");
    if (!config) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    bool there = qn__is_file(config);
    free(config);
    qn_status status = there ? QN_OK : not_a_model(path, "the folder has no config.json");
    if (there) status = qn__hf_folder_open(path, &file->hf_folder);
    if (status == QN_OK) file->kind = QN_MODEL_FILE_HF_FOLDER;
    return status;
}

static qn_status open_kind(const char *path, qn_model_file_kind kind, qn_model_file *file)
{
    switch (kind) {
    case QN_MODEL_FILE_SAFETENSORS: return qn__safetensors_open(path, &file->safetensors);
    case QN_MODEL_FILE_GGUF: return qn__gguf_open(path, &file->gguf);
    case QN_MODEL_FILE_LLAMA2C: return qn__llama2c_open(path, &file->llama2c);
    case QN_MODEL_FILE_LLMC: return qn__llmc_open(path, &file->llmc);
    case QN_MODEL_FILE_HF_FOLDER:
    case QN_MODEL_FILE_NONE: break;
    }
    return qn__fail(QN_INTERNAL, "%s: kind %d", path, (int)kind);
}

qn_status qn__model_file_open(const char *path, qn_model_file *file)
{
    qn_model_file_kind kind;
    *file = (qn_model_file){0};
    if (qn__is_folder(path)) return open_folder(path, file);
    QN_TRY(recognise(path, &kind));
    QN_TRY(open_kind(path, kind, file));
    file->kind = kind;
    return QN_OK;
}

void qn__model_file_close(qn_model_file *file)
{
    qn__hf_folder_close(&file->hf_folder);
    qn__safetensors_close(&file->safetensors);
    qn__gguf_close(&file->gguf);
    qn__llama2c_close(&file->llama2c);
    qn__llmc_close(&file->llmc);
    *file = (qn_model_file){0};
}
