/* Models into quantized GGUF files. A GGUF file is read in pieces of its tensors; of other formats
 * the writer of GGUF files hands over tensor by tensor. */
#include <quernel/quantize.h>

#include "base/check.h"
#include "base/log.h"
#include "compress/importance.h"
#include "compress/recipe.h"
#include "compress/rows.h"
#include "model/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 22 /* bytes of output at a time, about */ };

typedef struct run {
    const qn_quantize_options *options;
    qn_recipe recipe;
    qn_importance *importance; /* NULL: none */
    qn_gguf_writer *writer;
    qn_save_options save;
    qn_quantize_report *report;
    qn_row_sums sums[QN_DTYPE_COUNT];
    int64_t done, total; /* elements */
    int threads;
    bool warned; /* that what is quantized already is quantized again */
} run;

/* ---- one tensor ---- */

static int64_t elements_of(int rank, const int64_t *ne)
{
    int64_t elements = 1;
    for (int i = 0; i < rank; i++) elements *= ne[i];
    return elements;
}

static void count_tensor(run *r, qn_dtype type, int64_t elements)
{
    qn_quantize_row *row = &r->report->types[type];
    row->tensors++;
    row->elements += elements;
    row->bytes += elements ? (int64_t)qn__row_bytes(type, elements) : 0;
}

static qn_status add_progress(run *r, int64_t elements)
{
    r->done += elements;
    return qn__save_progress(&r->save, r->done, r->total);
}

static qn_status add_pieces(run *r, const char *name, const qn_rows *rows, int64_t count)
{
    const size_t bytes = qn__row_bytes(rows->to, rows->row);
    const int64_t step = bytes < PIECE ? PIECE / (int64_t)(bytes ? bytes : 1) : 1;
    uint8_t *out = malloc(bytes * (size_t)(count < step ? count : step) + 1);
    if (!out) return qn__fail(QN_OS_ERROR, "no memory for %zu bytes", bytes * (size_t)step);
    qn_status status = QN_OK;
    for (int64_t at = 0; at < count && status == QN_OK; at += step) {
        const int64_t some = count - at < step ? count - at : step;
        status = qn__rows_convert(rows, at, some, out, &r->sums[rows->to]);
        if (status != QN_OK) status = qn__wrap(status, "tensor %s: ", name);
        if (status == QN_OK)
            status = qn__gguf_writer_add(r->writer, name, out, bytes * (size_t)some);
        if (status == QN_OK) status = add_progress(r, some * rows->row);
    }
    free(out);
    return status;
}

static qn_status convert(run *r, const char *name, int rank, const int64_t *ne, qn_dtype from,
                         const uint8_t *data)
{
    const int64_t elements = elements_of(rank, ne), matrix = rank > 1 ? ne[1] : 1;
    bool fallback;
    qn_rows rows = {.from = from, .data = data, .row = ne[0], .rows = matrix};
    rows.to = qn__recipe_type(&r->recipe, name, rank, ne, &fallback);
    rows.threads = r->threads;
    count_tensor(r, rows.to, elements);
    r->report->fallbacks += fallback;
    if (elements == 0) return QN_OK;
    if (r->importance)
        QN_TRY(qn__importance_find(r->importance, name, ne[0], elements / ne[0] / matrix,
                                   &rows.importance));
    r->report->weighed += rows.importance != NULL;
    const bool again = qn_dtype_is_block(from) && qn_dtype_is_block(rows.to);
    if (again && !r->warned)
        qn__log(QN_LOG_WARN,
                "tensor %s is %s already: what that lost stays lost, and quantizing again loses "
                "more; a file in 16 or 32 bits makes a better one",
                name, qn_dtype_name(from));
    r->warned = r->warned || again;
    return add_pieces(r, name, &rows, elements / ne[0]);
}

/* ---- from GGUF ---- */

static qn_status facts_of_gguf(const qn_gguf *gguf, qn_recipe_facts *facts)
{
    static const char *const endings[] = {"block_count", "expert_count"};
    const char *arch;
    size_t bytes;
    int64_t *const values[] = {&facts->layers, &facts->experts};
    char key[160];
    QN_TRY(qn__gguf_string(gguf, "general.architecture", true, &arch, &bytes));
    QN_CHECK(bytes < 64, "%s: the name of its architecture has %zu bytes", qn__gguf_path(gguf),
             bytes);
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "%.*s.%s", (int)bytes, arch, endings[i]);
        QN_TRY(qn__gguf_i64(gguf, key, false, 0, 1 << 20, values[i]));
    }
    /* Either may be an array, one number a layer. */
    int64_t most[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "%.*s.attention.head_count%s", (int)bytes, arch, i ? "_kv" : "");
        const qn_gguf_value *value = qn__gguf_find(gguf, key);
        bool whole = value && value->element != QN_GGUF_STRING && value->element != QN_GGUF_F32 &&
                     value->element != QN_GGUF_F64 && value->element != QN_GGUF_ARRAY;
        for (uint64_t e = 0; whole && e < value->count; e++) {
            int64_t heads = qn__gguf_element_i64(value, e);
            if (heads > most[i]) most[i] = heads;
        }
    }
    facts->group = most[1] > 0 ? most[0] / most[1] : 1;
    facts->tied = qn__gguf_tensor(gguf, "output.weight") == NULL;
    return QN_OK;
}

