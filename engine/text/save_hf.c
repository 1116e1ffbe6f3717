/* Writing tokenizer.json, so that Hugging Face's packages give the same ids. Every token, special
 * or not, is also in the model's vocabulary: ids are then ours whatever the reader's version. */
#include "text/hf.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/str.h"
#include "text/save.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

static qn_status no_memory(void)
{
    return qn__fail(QN_OS_ERROR, "saving a tokenizer: out of memory");
}

/* How a token is written: special ones as they are, byte-level ones in the byte alphabet, pieces
 * with U+2581 for spaces, byte tokens as <0xNN>. */
qn_status qn__hf_write_token(const qn_tokenizer *t, size_t id, qn_str *out)
{
    const qn__token *token = &t->vocab.token[id];
    const uint8_t *text = qn__vocab_text(&t->vocab, id);
    bool byte_level = t->kind == QN_TOKENIZER_BYTES || t->kind == QN_TOKENIZER_BPE;
    bool plain = token->type != QN__TOKEN_NORMAL && token->type != QN__TOKEN_BYTE &&
                 !(token->type == QN__TOKEN_USER && t->kind == QN_TOKENIZER_PIECES);
    out->length = 0;
    qn__str_add_bytes(out, "", 0);
    if (t->kind == QN_TOKENIZER_WORDS && token->type == QN__TOKEN_NORMAL) {
        bool begins = token->bytes > 0 && text[0] == ' ';
        if (!begins) qn__str_add_bytes(out, "##", 2);
        qn__str_add_bytes(out, text + begins, token->bytes - begins);
        return out->failed ? no_memory() : QN_OK;
    }
    if (token->type == QN__TOKEN_BYTE && t->kind == QN_TOKENIZER_PIECES) {
        qn__str_add(out, "<0x%02X>", (unsigned)text[0]);
        return out->failed ? no_memory() : QN_OK;
    }
    for (size_t i = 0; i < token->bytes; i++) {
        char code[4];
        if (!plain && byte_level)
            qn__str_add_bytes(out, code, qn__utf8_encode(qn__byte_to_code(text[i]), code));
        else if (!plain && t->kind == QN_TOKENIZER_PIECES && text[i] == ' ')
            qn__str_add_bytes(out, "\xE2\x96\x81", 3);
        else
            qn__str_add_bytes(out, &text[i], 1);
    }
    return out->failed ? no_memory() : QN_OK;
}

static qn_status write_vocab(const qn_tokenizer *t, json_t *vocab)
{
    qn_str text = {0};
    qn_status status = QN_OK;
    for (size_t id = 0; id < t->vocab.count && status == QN_OK; id++) {
        if (t->vocab.token[id].bytes == 0) continue; /* a gap in the ids */
        status = qn__hf_write_token(t, id, &text);
        if (status != QN_OK) break;
        if (strlen(qn__str_text(&text)) != text.length ||
            json_object_get(vocab, qn__str_text(&text)))
            status = qn__fail(QN_UNSUPPORTED, "saving a tokenizer: token %zu, \"%.60s\", is there "
                              "twice or has a NUL; tokenizer.json cannot hold it", id,
                              qn__str_text(&text));
        else if (json_object_set_new(vocab, qn__str_text(&text), json_integer((json_int_t)id)) != 0)
            status = qn__fail(QN_UNSUPPORTED, "saving a tokenizer: token %zu is not valid UTF-8",
                              id);
    }
    qn__str_free(&text);
    return status;
}

static qn_status write_added(const qn_tokenizer *t, json_t *list)
{
    for (size_t id = 0; id < t->vocab.count; id++) {
        const qn__token *token = &t->vocab.token[id];
        bool special = token->type == QN__TOKEN_CONTROL || token->type == QN__TOKEN_UNKNOWN;
        if ((!special && token->type != QN__TOKEN_USER) || token->bytes == 0) continue;
        json_t *added = json_pack("{s:I, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id,
                                  "content", (const char *)qn__vocab_text(&t->vocab, id),
                                  (size_t)token->bytes, "single_word", 0, "lstrip",
                                  (int)token->strips_left, "rstrip", (int)token->strips_right,
                                  "normalized", 0, "special", (int)special);
        if (!added || json_array_append_new(list, added) != 0)
            return qn__fail(QN_UNSUPPORTED, "saving a tokenizer: token %zu is not valid UTF-8", id);
    }
    return QN_OK;
}

