/* Classes of characters as automata over bytes. */
#include "base/check.h"
#include "infer/grammar.h"

#include <stdlib.h>
#include <string.h>

enum { TOP = 0x10FFFF, SEQUENCES = 64 };

qn_status qn__grammar_room(void *items, uint32_t count, uint32_t *room, size_t size)
{
    void **array = items;
    if (count < *room) return QN_OK;
    uint32_t more = *room ? *room * 2 : 16;
    if (more > UINT32_MAX / 4 / size) return qn__fail(QN_BAD_DATA, "the grammar is too large");
    void *grown = realloc(*array, more * size);
    if (!grown) return qn__fail(QN_OS_ERROR, "out of memory");
    *array = grown;
    *room = more;
    return QN_OK;
}

static qn_status add_arc(qn_grammar *g, uint8_t low, uint8_t high, uint32_t next)
{
    QN_TRY(qn__grammar_room(&g->arcs, g->arc_count, &g->arc_room, sizeof *g->arcs));
    g->arcs[g->arc_count++] = (qn_arc){low, high, next};
    return QN_OK;
}

/* A node of one arc; made once. */
static qn_status add_step(qn_grammar *g, uint8_t low, uint8_t high, uint32_t next, uint32_t *node)
{
    uint32_t from = g->node_count > 64 ? g->node_count - 64 : 0; /* near ones are found again */
    for (uint32_t i = from; i < g->node_count; i++) {
        const qn_arc *arc = &g->arcs[g->nodes[i].first];
        if (g->nodes[i].count == 1 && arc->low == low && arc->high == high && arc->next == next) {
            *node = i;
            return QN_OK;
        }
    }
    QN_TRY(qn__grammar_room(&g->nodes, g->node_count, &g->node_room, sizeof *g->nodes));
    QN_TRY(add_arc(g, low, high, next));
    *node = g->node_count;
    g->nodes[g->node_count++] = (qn_utf8_node){g->arc_count - 1, 1};
    return QN_OK;
}

/* ---- ranges of code points as sequences of ranges of bytes ---- */

typedef struct head {
    uint8_t low, high;
    uint32_t next;
} head;

typedef struct heads {
    head *items;
    uint32_t count, room;
} heads;

static int encode(uint32_t code, uint8_t out[4])
{
    int length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (int i = length - 1; i > 0; i--, code >>= 6) out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(marks[length] | code);
    return length;
}

/* All from low to high, which are of one length and differ as whole ranges of their last bytes. */
static qn_status add_sequence(qn_grammar *g, heads *list, uint32_t low, uint32_t high)
{
    uint8_t a[4], b[4];
    int length = encode(low, a);
    uint32_t next = QN_UTF8_END;
    encode(high, b);
    for (int i = length - 1; i > 0; i--) QN_TRY(add_step(g, a[i], b[i], next, &next));
    QN_TRY(qn__grammar_room(&list->items, list->count, &list->room, sizeof *list->items));
    list->items[list->count++] = (head){a[0], b[0], next};
    return QN_OK;
}

/* Cut where the length changes, and so that after the first byte that differs all are whole. */
static qn_status add_range(qn_grammar *g, heads *list, uint32_t low, uint32_t high)
{
    static const uint32_t ends[] = {0x7F, 0x7FF, 0xD7FF, 0xDFFF, 0xFFFF, TOP};
    for (int i = 0; low <= high && i < 6; i++) {
        if (low > ends[i]) continue;
        uint32_t end = high < ends[i] ? high : ends[i];
        if (i == 3) low = end + 1; /* surrogates */
        while (low <= end) {
            uint32_t last = end;
            for (int bits = 6; bits <= 18; bits += 6) {
                uint32_t mask = (1u << bits) - 1;
                if ((low & ~mask) == (last & ~mask) || last < 0x80) break;
                if (low & mask) last = low | mask;
                else if ((last & mask) != mask) last = (last & ~mask) - 1;
            }
            QN_TRY(add_sequence(g, list, low, last));
            low = last + 1;
        }
    }
    return QN_OK;
}

static int by_low(const void *a, const void *b)
{
    const qn_range32 *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

static qn_status add_all(qn_grammar *g, heads *list, qn_range32 *ranges, size_t count, bool negated)
{
    uint32_t next = 0; /* the first character not yet covered */
    if (count > 1) qsort(ranges, count, sizeof *ranges, by_low);
    for (size_t i = 0; i < count; i++) {
        uint32_t low = ranges[i].low > next ? ranges[i].low : next;
        if (negated && ranges[i].low > next) QN_TRY(add_range(g, list, next, ranges[i].low - 1));
        if (ranges[i].high < next) continue;
        if (!negated) QN_TRY(add_range(g, list, low, ranges[i].high));
        next = ranges[i].high + 1;
    }
    if (negated && next <= TOP) QN_TRY(add_range(g, list, next, TOP));
    return QN_OK;
}

qn_status qn__class_add(qn_grammar *grammar, qn_range32 *ranges, size_t count, bool negated,
                        uint32_t *node)
{
    heads list = {0};
    qn_status status = add_all(grammar, &list, ranges, count, negated);
    uint32_t first = grammar->arc_count;
    for (uint32_t i = 0; status == QN_OK && i < list.count; i++) {
        const head *h = &list.items[i];
        qn_arc *last = grammar->arc_count > first ? &grammar->arcs[grammar->arc_count - 1] : NULL;
        if (last && last->next == h->next && last->high + 1 == h->low) last->high = h->high;
        else status = add_arc(grammar, h->low, h->high, h->next);
    }
    if (status == QN_OK)
        status = qn__grammar_room(&grammar->nodes, grammar->node_count, &grammar->node_room,
                                  sizeof *grammar->nodes);
    free(list.items);
    if (status != QN_OK) return status;
    *node = grammar->node_count;
    grammar->nodes[grammar->node_count++] = (qn_utf8_node){first, grammar->arc_count - first};
    return QN_OK;
}

qn_status qn__class_add_byte(qn_grammar *grammar, uint8_t byte, uint32_t *node)
{
    return add_step(grammar, byte, byte, QN_UTF8_END, node);
}
