/* What a tokenizer is, as one number: two with the same number make the same tokens. */
#include "base/hash.h"
#include "text/tokenizer.h"

#include <string.h>

/* The table of merges has an order of its own: their hashes are added, which has none. */
static uint64_t hash_merges(const qn__merges *merges)
{
    uint64_t sum = merges->count;
    for (size_t i = 0; merges->slot && i <= merges->mask; i++) {
        const qn__merge *m = &merges->slot[i];
        const int64_t row[] = {m->left, m->right, m->id, m->rank};
        if (m->left >= 0) sum += qn__hash(row, sizeof row);
    }
    return sum;
}

static void add_token(qn_hasher *hasher, const qn__vocab *vocab, size_t id)
{
    const qn__token *token = &vocab->token[id];
    const uint64_t row[] = {token->bytes,       token->rank,         token->type,
                            token->strips_left, token->strips_right, token->is_end};
    qn__hasher_add(hasher, row, sizeof row);
    qn__hasher_add(hasher, qn__vocab_text(vocab, id), token->bytes);
}

uint64_t qn__tokenizer_hash(const qn_tokenizer *t)
{
    qn_hasher *hasher = qn__hasher_create();
    if (!hasher) return 0;
    const int64_t row[] = {t->kind,
                           (int64_t)t->vocab.count,
                           t->bos,
                           t->eos,
                           t->unknown,
                           t->prefix,
                           t->wants_bos,
                           t->prefix_only_if_needed,
                           t->drops_space,
                           t->ignores_merges,
                           t->by_score,
                           t->marks_spaces,
                           t->cuts_at_spaces,
                           t->fold,
                           t->longest_word,
                           (int64_t)t->splitter.stages};
    qn__hasher_add(hasher, row, sizeof row);
    for (size_t i = 0; i < t->vocab.count; i++) add_token(hasher, &t->vocab, i);
    qn__hasher_add(hasher, t->byte_id, sizeof t->byte_id);
    for (size_t i = 0; i < t->splitter.stages; i++)
        qn__hasher_add(hasher, t->splitter.pattern[i], strlen(t->splitter.pattern[i]) + 1);
    const uint64_t merges = hash_merges(&t->merges);
    qn__hasher_add(hasher, &merges, sizeof merges);
    uint64_t value = qn__hasher_value(hasher);
    qn__hasher_destroy(&hasher);
    return value ? value : 1;
}
