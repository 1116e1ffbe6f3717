/* Models from one format to another, one tensor at a time. */
#include "base/check.h"
#include "base/fs.h"
#include "file/checkpoint.h"
#include "model/adapter.h"
#include "model/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- llm.c ---- */

static qn_status fits_llmc(const qn_model_config *c, const char *in)
{
    const char *why = NULL;
    if (c->arch != QN_GPT2) why = "is no GPT-2";
    else if (!c->tied) why = "has an output matrix of its own";
    else if (c->ffn != 4 * c->embed) why = "has a feed-forward width other than 4 embed";
    else if (c->gelu_erf) why = "has the exact GELU";
    else if (c->norm_eps != 1e-5f) why = "has an epsilon of norms other than 1e-5";
    if (!why) return QN_OK;
    return qn__fail(QN_UNSUPPORTED, "%s (%s) %s; llm.c checkpoints hold GPT-2 as it was published",
                    in, qn_arch_name(c->arch), why);
}

static bool find_weight(const qn_model_config *config, const char *llmc_name, int layer,
                        qn_weight *weight)
{
    for (int cursor = 0; qn__weight_next(config, &cursor, weight);) {
        const char *name = qn__llmc_weight_name(weight->role);
        if (name && strcmp(name, llmc_name) == 0 && weight->layer == layer) return true;
    }
    return false;
}

/* Linear weights as llm.c has them, [out, in]. */
static void turn(const qn_weight *weight, const float *from, float *to)
{
    int64_t rows = weight->shape.dim[0], cols = weight->shape.dim[1];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) to[c * rows + r] = from[r * cols + c];
}

static qn_status add_llmc(const qn_weight_source *source, const qn_weight *weight,
                          qn_llmc_writer *writer)
{
    size_t count = (size_t)qn_shape_elements(&weight->shape);
    bool linear = weight->shape.rank == 2 && weight->layer >= 0;
    float *values = malloc(count * sizeof *values * 2 + 1);
    if (!values) return qn__fail(QN_OS_ERROR, "no memory for %zu numbers", count);
    qn_model_config saved = qn__config_as_saved(source->config);
    qn_status status = qn__weights_fetch_saved(source, &saved, weight, values);
    if (status == QN_OK && linear) turn(weight, values, values + count);
    if (status == QN_OK)
        status = qn__llmc_writer_add(writer, linear ? values + count : values, count);
    free(values);
    return status;
}

static qn_status add_zeros(qn_llmc_writer *writer, int64_t count)
{
    const float zeros[256] = {0};
    for (; count > 0; count -= 256)
        QN_TRY(qn__llmc_writer_add(writer, zeros, (uint64_t)(count < 256 ? count : 256)));
    return QN_OK;
}

static qn_status write_llmc(const qn_weight_source *source, const qn_save_options *options,
                            const qn_llmc_config *llmc, qn_llmc_writer *writer)
{
    qn_model_config saved = qn__config_as_saved(source->config);
    int64_t total = qn_model_parameters(&saved), done = 0;
    for (int i = 0; i < QN_LLMC_TENSORS; i++) {
        const char *name = qn__llmc_tensor_name(i);
        qn_weight weight;
        bool once = find_weight(&saved, name, -1, &weight);
        for (int layer = 0; layer < (once ? 1 : saved.layers); layer++) {
            if (!once && !find_weight(&saved, name, layer, &weight))
                return qn__fail(QN_INTERNAL, "llm.c tensor %s", name);
            QN_TRY(add_llmc(source, &weight, writer));
            done += qn_shape_elements(&weight.shape);
        }
        if (i == 0)
            QN_TRY(add_zeros(writer, (int64_t)(llmc->padded_vocab - llmc->vocab) * saved.embed));
        QN_TRY(qn__save_progress(options, done, total));
    }
    return QN_OK;
}

static qn_status to_llmc(const qn_weight_source *source, const qn_save_options *options,
                         const char *out)
{
    const qn_model_config *c = source->config;
    qn_llmc_writer *writer = NULL;
    qn_weight first;
    int cursor = 0;
    QN_TRY(fits_llmc(c, source->path));
    qn_dtype dtype = options->dtype;
    if (dtype == QN_DTYPE_COUNT && qn__weight_next(c, &cursor, &first))
        dtype = source->dtype(source, &first) == QN_BF16 ? QN_BF16 : QN_F32;
    const qn_llmc_config llmc = {.max_tokens = c->context,
                                 .vocab = c->vocab,
                                 .padded_vocab = (c->vocab + 127) / 128 * 128,
                                 .layers = c->layers,
                                 .heads = c->heads,
                                 .channels = c->embed,
                                 .dtype = dtype};
    QN_TRY(qn__llmc_writer_create(out, &llmc, &writer));
    qn_status status = write_llmc(source, options, &llmc, writer);
    if (status == QN_OK) status = qn__llmc_writer_finish(&writer);
    qn__llmc_writer_destroy(&writer);
    return status;
}

