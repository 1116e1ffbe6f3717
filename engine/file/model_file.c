#include "file/model_file.h"

#include "base/check.h"
#include "base/fs.h"

#include <stdio.h>
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
        [QN_MODEL_FILE_CHECKPOINT] = "Quernel checkpoint",
    };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

bool qn__is_gguf(const char *path)
{
    char magic[4];
    FILE *file = fopen(path, "rb");
    bool same = file && fread(magic, 1, 4, file) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (file) fclose(file);
    return same;
}

static qn_status not_a_model(const char *path, const char *why)
{
    return qn__fail(QN_BAD_DATA,
                    "%s is not a model: %s; give a folder with config.json and "
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

static bool has_file(const char *folder, const char *name)
{
    char *path = qn__path_join(folder, name);
    bool there = path && qn__is_file(path);
    free(path);
    return there;
}

/* A step of a run, or a run that has steps and no model yet. */
static qn_status open_checkpoint(const char *path, qn_model_file *file)
{
    QN_TRY(has_file(path, "MANIFEST.json")
               ? qn__checkpoint_open(path, false, &file->checkpoint)
               : qn__checkpoint_open_newest(path, false, &file->checkpoint));
    if (!file->checkpoint)
        return not_a_model(path, "the folder has no config.json and no checkpoint");
    file->kind = QN_MODEL_FILE_CHECKPOINT;
    return QN_OK;
}

static qn_status open_folder(const char *path, qn_model_file *file)
{
    if (!has_file(path, "config.json")) return open_checkpoint(path, file);
    QN_TRY(qn__hf_folder_open(path, &file->hf_folder));
    file->kind = QN_MODEL_FILE_HF_FOLDER;
    return QN_OK;
}

static qn_status open_kind(const char *path, qn_model_file_kind kind, qn_model_file *file)
{
    switch (kind) {
    case QN_MODEL_FILE_SAFETENSORS: return qn__safetensors_open(path, &file->safetensors);
    case QN_MODEL_FILE_GGUF: return qn__gguf_open(path, &file->gguf);
    case QN_MODEL_FILE_LLAMA2C: return qn__llama2c_open(path, &file->llama2c);
    case QN_MODEL_FILE_LLMC: return qn__llmc_open(path, &file->llmc);
    case QN_MODEL_FILE_HF_FOLDER:
    case QN_MODEL_FILE_CHECKPOINT:
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
    qn__checkpoint_close(&file->checkpoint);
    *file = (qn_model_file){0};
}