static qn_status copy_values(const qn_gguf *gguf, qn_gguf_writer *writer)
{
    static const char *const own[] = {"general.file_type", "general.quantization_version"};
    for (size_t i = 0; i < qn__gguf_value_count(gguf); i++) {
        const qn_gguf_value *value = qn__gguf_value_at(gguf, i);
        bool skip = value->key_bytes > 17 && memcmp(value->key, "quantize.imatrix.", 17) == 0;
        for (int k = 0; k < 2; k++)
            skip = skip || (value->key_bytes == strlen(own[k]) &&
                            memcmp(value->key, own[k], value->key_bytes) == 0);
        if (!skip) QN_TRY(qn__gguf_writer_copy(writer, value));
    }
    return QN_OK;
}

static qn_status put_own_values(const run *r, qn_gguf_writer *writer)
{
    QN_TRY(qn__gguf_writer_u32(writer, "general.file_type", qn__recipe_file_type(r->recipe.row)));
    QN_TRY(qn__gguf_writer_u32(writer, "general.quantization_version", 2));
    if (!r->importance) return QN_OK;
    QN_TRY(qn__gguf_writer_text(writer, "quantize.imatrix.file", r->options->importance));
    return qn__gguf_writer_u32(writer, "quantize.imatrix.entries_count",
                               (uint32_t)qn__importance_count(r->importance));
}

/* Is it to be converted, and not of its type already? *type is then ours. */
static qn_status plan_tensor(const run *r, const qn_gguf *gguf, const qn_gguf_tensor *tensor,
                             qn_ggml_type *to)
{
    bool fallback;
    *to = tensor->type;
    if (!qn__recipe_converts(tensor->name, tensor->rank, tensor->ne)) return QN_OK;
    const qn_ggml_traits *traits = qn__ggml_traits(tensor->type);
    bool known = traits->dtype == QN_F32 || traits->dtype == QN_F16 || traits->dtype == QN_BF16 ||
                 (traits->dtype < QN_DTYPE_COUNT && qn_dtype_is_block(traits->dtype));
    if (!known)
        return qn__fail(QN_UNSUPPORTED,
                        "%s: tensor %s is %s, which is not read: make the file anew from one in 16 "
                        "or 32 bits",
                        qn__gguf_path(gguf), tensor->name, traits->name);
    *to = qn__ggml_type_of(
        qn__recipe_type(&r->recipe, tensor->name, tensor->rank, tensor->ne, &fallback));
    return QN_OK;
}

static qn_status write_tensor(run *r, const qn_gguf *gguf, const qn_gguf_tensor *tensor)
{
    qn_ggml_type to;
    const qn_dtype from = qn__ggml_traits(tensor->type)->dtype;
    QN_TRY(plan_tensor(r, gguf, tensor, &to));
    if (to != tensor->type)
        return convert(r, tensor->name, tensor->rank, tensor->ne, from, tensor->data);
    const int64_t elements = elements_of(tensor->rank, tensor->ne);
    if (from < QN_DTYPE_COUNT) count_tensor(r, from, elements);
    else r->report->raw++;
    QN_TRY(qn__gguf_writer_add(r->writer, tensor->name, tensor->data, (size_t)tensor->bytes));
    return add_progress(r, elements);
}

static qn_status from_gguf(run *r, const qn_gguf *gguf)
{
    const size_t count = qn__gguf_tensor_count(gguf);
    QN_TRY(facts_of_gguf(gguf, &r->recipe.facts));
    QN_TRY(copy_values(gguf, r->writer));
    QN_TRY(put_own_values(r, r->writer));
    for (size_t i = 0; i < count; i++) {
        const qn_gguf_tensor *tensor = qn__gguf_tensor_at(gguf, i);
        qn_ggml_type to;
        QN_TRY(plan_tensor(r, gguf, tensor, &to));
        QN_TRY(qn__gguf_writer_tensor(r->writer, tensor->name, to, tensor->rank, tensor->ne));
        r->total += elements_of(tensor->rank, tensor->ne);
    }
    for (size_t i = 0; i < count; i++) QN_TRY(write_tensor(r, gguf, qn__gguf_tensor_at(gguf, i)));
    return QN_OK;
}

static qn_status gguf_file(run *r, const qn_gguf *gguf, const char *out)
{
    QN_TRY(qn__gguf_writer_create(out, r->options->shard_bytes, &r->writer));
    qn_status status = from_gguf(r, gguf);
    if (status == QN_OK) status = qn__gguf_writer_finish(&r->writer);
    qn__gguf_writer_destroy(&r->writer);
    return status;
}

