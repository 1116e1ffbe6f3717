/* Learning byte-pair merges. The text is reduced to its different words with their counts; a merge
 * then touches only the words that have the pair, and corrects the counts around each place. */
#include "text/tokenizer.h"

#include "base/check.h"
#include "base/hash.h"
#include "text/pair_counts.h"

#include <stdlib.h>
#include <string.h>

/* Longer words (text without spaces) are counted in parts, or each merge would read them whole. */
enum { LEAST = 1, WORD_BYTES = 1024, PART_BYTES = 1 << 22, TELL_EVERY = 64 };
static const char END_OF_TEXT[] = "<|endoftext|>";

typedef struct train_word {
    size_t at; /* in symbols, or in the text while words are collected */
    uint32_t length;
    uint32_t merged_for; /* the last new token this word was searched for */
    int64_t count;
} train_word;

typedef struct trainer {
    const uint8_t *text;
    train_word *word;
    size_t words, word_capacity;
    uint32_t *slot; /* hash table of indexes into word, + 1; 0: free */
    size_t mask;
    int32_t *symbol;
    qn__pair_counts pairs;
    qn__splitter splitter;
    qn__ends ends, spare;
    qn_tokenizer *t;
} trainer;

static qn_status no_memory(void)
{
    return qn__fail(QN_OS_ERROR, "training a tokenizer: out of memory");
}

static size_t place(const trainer *tr, const uint8_t *text, size_t bytes)
{
    size_t at = (size_t)qn__hash(text, bytes) & tr->mask;
    while (tr->slot[at]) {
        const train_word *word = &tr->word[tr->slot[at] - 1];
        if (word->length == bytes && memcmp(tr->text + word->at, text, bytes) == 0) break;
        at = (at + 1) & tr->mask;
    }
    return at;
}

static qn_status double_slots(trainer *tr)
{
    size_t slots = tr->slot ? 2 * (tr->mask + 1) : 1u << 16;
    uint32_t *larger = calloc(slots, sizeof *larger);
    if (!larger) return no_memory();
    free(tr->slot);
    tr->slot = larger;
    tr->mask = slots - 1;
    for (size_t i = 0; i < tr->words; i++)
        tr->slot[place(tr, tr->text + tr->word[i].at, tr->word[i].length)] = (uint32_t)i + 1;
    return QN_OK;
}

static qn_status count_word(trainer *tr, const uint8_t *text, size_t bytes)
{
    if (!tr->slot || 2 * tr->words > tr->mask) QN_TRY(double_slots(tr));
    size_t at = place(tr, text, bytes);
    if (tr->slot[at]) {
        tr->word[tr->slot[at] - 1].count++;
        return QN_OK;
    }
    if (tr->words >= UINT32_MAX / 2) return no_memory();
    QN__GROW(tr->word, &tr->word_capacity, tr->words + 1);
    tr->word[tr->words++] = (train_word){.at = (size_t)(text - tr->text), .count = 1,
                                         .length = (uint32_t)bytes};
    tr->slot[at] = (uint32_t)tr->words;
    return QN_OK;
}

static qn_status count_part(trainer *tr, const uint8_t *text, size_t bytes)
{
    size_t start = 0;
    QN_TRY(qn__split(&tr->splitter, text, bytes, &tr->ends, &tr->spare));
    for (size_t i = 0; i < tr->ends.count; i++) {
        size_t end = tr->ends.data[i];
        for (; end - start > WORD_BYTES; start += WORD_BYTES)
            QN_TRY(count_word(tr, text + start, WORD_BYTES));
        QN_TRY(count_word(tr, text + start, end - start));
        start = end;
    }
    return QN_OK;
}

