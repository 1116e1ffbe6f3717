#include "model/cells.h"

#include "base/check.h"
#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

qn_status qn__cells_create(int32_t count, int32_t sequences, int32_t context, qn_cells *cells)
{
    int64_t all = (int64_t)sequences * context;
    *cells = (qn_cells){.count = count, .free = count, .sequences = sequences, .context = context};
    cells->uses = calloc((size_t)count + 1, sizeof *cells->uses);
    cells->sequence = calloc((size_t)sequences, sizeof *cells->sequence);
    cells->slots = malloc((size_t)all * sizeof *cells->slots);
    bool there = cells->uses && cells->sequence && cells->slots;
    for (int32_t s = 0; there && s < sequences; s++) {
        qn_sequence *q = &cells->sequence[s];
        q->token = malloc((size_t)context * sizeof *q->token);
        q->cell = malloc((size_t)context * sizeof *q->cell);
        there = q->token && q->cell;
    }
    if (!there) {
        qn__cells_free(cells);
        return qn__fail(QN_OS_ERROR, "out of memory");
    }
    for (int64_t i = 0; i < all; i++) cells->slots[i] = (int32_t)(i % count);
    return QN_OK;
}

void qn__cells_free(qn_cells *cells)
{
    for (int32_t s = 0; cells->sequence && s < cells->sequences; s++) {
        free(cells->sequence[s].token);
        free(cells->sequence[s].cell);
    }
    free(cells->sequence);
    free(cells->uses);
    free(cells->slots);
    *cells = (qn_cells){0};
}

static void use(qn_cells *cells, int32_t cell)
{
    cells->free -= cells->uses[cell]++ == 0;
}

static void release(qn_cells *cells, int32_t cell)
{
    cells->free += --cells->uses[cell] == 0;
}

void qn__cells_cut(qn_cells *cells, int32_t sequence, int32_t length)
{
    qn_sequence *q = &cells->sequence[sequence];
    while (q->length > length) release(cells, q->cell[--q->length]);
    if (q->exact > length) q->exact = length;
}

void qn__cells_remove(qn_cells *cells, int32_t sequence, bool keep)
{
    qn_sequence *q = &cells->sequence[sequence];
    qn__cells_cut(cells, sequence, keep ? q->exact : 0);
    q->alive = false;
    q->kept = q->length > 0;
    q->touched = ++cells->clock;
}

/* The kept sequence used longest ago, but not `other`; -1: there is none. */
static int32_t oldest_kept(const qn_cells *cells, int32_t other)
{
    int32_t oldest = -1;
    for (int32_t s = 0; s < cells->sequences; s++) {
        const qn_sequence *q = &cells->sequence[s];
        if (!q->kept || s == other) continue;
        if (oldest < 0 || q->touched < cells->sequence[oldest].touched) oldest = s;
    }
    return oldest;
}

bool qn__cells_reserve(qn_cells *cells, int32_t count)
{
    while (cells->free < count) {
        int32_t oldest = oldest_kept(cells, -1);
        if (oldest < 0) return false;
        qn__cells_remove(cells, oldest, false);
    }
    return true;
}

int32_t qn__cells_room(const qn_cells *cells)
{
    int32_t room = 0;
    uint8_t *needed = calloc((size_t)cells->count + 1, 1);
    if (!needed) return cells->free;
    for (int32_t s = 0; s < cells->sequences; s++)
        for (int32_t p = 0; cells->sequence[s].alive && p < cells->sequence[s].length; p++)
            needed[cells->sequence[s].cell[p]] = 1;
    for (int32_t c = 0; c < cells->count; c++) room += !needed[c];
    free(needed);
    return room;
}

qn_status qn__cells_check(const qn_cells *cells, int32_t sequence)
{
    QN_CHECK(sequence >= 0 && sequence < cells->sequences && cells->sequence[sequence].alive,
             "there is no sequence %d", sequence);
    return QN_OK;
}

/* ---- beginnings ---- */

