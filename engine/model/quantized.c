#include "model/quantized.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/threads.h"
#include "numeric/blocks.h"
#include "numeric/panels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

qn_status qn__quantized_type(const char *name, qn_dtype *type)
{
    char known[256] = "";
    for (int t = 0; t < QN_DTYPE_COUNT; t++) {
        if (!qn__has_panels((qn_dtype)t)) continue;
        *type = (qn_dtype)t;
        if (strcasecmp(name, qn_dtype_name(*type)) == 0) return QN_OK;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", qn_dtype_name(*type));
    }
    return qn__fail(QN_BAD_ARGUMENT, "\"%s\" is not a quantized format; there are %s", name, known);
}

/* Does a product read it, or the look-up of tokens? */
static bool is_read_in_blocks(const qn_weight *weight)
{
    return weight->shape.rank >= 2 && weight->role != QN_POSITIONS && !qn__is_router(weight->role);
}

/* [in, out] as Hugging Face's GPT-2 has it. */
static bool is_turned(const qn_weight_source *source, const qn_weight *weight)
{
    return qn__arch(source->config->arch)->in_out && weight->role != QN_TOKENS &&
           weight->role != QN_HEAD;
}

/* Does the file have it in blocks, that need no other change? */
static bool blocks_in_file(const qn_weight_source *source, const qn_weight *weight, qn_range *range)
{
    bool turned;
    return source->file && !source->adapter &&
           qn__weights_locate(source, weight, range, &turned) == QN_OK &&
           qn_dtype_is_block(range->dtype) && turned == is_turned(source, weight);
}

qn_desc qn__weight_desc(const qn_weight_source *source, const qn_weight *weight, qn_dtype wanted)
{
    qn_desc desc = {.dtype = QN_F32, .layout = QN_ROWS, .shape = weight->shape};
    qn_range range;
    qn_dtype type = blocks_in_file(source, weight, &range) ? range.dtype : wanted;
    if (!is_read_in_blocks(weight) || !qn__has_panels(type)) return desc;
    qn_shape shape = weight->shape;
    if (is_turned(source, weight)) {
        shape.dim[0] = weight->shape.dim[1];
        shape.dim[1] = weight->shape.dim[0];
    }
    int bytes = 0;
    if (shape.dim[shape.rank - 1] % qn_dtype_block(type, &bytes) != 0) return desc;
    return (qn_desc){.dtype = type, .layout = QN_PANELS, .shape = shape};
}

/* A matrix, or a stack of them, on its way to panels. */
typedef struct packing {
    const qn_desc *desc;
    int64_t rows, cols;    /* of all matrices together; elements of a row */
    int64_t each;          /* rows of a matrix */
    const uint8_t *blocks; /* as a file has them */
    const float *values;   /* or floats, to be quantized */
    uint8_t *made;         /* the blocks made of them */
    uint8_t *panels;
    atomic_bool failed; /* some rows have no blocks */
} packing;

static packing packing_of(const qn_desc *desc)
{
    const qn_shape *s = &desc->shape;
    const int64_t each = s->dim[s->rank - 2];
    return (packing){.desc = desc,
                     .rows = s->rank == 3 ? s->dim[0] * each : each,
                     .cols = s->dim[s->rank - 1],
                     .each = each};
}

static int64_t panels_of(const packing *p)
{
    return (p->each + QN_PANEL - 1) / QN_PANEL;
}

/* Panels are counted through the stack. */
static void pack(void *user, int64_t from, int64_t to)
{
    const packing *p = user;
    int bytes = 0, elements = qn_dtype_block(p->desc->dtype, &bytes);
    const int64_t row_bytes = p->cols / elements * bytes, panels = panels_of(p);
    for (int64_t at = from, some; at < to; at += some) {
        const int64_t matrix = at / panels, first = at % panels;
        some = to - at < panels - first ? to - at : panels - first;
        qn__panels_pack(p->desc->dtype, p->blocks + matrix * p->each * row_bytes, p->each, p->cols,
                        first, first + some, p->panels + matrix * panels * QN_PANEL * row_bytes);
    }
}

static qn_status encode_rows(const packing *p, int64_t from, int64_t to)
{
    int bytes = 0, elements = qn_dtype_block(p->desc->dtype, &bytes);
    int64_t cols = p->cols, row_bytes = cols / elements * bytes;
    return qn__blocks_encode(p->desc->dtype, p->values + from * cols, (to - from) * cols, cols,
                             NULL, p->made + from * row_bytes);
}

static void encode(void *user, int64_t from, int64_t to)
{
    packing *p = user;
    if (encode_rows(p, from, to) != QN_OK) atomic_store(&p->failed, true);
}

/* Blocks of a weight that the source has in floats. */
static qn_status make_blocks(const qn_weight_source *source, const qn_weight *weight, packing *p)
{
    int64_t rows = p->rows, cols = p->cols;
    qn_desc plain = *p->desc;
    plain.layout = QN_ROWS;
    float *values = malloc((size_t)(rows * cols) * sizeof *values + 1), *turned = NULL;
    p->made = malloc(qn__desc_bytes(&plain) + 1);
    if (!values || !p->made) {
        free(values);
        return qn__fail(QN_OS_ERROR, "%s: no memory for %lld numbers", source->path,
                        (long long)(rows * cols));
    }
    qn_status status = source->fetch(source, weight, values);
    if (status == QN_OK && is_turned(source, weight)) {
        turned = malloc((size_t)(rows * cols) * sizeof *turned + 1);
        for (int64_t r = 0; turned && r < rows; r++)
            for (int64_t c = 0; c < cols; c++) turned[r * cols + c] = values[c * rows + r];
        if (!turned) status = qn__fail(QN_OS_ERROR, "out of memory");
    }
    p->values = turned ? turned : values;
    if (status == QN_OK) qn__share(rows, 16, encode, p);
    if (atomic_load(&p->failed)) { /* again, for the message: another thread had it */
        status = encode_rows(p, 0, rows);
        qn__wrap(status, "%s: %s: ", source->path, weight->name);
    }
    free(values);
    free(turned);
    p->blocks = p->made;
    return status;
}

qn_status qn__weight_write_panels(qn_store *store, const qn_weight_source *source,
                                  const qn_weight *weight)
{
    int index = qn__store_index(store, weight->name);
    const qn_desc *desc = &store->tensors[index].desc;
    qn_range range = {0};
    packing p = packing_of(desc);
    p.panels = malloc(qn__desc_bytes(desc) + 1);
    qn_status status =
        p.panels ? QN_OK
                 : qn__fail(QN_OS_ERROR, "%s: no memory for %s", source->path, weight->name);
    if (status == QN_OK && blocks_in_file(source, weight, &range) && range.dtype == desc->dtype)
        p.blocks = range.data;
    else if (status == QN_OK) status = make_blocks(source, weight, &p);
    if (status == QN_OK) {
        if (p.each > 0) qn__share(p.rows / p.each * panels_of(&p), 4, pack, &p);
        status = qn__store_write_part(store, index, 0, p.panels, qn__desc_bytes(desc));
        if (p.blocks == range.data && source->file->kind == QN_MODEL_FILE_GGUF)
            qn__map_release(range.data, range.bytes);
    }
    free(p.panels);
    free(p.made);
    return status;
}
