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
                        qn_tokens *tokens)
{
    enum { PIECE = 4 << 20 };
    size_t capacity = 0;
    w->what = "tokenizing";
    for (size_t at = 0; at < bytes;) {
        size_t piece = bytes - at < PIECE ? bytes - at : PIECE;
        while (at + piece < bytes && piece > PIECE / 2 && text[at + piece - 1] != '\n') piece--;
        int32_t *ids;
        size_t count;
        QN_TRY(qn_tokenizer_encode(tokenizer, text + at, piece, QN_ENCODE_SPECIAL, &ids, &count));
        if (tokens->count + count > capacity) {
            capacity = (tokens->count + count) * 2;
            int32_t *more = realloc(tokens->ids, capacity * sizeof *more);
            if (!more) {
                free(ids);
                return qn__fail(QN_OS_ERROR, "no memory for %zu tokens", capacity);
            }
            tokens->ids = more;
        }
        if (count) memcpy(tokens->ids + tokens->count, ids, count * sizeof *ids);
        free(ids);
        tokens->count += count;
        at += piece;
        if (!pass_on(w, (int64_t)at, (int64_t)bytes))
            return qn__fail(QN_INTERRUPTED, "stopped while tokenizing");
    }
    tokens->bytes_a_token = tokens->count ? (double)bytes / (double)tokens->count : 0;
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

static qn_status from_shards(const qn_train_options *o, word *w, qn_data *data)
{
    QN_TRY(qn__shards_open(o->shards, &data->train.shards));
    data->train.count = qn__shards_tokens(data->train.shards);
    if (*o->val_text) {
        QN_TRY(qn__shards_open(o->val_text, &data->val.shards));
        data->val.count = qn__shards_tokens(data->val.shards);
    }
    return open_tokenizer(o, NULL, 0, w, &data->tokenizer);
}

qn_status qn__data_open(const qn_train_options *o, qn_work_fn progress, void *user, qn_data *data)
{
    word w = {.fn = progress, .user = user, .what = "reading"};
    *data = (qn_data){0};
    QN_CHECK(*o->text || *o->shards,
             "nothing to learn from: give --text FILE or --shards 'PATTERN'");
    QN_CHECK(!*o->text || !*o->shards, "both --text and --shards are given: choose one");
    qn_status status = *o->text ? from_text(o, &w, data) : from_shards(o, &w, data);
    if (status == QN_OK) status = check_enough(&data->train, "training", o->context);
    if (status == QN_OK && data->val.count > 0 && data->val.count < 2) data->val.count = 0;
    if (status != QN_OK) qn__data_close(data);
    return status;
}

void qn__data_close(qn_data *data)
{
    qn_tokens *both[] = {&data->train, &data->val};
    for (int i = 0; i < 2; i++) {
        free(both[i]->ids);
        qn__shards_close(&both[i]->shards);
    }
    qn_tokenizer_destroy(&data->tokenizer);
    *data = (qn_data){0};
}

qn_status qn__tokens_read(const qn_tokens *tokens, uint64_t first, size_t count, int32_t *ids)
{
    if (tokens->shards) return qn__shards_read(tokens->shards, first, count, ids);
    memcpy(ids, tokens->ids + first, count * sizeof *ids);
    return QN_OK;
}

uint64_t qn__data_start(const qn_tokens *tokens, int64_t context, uint64_t seed, int64_t step,
                        int64_t index)
{
    qn_rng rng = {
        .seed = seed, .stream = (uint64_t)step + (UINT64_C(1) << 62), .next = (uint64_t)index * 64};
    return qn__rng_below(&rng, tokens->count - (uint64_t)context);
}