/* Parts end at <|endoftext|>, and otherwise after a line once they are large. */
static qn_status count_words(trainer *tr, size_t bytes)
{
    const size_t mark = sizeof END_OF_TEXT - 1;
    for (size_t start = 0; start < bytes;) {
        const uint8_t *part = tr->text + start;
        size_t left = bytes - start, most = left < PART_BYTES ? left : PART_BYTES;
        const uint8_t *found = memmem(part, most, END_OF_TEXT, mark);
        size_t length = found ? (size_t)(found - part) : most;
        if (!found && most < left) {
            const uint8_t *line = memrchr(part, '\n', most);
            length = line && line > part ? (size_t)(line - part) : most - mark;
            for (int i = 0; i < 3 && (part[length] & 0xC0) == 0x80; i++) length--;
        }
        QN_TRY(count_part(tr, part, length));
        start += length + (found ? mark : 0);
    }
    return QN_OK;
}

/* From words of text to words of symbols, and the first counts of pairs. */
static qn_status spread(trainer *tr)
{
    size_t total = 0;
    for (size_t w = 0; w < tr->words; w++) total += tr->word[w].length;
    tr->symbol = malloc((total + 1) * sizeof *tr->symbol);
    if (!tr->symbol) return no_memory();
    QN_TRY(qn__pair_counts_create(&tr->pairs));
    size_t at = 0;
    for (size_t w = 0; w < tr->words; w++) {
        train_word *word = &tr->word[w];
        int32_t *symbol = tr->symbol + at;
        for (size_t i = 0; i < word->length; i++) symbol[i] = tr->text[word->at + i];
        word->at = at;
        at += word->length;
        for (size_t i = 0; i + 1 < word->length; i++)
            QN_TRY(qn__pair_counts_add(&tr->pairs, symbol[i], symbol[i + 1], word->count,
                                       (uint32_t)w));
    }
    return QN_OK;
}

/* Replace left right by id in one word. The counts of all its pairs are taken back before and added
 * after: simple, and words are short. */
static qn_status merge_in_word(trainer *tr, uint32_t index, int32_t left, int32_t right, int32_t id)
{
    train_word *word = &tr->word[index];
    int32_t *symbol = tr->symbol + word->at;
    uint32_t to = 0, places = 0;
    for (uint32_t i = 0; i + 1 < word->length; i++)
        places += symbol[i] == left && symbol[i + 1] == right;
    if (places == 0) return QN_OK;
    for (uint32_t i = 0; i + 1 < word->length; i++)
        QN_TRY(qn__pair_counts_add(&tr->pairs, symbol[i], symbol[i + 1], -word->count, index));
    for (uint32_t i = 0; i < word->length; i++) {
        bool joins = i + 1 < word->length && symbol[i] == left && symbol[i + 1] == right;
        symbol[to++] = joins ? id : symbol[i];
        i += joins;
    }
    word->length = to;
    for (uint32_t i = 0; i + 1 < to; i++)
        QN_TRY(qn__pair_counts_add(&tr->pairs, symbol[i], symbol[i + 1], word->count, index));
    return QN_OK;
}

static qn_status add_token(trainer *tr, int32_t left, int32_t right)
{
    const qn__vocab *vocab = &tr->t->vocab;
    size_t a = vocab->token[left].bytes, b = vocab->token[right].bytes;
    uint8_t *text = malloc(a + b);
    if (!text) return no_memory();
    memcpy(text, qn__vocab_text(vocab, (size_t)left), a);
    memcpy(text + a, qn__vocab_text(vocab, (size_t)right), b);
    qn_status status = qn__vocab_add(&tr->t->vocab, text, a + b, QN__TOKEN_NORMAL);
    free(text);
    return status;
}