/* ---- our checkpoints ---- */

static qn_status write_payload(const qn_weight_source *source, const qn_save_options *options,
                               qn_safetensors_writer *payload)
{
    qn_model_config saved = qn__config_as_saved(source->config);
    int64_t total = qn_model_parameters(&saved), done = 0;
    qn_weight weight;
    for (int cursor = 0; qn__weight_next(&saved, &cursor, &weight);)
        QN_TRY(qn__safetensors_writer_declare(payload, weight.name, QN_F32, &weight.shape));
    for (int cursor = 0; qn__weight_next(&saved, &cursor, &weight);) {
        size_t bytes = (size_t)qn_shape_elements(&weight.shape) * sizeof(float);
        float *values = malloc(bytes + 1);
        qn_status status = values ? qn__weights_fetch_saved(source, &saved, &weight, values)
                                  : qn__fail(QN_OS_ERROR, "no memory for %zu bytes", bytes);
        if (status == QN_OK)
            status = qn__safetensors_writer_add(payload, weight.name, values, bytes);
        free(values);
        QN_TRY(status);
        done += qn_shape_elements(&weight.shape);
        QN_TRY(qn__save_progress(options, done, total));
    }
    return QN_OK;
}

/* Step 0 of a run that is still to begin: no moments, which are then zero. */
static qn_status to_checkpoint(const qn_weight_source *source, const qn_save_options *options,
                               const char *out)
{
    qn_checkpoint_writer *writer = NULL;
    qn_safetensors_writer *payload = NULL;
    qn_model_config saved = qn__config_as_saved(source->config);
    if (options->dtype != QN_DTYPE_COUNT && options->dtype != QN_F32)
        return qn__fail(QN_UNSUPPORTED, "checkpoints hold f32: leave out --dtype");
    QN_TRY(qn__checkpoint_begin(out, 0, &writer));
    qn_status status = qn__checkpoint_payload(writer, "weights.safetensors", &payload);
    if (status == QN_OK) status = write_payload(source, options, payload);
    if (status == QN_OK) status = qn__checkpoint_payload_end(writer, &payload);
    qn__safetensors_writer_destroy(&payload);
    json_t *state = status == QN_OK ? json_pack("{s:i,s:s,s:o}", "step", 0, "converted_from",
                                                source->path, "config", qn__config_to_json(&saved))
                                    : NULL;
    if (state) status = qn__checkpoint_commit(&writer, state);
    else qn__checkpoint_abort(&writer);
    if (status == QN_OK && !state) status = qn__fail(QN_OS_ERROR, "out of memory");
    json_decref(state);
    return status;
}

/* ---- GGUF ---- */

/* "folder/model.gguf" as general.name is "model". */
static const char *name_of(const char *path, char *name, size_t bytes)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, bytes, "%s", slash && slash[1] ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot && dot > name) *dot = 0;
    return name;
}

qn_status qn__convert_to_gguf(const qn_weight_source *source, const char *tokenizer,
                              uint64_t shard_bytes, const qn_gguf_codec *codec,
                              const qn_save_options *save, const char *out)
{
    qn_beside beside;
    char name[128];
    qn_status status = qn__beside_open(source->file, source->path, tokenizer, &beside);
    const qn_gguf_extras extras = {.like = beside.like,
                                   .tokenizer = beside.tokenizer,
                                   .chat_template = beside.chat_template,
                                   .name = name_of(source->path, name, sizeof name),
                                   .shard_bytes = shard_bytes,
                                   .codec = codec};
    if (status == QN_OK) status = qn__weights_save_gguf(source, save, &extras, out);
    qn__beside_close(&beside);
    return status;
}

static qn_status copy_gguf(const qn_gguf *gguf, const qn_save_options *save, qn_gguf_writer *writer)
{
    size_t count = qn__gguf_tensor_count(gguf);
    for (size_t i = 0; i < qn__gguf_value_count(gguf); i++)
        QN_TRY(qn__gguf_writer_copy(writer, qn__gguf_value_at(gguf, i)));
    for (size_t i = 0; i < count; i++) {
        const qn_gguf_tensor *tensor = qn__gguf_tensor_at(gguf, i);
        QN_TRY(
            qn__gguf_writer_tensor(writer, tensor->name, tensor->type, tensor->rank, tensor->ne));
    }
    for (size_t i = 0; i < count; i++) {
        const qn_gguf_tensor *tensor = qn__gguf_tensor_at(gguf, i);
        QN_TRY(qn__gguf_writer_add(writer, tensor->name, tensor->data, (size_t)tensor->bytes));
        QN_TRY(qn__save_progress(save, (int64_t)i + 1, (int64_t)count));
    }
    return QN_OK;
}

/* Byte for byte, in other shards: of any architecture, quantized or not. */
static qn_status gguf_to_gguf(const qn_gguf *gguf, const qn_convert_options *options,
                              const qn_save_options *save, const char *out)
{
    qn_gguf_writer *writer;
    QN_TRY(qn__gguf_writer_create(out, options->shard_bytes, &writer));
    qn_status status = copy_gguf(gguf, save, writer);
    if (status == QN_OK) return qn__gguf_writer_finish(&writer);
    qn__gguf_writer_destroy(&writer);
    return status;
}

