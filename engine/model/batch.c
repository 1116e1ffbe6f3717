/* Sequences against one cache: rows of any of them in one run. */
#include "model/batch.h"

#include "base/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 128 }; /* the most a plan takes */

qn_status qn_batch_create(qn_model *model, qn_batch **batch)
{
    *batch = NULL;
    qn_status status = qn__model_plan_cache(model);
    if (status == QN_OK) status = qn_plan_prepare(model->cache_plan);
    if (status == QN_OUT_OF_DEVICE_MEMORY)
        qn__wrap(status, "the keys and values of %d tokens do not fit (--context takes less): ",
                 model->cells);
    QN_TRY(status);
    qn_batch *b = calloc(1, sizeof *b);
    if (!b) return qn__fail(QN_OS_ERROR, "out of memory");
    b->model = model;
    status = qn__cells_create(model->cells, model->sequences, model->config.context, &b->cells);
    if (status == QN_OK && model->sequences > 1) {
        uint64_t bytes = (uint64_t)model->sequences * (uint64_t)model->config.context * 4;
        status = qn__store_write_part(model->store, qn__store_index(model->store, "kv.slots"), 0,
                                      b->cells.slots, bytes);
    }
    if (status != QN_OK) {
        qn_batch_destroy(&b);
        return status;
    }
    model->holder = b;
    *batch = b;
    return QN_OK;
}

void qn_batch_destroy(qn_batch **batch)
{
    qn_batch *b = *batch;
    if (!b) return;
    if (b->model->holder == b) b->model->holder = NULL;
    qn__cells_free(&b->cells);
    free(b->logits);
    free(b);
    *batch = NULL;
}

static qn_status check_holder(const qn_batch *batch)
{
    QN_CHECK(batch->model->holder == batch,
             "another session or batch of this model was made since and holds the cache");
    return QN_OK;
}

static qn_status write_part(qn_store *store, const char *name, const void *values, int32_t first,
                            int32_t count)
{
    return qn__store_write_part(store, qn__store_index(store, name), (uint64_t)first * 4, values,
                                (uint64_t)count * 4);
}

/* Tokens [from, to) of a sequence lie where its cells say: tell the device what it does not know.
 */
static qn_status write_slots(qn_batch *b, int32_t sequence, int32_t from, int32_t to)
{
    const int32_t *cell = b->cells.sequence[sequence].cell;
    int32_t base = sequence * b->cells.context, *slots = b->cells.slots + base;
    while (from < to && slots[from] == cell[from]) from++;
    while (from < to && slots[to - 1] == cell[to - 1]) to--;
    if (from == to || b->model->sequences == 1) return QN_OK;
    memcpy(slots + from, cell + from, (size_t)(to - from) * sizeof *cell);
    return write_part(b->model->store, "kv.slots", slots + from, base + from, to - from);
}

qn_status qn_batch_add(qn_batch *batch, const int32_t *prompt, size_t count, int32_t *sequence,
                       int32_t *reused)
{
    QN_TRY(check_holder(batch));
    QN_TRY(qn__cells_add(&batch->cells, prompt, count, sequence, reused));
    return write_slots(batch, *sequence, 0, *reused);
}

/* ---- a run ---- */

static qn_status check_rows(qn_batch *b, const qn_batch_row *rows, size_t count)
{
    const qn_model_config *config = &b->model->config;
    QN_TRY(check_holder(b));
    QN_CHECK(count <= INT32_MAX, "%zu rows at once", count);
    for (int32_t s = 0; s < b->cells.sequences; s++) b->cells.sequence[s].coming = 0;
    for (size_t i = 0; i < count; i++) {
        QN_TRY(qn__cells_check(&b->cells, rows[i].sequence));
        QN_CHECK(rows[i].token >= 0 && rows[i].token < config->vocab,
                 "token %d is outside the vocabulary of %d", rows[i].token, config->vocab);
        b->cells.sequence[rows[i].sequence].coming++;
    }
    for (int32_t s = 0; s < b->cells.sequences; s++) {
        const qn_sequence *q = &b->cells.sequence[s];
        QN_CHECK(q->coming <= config->context - q->length,
                 "%d tokens are in the context of %d; %d more do not fit", q->length,
                 config->context, q->coming);
    }
    QN_CHECK(qn__cells_reserve(&b->cells, (int32_t)count),
             "the cache has room for %d tokens more, not for %zu: end a sequence first",
             b->cells.free, count);
    return QN_OK;
}

/* Which plan, for how many of the rows that are left, of which so many give logits. */
typedef struct piece {
    bool all; /* every row's logits are made */
    int32_t rows, logits;
} piece;

