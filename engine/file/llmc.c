#include "file/llmc.h"

#include "base/check.h"
#include "base/fs.h"
#include "file/range_list.h"
#include "file/writer.h"
#include "numeric/half.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_WORDS = 256,
    HEADER_BYTES = HEADER_WORDS * 4,
    MODEL_MAGIC = 20240326,
    VERSION_F32 = 3,
    VERSION_BF16 = 5,
    /* Far above any real model, and low enough that no product below passes 2^62. */
    MAX_CHANNELS = 1 << 20,
    MAX_LAYERS = 1 << 12,
    MAX_ROWS = 1 << 26
};

/* The shape of each tensor of a layer, in units of C (0: a vector of `rows` C). */
static const struct {
    const char *name;
    int rows;
    int cols;
} layer_parts[] = {
    {"ln1w", 1, 0},     {"ln1b", 1, 0},     {"qkvw", 3, 1},    {"qkvb", 3, 0},
    {"attprojw", 1, 1}, {"attprojb", 1, 0}, {"ln2w", 1, 0},    {"ln2b", 1, 0},
    {"fcw", 4, 1},      {"fcb", 4, 0},      {"fcprojw", 1, 4}, {"fcprojb", 1, 0},
};

enum { LAYER_PARTS = 12, FIRST_LAYER_PART = 2, FINAL_PART = FIRST_LAYER_PART + LAYER_PARTS };

struct qn_llmc {
    qn_map map;
    qn_llmc_config config;
    qn_range_list list;
};

const char *qn__llmc_tensor_name(int i)
{
    QN_ASSERT(i >= 0 && i < QN_LLMC_TENSORS);
    if (i < FIRST_LAYER_PART) return i == 0 ? "wte" : "wpe";
    if (i < FINAL_PART) return layer_parts[i - FIRST_LAYER_PART].name;
    return i == FINAL_PART ? "lnfw" : "lnfb";
}

/* The shape of whole tensor i. */
static void shape_of(const qn_llmc_config *c, int i, qn_range *range)
{
    *range = (qn_range){.dtype = c->dtype, .dtype_name = c->dtype == QN_F32 ? "F32" : "BF16"};
    if (i < FIRST_LAYER_PART) {
        range->rank = 2;
        range->dim[0] = i == 0 ? c->padded_vocab : c->max_tokens;
        range->dim[1] = c->channels;
    } else if (i < FINAL_PART) {
        int rows = layer_parts[i - FIRST_LAYER_PART].rows;
        int cols = layer_parts[i - FIRST_LAYER_PART].cols;
        range->rank = cols ? 3 : 2;
        range->dim[0] = c->layers;
        range->dim[1] = (int64_t)rows * c->channels;
        range->dim[2] = (int64_t)cols * c->channels;
    } else {
        range->rank = 1;
        range->dim[0] = c->channels;
    }
    range->bytes = (uint64_t)qn_dtype_bytes(c->dtype);
    for (int d = 0; d < range->rank; d++) range->bytes *= (uint64_t)range->dim[d];
}

uint64_t qn__llmc_tensor_elements(const qn_llmc_config *config, int i)
{
    qn_range range;
    shape_of(config, i, &range);
    return range.bytes / (uint64_t)qn_dtype_bytes(config->dtype);
}

static uint64_t file_bytes(const qn_llmc_config *config)
{
    uint64_t elements = 0;
    for (int i = 0; i < QN_LLMC_TENSORS; i++) elements += qn__llmc_tensor_elements(config, i);
    return HEADER_BYTES + elements * (uint64_t)qn_dtype_bytes(config->dtype);
}

