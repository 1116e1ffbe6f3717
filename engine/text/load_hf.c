/* Reading tokenizer.json: model, vocabulary, merges and added tokens. */
#include "text/hf.h"

#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static qn_status refuse(const char *path, const char *what)
{
    return qn__fail(QN_UNSUPPORTED, "%s: %s", path, what);
}

/* Ids may have gaps, but not so many that a small file makes a huge table. */
static qn_status check_id(const char *path, const json_t *value, size_t entries, size_t *id)
{
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    uint64_t most = 4 * (uint64_t)entries + 4096;
    if (most > INT32_MAX) most = INT32_MAX;
    if (number < 0 || (uint64_t)number >= most)
        return qn__fail(QN_BAD_DATA, "%s: a token id is %lld; %zu tokens in all", path,
                        (long long)number, entries);
    *id = (size_t)number;
    return QN_OK;
}

/* How the vocabulary spells its tokens. */
typedef struct token_spelling {
    bool byte_fallback;       /* pieces: "<0xNN>" is a byte */
    const char *continuation; /* words: what stands before a token that does not begin one */
} token_spelling;

/* A token of words: with a space where it begins one, else without the mark; out has room for bytes
 * + 1. */
static size_t word_from_file(const char *mark, const char *text, size_t bytes, uint8_t *out)
{
    size_t skip = strlen(mark);
    bool inside = skip > 0 && bytes > skip && memcmp(text, mark, skip) == 0;
    if (!inside) {
        out[0] = ' ';
        memcpy(out + 1, text, bytes);
        return bytes + 1;
    }
    memcpy(out, text + skip, bytes - skip);
    return bytes - skip;
}

static qn_status set_token(qn_tokenizer *t, const char *path, size_t id, const char *text,
                           size_t bytes, const token_spelling *spelling)
{
    if (id >= t->vocab.count) QN_TRY(qn__vocab_resize(&t->vocab, id + 1));
    if (t->vocab.token[id].type != QN__TOKEN_UNUSED)
        return qn__fail(QN_BAD_DATA, "%s: two tokens have id %zu", path, id);
    int byte = spelling->byte_fallback ? qn__token_byte(text, bytes) : -1;
    if (byte >= 0) {
        char single = (char)byte;
        return qn__vocab_set(&t->vocab, id, &single, 1, QN__TOKEN_BYTE);
    }
    if (t->kind == QN_TOKENIZER_CHARS)
        return qn__vocab_set(&t->vocab, id, text, bytes, QN__TOKEN_NORMAL);
    bool unreachable = t->kind == QN_TOKENIZER_PIECES && memchr(text, ' ', bytes);
    uint8_t *out = malloc(bytes + 1);
    if (!out) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    size_t made = t->kind == QN_TOKENIZER_WORDS
                      ? word_from_file(spelling->continuation, text, bytes, out)
                      : qn__token_from_file(t->kind, text, bytes, out);
    qn_status status = qn__vocab_set(&t->vocab, id, out, made,
                                     unreachable ? QN__TOKEN_UNUSED : QN__TOKEN_NORMAL);
    free(out);
    return status;
}

static qn_status read_vocab(const json_t *root, const char *path, qn_tokenizer *t)
{
    const json_t *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab"), *value;
    const char *text;
    token_spelling spelling = {.continuation = "##"};
    if (!json_is_object(vocab))
        return qn__fail(QN_BAD_DATA, "%s: \"model\" has no object \"vocab\"", path);
    QN_TRY(qn__json_bool(model, path, "byte_fallback", false, &spelling.byte_fallback));
    spelling.byte_fallback = spelling.byte_fallback && t->kind == QN_TOKENIZER_PIECES;
    if (t->kind == QN_TOKENIZER_WORDS)
        QN_TRY(qn__json_string(model, path, "continuing_subword_prefix", false,
                               &spelling.continuation));
    size_t entries = json_object_size(vocab);
    json_object_foreach(vocab, text, value) {
        size_t id = 0;
        QN_TRY(check_id(path, value, entries, &id));
        QN_TRY(set_token(t, path, id, text, strlen(text), &spelling));
    }
    return QN_OK;
}

