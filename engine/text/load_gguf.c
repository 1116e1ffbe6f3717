/* The tokenizer that a GGUF file carries: tokenizer.ggml.* keys. */
#include "text/tokenizer.h"

#include "base/check.h"
#include "base/log.h"
#include "file/gguf.h"
#include "text/chat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name) "tokenizer.ggml." name

static qn_status read_kind(const qn_gguf *gguf, qn_tokenizer_kind *kind)
{
    const char *model;
    size_t bytes;
    QN_TRY(qn__gguf_string(gguf, KEY("model"), true, &model, &bytes));
    if (bytes == 4 && memcmp(model, "gpt2", 4) == 0) *kind = QN_TOKENIZER_BPE;
    else if (bytes == 5 && memcmp(model, "llama", 5) == 0) *kind = QN_TOKENIZER_PIECES;
    else if (bytes == 4 && memcmp(model, "bert", 4) == 0) *kind = QN_TOKENIZER_WORDS;
    else
        return qn__fail(QN_UNSUPPORTED,
                        "%s: a tokenizer of model \"%.*s\"; \"gpt2\", \"llama\" and "
                        "\"bert\" are supported",
                        qn__gguf_path(gguf), bytes < 64 ? (int)bytes : 64, model);
    return QN_OK;
}

/* How a token of the file becomes bytes depends on its type. Pieces with a real space in them can
 * never be met, since every space of a text is looked up as U+2581. */
static qn_status set_token(qn_tokenizer *t, const char *path, size_t id, const char *text,
                           size_t bytes, int64_t type)
{
    if (type < QN__TOKEN_NORMAL || type > QN__TOKEN_BYTE)
        return qn__fail(QN_BAD_DATA, "%s: token %zu has type %lld", path, id, (long long)type);
    if (type == QN__TOKEN_BYTE && t->kind == QN_TOKENIZER_PIECES) {
        int byte = qn__token_byte(text, bytes);
        if (byte < 0) return qn__fail(QN_BAD_DATA, "%s: byte token %zu is not <0xNN>", path, id);
        char single = (char)byte;
        return qn__vocab_set(&t->vocab, id, &single, 1, QN__TOKEN_BYTE);
    }
    bool written = type == QN__TOKEN_NORMAL || type == QN__TOKEN_BYTE ||
                   (type == QN__TOKEN_USER && t->kind != QN_TOKENIZER_BPE);
    if (!written) return qn__vocab_set(&t->vocab, id, text, bytes, (qn__token_type)type);
    if (type == QN__TOKEN_NORMAL && t->kind == QN_TOKENIZER_PIECES && memchr(text, ' ', bytes))
        type = QN__TOKEN_UNUSED;
    uint8_t *out = malloc(bytes + 1);
    if (!out) return qn__fail(QN_OS_ERROR, "%s: no memory for token %zu", path, id);
    size_t made = qn__token_from_file(t->kind, text, bytes, out);
    qn_status status = qn__vocab_set(&t->vocab, id, out, made, (qn__token_type)type);
    free(out);
    return status;
}

static qn_status read_tokens(const qn_gguf *gguf, qn_tokenizer *t)
{
    const qn_gguf_value *tokens, *scores, *types;
    const char *path = qn__gguf_path(gguf);
    bool pieces = t->kind == QN_TOKENIZER_PIECES;
    QN_TRY(qn__gguf_array(gguf, KEY("tokens"), true, QN_GGUF_STRING, &tokens));
    QN_TRY(qn__gguf_array(gguf, KEY("scores"), pieces, QN_GGUF_F32, &scores));
    QN_TRY(qn__gguf_array(gguf, KEY("token_type"), false, QN_GGUF_I32, &types));
    uint64_t count = tokens->count;
    if (count == 0 || count > INT32_MAX || (scores && scores->count != count) ||
        (types && types->count != count))
        return qn__fail(QN_BAD_DATA, "%s: %llu tokens, %llu scores, %llu types", path,
                        (unsigned long long)count, (unsigned long long)(scores ? scores->count : 0),
                        (unsigned long long)(types ? types->count : 0));
    QN_TRY(qn__vocab_resize(&t->vocab, (size_t)count));
    for (size_t id = 0; id < count; id++) {
        size_t bytes;
        const char *text = qn__gguf_element_string(tokens, id, &bytes);
        int64_t type = types ? qn__gguf_element_i64(types, id) : QN__TOKEN_NORMAL;
        QN_TRY(set_token(t, path, id, text, bytes, type));
        double score = scores ? qn__gguf_element_f64(scores, id) : 0;
        if (!isfinite(score))
            return qn__fail(QN_BAD_DATA, "%s: the score of token %zu is not finite", path, id);
        t->vocab.token[id].score = (float)score;
    }
    return pieces ? qn__vocab_rank(&t->vocab) : QN_OK;
}