/* NULL, or what is wrong. */
static const char *check_config(const qn_llmc_config *c)
{
    if (c->max_tokens < 1 || c->max_tokens > MAX_ROWS) return "max_seq_len";
    if (c->vocab < 1 || c->vocab > MAX_ROWS) return "vocab_size";
    if (c->layers < 1 || c->layers > MAX_LAYERS) return "num_layers";
    if (c->channels < 1 || c->channels > MAX_CHANNELS) return "channels";
    if (c->heads < 1 || c->channels % c->heads) return "num_heads";
    if (c->padded_vocab < c->vocab || c->padded_vocab > MAX_ROWS) return "padded_vocab_size";
    if (c->dtype != QN_F32 && c->dtype != QN_BF16) return "dtype";
    return NULL;
}

bool qn__llmc_looks_like(const void *bytes, size_t count)
{
    int32_t magic;
    if (count < sizeof magic) return false;
    memcpy(&magic, bytes, sizeof magic);
    return magic == MODEL_MAGIC;
}

static qn_status read_header(qn_llmc *model)
{
    const qn_map *map = &model->map;
    int32_t h[8];
    if (map->bytes < HEADER_BYTES || !qn__llmc_looks_like(map->data, map->bytes))
        return qn__fail(QN_BAD_DATA, "%s: not an llm.c GPT-2 model: it does not begin with %d",
                        map->path, MODEL_MAGIC);
    memcpy(h, map->data, sizeof h);
    if (h[1] != VERSION_F32 && h[1] != VERSION_BF16)
        return qn__fail(QN_BAD_DATA,
                        "%s: an llm.c model of version %d; %d (f32) and %d (bf16) are "
                        "read",
                        map->path, h[1], VERSION_F32, VERSION_BF16);
    model->config = (qn_llmc_config){
        h[2], h[3], h[7], h[4], h[5], h[6], h[1] == VERSION_F32 ? QN_F32 : QN_BF16};
    const char *wrong = check_config(&model->config);
    if (wrong)
        return qn__fail(QN_BAD_DATA, "%s: an llm.c model whose %s cannot be right", map->path,
                        wrong);
    if (file_bytes(&model->config) != map->bytes)
        return qn__fail(QN_BAD_DATA,
                        "%s: an llm.c header that asks for %" PRIu64 " bytes, but the "
                        "file has %zu: truncated; copy or download it again",
                        map->path, file_bytes(&model->config), map->bytes);
    return QN_OK;
}

static qn_status add_tensor(qn_llmc *model, int i, const uint8_t **at)
{
    qn_range whole;
    const char *name = qn__llmc_tensor_name(i);
    shape_of(&model->config, i, &whole);
    whole.data = *at;
    whole.offset = (uint64_t)(*at - model->map.data);
    *at += whole.bytes;
    QN_TRY(qn__range_list_add(&model->list, &whole, "%s", name));
    if (i < FIRST_LAYER_PART || i >= FINAL_PART) return QN_OK;
    qn_range layer = whole;
    layer.rank--;
    layer.dim[0] = whole.dim[1];
    layer.dim[1] = whole.dim[2];
    layer.dim[2] = 0;
    layer.bytes /= (uint64_t)model->config.layers;
    for (int n = 0; n < model->config.layers; n++) {
        QN_TRY(qn__range_list_add(&model->list, &layer, "%s.%d", name, n));
        layer.data += layer.bytes;
        layer.offset += layer.bytes;
    }
    return QN_OK;
}

static qn_status read_all(qn_llmc *model)
{
    QN_TRY(read_header(model));
    size_t layers = (size_t)model->config.layers;
    QN_TRY(qn__range_list_create(QN_LLMC_TENSORS + layers * LAYER_PARTS, &model->list));
    const uint8_t *at = model->map.data + HEADER_BYTES;
    for (int i = 0; i < QN_LLMC_TENSORS; i++) QN_TRY(add_tensor(model, i, &at));
    return QN_OK;
}

qn_status qn__llmc_open(const char *path, qn_llmc **model)
{
    *model = NULL;
    qn_llmc *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    qn_status status = qn__map_open(path, &made->map);
    if (status == QN_OK) status = read_all(made);
    if (status != QN_OK) qn__llmc_close(&made);
    *model = made;
    return status;
}

