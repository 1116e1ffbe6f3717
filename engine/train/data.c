#include "base/check.h"
#include "base/log.h"
#include "text/chat.h"
#include "train/data_internal.h"

#include <stdlib.h>
#include <string.h>

bool qn__word_pass(void *user, int64_t done, int64_t total)
{
    const qn_word *w = user;
    return !w->fn || w->fn(w->user, w->what, done, total);
}

static const char *source_of(const qn_train_options *o)
{
    if (*o->data) return o->data;
    return *o->text ? o->text : o->shards;
}

static const char *val_source_of(const qn_train_options *o)
{
    return *o->val_data ? o->val_data : o->val_text;
}

static bool is_shards(const qn_train_options *o)
{
    const char *path = source_of(o);
    size_t bytes = strlen(path);
    return *o->shards || (bytes > 4 && strcmp(path + bytes - 4, ".bin") == 0);
}

qn_status qn__data_sampling(const qn_train_options *o, qn_sampling *how)
{
    bool by_itself = strcmp(o->packing, "auto") == 0;
    QN_CHECK(by_itself || strcmp(o->packing, "stream") == 0 || strcmp(o->packing, "documents") == 0,
             "packing: \"%s\" is not auto, stream or documents", o->packing);
    *how = (qn_sampling){.context = o->context, .seed = (uint64_t)o->seed};
    how->documents = by_itself ? !is_shards(o) && !qn__dataset_is_plain(source_of(o))
                               : strcmp(o->packing, "documents") == 0;
    by_itself = strcmp(o->shuffle, "auto") == 0;
    QN_CHECK(by_itself || strcmp(o->shuffle, "random") == 0 ||
                 strcmp(o->shuffle, "permutation") == 0,
             "shuffle: \"%s\" is not auto, random or permutation", o->shuffle);
    how->permutation = by_itself ? how->documents : strcmp(o->shuffle, "permutation") == 0;
    return QN_OK;
}

/* ---- text and documents ---- */

/* The run of a token file between two documents. */
static void view(const qn_token_file *file, bool val, qn_part *part)
{
    const qn_token_head *h = &file->head;
    uint64_t first = val ? h->val_token : 0, document = val ? h->val_document : 0;
    part->tokens.words = file->words + first * h->word_bytes;
    part->tokens.word_bytes = (int)h->word_bytes;
    part->tokens.masked = h->masked;
    part->tokens.count = (val ? h->tokens : h->val_token) - first;
    part->tokens.ends = file->ends + document;
    part->tokens.documents = (val ? h->documents : h->val_document) - document;
    part->tokens.ends_from = first;
}

/* The last documents that hold `fraction` of the tokens, and leave one to learn from. */
static void split_documents(qn_token_file *file, double fraction)
{
    qn_token_head *h = &file->head;
    uint64_t wanted = (uint64_t)((double)h->tokens * fraction), d = h->documents;
    if (fraction <= 0 || h->documents < 2) return;
    do d--;
    while (d > 1 && h->tokens - file->ends[d - 1] < wanted);
    h->val_document = d;
    h->val_token = file->ends[d - 1];
}

static qn_status tokenize(const qn_train_options *o, qn_word *w, qn__dataset *set,
                          qn__dataset *val, qn_data *data)
{
    double fraction = val ? 0 : o->val_fraction;
    bool cached = true;
    QN_TRY(qn__data_tokenizer(o, set, w, &data->tokenizer));
    if (strcmp(o->chat_template, "auto") == 0) set->family = data->tokenizer->chat;
    if (val) val->family = set->family;
    if (set->lines && set->family)
        qn__log(QN_LOG_INFO, "conversations are written as %s", set->family->name);
    QN_TRY(qn__data_tokenize(set, data->tokenizer, fraction, w, &data->files[0], &data->cached));
    if (!set->plain) split_documents(&data->files[0], fraction);
    view(&data->files[0], false, &data->train);
    view(&data->files[0], true, &data->val);
    if (!val) return QN_OK;
    QN_TRY(qn__data_tokenize(val, data->tokenizer, 0, w, &data->files[1], &cached));
    data->cached &= cached;
    view(&data->files[1], false, &data->val);
    return QN_OK;
}

static qn_status from_dataset(const qn_train_options *o, qn_word *w, qn_data *data)
{
    qn__dataset set = {0}, val = {0};
    const char *val_path = val_source_of(o);
    const qn__chat_family *family = NULL;
    if (strcmp(o->chat_template, "auto") != 0)
        QN_TRY(qn__chat_family_named(o->chat_template, &family));
    QN_TRY(qn__dataset_open(source_of(o), &set));
    set.family = family; /* also while a tokenizer is learned from it */
    qn_status status = *val_path ? qn__dataset_open(val_path, &val) : QN_OK;
    if (status == QN_OK) status = tokenize(o, w, &set, *val_path ? &val : NULL, data);
    qn__dataset_close(&set);
    qn__dataset_close(&val);
    return status;
}