/* Few logits of many rows: the plan that makes few. */
static piece choose_piece(const qn_model *model, const qn_batch_row *rows, size_t left)
{
    piece few = {0}, all = {.all = true};
    while ((size_t)few.rows < left && few.rows < model->cache_rows) {
        if (rows[few.rows].logits && few.logits == model->cache_logits) break;
        few.logits += rows[few.rows++].logits;
    }
    while ((size_t)all.rows < left && all.rows < model->most_rows)
        all.logits += rows[all.rows++].logits;
    bool whole = (size_t)few.rows == left || few.rows == model->cache_rows;
    if (whole && (model->cache_logits == 1 || few.rows > model->cache_logits)) return few;
    return all.rows < few.rows ? few : all;
}

/* Ids, places and ranges as inputs of one of the two plans. */
static qn_status write_inputs(qn_batch *b, const char *prefix, const qn_batch_row *rows,
                              int32_t count)
{
    static const char *const endings[] = {"ids", "pos", "index"};
    qn_store *store = b->model->store;
    int32_t values[3][ROWS], ranges[ROWS * 4];
    char name[32];
    for (int32_t i = 0; i < count; i++) {
        int32_t s = rows[i].sequence, base = s * b->cells.context;
        qn_sequence *q = &b->cells.sequence[s];
        int32_t at = q->length;
        qn__cells_append(&b->cells, s, rows[i].token);
        values[0][i] = rows[i].token;
        values[1][i] = at;
        values[2][i] = q->cell[at];
        ranges[i * 4] = ranges[i * 4 + 1] = base;
        ranges[i * 4 + 2] = ranges[i * 4 + 3] = base + at + 1;
        if (!q->coming) q->first = at;
        q->coming = 1;
    }
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s.%s", prefix, endings[i]);
        QN_TRY(write_part(store, name, values[i], 0, count));
    }
    return qn__network_write_ranges(store, &b->model->config, prefix, ranges, (size_t)count);
}

/* `to`: [part->logits, vocab]; NULL: they stay on the device. */
static qn_status run_part(qn_batch *b, const qn_batch_row *rows, const piece *part, float *to)
{
    qn_model *model = b->model;
    const uint64_t line = (uint64_t)model->config.vocab * sizeof *to;
    int32_t last[ROWS] = {0}, wanted = 0;
    for (int32_t i = 0; i < part->rows; i++) b->cells.sequence[rows[i].sequence].coming = 0;
    QN_TRY(write_inputs(b, part->all ? "kv.rows" : "kv.in", rows, part->rows));
    for (int32_t i = 0; i < part->rows; i++) {
        qn_sequence *q = &b->cells.sequence[rows[i].sequence];
        if (q->coming) QN_TRY(write_slots(b, rows[i].sequence, q->first, q->length));
        q->coming = 0;
        if (rows[i].logits) last[wanted++] = i;
    }
    if (!part->all) QN_TRY(write_part(model->store, "kv.last", last, 0, model->cache_logits));
    QN_TRY(
        qn_plan_run(part->all ? model->rows_plan : model->cache_plan, QN_FORWARD, part->rows, 0));
    if (wanted == 0) return QN_OK;
    int index = qn__store_index(model->store, part->all ? "kv.rows.logits" : "kv.logits");
    b->last = index;
    b->last_row = part->all ? last[wanted - 1] : wanted - 1;
    if (!to) return QN_OK;
    if (!part->all) return qn__store_read_part(model->store, index, 0, to, (uint64_t)wanted * line);
    for (int32_t i = 0, some; i < wanted; i += some) { /* neighbours in one piece */
        for (some = 1; i + some < wanted && last[i + some] == last[i] + some;) some++;
        QN_TRY(qn__store_read_part(model->store, index, (uint64_t)last[i] * line,
                                   to + (size_t)i * (size_t)model->config.vocab,
                                   (uint64_t)some * line));
    }
    return QN_OK;
}

static qn_status make_room(qn_batch *b, const qn_batch_row *rows, size_t count)
{
    size_t wanted = 0;
    for (size_t i = 0; i < count; i++) wanted += rows[i].logits;
    if (wanted <= b->logits_rows) return QN_OK;
    float *more = realloc(b->logits, wanted * (size_t)b->model->config.vocab * sizeof *more);
    if (!more) return qn__fail(QN_OS_ERROR, "no memory for the logits of %zu rows", wanted);
    b->logits = more;
    b->logits_rows = wanted;
    return QN_OK;
}

qn_status qn_batch_run(qn_batch *batch, const qn_batch_row *rows, size_t count,
                       const float **logits)
{
    qn_model *model = batch->model;
    QN_TRY(check_rows(batch, rows, count));
    if (logits) QN_TRY(make_room(batch, rows, count));
    float *to = logits ? batch->logits : NULL;
    for (size_t at = 0; at < count;) {
        piece part = choose_piece(model, rows + at, count - at);
        if (part.all && !model->rows_plan) {
            QN_TRY(qn__model_plan_rows(model));
            QN_TRY(qn_plan_prepare(model->rows_plan));
        }
        QN_TRY(run_part(batch, rows + at, &part, to));
        if (to) to += (size_t)part.logits * (size_t)model->config.vocab;
        at += (size_t)part.rows;
    }
    if (logits) *logits = batch->logits;
    return QN_OK;
}

