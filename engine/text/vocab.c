#include "text/vocab.h"

#include "base/check.h"
#include "base/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static qn_status no_memory(size_t bytes)
{
    return qn__fail(QN_OS_ERROR, "tokenizer: no memory for %zu bytes", bytes);
}

qn_status qn__text_grow(void *data, size_t *capacity, size_t need, size_t size, void **larger)
{
    size_t wanted = *capacity ? *capacity : 64, bytes;
    *larger = data;
    if (need <= *capacity) return QN_OK;
    while (wanted < need) {
        if (wanted > SIZE_MAX / 2) return no_memory(need);
        wanted *= 2;
    }
    if (__builtin_mul_overflow(wanted, size, &bytes)) return no_memory(need);
    void *fresh = realloc(data, bytes);
    if (!fresh) return no_memory(bytes);
    *larger = fresh;
    *capacity = wanted;
    return QN_OK;
}

qn_status qn__vocab_resize(qn__vocab *vocab, size_t count)
{
    QN_ASSERT(count <= INT32_MAX);
    QN__GROW(vocab->token, &vocab->capacity, count);
    for (size_t id = vocab->count; id < count; id++)
        vocab->token[id] = (qn__token){.type = QN__TOKEN_UNUSED};
    vocab->count = count;
    return QN_OK;
}

qn_status qn__vocab_set(qn__vocab *vocab, size_t id, const void *bytes, size_t count,
                        qn__token_type type)
{
    QN_ASSERT(id < vocab->count);
    if (count > INT32_MAX)
        return qn__fail(QN_BAD_DATA, "tokenizer: token %zu has %zu bytes", id, count);
    QN__GROW(vocab->pool, &vocab->pool_capacity, vocab->pool_bytes + count + 1);
    if (count) memcpy(vocab->pool + vocab->pool_bytes, bytes, count);
    vocab->token[id].at = vocab->pool_bytes;
    vocab->token[id].bytes = (uint32_t)count;
    vocab->token[id].type = type;
    vocab->pool_bytes += count;
    return QN_OK;
}

qn_status qn__vocab_add(qn__vocab *vocab, const void *bytes, size_t count, qn__token_type type)
{
    if (vocab->count >= INT32_MAX) return qn__fail(QN_BAD_DATA, "tokenizer: too many tokens");
    QN_TRY(qn__vocab_resize(vocab, vocab->count + 1));
    return qn__vocab_set(vocab, vocab->count - 1, bytes, count, type);
}

const uint8_t *qn__vocab_text(const qn__vocab *vocab, size_t id)
{
    return vocab->pool + vocab->token[id].at;
}

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int best_first(const void *a, const void *b)
{
    float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x < y) - (x > y);
}

qn_status qn__vocab_rank(qn__vocab *vocab)
{
    scored *order = malloc((vocab->count + 1) * sizeof *order);
    if (!order) return no_memory(vocab->count * sizeof *order);
    for (size_t id = 0; id < vocab->count; id++) {
        order[id] = (scored){vocab->token[id].score, (int32_t)id};
        if (isfinite(order[id].score)) continue;
        free(order);
        return qn__fail(QN_BAD_DATA, "tokenizer: the score of token %zu is not finite", id);
    }
    qsort(order, vocab->count, sizeof *order, best_first);
    uint32_t rank = 0;
    for (size_t i = 0; i < vocab->count; i++) {
        if (i > 0 && order[i].score < order[i - 1].score) rank++;
        vocab->token[order[i].id].rank = rank;
    }
    free(order);
    return QN_OK;
}

void qn__vocab_free(qn__vocab *vocab)
{
    free(vocab->token);
    free(vocab->pool);
    *vocab = (qn__vocab){0};
}

qn_status qn__index_create(qn__index *index, size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    index->slot = malloc(slots * sizeof *index->slot);
    if (!index->slot) return no_memory(slots * sizeof *index->slot);
    for (size_t i = 0; i < slots; i++) index->slot[i].id = -1;
    index->mask = slots - 1;
    return QN_OK;
}

static bool same(const qn__vocab *vocab, int32_t id, const void *bytes, size_t count)
{
    return vocab->token[id].bytes == count &&
           memcmp(qn__vocab_text(vocab, (size_t)id), bytes, count) == 0;
}

/* The slot that holds these bytes, or the free one where they would go. */
static size_t place(const qn__index *index, const qn__vocab *vocab, const void *bytes, size_t count,
                    uint32_t *tag)
{
    uint64_t hash = qn__hash(bytes, count);
    size_t at = (size_t)hash & index->mask;
    *tag = (uint32_t)(hash >> 32);
    while (index->slot[at].id >= 0) {
        if (index->slot[at].tag == *tag && same(vocab, index->slot[at].id, bytes, count)) break;
        at = (at + 1) & index->mask;
    }
    return at;
}

void qn__index_add(qn__index *index, const qn__vocab *vocab, int32_t id)
{
    uint32_t tag;
    size_t at = place(index, vocab, qn__vocab_text(vocab, (size_t)id), vocab->token[id].bytes,
                      &tag);
    if (index->slot[at].id < 0) {
        index->slot[at].tag = tag;
        index->slot[at].id = id;
    }
}

int32_t qn__index_find(const qn__index *index, const qn__vocab *vocab, const void *bytes,
                       size_t count)
{
    uint32_t tag;
    return index->slot ? index->slot[place(index, vocab, bytes, count, &tag)].id : -1;
}

void qn__index_free(qn__index *index)
{
    free(index->slot);
    *index = (qn__index){0};
}

qn_status qn__ids_reserve(qn__ids *ids, size_t more)
{
    QN__GROW(ids->data, &ids->capacity, ids->count + more);
    return QN_OK;
}

qn_status qn__ids_push(qn__ids *ids, int32_t id)
{
    if (ids->count == ids->capacity) QN_TRY(qn__ids_reserve(ids, 1));
    ids->data[ids->count++] = id;
    return QN_OK;
}