/* "left right", cut at the first space after the first byte. */
static qn_status add_merge(qn_tokenizer *t, const char *path, size_t rank, const char *text,
                           size_t bytes, size_t *missing)
{
    const char *space = bytes > 1 ? memchr(text + 1, ' ', bytes - 1) : NULL;
    if (!space) return qn__fail(QN_BAD_DATA, "%s: merge %zu has no space", path, rank);
    size_t left = (size_t)(space - text), right = bytes - left - 1;
    uint8_t *out = malloc(bytes);
    if (!out) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    left = qn__token_from_file(t->kind, text, left, out);
    right = qn__token_from_file(t->kind, space + 1, right, out + left);
    qn_status status =
        qn__tokenizer_add_merge(t, out, left, out + left, right, (uint32_t)rank, missing);
    free(out);
    return status;
}

static qn_status read_merges(const qn_gguf *gguf, qn_tokenizer *t)
{
    const qn_gguf_value *merges;
    size_t missing = 0;
    QN_TRY(qn__gguf_array(gguf, KEY("merges"), true, QN_GGUF_STRING, &merges));
    if (merges->count > UINT32_MAX / 2)
        return qn__fail(QN_BAD_DATA, "%s: too many merges", qn__gguf_path(gguf));
    QN_TRY(qn__merges_create(&t->merges, (size_t)merges->count));
    for (size_t rank = 0; rank < merges->count; rank++) {
        size_t bytes;
        const char *text = qn__gguf_element_string(merges, rank, &bytes);
        QN_TRY(add_merge(t, qn__gguf_path(gguf), rank, text, bytes, &missing));
    }
    if (missing)
        qn__log(QN_LOG_WARN, "%s: %zu of %llu merges name no token and are left out",
                qn__gguf_path(gguf), missing, (unsigned long long)merges->count);
    return QN_OK;
}

static qn_status read_splitter(const qn_gguf *gguf, qn_tokenizer *t)
{
    const char *name = "default";
    size_t bytes = strlen(name);
    if (!qn__gguf_find(gguf, KEY("pre")))
        qn__log(QN_LOG_WARN, "%s: no " KEY("pre") ", taking \"default\"; ids may be wrong",
                qn__gguf_path(gguf));
    QN_TRY(qn__gguf_string(gguf, KEY("pre"), false, &name, &bytes));
    return qn__splitter_add_named(&t->splitter, qn__gguf_path(gguf), name, bytes,
                                  &t->ignores_merges);
}

/* BERT's uncased and cased vocabularies: whether accents go follows the case unless it is said. */
static qn_status read_fold(const qn_gguf *gguf, qn_tokenizer *t)
{
    bool lower = true, strip;
    QN_TRY(qn__gguf_bool(gguf, KEY("normalizer.lowercase"), false, &lower));
    strip = lower;
    QN_TRY(qn__gguf_bool(gguf, KEY("normalizer.strip_accents"), false, &strip));
    t->fold = QN__FOLD_CLEAN | QN__FOLD_CHINESE | (lower ? QN__FOLD_LOWER : 0u) |
              (strip ? QN__FOLD_MARKS : 0u);
    t->longest_word = QN__LONGEST_WORD;
    t->drops_space = true;
    return QN_OK;
}

static qn_status read_id(const qn_gguf *gguf, const char *key, const qn_tokenizer *t, int32_t *id)
{
    int64_t value = *id, last = (int64_t)t->vocab.count - 1;
    const qn_gguf_value *entry = qn__gguf_find(gguf, key);
    if (value > last) value = -1;
    if (entry && entry->element == QN_GGUF_U32 && qn__gguf_element_i64(entry, 0) == UINT32_MAX)
        value = -1; /* how some writers say that there is none */
    else QN_TRY(qn__gguf_i64(gguf, key, false, -1, last, &value));
    *id = (int32_t)value;
    return QN_OK;
}