/* Whose first tokens are most of the prompt's; *length of them. */
static int32_t longest(const qn_cells *cells, const int32_t *prompt, int32_t most, int32_t *length)
{
    int32_t best = -1;
    *length = 0;
    for (int32_t s = 0; s < cells->sequences; s++) {
        const qn_sequence *q = &cells->sequence[s];
        int32_t same = 0, there = q->exact < most ? q->exact : most;
        while (same < there && q->token[same] == prompt[same]) same++;
        if (same <= *length) continue;
        *length = same;
        best = s;
    }
    return best;
}

/* One that nobody has; else the kept one used longest ago, but rather not `source`. */
static int32_t vacant(qn_cells *cells, int32_t source)
{
    for (int32_t s = 0; s < cells->sequences; s++)
        if (!cells->sequence[s].alive && !cells->sequence[s].kept) return s;
    int32_t oldest = oldest_kept(cells, source);
    if (oldest < 0 && source >= 0 && cells->sequence[source].kept) return source;
    if (oldest >= 0) qn__cells_remove(cells, oldest, false);
    return oldest;
}

qn_status qn__cells_add(qn_cells *cells, const int32_t *prompt, size_t count, int32_t *sequence,
                        int32_t *reused)
{
    QN_CHECK(count <= (size_t)cells->context, "a prompt of %zu tokens; the context is %d", count,
             cells->context);
    int32_t source = longest(cells, prompt, count > 0 ? (int32_t)count - 1 : 0, reused);
    int32_t at = vacant(cells, source);
    QN_CHECK(at >= 0, "all %d sequences are in use: remove one, or open the model for more",
             cells->sequences);
    qn_sequence *q = &cells->sequence[at];
    if (at == source) qn__cells_cut(cells, at, *reused);
    for (int32_t p = 0; at != source && p < *reused; p++) {
        q->token[p] = prompt[p];
        q->cell[p] = cells->sequence[source].cell[p];
        use(cells, q->cell[p]);
    }
    if (source >= 0) cells->sequence[source].touched = ++cells->clock;
    q->alive = true;
    q->kept = false;
    q->length = q->exact = *reused;
    *sequence = at;
    return QN_OK;
}

/* ---- growing and shifting ---- */

static int32_t take(qn_cells *cells, int32_t wish)
{
    while (cells->uses[wish] > 0) {
        wish = cells->cursor++;
        if (cells->cursor == cells->count) cells->cursor = 0;
    }
    use(cells, wish);
    return wish;
}

void qn__cells_append(qn_cells *cells, int32_t sequence, int32_t token)
{
    qn_sequence *q = &cells->sequence[sequence];
    int32_t p = q->length++;
    q->exact += q->exact == p;
    q->token[p] = token;
    q->cell[p] = take(cells, cells->slots[(int64_t)sequence * cells->context + p]);
    q->touched = ++cells->clock;
}

int32_t qn__cells_shared(const qn_cells *cells, int32_t sequence, int32_t first)
{
    const qn_sequence *q = &cells->sequence[sequence];
    int32_t shared = 0;
    for (int32_t p = first; p < q->length; p++) shared += cells->uses[q->cell[p]] > 1;
    return shared;
}

void qn__cells_shift(qn_cells *cells, int32_t sequence, int32_t keep, int32_t drop, bool in_order,
                     int32_t *from, int32_t *to)
{
    qn_sequence *q = &cells->sequence[sequence];
    int32_t moved = q->length - keep - drop;
    if (in_order) { /* a cache of one sequence: cells are positions */
        for (int32_t i = 0; i < moved; i++) {
            from[i] = keep + drop + i;
            to[i] = keep + i;
        }
        memmove(q->token + keep, q->token + keep + drop, (size_t)moved * sizeof *q->token);
        int32_t exact = q->exact < keep ? q->exact : keep;
        qn__cells_cut(cells, sequence, keep + moved);
        q->exact = exact;
        return;
    }
    for (int32_t p = keep; p < keep + drop; p++) release(cells, q->cell[p]);
    for (int32_t i = 0; i < moved; i++) {
        int32_t cell = q->cell[keep + drop + i];
        from[i] = to[i] = cell;
        if (cells->uses[cell] > 1) {
            to[i] = take(cells, cell);
            release(cells, cell);
        }
        q->token[keep + i] = q->token[keep + drop + i];
        q->cell[keep + i] = to[i];
    }
    q->length = keep + moved;
    if (q->exact > keep) q->exact = keep;
}
