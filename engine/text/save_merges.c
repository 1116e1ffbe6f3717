/* The merges of a tokenizer.json: those learned or read, or, for pieces that join by score, every
 * way to make a piece from two others, best piece first (as transformers converts such files). */
#include "text/save.h"

#include "base/check.h"
#include "text/utf8.h"

#include <stdlib.h>

static qn_status no_memory(void)
{
    return qn__fail(QN_OS_ERROR, "saving a tokenizer: out of memory");
}

static int by_rank(const void *a, const void *b)
{
    const qn__merge *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    if (x->left != y->left) return x->left < y->left ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right);
}

typedef struct merge_list {
    qn__merge *data;
    size_t count, capacity;
} merge_list;

static qn_status list_ranked(const qn_tokenizer *t, merge_list *list)
{
    for (size_t i = 0; t->merges.slot && i <= t->merges.mask; i++) {
        if (t->merges.slot[i].left < 0) continue;
        QN__GROW(list->data, &list->capacity, list->count + 1);
        list->data[list->count++] = t->merges.slot[i];
    }
    return QN_OK;
}

/* All ways to cut one piece in two others. */
static qn_status list_cuts(const qn_tokenizer *t, size_t id, merge_list *list)
{
    const uint8_t *text = qn__vocab_text(&t->vocab, id);
    size_t bytes = t->vocab.token[id].bytes;
    for (size_t cut = 1; cut < bytes; cut++) {
        int32_t left = qn__index_find(&t->normal, &t->vocab, text, cut);
        int32_t right = qn__index_find(&t->normal, &t->vocab, text + cut, bytes - cut);
        if (left < 0 || right < 0) continue;
        QN__GROW(list->data, &list->capacity, list->count + 1);
        list->data[list->count++] = (qn__merge){left, right, (int32_t)id,
                                                t->vocab.token[id].rank};
    }
    return QN_OK;
}

static qn_status list_scored(const qn_tokenizer *t, merge_list *list)
{
    for (size_t id = 0; id < t->vocab.count; id++)
        if (t->vocab.token[id].type == QN__TOKEN_NORMAL ||
            t->vocab.token[id].type == QN__TOKEN_USER)
            QN_TRY(list_cuts(t, id, list));
    return QN_OK;
}

static qn_status write_list(const qn_tokenizer *t, const merge_list *list, json_t *merges)
{
    qn_str left = {0}, right = {0};
    qn_status status = QN_OK;
    for (size_t i = 0; i < list->count && status == QN_OK; i++) {
        status = qn__hf_write_token(t, (size_t)list->data[i].left, &left);
        if (status == QN_OK) status = qn__hf_write_token(t, (size_t)list->data[i].right, &right);
        if (status != QN_OK) break;
        qn__str_add_bytes(&left, " ", 1);
        qn__str_add_bytes(&left, right.data, right.length);
        json_t *text = left.failed ? NULL : json_stringn(left.data, left.length);
        if (!text || json_array_append_new(merges, text) != 0) status = no_memory();
    }
    qn__str_free(&left);
    qn__str_free(&right);
    return status;
}

qn_status qn__hf_write_merges(const qn_tokenizer *t, json_t *merges)
{
    merge_list list = {0};
    qn_status status = t->by_score ? list_scored(t, &list) : list_ranked(t, &list);
    if (status == QN_OK && list.count > 0) {
        qsort(list.data, list.count, sizeof *list.data, by_rank);
        status = write_list(t, &list, merges);
    }
    free(list.data);
    return status;
}