/* The list of the pair moves while pairs are added, so it is taken away first. */
static qn_status merge_everywhere(trainer *tr, uint32_t pair_index, int32_t id)
{
    qn__pair *pair = &tr->pairs.pair[pair_index];
    uint32_t *words = pair->word;
    size_t count = pair->words;
    int32_t left = pair->left, right = pair->right;
    pair->word = NULL;
    pair->words = pair->word_capacity = 0;
    qn_status status = QN_OK;
    for (size_t i = 0; i < count && status == QN_OK; i++) {
        if (tr->word[words[i]].merged_for == (uint32_t)id) continue;
        tr->word[words[i]].merged_for = (uint32_t)id;
        status = merge_in_word(tr, words[i], left, right, id);
    }
    free(words);
    return status;
}

static qn_status learn(trainer *tr, int32_t merges, qn_tokenizer_progress_fn progress, void *user)
{
    qn_tokenizer *t = tr->t;
    QN_TRY(qn__merges_create(&t->merges, (size_t)merges));
    for (int32_t rank = 0; rank < merges; rank++) {
        uint32_t best;
        bool found;
        if (rank % TELL_EVERY == 0 && progress && !progress(user, rank, merges))
            return qn__fail(QN_INTERRUPTED, "training a tokenizer: stopped after %d of %d merges",
                            (int)rank, (int)merges);
        QN_TRY(qn__pair_counts_best(&tr->pairs, LEAST, &best, &found));
        if (!found) break;
        int32_t id = (int32_t)t->vocab.count;
        int32_t left = tr->pairs.pair[best].left, right = tr->pairs.pair[best].right;
        QN_TRY(add_token(tr, left, right));
        qn__merges_add(&t->merges, (qn__merge){left, right, id, (uint32_t)rank});
        QN_TRY(merge_everywhere(tr, best, id));
    }
    if (progress) (void)progress(user, merges, merges);
    return QN_OK;
}

static qn_status train(trainer *tr, size_t bytes, int32_t vocab_size,
                       qn_tokenizer_progress_fn progress, void *user)
{
    qn_tokenizer *t = tr->t;
    QN_TRY(qn__splitter_add(&tr->splitter, qn__split_gpt2));
    QN_TRY(qn__splitter_add(&t->splitter, qn__split_gpt2));
    for (int i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        QN_TRY(qn__vocab_add(&t->vocab, &byte, 1, QN__TOKEN_NORMAL));
    }
    QN_TRY(count_words(tr, bytes));
    QN_TRY(spread(tr));
    QN_TRY(learn(tr, vocab_size - 257, progress, user));
    t->bos = t->eos = (int32_t)t->vocab.count;
    QN_TRY(qn__vocab_add(&t->vocab, END_OF_TEXT, sizeof END_OF_TEXT - 1, QN__TOKEN_CONTROL));
    QN_TRY(qn__tokenizer_index(t));
    qn__tokenizer_mark_ends(t);
    return QN_OK;
}

qn_status qn_tokenizer_train_bpe(const char *text, size_t bytes, int32_t vocab_size,
                                 qn_tokenizer_progress_fn progress, void *user,
                                 qn_tokenizer **tokenizer)
{
    QN_CHECK(tokenizer && (text || bytes == 0), "qn_tokenizer_train_bpe: a pointer is NULL");
    *tokenizer = NULL;
    QN_CHECK(vocab_size >= 257 && vocab_size <= 1 << 24, "a byte-pair vocabulary of %d: 257 (the "
             "bytes and <|endoftext|>) to %d are possible", (int)vocab_size, 1 << 24);
    trainer tr = {.text = (const uint8_t *)(text ? text : "")};
    qn_status status = qn__tokenizer_create(QN_TOKENIZER_BPE, tokenizer);
    tr.t = *tokenizer;
    if (status == QN_OK) status = train(&tr, bytes, vocab_size, progress, user);
    if (status != QN_OK) qn_tokenizer_destroy(tokenizer);
    free(tr.word);
    free(tr.slot);
    free(tr.symbol);
    qn__pair_counts_free(&tr.pairs);
    qn__splitter_free(&tr.splitter);
    qn__ends_free(&tr.ends);
    qn__ends_free(&tr.spare);
    return status;
}