static json_t *byte_level(bool prefix, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", (int)prefix,
                     "trim_offsets", 1, "use_regex", (int)regex);
}

static json_t *split(const char *pattern)
{
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pattern,
                     "behavior", "Isolated", "invert", 0);
}

/* A list that could not take all its parts is NULL, and so is then all that is made of it. */
static void append(json_t **list, json_t *part)
{
    if (json_array_append_new(*list, part) == 0) return;
    json_decref(*list);
    *list = NULL;
}

/* GPT-2's own pattern is what ByteLevel does when told to; any others come before it. */
static json_t *byte_level_steps(const qn_tokenizer *t)
{
    bool prefix = t->prefix != QN__PREFIX_NONE;
    size_t stages = t->splitter.stages;
    if (stages == 0) return byte_level(prefix, false);
    if (stages == 1 && strcmp(t->splitter.pattern[0], qn__split_gpt2) == 0)
        return byte_level(prefix, true);
    json_t *parts = json_array();
    for (size_t i = 0; i < stages; i++) append(&parts, split(t->splitter.pattern[i]));
    append(&parts, byte_level(prefix, false));
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", parts);
}

static json_t *piece_normalizer(const qn_tokenizer *t)
{
    json_t *replace = json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ",
                                "content", "\xE2\x96\x81");
    if (t->prefix != QN__PREFIX_EACH) return replace;
    return json_pack("{s:s, s:[{s:s, s:s}, o]}", "type", "Sequence", "normalizers", "type",
                     "Prepend", "prepend", "\xE2\x96\x81", replace);
}

static json_t *metaspace(const qn_tokenizer *t)
{
    static const char *const schemes[] = {[QN__PREFIX_NONE] = "never",
                                          [QN__PREFIX_FIRST] = "first",
                                          [QN__PREFIX_EACH] = "always"};
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "\xE2\x96\x81",
                     "prepend_scheme", schemes[t->prefix], "split", (int)(t->splitter.stages > 0));
}

static json_t *piece_decoder(const qn_tokenizer *t)
{
    json_t *parts = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern",
                              "String", "\xE2\x96\x81", "content", " ", "type", "ByteFallback",
                              "type", "Fuse");
    if (t->drops_space)
        append(&parts, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start",
                                 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", parts);
}

/* The name of a special token, as JSON; null when there is none. */
static json_t *name_of(const qn_tokenizer *t, int32_t id)
{
    size_t bytes;
    const char *text = qn_tokenizer_token_bytes(t, id, &bytes);
    return text && bytes ? json_stringn(text, bytes) : json_null();
}

/* BOS before the text. */
static json_t *post_processor(const qn_tokenizer *t)
{
    if (!t->wants_bos || t->bos < 0) return json_null();
    size_t bytes;
    const char *name = qn_tokenizer_token_bytes(t, t->bos, &bytes);
    return json_pack("{s:s, s:[{s:{s:s%,s:i}},{s:{s:s,s:i}}],"
                     " s:[{s:{s:s%,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}}],"
                     " s:{s%:{s:s%,s:[i],s:[s%]}}}",
                     "type", "TemplateProcessing", "single", "SpecialToken", "id", name, bytes,
                     "type_id", 0, "Sequence", "id", "A", "type_id", 0, "pair", "SpecialToken",
                     "id", name, bytes, "type_id", 0, "Sequence", "id", "A", "type_id", 0,
                     "Sequence", "id", "B", "type_id", 1, "special_tokens", name, bytes, "id",
                     name, bytes, "ids", (int)t->bos, "tokens", name, bytes);
}