/* An added token may repeat one of the vocabulary, which it then turns into a special one. */
static qn_status add_added(qn_tokenizer *t, const char *path, const json_t *added, size_t entries)
{
    size_t id = 0;
    const char *text = "";
    bool special = false, left = false, right = false;
    QN_TRY(check_id(path, json_object_get(added, "id"), entries, &id));
    QN_TRY(qn__json_string(added, path, "content", true, &text));
    QN_TRY(qn__json_bool(added, path, "special", false, &special));
    QN_TRY(qn__json_bool(added, path, "lstrip", false, &left));
    QN_TRY(qn__json_bool(added, path, "rstrip", false, &right));
    size_t bytes = strlen(text);
    if (id >= t->vocab.count) QN_TRY(qn__vocab_resize(&t->vocab, id + 1));
    qn__token *token = &t->vocab.token[id];
    if (token->type != QN__TOKEN_UNUSED) {
        uint8_t *out = malloc(bytes + 1);
        if (!out) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
        size_t made = t->kind == QN_TOKENIZER_WORDS
                          ? word_from_file("", text, bytes, out)
                          : qn__token_from_file(t->kind, text, bytes, out);
        const uint8_t *old = qn__vocab_text(&t->vocab, id);
        bool same = (token->bytes == bytes && memcmp(old, text, bytes) == 0) ||
                    (token->bytes == made && memcmp(old, out, made) == 0);
        free(out);
        if (!same)
            return qn__fail(QN_BAD_DATA, "%s: added token \"%.60s\" has the id %zu of another",
                            path, text, id);
    }
    QN_TRY(qn__vocab_set(&t->vocab, id, text, bytes,
                         special ? QN__TOKEN_CONTROL : QN__TOKEN_USER));
    token = &t->vocab.token[id];
    token->strips_left = left;
    token->strips_right = right;
    return QN_OK;
}

static qn_status read_added(const json_t *root, const char *path, qn_tokenizer *t)
{
    const json_t *list = json_object_get(root, "added_tokens"), *added;
    size_t i;
    if (!list || json_is_null(list)) return QN_OK;
    if (!json_is_array(list))
        return qn__fail(QN_BAD_DATA, "%s: \"added_tokens\" is not an array", path);
    size_t entries = t->vocab.count + json_array_size(list);
    json_array_foreach(list, i, added) QN_TRY(add_added(t, path, added, entries));
    return QN_OK;
}

/* "left right" or ["left", "right"]. */
static qn_status merge_halves(const json_t *merge, const char *path, size_t rank,
                              const char **left, size_t *left_bytes, const char **right)
{
    if (json_is_string(merge)) {
        *left = json_string_value(merge);
        const char *space = **left ? strchr(*left + 1, ' ') : NULL;
        *left_bytes = space ? (size_t)(space - *left) : 0;
        *right = space ? space + 1 : NULL;
    } else {
        *left = json_string_value(json_array_get(merge, 0));
        *right = json_string_value(json_array_get(merge, 1));
        *left_bytes = *left ? strlen(*left) : 0;
        if (!*left || json_array_size(merge) != 2) *right = NULL;
    }
    if (!*right) return qn__fail(QN_BAD_DATA, "%s: merge %zu is not a pair", path, rank);
    return QN_OK;
}

static qn_status add_merge(qn_tokenizer *t, const char *path, const json_t *merge, size_t rank,
                           size_t *missing)
{
    const char *left, *right;
    size_t left_bytes;
    QN_TRY(merge_halves(merge, path, rank, &left, &left_bytes, &right));
    size_t right_bytes = strlen(right);
    uint8_t *out = malloc(left_bytes + right_bytes + 1);
    if (!out) return qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    left_bytes = qn__token_from_file(t->kind, left, left_bytes, out);
    right_bytes = qn__token_from_file(t->kind, right, right_bytes, out + left_bytes);
    qn_status status = qn__tokenizer_add_merge(t, out, left_bytes, out + left_bytes, right_bytes,
                                               (uint32_t)rank, missing);
    free(out);
    return status;
}

static qn_status read_merges(const json_t *root, const char *path, qn_tokenizer *t)
{
    const json_t *list = json_object_get(json_object_get(root, "model"), "merges"), *merge;
    size_t rank, missing = 0;
    if (!json_is_array(list))
        return qn__fail(QN_BAD_DATA, "%s: \"model\" has no array \"merges\"", path);
    QN_TRY(qn__merges_create(&t->merges, json_array_size(list)));
    json_array_foreach(list, rank, merge) QN_TRY(add_merge(t, path, merge, rank, &missing));
    if (missing)
        qn__log(QN_LOG_WARN, "%s: %zu of %zu merges name no token and are left out", path, missing,
                json_array_size(list));
    return QN_OK;
}