/* What llama.cpp takes where a file does not say. */
static void default_specials(qn_tokenizer *t)
{
    if (t->kind == QN_TOKENIZER_PIECES) {
        t->bos = 1;
        t->eos = 2;
        t->unknown = 0;
    } else if (t->kind == QN_TOKENIZER_WORDS) {
        t->unknown = 100;
        t->bos = 101;
        t->eos = 102;
    }
    t->wants_bos = t->kind != QN_TOKENIZER_BPE || t->ignores_merges;
}

static qn_status read_specials(const qn_gguf *gguf, qn_tokenizer *t)
{
    static const char *const ends[] = {KEY("eot_token_id"), KEY("eom_token_id")};
    bool pieces = t->kind == QN_TOKENIZER_PIECES, words = t->kind == QN_TOKENIZER_WORDS,
         space = pieces;
    default_specials(t);
    QN_TRY(read_id(gguf, KEY("bos_token_id"), t, &t->bos));
    if (words) QN_TRY(read_id(gguf, KEY("cls_token_id"), t, &t->bos));
    QN_TRY(read_id(gguf, KEY("eos_token_id"), t, &t->eos));
    if (words) QN_TRY(read_id(gguf, KEY("seperator_token_id"), t, &t->eos)); /* its spelling */
    QN_TRY(read_id(gguf, KEY("unknown_token_id"), t, &t->unknown));
    QN_TRY(qn__gguf_bool(gguf, KEY("add_bos_token"), false, &t->wants_bos));
    QN_TRY(qn__gguf_bool(gguf, KEY("add_space_prefix"), false, &space));
    t->wants_bos = t->wants_bos && t->bos >= 0;
    t->drops_space = t->drops_space || (pieces && space);
    if (pieces && space) t->prefix = QN__PREFIX_EACH;
    t->by_score = t->marks_spaces = pieces;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int32_t id = -1;
        QN_TRY(read_id(gguf, ends[i], t, &id));
        if (id >= 0) t->vocab.token[id].is_end = true;
    }
    return QN_OK;
}

/* Some files call the marks of turns user-defined or normal: a user's text must not spell them. */
static void tag_marks(qn_tokenizer *t)
{
    for (size_t id = 0; id < t->vocab.count; id++) {
        qn__token *token = &t->vocab.token[id];
        if ((token->type == QN__TOKEN_USER || token->type == QN__TOKEN_NORMAL) &&
            qn__chat_is_mark((const char *)qn__vocab_text(&t->vocab, id), token->bytes))
            token->type = QN__TOKEN_CONTROL;
    }
}

static qn_status read_template(const qn_gguf *gguf, qn_tokenizer *t)
{
    const char *text = "";
    size_t bytes = 0;
    QN_TRY(qn__gguf_string(gguf, "tokenizer.chat_template", false, &text, &bytes));
    t->chat = qn__chat_recognise(text, bytes);
    return QN_OK;
}

static qn_status fill(const qn_gguf *gguf, qn_tokenizer *t)
{
    QN_TRY(read_tokens(gguf, t));
    QN_TRY(read_template(gguf, t));
    tag_marks(t);
    if (t->kind == QN_TOKENIZER_BPE) QN_TRY(read_splitter(gguf, t));
    if (t->kind == QN_TOKENIZER_WORDS) QN_TRY(read_fold(gguf, t));
    QN_TRY(read_specials(gguf, t));
    QN_TRY(qn__tokenizer_index(t));
    if (t->kind == QN_TOKENIZER_BPE) QN_TRY(read_merges(gguf, t));
    qn__tokenizer_mark_ends(t);
    return QN_OK;
}

qn_status qn__tokenizer_from_gguf(const qn_gguf *gguf, qn_tokenizer **tokenizer)
{
    qn_tokenizer_kind kind = QN_TOKENIZER_BPE;
    QN_TRY(read_kind(gguf, &kind));
    QN_TRY(qn__tokenizer_create(kind, tokenizer));
    qn_status status = fill(gguf, *tokenizer);
    if (status != QN_OK) qn_tokenizer_destroy(tokenizer);
    return status;
}

qn_status qn__tokenizer_load_gguf(const char *path, qn_tokenizer **tokenizer)
{
    qn_gguf *gguf = NULL;
    QN_TRY(qn__gguf_open(path, &gguf));
    qn_status status = qn__tokenizer_from_gguf(gguf, tokenizer);
    qn__gguf_close(&gguf);
    return status;
}
