#include "train/data.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct word {
    qn_work_fn fn;
    void *user;
    const char *what;
} word;

static bool pass_on(void *user, int64_t done, int64_t total)
{
    const word *w = user;
    return !w->fn || w->fn(w->user, w->what, done, total);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static qn_status learn_bpe(const char *size_text, const char *text, size_t bytes, word *w,
                           qn_tokenizer **tokenizer)
{
    char *end;
    long size = strtol(size_text, &end, 10);
    QN_CHECK(*end == 0 && size >= 257 && size <= 1 << 20,
             "tokenizer bpe:%s: the vocabulary is outside [257, 2^20]", size_text);
    w->what = "learning the tokenizer";
    return qn_tokenizer_train_bpe(text, bytes, (int32_t)size, pass_on, w, tokenizer);
}

static qn_status open_tokenizer(const qn_train_options *o, const char *text, size_t bytes, word *w,
                                qn_tokenizer **tokenizer)
{
    if (o->resume && *o->out) {
        char *saved = qn__path_join(o->out, "tokenizer.json");
        if (!saved) return qn__fail(QN_OS_ERROR, "out of memory");
        bool there = qn__is_file(saved);
        qn_status status = there ? qn_tokenizer_load(saved, tokenizer) : QN_OK;
        free(saved);
        if (there) return status;
    }
    const char *kind = o->tokenizer;
    if (strcmp(kind, "bytes") == 0) return qn_tokenizer_create_bytes(tokenizer);
    if (strcmp(kind, "char") == 0 || starts_with(kind, "bpe:"))
        QN_CHECK(text != NULL,
                 "tokenizer %s is learned from a text; with shards give a tokenizer file", kind);
    if (strcmp(kind, "char") == 0) return qn_tokenizer_create_chars(text, bytes, tokenizer);
    if (starts_with(kind, "bpe:")) return learn_bpe(kind + 4, text, bytes, w, tokenizer);
    return qn_tokenizer_load(kind, tokenizer);
}

/* Tokenize in pieces that end at a line, so that progress shows and memory stays bounded. */
static qn_status encode(const qn_tokenizer *tokenizer, const char *text, size_t bytes, word *w,
                        qn_part *part)
{
    enum { PIECE = 4 << 20 };
    size_t capacity = 0;
    qn_tokens *tokens = &part->tokens;
    w->what = "tokenizing";
    for (size_t at = 0; at < bytes;) {
        size_t piece = bytes - at < PIECE ? bytes - at : PIECE;
        while (at + piece < bytes && piece > PIECE / 2 && text[at + piece - 1] != '\n') piece--;
        int32_t *ids;
        size_t count;
        QN_TRY(qn_tokenizer_encode(tokenizer, text + at, piece, QN_ENCODE_SPECIAL, &ids, &count));
        if (tokens->count + count > capacity) {
            capacity = (tokens->count + count) * 2;
            int32_t *more = realloc(part->ids, capacity * sizeof *more);
            if (!more) {
                free(ids);
                return qn__fail(QN_OS_ERROR, "no memory for %zu tokens", capacity);
            }
            part->ids = more;
        }
        if (count) memcpy(part->ids + tokens->count, ids, count * sizeof *ids);
        free(ids);
        tokens->count += count;
        at += piece;
        if (!pass_on(w, (int64_t)at, (int64_t)bytes))
            return qn__fail(QN_INTERRUPTED, "stopped while tokenizing");
    }
    tokens->words = (const uint8_t *)part->ids;
    tokens->word_bytes = sizeof *part->ids;
    return QN_OK;
}

static qn_status check_enough(const qn_tokens *tokens, const char *what, int64_t context)
{
    if (tokens->count > (uint64_t)context) return QN_OK;
    return qn__fail(
        QN_BAD_ARGUMENT,
        "the %s text has %llu tokens; a context of %lld needs at least %lld: use more text "
        "or a smaller --context",
        what, (unsigned long long)tokens->count, (long long)context, (long long)context + 1);
}

static qn_status from_text(const qn_train_options *o, word *w, qn_data *data)
{
    char *text = NULL, *val = NULL;
    size_t bytes = 0, val_bytes = 0;
    QN_TRY(qn__file_read(o->text, &text, &bytes));
    qn_status status = bytes > 0 ? QN_OK : qn__fail(QN_BAD_DATA, "%s is empty", o->text);
    if (status == QN_OK && *o->val_text) status = qn__file_read(o->val_text, &val, &val_bytes);
    if (status == QN_OK) status = open_tokenizer(o, text, bytes, w, &data->tokenizer);
    size_t split = bytes;
    if (!val && o->val_fraction > 0) {
        split = (size_t)((double)bytes * (1 - o->val_fraction));
        while (split > 0 && split < bytes && ((unsigned char)text[split] & 0xC0) == 0x80)
            split--; /* whole characters */
    }
    if (status == QN_OK) status = encode(data->tokenizer, text, split, w, &data->train);
    if (status == QN_OK)
        status = val ? encode(data->tokenizer, val, val_bytes, w, &data->val)
                     : encode(data->tokenizer, text + split, bytes - split, w, &data->val);
    free(text);
    free(val);
    return status;
}

static qn_status part_of_shards(const char *pattern, qn_part *part)
{
    QN_TRY(qn__shards_open(pattern, &part->tokens.shards));
    part->tokens.count = qn__shards_tokens(part->tokens.shards);
    return QN_OK;
}

static qn_status from_shards(const qn_train_options *o, word *w, qn_data *data)
{
    QN_TRY(part_of_shards(o->shards, &data->train));
    if (*o->val_text) QN_TRY(part_of_shards(o->val_text, &data->val));
    return open_tokenizer(o, NULL, 0, w, &data->tokenizer);
}

/* ---- documents ---- */

static qn_status add_end(qn_part *part, uint64_t *capacity, uint64_t end)
{
    qn_tokens *tokens = &part->tokens;
    if (tokens->documents == *capacity) {
        *capacity = *capacity * 2 + 64;
        uint64_t *more = realloc(part->ends, *capacity * sizeof *more);
        if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
        part->ends = more;
    }
    part->ends[tokens->documents++] = end;
    tokens->ends = part->ends;
    return QN_OK;
}

/* A document ends behind each end-of-text token, and where the tokens end. */
static qn_status find_ends(qn_part *part, int32_t eos, word *w)
{
    enum { PIECE = 1 << 16 };
    uint64_t capacity = 0, count = part->tokens.count, last = 0;
    int32_t *ids = malloc(PIECE * sizeof *ids);
    qn_status status = ids ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    w->what = "finding documents";
    for (uint64_t at = 0; status == QN_OK && at < count; at += PIECE) {
        size_t here = count - at < PIECE ? (size_t)(count - at) : PIECE;
        status = qn__tokens_read(&part->tokens, at, here, ids);
        for (size_t i = 0; status == QN_OK && i < here; i++)
            if (ids[i] == eos) status = add_end(part, &capacity, last = at + i + 1);
        if (status == QN_OK && !pass_on(w, (int64_t)(at + here), (int64_t)count))
            status = qn__fail(QN_INTERRUPTED, "stopped while finding documents");
    }
    if (status == QN_OK && last < count) status = add_end(part, &capacity, count);
    free(ids);
    return status;
}

static qn_status open_part(qn_part *part, const char *name, const qn_sampling *how,
                           const qn_tokenizer *tokenizer, word *w)
{
    part->tokens.name = name;
    part->tokens.vocab = qn_tokenizer_vocab_size(tokenizer);
    if (how->documents) QN_TRY(find_ends(part, qn_tokenizer_eos(tokenizer), w));
    return qn__samples_create(&part->tokens, how, &part->samples);
}

qn_status qn__data_sampling(const qn_train_options *o, qn_sampling *how)
{
    bool by_itself = strcmp(o->packing, "auto") == 0;
    QN_CHECK(by_itself || strcmp(o->packing, "stream") == 0 || strcmp(o->packing, "documents") == 0,
             "packing: \"%s\" is not auto, stream or documents", o->packing);
    *how = (qn_sampling){.context = o->context, .seed = (uint64_t)o->seed};
    how->documents = strcmp(o->packing, "documents") == 0;
    by_itself = strcmp(o->shuffle, "auto") == 0;
    QN_CHECK(by_itself || strcmp(o->shuffle, "random") == 0 ||
                 strcmp(o->shuffle, "permutation") == 0,
             "shuffle: \"%s\" is not auto, random or permutation", o->shuffle);
    how->permutation = by_itself ? how->documents : strcmp(o->shuffle, "permutation") == 0;
    return QN_OK;
}

static qn_status open_parts(const qn_train_options *o, word *w, qn_data *data)
{
    const char *name = *o->text ? o->text : o->shards;
    qn_sampling how;
    QN_TRY(qn__data_sampling(o, &how));
    QN_TRY(*o->text ? from_text(o, w, data) : from_shards(o, w, data));
    if (!how.documents) QN_TRY(check_enough(&data->train.tokens, "training", o->context));
    QN_TRY(open_part(&data->train, name, &how, data->tokenizer, w));
    return open_part(&data->val, *o->val_text ? o->val_text : name, &how, data->tokenizer, w);
}

qn_status qn__data_open(const qn_train_options *o, qn_work_fn progress, void *user, qn_data *data)
{
    word w = {.fn = progress, .user = user, .what = "reading"};
    *data = (qn_data){0};
    QN_CHECK(*o->text || *o->shards,
             "nothing to learn from: give --text FILE or --shards 'PATTERN'");
    QN_CHECK(!*o->text || !*o->shards, "both --text and --shards are given: choose one");
    qn_status status = open_parts(o, &w, data);
    if (status != QN_OK) qn__data_close(data);
    return status;
}

void qn__data_close(qn_data *data)
{
    qn_part *both[] = {&data->train, &data->val};
    for (int i = 0; i < 2; i++) {
        free(both[i]->ids);
        free(both[i]->ends);
        qn__shards_close(&both[i]->tokens.shards);
        qn__samples_free(&both[i]->samples);
    }
    qn_tokenizer_destroy(&data->tokenizer);
    *data = (qn_data){0};
}