void qn__llmc_close(qn_llmc **model)
{
    qn_llmc *old = *model;
    if (!old) return;
    qn__range_list_free(&old->list);
    qn__map_close(&old->map);
    free(old);
    *model = NULL;
}

const qn_llmc_config *qn__llmc_config(const qn_llmc *model)
{
    return &model->config;
}

const char *qn__llmc_path(const qn_llmc *model)
{
    return model->map.path;
}

size_t qn__llmc_count(const qn_llmc *model)
{
    return model->list.count;
}

const qn_range *qn__llmc_at(const qn_llmc *model, size_t i)
{
    QN_ASSERT(i < model->list.count);
    return &model->list.ranges[i];
}

const qn_range *qn__llmc_find(const qn_llmc *model, const char *name)
{
    return qn__range_list_find(&model->list, name);
}

struct qn_llmc_writer {
    qn_writer *out;
    qn_dtype dtype;
    uint64_t left; /* elements */
};

qn_status qn__llmc_writer_create(const char *path, const qn_llmc_config *config,
                                 qn_llmc_writer **writer)
{
    const qn_llmc_config *c = config;
    int32_t h[HEADER_WORDS] = {MODEL_MAGIC,   c->dtype == QN_BF16 ? VERSION_BF16 : VERSION_F32,
                               c->max_tokens, c->vocab,
                               c->layers,     c->heads,
                               c->channels,   c->padded_vocab};
    *writer = NULL;
    QN_CHECK(c->dtype == QN_F32 || c->dtype == QN_BF16,
             "%s: llm.c checkpoints are written in f32 or bf16, not %s", path,
             qn_dtype_name(c->dtype));
    const char *wrong = check_config(config);
    QN_CHECK(!wrong, "%s: a GPT-2 configuration whose %s cannot be right", path, wrong);
    qn_llmc_writer *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    made->dtype = c->dtype;
    made->left = (file_bytes(config) - HEADER_BYTES) / (c->dtype == QN_F32 ? 4 : 2);
    qn_status status = qn__writer_create(path, &made->out);
    if (status == QN_OK) status = qn__writer_add(made->out, h, sizeof h);
    if (status != QN_OK) qn__llmc_writer_destroy(&made);
    *writer = made;
    return status;
}

qn_status qn__llmc_writer_add(qn_llmc_writer *writer, const float *values, uint64_t count)
{
    QN_CHECK(count <= writer->left, "%s: %" PRIu64 " values, but only %" PRIu64 " are missing",
             qn__writer_path(writer->out), count, writer->left);
    writer->left -= count;
    if (writer->dtype == QN_F32)
        return qn__writer_add(writer->out, values, (size_t)count * sizeof *values);
    for (uint64_t at = 0; at < count;) {
        uint16_t piece[1024];
        size_t some = count - at < 1024 ? (size_t)(count - at) : 1024;
        for (size_t i = 0; i < some; i++) piece[i] = qn__f32_to_bf16(values[at + i]);
        QN_TRY(qn__writer_add(writer->out, piece, some * sizeof *piece));
        at += some;
    }
    return QN_OK;
}

qn_status qn__llmc_writer_finish(qn_llmc_writer **writer)
{
    qn_status status = QN_OK;
    if ((*writer)->left > 0)
        status = qn__fail(QN_BAD_ARGUMENT, "%s: %" PRIu64 " values are missing",
                          qn__writer_path((*writer)->out), (*writer)->left);
    if (status == QN_OK) status = qn__writer_finish(&(*writer)->out);
    qn__llmc_writer_destroy(writer);
    return status;
}

void qn__llmc_writer_destroy(qn_llmc_writer **writer)
{
    qn_llmc_writer *old = *writer;
    if (!old) return;
    qn__writer_destroy(&old->out);
    free(old);
    *writer = NULL;
}