/* ---- from the other formats ---- */

static qn_dtype codec_type(void *user, const char *name, int rank, const int64_t *ne)
{
    const run *r = user;
    bool fallback;
    if (!qn__recipe_converts(name, rank, ne)) return QN_F32;
    return qn__recipe_type(&r->recipe, name, rank, ne, &fallback);
}

static qn_status codec_head(void *user, qn_gguf_writer *writer)
{
    return put_own_values(user, writer);
}

static qn_status codec_add(void *user, qn_gguf_writer *writer, const char *name, int rank,
                           const int64_t *ne, const float *values)
{
    run *r = user;
    r->writer = writer;
    if (qn__recipe_converts(name, rank, ne))
        return convert(r, name, rank, ne, QN_F32, (const uint8_t *)values);
    const int64_t elements = elements_of(rank, ne);
    count_tensor(r, QN_F32, elements);
    QN_TRY(qn__gguf_writer_add(writer, name, values, (size_t)elements * sizeof *values));
    return add_progress(r, elements);
}

static qn_status other_file(run *r, const qn_model_file *file, const char *in, const char *out)
{
    const qn_quantize_options *options = r->options;
    const qn_gguf_codec codec = {r, codec_type, codec_head, codec_add};
    const qn_save_options quiet = {.dtype = QN_F32}; /* progress is told piece by piece */
    qn_convert_from from;
    QN_TRY(qn__convert_source(file, in, options->adapter, &from));
    const qn_model_config *config = &from.config;
    r->recipe.facts.layers = config->layers;
    r->recipe.facts.experts = config->experts;
    r->recipe.facts.group = config->kv_heads > 0 ? config->heads / config->kv_heads : 1;
    r->recipe.facts.tied = config->tied;
    r->total = qn_model_parameters(config);
    qn_status status = qn__convert_to_gguf(&from.source, options->tokenizer, options->shard_bytes,
                                           &codec, &quiet, out);
    qn__adapter_close(&from.adapter);
    return status;
}

/* ---- the door ---- */

const char *qn_quantize_type(int i)
{
    return qn__recipe_name(i);
}

const char *qn_quantize_type_help(int i)
{
    return qn__recipe_help(i);
}

static void finish_report(const run *r, qn_quantize_report *report)
{
    qn_row_sums all = {0, 0};
    for (int t = 0; t < QN_DTYPE_COUNT; t++) {
        qn_quantize_row *row = &report->types[t];
        row->error = r->sums[t].power > 0 ? r->sums[t].error / r->sums[t].power : 0;
        all.error += r->sums[t].error;
        all.power += r->sums[t].power;
        report->total.tensors += row->tensors;
        report->total.elements += row->elements;
        report->total.bytes += row->bytes;
    }
    report->total.error = all.power > 0 ? all.error / all.power : 0;
    if (report->total.elements > 0)
        report->bits_per_weight =
            8.0 * (double)report->total.bytes / (double)report->total.elements;
}

static qn_status quantize(run *r, const char *in, const char *out)
{
    qn_model_file file;
    QN_TRY(qn__model_file_open(in, &file));
    qn_status status = QN_OK;
    if (r->options->importance)
        status = qn__importance_open(r->options->importance, &r->importance);
    r->recipe.facts.weighed = r->importance != NULL;
    bool as_it_is =
        file.kind == QN_MODEL_FILE_GGUF && !r->options->adapter && !r->options->tokenizer;
    if (status == QN_OK)
        status = as_it_is ? gguf_file(r, file.gguf, out) : other_file(r, &file, in, out);
    qn__importance_close(&r->importance);
    qn__model_file_close(&file);
    return status;
}

qn_status qn_model_quantize(const char *in, const char *out, const qn_quantize_options *options,
                            qn_progress_fn progress, void *user, qn_quantize_report *report)
{
    qn_quantize_report own = {.size = sizeof own};
    QN_CHECK(options && options->size == sizeof *options,
             "qn_quantize_options.size is %u, this library's is %zu", options ? options->size : 0,
             sizeof *options);
    QN_CHECK(!report || report->size == sizeof *report,
             "qn_quantize_report.size is %u, this library's is %zu", report->size, sizeof *report);
    QN_CHECK(options->threads >= 0, "threads is %d", options->threads);
    if (!report) report = &own;
    *report = (qn_quantize_report){.size = sizeof *report};
    run r = {.options = options, .report = report};
    r.save = (qn_save_options){.progress = progress, .user = user};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    r.threads = options->threads ? options->threads : cores > 0 ? (int)cores : 1;
    r.recipe.facts.pure = options->pure;
    QN_TRY(qn__recipe_find(options->type, &r.recipe.row));
    QN_TRY(qn__check_places(in, out));
    QN_TRY(quantize(&r, in, out));
    finish_report(&r, report);
    return QN_OK;
}