qn_status qn__batch_last_logits(qn_batch *batch, float *logits)
{
    uint64_t line = (uint64_t)batch->model->config.vocab * sizeof *logits;
    return qn__store_read_part(batch->model->store, batch->last, (uint64_t)batch->last_row * line,
                               logits, line);
}

/* ---- ends ---- */

qn_status qn_batch_remove(qn_batch *batch, int32_t sequence, bool keep)
{
    QN_TRY(qn__cells_check(&batch->cells, sequence));
    qn__cells_remove(&batch->cells, sequence, keep);
    return QN_OK;
}

qn_status qn_batch_rewind(qn_batch *batch, int32_t sequence, int32_t length)
{
    QN_TRY(qn__cells_check(&batch->cells, sequence));
    int32_t now = batch->cells.sequence[sequence].length;
    QN_CHECK(length >= 0 && length <= now, "rewind to %d of %d tokens", length, now);
    qn__cells_cut(&batch->cells, sequence, length);
    return QN_OK;
}

int32_t qn_batch_length(const qn_batch *batch, int32_t sequence)
{
    bool there =
        sequence >= 0 && sequence < batch->cells.sequences && batch->cells.sequence[sequence].alive;
    return there ? batch->cells.sequence[sequence].length : -1;
}

int32_t qn_batch_room(const qn_batch *batch)
{
    return qn__cells_room(&batch->cells);
}

/* ---- shifting ---- */

/* Angles that turn a key `drop` positions back. */
static qn_status write_angles(const qn_model *model, int32_t drop)
{
    int pairs = qn__head_size(&model->config) / 2;
    float *table = malloc((size_t)pairs * 2 * sizeof *table);
    if (!table) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int e = 0; e < pairs; e++) {
        double angle = (double)drop * qn__rope_frequency(&model->config, e);
        table[2 * e] = (float)cos(angle);
        table[2 * e + 1] = (float)-sin(angle);
    }
    qn_status status = write_part(model->store, "turn.table", table, 0, pairs * 2);
    free(table);
    return status;
}

/* Cells are read before any is written in one run; in order, at most `drop` may move at once. */
static qn_status turn(qn_batch *b, const int32_t *from, const int32_t *to, int32_t count,
                      int32_t most)
{
    qn_model *model = b->model;
    int32_t copy[ROWS];
    if (most > model->cache_rows) most = model->cache_rows;
    for (int32_t at = 0, some; at < count; at += some) {
        some = count - at < most ? count - at : most;
        for (int32_t i = 0; i < some; i++) copy[i] = to[at + i] == from[at + i] ? -1 : to[at + i];
        QN_TRY(write_part(model->store, "turn.from", from + at, 0, some));
        QN_TRY(write_part(model->store, "turn.to", to + at, 0, some));
        QN_TRY(write_part(model->store, "turn.copy", copy, 0, some));
        QN_TRY(qn_plan_run(model->turn_plan, QN_FORWARD, some, 0));
    }
    return QN_OK;
}

qn_status qn_batch_shift(qn_batch *batch, int32_t sequence, int32_t keep, int32_t drop)
{
    qn_model *model = batch->model;
    QN_TRY(check_holder(batch));
    QN_TRY(qn__cells_check(&batch->cells, sequence));
    int32_t length = batch->cells.sequence[sequence].length;
    QN_CHECK(keep >= 0 && drop >= 0 && keep <= length && drop <= length - keep,
             "drop %d tokens after %d, of %d", drop, keep, length);
    if (qn__arch(model->config.arch)->learned_positions)
        return qn__fail(QN_UNSUPPORTED,
                        "%s learns its positions: keys cannot be turned to others, so its context "
                        "does not shift; begin the sequence again",
                        qn_arch_name(model->config.arch));
    if (drop == 0) return QN_OK;
    int32_t moved = length - keep - drop;
    int32_t shared = qn__cells_shared(&batch->cells, sequence, keep + drop);
    QN_CHECK(qn__cells_reserve(&batch->cells, shared),
             "the cache has no room for %d tokens that other sequences share: end one first",
             shared);
    QN_TRY(qn__model_plan_turn(model));
    QN_TRY(qn_plan_prepare(model->turn_plan));
    QN_TRY(write_angles(model, drop));
    int32_t *from = malloc(((size_t)moved * 2 + 1) * sizeof *from), *to = from + moved;
    if (!from) return qn__fail(QN_OS_ERROR, "out of memory");
    bool in_order = model->sequences == 1;
    qn__cells_shift(&batch->cells, sequence, keep, drop, in_order, from, to);
    qn_status status = turn(batch, from, to, moved, in_order ? drop : ROWS);
    free(from);
    return status == QN_OK ? write_slots(batch, sequence, keep, keep + moved) : status;
}