/* ---- the door ---- */

static qn_status read_dtype(const char *name, qn_dtype *dtype)
{
    *dtype = QN_DTYPE_COUNT;
    if (!name || !*name) return QN_OK;
    for (int i = QN_F32; i <= QN_BF16; i++)
        if (strcmp(qn_dtype_name((qn_dtype)i), name) == 0) *dtype = (qn_dtype)i;
    if (*dtype != QN_DTYPE_COUNT) return QN_OK;
    return qn__fail(QN_BAD_ARGUMENT, "dtype: \"%s\" is not f32, f16 or bf16", name);
}

qn_status qn__check_places(const char *in, const char *out)
{
    char *real_in = realpath(in, NULL), *real_out = realpath(out, NULL);
    bool same = real_in && real_out && strcmp(real_in, real_out) == 0;
    free(real_in);
    free(real_out);
    if (!same) return QN_OK;
    return qn__fail(QN_BAD_ARGUMENT, "%s and %s are the same place: give another", in, out);
}

static const char *format_of(const qn_convert_options *options, const char *out)
{
    size_t length = strlen(out);
    if (options->to && *options->to) return options->to;
    if (length > 5 && strcmp(out + length - 5, ".gguf") == 0) return "gguf";
    return length > 4 && strcmp(out + length - 4, ".bin") == 0 ? "llmc" : "hf";
}

static qn_status write_format(const qn_weight_source *source, const qn_convert_options *options,
                              const qn_save_options *save, const char *to, const char *out)
{
    if (strcmp(to, "llmc") == 0) {
        QN_CHECK(!options->tokenizer, "tokenizer: an llm.c file has no place for a tokenizer");
        return to_llmc(source, save, out);
    }
    if (strcmp(to, "gguf") == 0)
        return qn__convert_to_gguf(source, options->tokenizer, options->shard_bytes, NULL, save,
                                   out);
    if (strcmp(to, "checkpoint") == 0) QN_TRY(to_checkpoint(source, save, out));
    else if (strcmp(to, "hf") == 0) QN_TRY(qn__weights_save_folder(source, save, out));
    else return qn__fail(QN_BAD_ARGUMENT, "to: \"%s\" is not hf, gguf, llmc or checkpoint", to);
    return qn__beside_to_folder(source->file, source->path, options->tokenizer, out);
}

qn_status qn__convert_source(const qn_model_file *file, const char *in, const char *adapter,
                             qn_convert_from *from)
{
    qn_model_config *config = &from->config;
    memset(from, 0, sizeof *from);
    QN_TRY(qn__config_from_file(file, in, config));
    if (adapter && config->rope_pairs)
        return qn__fail(QN_UNSUPPORTED,
                        "%s turns pairs, which adapters in PEFT's layout do not know: convert it "
                        "without --adapter first",
                        in);
    if (adapter) QN_TRY(qn__adapter_open(adapter, config, &from->adapter));
    from->source = qn__weights_of_file(file, config, in);
    from->source.adapter = adapter ? &from->adapter : NULL;
    qn_status status = qn__weights_check(&from->source);
    if (status != QN_OK) qn__adapter_close(&from->adapter);
    return status;
}

static qn_status convert(const qn_model_file *file, const char *in, const char *out,
                         const qn_convert_options *options, const qn_save_options *save)
{
    qn_convert_from from;
    const char *to = format_of(options, out);
    QN_CHECK(options->shard_bytes == 0 || strcmp(to, "gguf") == 0,
             "shard_size: only GGUF files are written in shards; give --to gguf");
    if (file->kind == QN_MODEL_FILE_GGUF && strcmp(to, "gguf") == 0 && !options->adapter &&
        !options->tokenizer && save->dtype == QN_DTYPE_COUNT)
        return gguf_to_gguf(file->gguf, options, save, out);
    QN_TRY(qn__convert_source(file, in, options->adapter, &from));
    qn_status status = write_format(&from.source, options, save, to, out);
    qn__adapter_close(&from.adapter);
    return status;
}

qn_status qn_model_convert(const char *in, const char *out, const qn_convert_options *options,
                           qn_progress_fn progress, void *user)
{
    const qn_convert_options none = {.size = sizeof none};
    qn_save_options save = {.progress = progress, .user = user};
    qn_model_file file;
    if (!options) options = &none;
    QN_CHECK(options->size == sizeof *options,
             "qn_convert_options.size is %u, this library's is %zu", options->size,
             sizeof *options);
    QN_TRY(read_dtype(options->dtype, &save.dtype));
    QN_TRY(qn__check_places(in, out));
    QN_TRY(qn__model_file_open(in, &file));
    qn_status status = convert(&file, in, out, options, &save);
    qn__model_file_close(&file);
    return status;
}
