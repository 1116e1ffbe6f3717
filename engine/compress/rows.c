#include "compress/rows.h"

#include "base/check.h"
#include "base/threads.h"
#include "numeric/blocks.h"
#include "numeric/half.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE = 512, LEAST = 1 << 14 /* elements a thread, about */ };

typedef struct work {
    const qn_rows *rows;
    int64_t first, count; /* rows */
    uint8_t *out;
    qn_row_sums *sums; /* [count] */
    pthread_mutex_t lock;
    qn_status status; /* the first failure by row */
    int64_t failed;
    char message[MESSAGE];
} work;

size_t qn__row_bytes(qn_dtype type, int64_t row)
{
    int bytes, block = qn_dtype_block(type, &bytes);
    return (size_t)(row / block) * (size_t)bytes;
}

static float widen(qn_dtype type, uint16_t half)
{
    return type == QN_F16 ? qn__f16_to_f32(half) : qn__bf16_to_f32(half);
}

static qn_status read_row(qn_dtype type, const uint8_t *from, int64_t row, float *x)
{
    if (qn_dtype_is_block(type)) return qn__blocks_decode(type, from, row, x);
    if (type == QN_F32) memcpy(x, from, (size_t)row * 4);
    for (int64_t i = 0; i < row && type != QN_F32; i++) {
        uint16_t half;
        memcpy(&half, from + 2 * i, 2);
        x[i] = widen(type, half);
    }
    return QN_OK;
}

static qn_status write_row(qn_dtype type, const float *x, int64_t row, const float *importance,
                           uint8_t *to)
{
    if (qn_dtype_is_block(type)) return qn__blocks_encode(type, x, row, row, importance, to);
    if (type == QN_F32) memcpy(to, x, (size_t)row * 4);
    for (int64_t i = 0; i < row && type != QN_F32; i++) {
        uint16_t half = type == QN_F16 ? qn__f32_to_f16(x[i]) : qn__f32_to_bf16(x[i]);
        if (isfinite(x[i]) && !isfinite(widen(type, half)))
            return qn__fail(QN_UNSUPPORTED, "%g is more than %s can hold", (double)x[i],
                            qn_dtype_name(type));
        memcpy(to + 2 * i, &half, 2);
    }
    return QN_OK;
}

/* `number` counts from w->first; x and y are scratch. */
static qn_status convert_row(const work *w, int64_t number, float *x, float *y)
{
    const qn_rows *r = w->rows;
    const int64_t at = w->first + number;
    const size_t from = qn__row_bytes(r->from, r->row), to = qn__row_bytes(r->to, r->row);
    const float *importance = r->importance ? r->importance + at / r->rows * r->row : NULL;
    uint8_t *out = w->out + (size_t)number * to;
    qn_row_sums sums = {0, 0};
    QN_TRY(read_row(r->from, r->data + (size_t)at * from, r->row, x));
    QN_TRY(write_row(r->to, x, r->row, importance, out));
    QN_TRY(read_row(r->to, out, r->row, y));
    for (int64_t i = 0; i < r->row; i++) {
        const double miss = (double)x[i] - y[i];
        sums.error += miss * miss;
        sums.power += (double)x[i] * x[i];
    }
    w->sums[number] = sums;
    return QN_OK;
}

static void note_failure(work *w, int64_t number, qn_status status)
{
    pthread_mutex_lock(&w->lock);
    if (w->status == QN_OK || number < w->failed) {
        w->status = status;
        w->failed = number;
        strncpy(w->message, qn_last_error(), MESSAGE - 1);
    }
    pthread_mutex_unlock(&w->lock);
}

/* Has a row before this one failed? Then what comes of this one is of no use. */
static bool failed_before(work *w, int64_t number)
{
    pthread_mutex_lock(&w->lock);
    bool has = w->status != QN_OK && w->failed < number;
    pthread_mutex_unlock(&w->lock);
    return has;
}

static void run(void *user, int64_t from, int64_t to)
{
    work *w = user;
    const size_t row = (size_t)w->rows->row;
    float *x = malloc(row * 2 * sizeof *x + 1);
    if (!x) note_failure(w, from, qn__fail(QN_OS_ERROR, "no memory for a row of %zu numbers", row));
    for (int64_t i = from; x && i < to && !failed_before(w, i); i++) {
        qn_status status = convert_row(w, i, x, x + row);
        if (status != QN_OK) note_failure(w, i, status);
    }
    free(x);
}

qn_status qn__rows_convert(const qn_rows *rows, int64_t first, int64_t count, uint8_t *out,
                           qn_row_sums *sums)
{
    work w = {.rows = rows, .first = first, .count = count, .out = out};
    if (count <= 0 || rows->row <= 0) return QN_OK;
    w.sums = calloc((size_t)count, sizeof *w.sums);
    if (!w.sums)
        return qn__fail(QN_OS_ERROR, "no memory for the errors of %lld rows", (long long)count);
    pthread_mutex_init(&w.lock, NULL);
    qn__share_on(rows->threads, count, rows->row < LEAST ? LEAST / rows->row : 1, run, &w);
    pthread_mutex_destroy(&w.lock);
    for (int64_t i = 0; i < count; i++) {
        sums->error += w.sums[i].error;
        sums->power += w.sums[i].power;
    }
    free(w.sums);
    if (w.status == QN_OK) return QN_OK;
    return qn__fail(w.status, "row %lld: %s", (long long)(first + w.failed), w.message);
}
