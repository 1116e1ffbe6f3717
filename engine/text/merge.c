#include "text/merge.h"

#include "base/check.h"

#include <stdlib.h>

static const uint32_t NOWHERE = UINT32_MAX;

qn_status qn__merges_create(qn__merges *merges, size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    merges->slot = malloc(slots * sizeof *merges->slot);
    if (!merges->slot) return qn__fail(QN_OS_ERROR, "tokenizer: no memory for %zu merges", count);
    for (size_t i = 0; i < slots; i++) merges->slot[i].left = -1;
    merges->mask = slots - 1;
    merges->count = 0;
    return QN_OK;
}

/* Multiplicative hashing: the high bits of the product are well mixed. */
static size_t first_place(const qn__merges *merges, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return (size_t)((pair * 0x9E3779B97F4A7C15u) >> 24) & merges->mask;
}

static qn__merge *place(const qn__merges *merges, int32_t left, int32_t right)
{
    size_t at = first_place(merges, left, right);
    while (merges->slot[at].left >= 0 &&
           (merges->slot[at].left != left || merges->slot[at].right != right))
        at = (at + 1) & merges->mask;
    return &merges->slot[at];
}

void qn__merges_add(qn__merges *merges, qn__merge merge)
{
    qn__merge *at = place(merges, merge.left, merge.right);
    if (at->left >= 0) return;
    *at = merge;
    merges->count++;
}

const qn__merge *qn__merges_find(const qn__merges *merges, int32_t left, int32_t right)
{
    if (!merges->slot) return NULL;
    const qn__merge *at = place(merges, left, right);
    return at->left >= 0 ? at : NULL;
}

void qn__merges_free(qn__merges *merges)
{
    free(merges->slot);
    *merges = (qn__merges){0};
}

void qn__word_begin(qn__word *word)
{
    word->count = 0;
}

qn_status qn__word_add(qn__word *word, size_t at, size_t bytes, int32_t id)
{
    QN__GROW(word->symbol, &word->symbol_capacity, word->count + 1);
    uint32_t here = (uint32_t)word->count++;
    word->symbol[here] = (qn__symbol){.at = (uint32_t)at, .bytes = (uint32_t)bytes, .id = id,
                                      .prev = here ? here - 1 : NOWHERE, .next = NOWHERE};
    if (here) word->symbol[here - 1].next = here;
    return QN_OK;
}

static void heap_push(qn__word *word, qn__candidate candidate)
{
    size_t at = word->heap_count++;
    QN_ASSERT(word->heap_count <= word->heap_capacity);
    while (at > 0 && candidate.key < word->heap[(at - 1) / 2].key) {
        word->heap[at] = word->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    word->heap[at] = candidate;
}

static qn__candidate heap_pop(qn__word *word)
{
    qn__candidate top = word->heap[0], last = word->heap[--word->heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < word->heap_count) {
        if (child + 1 < word->heap_count && word->heap[child + 1].key < word->heap[child].key)
            child++;
        if (last.key <= word->heap[child].key) break;
        word->heap[at] = word->heap[child];
        at = child;
    }
    word->heap[at] = last;
    return top;
}

static void consider(qn__word *word, const uint8_t *text, qn__join_fn join, const void *context,
                     uint32_t left)
{
    if (left == NOWHERE || word->symbol[left].next == NOWHERE) return;
    uint32_t right = word->symbol[left].next, order;
    int32_t id;
    const qn__symbol *a = &word->symbol[left], *b = &word->symbol[right];
    if (!join(context, text, a, b, &order, &id)) return;
    heap_push(word, (qn__candidate){.key = (uint64_t)order << 32 | left, .right = right,
                                    .bytes = a->bytes + b->bytes, .id = id});
}

/* A candidate holds while both symbols are as they were: symbols only ever grow to the right, so
 * the same neighbours with the same sum of bytes are the same symbols. */
qn_status qn__word_join(qn__word *word, const uint8_t *text, qn__join_fn join, const void *context)
{
    /* One candidate a pair at first, then each join takes one and gives at most two. */
    QN__GROW(word->heap, &word->heap_capacity, 2 * word->count + 2);
    word->heap_count = 0;
    for (size_t i = 0; i < word->count; i++) consider(word, text, join, context, (uint32_t)i);
    while (word->heap_count > 0) {
        qn__candidate best = heap_pop(word);
        uint32_t here = (uint32_t)best.key;
        qn__symbol *left = &word->symbol[here], *right = &word->symbol[best.right];
        if (left->bytes == 0 || left->next != best.right ||
            left->bytes + right->bytes != best.bytes)
            continue;
        left->bytes = best.bytes;
        left->id = best.id;
        left->next = right->next;
        if (left->next != NOWHERE) word->symbol[left->next].prev = here;
        right->bytes = 0;
        consider(word, text, join, context, left->prev);
        consider(word, text, join, context, here);
    }
    return QN_OK;
}

void qn__word_free(qn__word *word)
{
    free(word->symbol);
    free(word->heap);
    *word = (qn__word){0};
}