/* ---- shards ---- */

static qn_status part_of_shards(const char *pattern, qn_part *part)
{
    QN_TRY(qn__shards_open(pattern, &part->tokens.shards));
    part->tokens.count = qn__shards_tokens(part->tokens.shards);
    return QN_OK;
}

static qn_status from_shards(const qn_train_options *o, qn_word *w, qn_data *data)
{
    QN_TRY(part_of_shards(source_of(o), &data->train));
    if (*val_source_of(o)) QN_TRY(part_of_shards(val_source_of(o), &data->val));
    return qn__data_tokenizer(o, NULL, w, &data->tokenizer);
}

static qn_status add_end(qn_part *part, uint64_t *capacity, uint64_t end)
{
    qn_tokens *tokens = &part->tokens;
    if (tokens->documents == *capacity) {
        *capacity = *capacity * 2 + 64;
        uint64_t *more = reallocarray(part->ends, *capacity, sizeof *more);
        if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
        part->ends = more;
    }
    part->ends[tokens->documents++] = end;
    tokens->ends = part->ends;
    return QN_OK;
}

/* A document ends behind each end-of-text token, and where the tokens end. */
static qn_status find_ends(qn_part *part, int32_t eos, qn_word *w)
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
        if (status == QN_OK && !qn__word_pass(w, (int64_t)(at + here), (int64_t)count))
            status = qn__fail(QN_INTERRUPTED, "stopped while finding documents");
    }
    if (status == QN_OK && last < count) status = add_end(part, &capacity, count);
    free(ids);
    return status;
}

/* ---- all ---- */

static qn_status open_part(qn_part *part, const char *name, const qn_sampling *how,
                           const qn_tokenizer *tokenizer, qn_word *w)
{
    part->tokens.name = name;
    part->tokens.vocab = qn_tokenizer_vocab_size(tokenizer);
    if (how->documents && part->tokens.shards)
        QN_TRY(find_ends(part, qn_tokenizer_eos(tokenizer), w));
    return qn__samples_create(&part->tokens, how, &part->samples);
}

static qn_status check_enough(const qn_data *data, const qn_sampling *how)
{
    const qn_tokens *tokens = &data->train.tokens;
    uint64_t needed = how->documents ? 2 : (uint64_t)how->context + 1;
    if (tokens->count >= needed) return QN_OK;
    return qn__fail(QN_BAD_ARGUMENT,
                    "the training text has %llu tokens; a context of %lld needs at least %llu: use "
                    "more text or a smaller --context",
                    (unsigned long long)tokens->count, (long long)how->context,
                    (unsigned long long)needed);
}

static qn_status open_parts(const qn_train_options *o, qn_word *w, qn_data *data)
{
    qn_sampling how;
    const char *val = val_source_of(o);
    QN_TRY(qn__data_sampling(o, &how));
    QN_TRY(is_shards(o) ? from_shards(o, w, data) : from_dataset(o, w, data));
    QN_TRY(check_enough(data, &how));
    QN_TRY(open_part(&data->train, source_of(o), &how, data->tokenizer, w));
    if (data->train.samples.count == 0)
        return qn__fail(QN_BAD_DATA, "%s: no document has a token to predict", source_of(o));
    return open_part(&data->val, *val ? val : source_of(o), &how, data->tokenizer, w);
}

qn_status qn__data_open(const qn_train_options *o, qn_work_fn progress, void *user, qn_data *data)
{
    qn_word w = {.fn = progress, .user = user, .what = "reading"};
    *data = (qn_data){0};
    int sources = !!*o->data + !!*o->text + !!*o->shards;
    QN_CHECK(sources > 0,
             "nothing to learn from: give --data PATH (or --text FILE, --shards 'PATTERN')");
    QN_CHECK(sources == 1, "two of --data, --text and --shards are given: choose one");
    QN_CHECK(!*o->val_data || !*o->val_text,
             "both --val-data and --val-text are given: choose one");
    qn_status status = open_parts(o, &w, data);
    if (status != QN_OK) qn__data_close(data);
    return status;
}

void qn__data_close(qn_data *data)
{
    qn_part *both[] = {&data->train, &data->val};
    for (int i = 0; i < 2; i++) {
        free(both[i]->ends);
        qn__shards_close(&both[i]->tokens.shards);
        qn__samples_free(&both[i]->samples);
        qn__token_file_close(&data->files[i]);
    }
    qn_tokenizer_destroy(&data->tokenizer);
    *data = (qn_data){0};
}
