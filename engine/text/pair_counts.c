#include "text/pair_counts.h"

#include "base/check.h"
#include "text/vocab.h"

#include <stdlib.h>

static qn_status no_memory(void)
{
    return qn__fail(QN_OS_ERROR, "training a tokenizer: out of memory");
}

qn_status qn__pair_counts_create(qn__pair_counts *counts)
{
    *counts = (qn__pair_counts){.mask = (1u << 16) - 1};
    counts->slot = calloc(counts->mask + 1, sizeof *counts->slot);
    return counts->slot ? QN_OK : no_memory();
}

void qn__pair_counts_free(qn__pair_counts *counts)
{
    for (size_t i = 0; i < counts->count; i++) free(counts->pair[i].word);
    free(counts->pair);
    free(counts->slot);
    free(counts->heap);
    free(counts->grown);
    *counts = (qn__pair_counts){0};
}

static size_t place(const qn__pair_counts *counts, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t at = (size_t)((key * 0x9E3779B97F4A7C15u) >> 24) & counts->mask;
    while (counts->slot[at]) {
        const qn__pair *pair = &counts->pair[counts->slot[at] - 1];
        if (pair->left == left && pair->right == right) break;
        at = (at + 1) & counts->mask;
    }
    return at;
}

static qn_status double_slots(qn__pair_counts *counts)
{
    size_t slots = 2 * (counts->mask + 1);
    uint32_t *larger = calloc(slots, sizeof *larger);
    if (!larger) return no_memory();
    free(counts->slot);
    counts->slot = larger;
    counts->mask = slots - 1;
    for (size_t i = 0; i < counts->count; i++)
        counts->slot[place(counts, counts->pair[i].left, counts->pair[i].right)] = (uint32_t)i + 1;
    return QN_OK;
}

/* Higher count first; then smaller ids, so that the order never depends on hashing. */
static bool before(const qn__pair_counts *counts, const struct qn__pair_top *a,
                   const struct qn__pair_top *b)
{
    const qn__pair *p = &counts->pair[a->pair], *q = &counts->pair[b->pair];
    if (a->count != b->count) return a->count > b->count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static qn_status heap_push(qn__pair_counts *counts, uint32_t pair)
{
    struct qn__pair_top item = {counts->pair[pair].count, pair};
    QN__GROW(counts->heap, &counts->heap_capacity, counts->heap_count + 1);
    size_t at = counts->heap_count++;
    while (at > 0 && before(counts, &item, &counts->heap[(at - 1) / 2])) {
        counts->heap[at] = counts->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    counts->heap[at] = item;
    return QN_OK;
}

static struct qn__pair_top heap_pop(qn__pair_counts *counts)
{
    struct qn__pair_top top = counts->heap[0], last = counts->heap[--counts->heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < counts->heap_count) {
        if (child + 1 < counts->heap_count &&
            before(counts, &counts->heap[child + 1], &counts->heap[child]))
            child++;
        if (!before(counts, &counts->heap[child], &last)) break;
        counts->heap[at] = counts->heap[child];
        at = child;
    }
    counts->heap[at] = last;
    return top;
}

static qn_status remember(qn__pair *pair, uint32_t word)
{
    if (pair->words && pair->word[pair->words - 1] == word) return QN_OK;
    QN__GROW(pair->word, &pair->word_capacity, pair->words + 1);
    pair->word[pair->words++] = word;
    return QN_OK;
}

qn_status qn__pair_counts_add(qn__pair_counts *counts, int32_t left, int32_t right, int64_t change,
                              uint32_t word)
{
    size_t at = place(counts, left, right);
    if (!counts->slot[at]) {
        if (counts->count >= UINT32_MAX / 2) return no_memory();
        if (2 * counts->count > counts->mask) {
            QN_TRY(double_slots(counts));
            at = place(counts, left, right);
        }
        QN__GROW(counts->pair, &counts->capacity, counts->count + 1);
        counts->pair[counts->count++] = (qn__pair){.left = left, .right = right};
        counts->slot[at] = (uint32_t)counts->count;
    }
    qn__pair *pair = &counts->pair[counts->slot[at] - 1];
    pair->count += change;
    if (change <= 0) return QN_OK;
    if (!pair->grown) {
        QN__GROW(counts->grown, &counts->grown_capacity, counts->grown_count + 1);
        counts->grown[counts->grown_count++] = counts->slot[at] - 1;
        pair->grown = true;
    }
    return remember(pair, word);
}

/* Falling counts leave the heap as it is: a pair that comes to the top with a count it had once
 * goes back with the right one. Rising counts are pushed here, once for all rises since last time;
 * so every pair is in the heap with at least its present count, and the first that is up to date
 * is the most frequent. */
qn_status qn__pair_counts_best(qn__pair_counts *counts, int64_t least, uint32_t *index,
                               bool *found)
{
    for (size_t i = 0; i < counts->grown_count; i++) {
        counts->pair[counts->grown[i]].grown = false;
        if (counts->pair[counts->grown[i]].count > least)
            QN_TRY(heap_push(counts, counts->grown[i]));
    }
    counts->grown_count = 0;
    *found = false;
    while (counts->heap_count > 0 && !*found) {
        struct qn__pair_top top = heap_pop(counts);
        int64_t now = counts->pair[top.pair].count;
        *index = top.pair;
        if (now == top.count) *found = true;
        else if (now > least) QN_TRY(heap_push(counts, top.pair));
    }
    return QN_OK;
}