/* The unknown token is a special one, by its name, or one that would begin a word. */
static qn_status read_word_flags(const json_t *model, const char *path, const char *unknown,
                                 qn_tokenizer *t)
{
    int64_t longest = QN__LONGEST_WORD;
    size_t bytes = unknown ? strlen(unknown) : 0;
    QN_TRY(qn__json_i64(model, path, "max_input_chars_per_word", false, 1, 1 << 20, &longest));
    t->longest_word = (uint32_t)longest;
    for (size_t id = 0; bytes && id < t->vocab.count; id++) {
        const qn__token *token = &t->vocab.token[id];
        const uint8_t *text = qn__vocab_text(&t->vocab, id);
        size_t skip = token->bytes == bytes + 1 && text[0] == ' ';
        if (token->bytes == bytes + skip && memcmp(text + skip, unknown, bytes) == 0)
            t->unknown = (int32_t)id;
    }
    return QN_OK;
}

/* Parts of the model that change the ids and that we do not do. */
static qn_status read_model_flags(const json_t *root, const char *path, qn_tokenizer *t)
{
    const json_t *model = json_object_get(root, "model");
    const char *prefix = "", *suffix = "", *unknown = NULL;
    QN_TRY(qn__json_string(model, path, "continuing_subword_prefix", false, &prefix));
    QN_TRY(qn__json_string(model, path, "end_of_word_suffix", false, &suffix));
    if (*prefix && t->kind != QN_TOKENIZER_WORDS)
        return refuse(path, "a \"continuing_subword_prefix\"");
    if (*suffix) return refuse(path, "an \"end_of_word_suffix\"");
    QN_TRY(qn__json_string(model, path, "unk_token", false, &unknown));
    QN_TRY(qn__json_bool(model, path, "ignore_merges", false, &t->ignores_merges));
    if (t->kind == QN_TOKENIZER_WORDS) return read_word_flags(model, path, unknown, t);
    for (size_t id = 0; unknown && id < t->vocab.count; id++)
        if (t->vocab.token[id].bytes == strlen(unknown) &&
            memcmp(qn__vocab_text(&t->vocab, id), unknown, strlen(unknown)) == 0)
            t->unknown = (int32_t)id;
    if (t->kind == QN_TOKENIZER_PIECES && t->unknown >= 0)
        t->vocab.token[t->unknown].type = QN__TOKEN_UNKNOWN;
    return QN_OK;
}

/* The bytes tokenizer is written as byte-level BPE that merges nothing. */
static bool is_bytes(const qn_tokenizer *t)
{
    if (t->merges.count || t->splitter.stages || t->prefix != QN__PREFIX_NONE) return false;
    for (size_t id = 0; id < t->vocab.count; id++) {
        const qn__token *token = &t->vocab.token[id];
        bool byte = id < 256 && token->type == QN__TOKEN_NORMAL && token->bytes == 1 &&
                    *qn__vocab_text(&t->vocab, id) == id;
        if (!byte && (id < 256 || token->type == QN__TOKEN_NORMAL)) return false;
    }
    return t->vocab.count > 256;
}

static qn_status fill(const json_t *root, const char *path, qn_tokenizer *t)
{
    QN_TRY(read_vocab(root, path, t));
    QN_TRY(read_added(root, path, t));
    if (t->vocab.count == 0) return qn__fail(QN_BAD_DATA, "%s: no tokens", path);
    QN_TRY(read_model_flags(root, path, t));
    QN_TRY(qn__hf_read_steps(root, path, t));
    QN_TRY(qn__tokenizer_index(t));
    if (t->kind != QN_TOKENIZER_CHARS && t->kind != QN_TOKENIZER_WORDS)
        QN_TRY(read_merges(root, path, t));
    if (t->kind == QN_TOKENIZER_BPE && is_bytes(t)) t->kind = QN_TOKENIZER_BYTES;
    QN_TRY(qn__hf_read_ends(root, path, t));
    qn__tokenizer_mark_ends(t);
    return QN_OK;
}

qn_status qn__tokenizer_from_json(const json_t *root, const char *path, qn_tokenizer **tokenizer)
{
    qn_tokenizer_kind kind = QN_TOKENIZER_BPE;
    QN_TRY(qn__hf_kind(root, path, &kind));
    QN_TRY(qn__tokenizer_create(kind, tokenizer));
    qn_status status = fill(root, path, *tokenizer);
    if (status != QN_OK) qn_tokenizer_destroy(tokenizer);
    return status;
}

qn_status qn__tokenizer_load_hf(const char *path, qn_tokenizer **tokenizer)
{
    json_t *root = NULL;
    QN_TRY(qn__json_load(path, &root));
    qn_status status = qn__tokenizer_from_json(root, path, tokenizer);
    json_decref(root);
    return status;
}