static qn_status write_steps(const qn_tokenizer *t, json_t *root)
{
    json_t *normalizer = json_null(), *pre = json_null(), *decoder;
    int failures = 0;
    if (t->kind == QN_TOKENIZER_CHARS) {
        pre = split(QN__HF_CHARACTER);
        decoder = json_pack("{s:s}", "type", "Fuse");
    } else if (t->kind == QN_TOKENIZER_WORDS) {
        normalizer = json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", "BertNormalizer", "clean_text",
                               (t->fold & QN__FOLD_CLEAN) != 0, "handle_chinese_chars",
                               (t->fold & QN__FOLD_CHINESE) != 0, "strip_accents",
                               (t->fold & QN__FOLD_MARKS) != 0, "lowercase",
                               (t->fold & QN__FOLD_LOWER) != 0);
        pre = json_pack("{s:s}", "type", "BertPreTokenizer");
        decoder = json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##", "cleanup", 0);
    } else if (t->kind == QN_TOKENIZER_PIECES) {
        bool with_metaspace = t->prefix == QN__PREFIX_FIRST || t->prefix_only_if_needed ||
                              t->splitter.stages > 0;
        if (with_metaspace) pre = metaspace(t);
        else normalizer = piece_normalizer(t);
        decoder = piece_decoder(t);
    } else {
        pre = byte_level_steps(t);
        decoder = byte_level(true, true);
    }
    failures += json_object_set_new(root, "normalizer", normalizer) != 0;
    failures += json_object_set_new(root, "pre_tokenizer", pre) != 0;
    failures += json_object_set_new(root, "decoder", decoder) != 0;
    failures += json_object_set_new(root, "post_processor", post_processor(t)) != 0;
    return failures ? no_memory() : QN_OK;
}

static qn_status write_model(const qn_tokenizer *t, json_t *root)
{
    json_t *vocab = json_object(), *merges = json_array(), *model;
    if (t->kind == QN_TOKENIZER_CHARS)
        model = json_pack("{s:s, s:O, s:s}", "type", "WordLevel", "vocab", vocab, "unk_token",
                          "<unk>");
    else if (t->kind == QN_TOKENIZER_WORDS)
        model = json_pack("{s:s, s:o, s:s, s:i, s:O}", "type", "WordPiece", "unk_token",
                          name_of(t, t->unknown), "continuing_subword_prefix", "##",
                          "max_input_chars_per_word", (int)t->longest_word, "vocab", vocab);
    else
        model = json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:O, s:O}", "type", "BPE",
                          "dropout", "unk_token", name_of(t, t->unknown),
                          "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                          t->kind == QN_TOKENIZER_PIECES, "byte_fallback",
                          t->kind == QN_TOKENIZER_PIECES && t->byte_id[0] >= 0, "ignore_merges",
                          (int)t->ignores_merges, "vocab", vocab, "merges", merges);
    qn_status status = model && json_object_set_new(root, "model", model) == 0 ? QN_OK
                                                                               : no_memory();
    if (status == QN_OK) status = write_vocab(t, vocab);
    if (status == QN_OK && t->kind != QN_TOKENIZER_CHARS && t->kind != QN_TOKENIZER_WORDS)
        status = qn__hf_write_merges(t, merges);
    json_decref(vocab);
    json_decref(merges);
    return status;
}

static qn_status write_tokenizer(const qn_tokenizer *t, const char *path)
{
    json_t *added = json_array();
    json_t *root = json_pack("{s:s, s:n, s:n, s:O}", "version", "1.0", "truncation", "padding",
                             "added_tokens", added);
    qn_status status = root ? write_added(t, added) : no_memory();
    if (status == QN_OK) status = write_steps(t, root);
    if (status == QN_OK) status = write_model(t, root);
    if (status == QN_OK) status = qn__json_save(path, root);
    json_decref(added);
    json_decref(root);
    return status;
}

static qn_status write_config(const qn_tokenizer *t, const char *path)
{
    json_t *root = json_pack("{s:s, s:o, s:o, s:o, s:b}", "tokenizer_class",
                             "PreTrainedTokenizerFast", "bos_token", name_of(t, t->bos),
                             "eos_token", name_of(t, t->eos), "unk_token", name_of(t, t->unknown),
                             "clean_up_tokenization_spaces", 0);
    qn_status status = root ? qn__json_save(path, root) : no_memory();
    json_decref(root);
    return status;
}

qn_status qn_tokenizer_save(const qn_tokenizer *tokenizer, const char *path)
{
    QN_CHECK(tokenizer && path, "qn_tokenizer_save: a pointer is NULL");
    if (!qn__is_folder(path)) return write_tokenizer(tokenizer, path);
    char *file = qn__path_join(path, "tokenizer.json");
    char *config = qn__path_join(path, "tokenizer_config.json");
    qn_status status = file && config ? QN_OK : no_memory();
    if (status == QN_OK) status = write_tokenizer(tokenizer, file);
    if (status == QN_OK) status = write_config(tokenizer, config);
    free(file);
    free(config);
    return status;
}
