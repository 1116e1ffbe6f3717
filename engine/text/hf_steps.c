/* The steps round the model of a tokenizer.json: normalizer, pre-tokenizer, post-processor. */
#include "text/hf.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "text/chat.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

static const char *type_of(const json_t *step)
{
    const char *type = json_string_value(json_object_get(step, "type"));
    return type ? type : "";
}

static bool is_type(const json_t *step, const char *type)
{
    return strcmp(type_of(step), type) == 0;
}

/* The parts of a Sequence are under one of these names. */
static const json_t *parts_of(const json_t *step)
{
    static const char *const names[] = {"pretokenizers", "normalizers", "processors", "decoders"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *parts = json_object_get(step, names[i]);
        if (json_is_array(parts)) return parts;
    }
    return NULL;
}

/* A step of this type: `step` itself or a part of a Sequence; NULL if there is none. Files nest at
 * most 64 deep, which the JSON reader checked. */
static const json_t *find_step(const json_t *step, const char *type)
{
    if (is_type(step, type)) return step;
    const json_t *parts = is_type(step, "Sequence") ? parts_of(step) : NULL, *found = NULL;
    for (size_t i = 0; i < json_array_size(parts) && !found; i++)
        found = find_step(json_array_get(parts, i), type);
    return found;
}

typedef qn_status (*step_fn)(const json_t *step, const char *path, qn_tokenizer *t);

static qn_status each_step(const json_t *step, const char *path, qn_tokenizer *t, step_fn fn)
{
    if (!step || json_is_null(step)) return QN_OK;
    if (!is_type(step, "Sequence")) return fn(step, path, t);
    const json_t *parts = parts_of(step);
    for (size_t i = 0; i < json_array_size(parts); i++)
        QN_TRY(each_step(json_array_get(parts, i), path, t, fn));
    return QN_OK;
}

static qn_status unsupported(const json_t *step, const char *path, const char *what)
{
    return qn__fail(QN_UNSUPPORTED, "%s: %s \"%.60s\" in this form is not supported", path, what,
                    type_of(step));
}

qn_status qn__hf_kind(const json_t *root, const char *path, qn_tokenizer_kind *kind)
{
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model)) return qn__fail(QN_BAD_DATA, "%s: no object \"model\"", path);
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    bool bpe = is_type(model, "BPE") || (!*type_of(model) && json_object_get(model, "merges"));
    if (is_type(model, "WordLevel")) {
        const json_t *pattern = json_object_get(find_step(pre, "Split"), "pattern");
        const char *regex = json_string_value(json_object_get(pattern, "Regex"));
        if (!regex || strcmp(regex, QN__HF_CHARACTER) != 0)
            return unsupported(model, path, "model");
        *kind = QN_TOKENIZER_CHARS;
    } else if (is_type(model, "WordPiece")) {
        *kind = QN_TOKENIZER_WORDS;
    } else if (!bpe) {
        return unsupported(model, path, "model");
    } else {
        bool bytes = find_step(pre, "ByteLevel") ||
                     find_step(json_object_get(root, "decoder"), "ByteLevel");
        *kind = bytes ? QN_TOKENIZER_BPE : QN_TOKENIZER_PIECES;
    }
    return QN_OK;
}

/* The text of a pattern; *regex tells whether it is a regular expression. */
static const char *pattern_of(const json_t *step, bool *regex)
{
    const json_t *pattern = json_object_get(step, "pattern");
    const char *text = json_string_value(json_object_get(pattern, "Regex"));
    *regex = text != NULL;
    return text ? text : json_string_value(json_object_get(pattern, "String"));
}

static qn_status read_bert_normalizer(const json_t *step, const char *path, qn_tokenizer *t)
{
    bool clean = true, chinese = true, lower = true, strip;
    QN_TRY(qn__json_bool(step, path, "clean_text", false, &clean));
    QN_TRY(qn__json_bool(step, path, "handle_chinese_chars", false, &chinese));
    QN_TRY(qn__json_bool(step, path, "lowercase", false, &lower));
    strip = lower; /* also where the key is null */
    if (!json_is_null(json_object_get(step, "strip_accents")))
        QN_TRY(qn__json_bool(step, path, "strip_accents", false, &strip));
    t->fold = (clean ? QN__FOLD_CLEAN : 0u) | (chinese ? QN__FOLD_CHINESE : 0u) |
              (lower ? QN__FOLD_LOWER : 0u) | (strip ? QN__FOLD_MARKS : 0u);
    return QN_OK;
}

static qn_status read_normalizer(const json_t *step, const char *path, qn_tokenizer *t)
{
    static const char mark[] = "\xE2\x96\x81";
    const char *text = NULL;
    bool pieces = t->kind == QN_TOKENIZER_PIECES, regex;
    if (t->kind == QN_TOKENIZER_WORDS && is_type(step, "BertNormalizer"))
        return read_bert_normalizer(step, path, t);
    if (is_type(step, "NFC")) {
        qn__log(QN_LOG_WARN, "%s: text is not normalized to NFC; ids agree for text that is", path);
        return QN_OK;
    }
    if (pieces && is_type(step, "Prepend")) {
        QN_TRY(qn__json_string(step, path, "prepend", true, &text));
        if (strcmp(text, mark) != 0) return unsupported(step, path, "normalizer");
        t->prefix = QN__PREFIX_EACH;
        return QN_OK;
    }
    if (pieces && is_type(step, "Replace")) {
        const char *from = pattern_of(step, &regex);
        QN_TRY(qn__json_string(step, path, "content", true, &text));
        if (!from || strcmp(from, " ") != 0 || strcmp(text, mark) != 0)
            return unsupported(step, path, "normalizer");
        t->marks_spaces = true;
        return QN_OK;
    }
    return unsupported(step, path, "normalizer");
}

static qn_status read_metaspace(const json_t *step, const char *path, qn_tokenizer *t)
{
    const char *scheme = NULL, *mark = "\xE2\x96\x81";
    bool prefix = true, split = true;
    QN_TRY(qn__json_string(step, path, "replacement", false, &mark));
    QN_TRY(qn__json_string(step, path, "prepend_scheme", false, &scheme));
    QN_TRY(qn__json_bool(step, path, "add_prefix_space", false, &prefix));
    QN_TRY(qn__json_bool(step, path, "split", false, &split));
    if (strcmp(mark, "\xE2\x96\x81") != 0) return unsupported(step, path, "pre-tokenizer");
    if (!scheme) scheme = prefix ? "always" : "never";
    if (strcmp(scheme, "always") == 0) t->prefix = QN__PREFIX_EACH;
    else if (strcmp(scheme, "first") == 0) t->prefix = QN__PREFIX_FIRST;
    else if (strcmp(scheme, "never") != 0) return unsupported(step, path, "pre-tokenizer");
    t->prefix_only_if_needed = t->marks_spaces = true;
    /* A word each U+2581 begins: the same as one pattern over the text with spaces. */
    return split ? qn__splitter_add(&t->splitter, " [^ ]*") : QN_OK;
}

/* Matches become pieces, and so does what lies between them. */
static qn_status read_split(const json_t *step, const char *path, qn_tokenizer *t)
{
    bool regex, invert = false;
    const char *behavior = "", *pattern = pattern_of(step, &regex);
    QN_TRY(qn__json_string(step, path, "behavior", true, &behavior));
    QN_TRY(qn__json_bool(step, path, "invert", false, &invert));
    if (t->kind == QN_TOKENIZER_PIECES && pattern && !regex && strcmp(pattern, " ") == 0)
        return QN_OK; /* after the normalizer no space is left to split at */
    bool isolated = strcmp(behavior, "Isolated") == 0 ||
                    (strcmp(behavior, "Removed") == 0 && invert);
    if (!pattern || !isolated) return unsupported(step, path, "pre-tokenizer");
    if (regex) return qn__splitter_add(&t->splitter, pattern);
    if (strstr(pattern, "\\E")) return unsupported(step, path, "pre-tokenizer");
    qn_str quoted = {0};
    qn__str_add(&quoted, "\\Q%s\\E", pattern);
    qn_status status = quoted.failed ? qn__fail(QN_OS_ERROR, "%s: out of memory", path)
                                     : qn__splitter_add(&t->splitter, qn__str_text(&quoted));
    qn__str_free(&quoted);
    return status;
}

static qn_status read_byte_level(const json_t *step, const char *path, qn_tokenizer *t)
{
    bool prefix = true, regex = true;
    QN_TRY(qn__json_bool(step, path, "add_prefix_space", false, &prefix));
    QN_TRY(qn__json_bool(step, path, "use_regex", false, &regex));
    if (prefix) {
        t->prefix = QN__PREFIX_EACH;
        t->prefix_only_if_needed = true;
    }
    return regex ? qn__splitter_add(&t->splitter, qn__split_gpt2) : QN_OK;
}

static qn_status read_pre_tokenizer(const json_t *step, const char *path, qn_tokenizer *t)
{
    if (t->kind == QN_TOKENIZER_CHARS) return QN_OK; /* checked when the kind was decided */
    if (t->kind == QN_TOKENIZER_WORDS && is_type(step, "BertPreTokenizer")) return QN_OK;
    if (t->kind == QN_TOKENIZER_WORDS) return unsupported(step, path, "pre-tokenizer");
    if (is_type(step, "Split")) return read_split(step, path, t);
    if (t->kind == QN_TOKENIZER_PIECES && is_type(step, "Metaspace"))
        return read_metaspace(step, path, t);
    if (t->kind != QN_TOKENIZER_BPE) return unsupported(step, path, "pre-tokenizer");
    if (is_type(step, "ByteLevel")) return read_byte_level(step, path, t);
    if (is_type(step, "Digits")) {
        bool single = false;
        QN_TRY(qn__json_bool(step, path, "individual_digits", false, &single));
        return qn__splitter_add(&t->splitter, single ? "\\p{N}" : "\\p{N}+");
    }
    if (is_type(step, "Punctuation")) {
        const char *behavior = "Isolated";
        QN_TRY(qn__json_string(step, path, "behavior", false, &behavior));
        if (strcmp(behavior, "Isolated") == 0)
            return qn__splitter_add(&t->splitter, "[\\p{P}$+<=>^`|~]");
        if (strcmp(behavior, "Contiguous") == 0)
            return qn__splitter_add(&t->splitter, "[\\p{P}$+<=>^`|~]+");
    }
    return unsupported(step, path, "pre-tokenizer");
}

/* Does the decoder drop the space that was put before the text? */
static qn_status read_decoder(const json_t *root, const char *path, qn_tokenizer *t)
{
    const json_t *decoder = json_object_get(root, "decoder");
    const json_t *strip = find_step(decoder, "Strip"), *meta = find_step(decoder, "Metaspace");
    const char *content = " ", *scheme = "always";
    int64_t start = 0;
    if (t->kind != QN_TOKENIZER_PIECES) return QN_OK;
    QN_TRY(qn__json_string(strip, path, "content", false, &content));
    QN_TRY(qn__json_i64(strip, path, "start", false, 0, INT32_MAX, &start));
    QN_TRY(qn__json_string(meta, path, "prepend_scheme", false, &scheme));
    if (strip) t->drops_space = start > 0 && strcmp(content, " ") == 0;
    else if (meta) t->drops_space = strcmp(scheme, "never") != 0;
    else t->drops_space = !json_is_object(decoder) && t->prefix != QN__PREFIX_NONE;
    return QN_OK;
}

qn_status qn__hf_read_steps(const json_t *root, const char *path, qn_tokenizer *t)
{
    QN_TRY(each_step(json_object_get(root, "normalizer"), path, t, read_normalizer));
    QN_TRY(each_step(json_object_get(root, "pre_tokenizer"), path, t, read_pre_tokenizer));
    QN_TRY(read_decoder(root, path, t));
    if (t->kind == QN_TOKENIZER_WORDS && !json_is_object(json_object_get(root, "pre_tokenizer")))
        return qn__fail(QN_UNSUPPORTED, "%s: WordPiece without a pre-tokenizer", path);
    if (t->kind == QN_TOKENIZER_WORDS) t->drops_space = true;
    if (t->kind == QN_TOKENIZER_PIECES && !t->marks_spaces)
        return qn__fail(QN_UNSUPPORTED, "%s: BPE over characters, neither byte-level nor with "
                        "U+2581 for spaces", path);
    return QN_OK;
}

/* A token by name, given as a string or as {"content": string}. */
static int32_t token_named(const qn_tokenizer *t, const json_t *name)
{
    const char *text = json_string_value(name);
    if (!text) text = json_string_value(json_object_get(name, "content"));
    return text ? qn_tokenizer_find(t, text, strlen(text)) : -1;
}

static int32_t first_named(const qn_tokenizer *t, const char *const *names)
{
    int32_t id = -1;
    for (; *names && id < 0; names++)
        id = qn__index_find(&t->special, &t->vocab, *names, strlen(*names));
    return id;
}

static void read_template(const json_t *root, qn_tokenizer *t)
{
    const json_t *step = find_step(json_object_get(root, "post_processor"), "TemplateProcessing");
    const json_t *first = json_array_get(json_object_get(step, "single"), 0);
    const json_t *token = json_object_get(first, "SpecialToken");
    if (token) t->bos = token_named(t, json_object_get(token, "id"));
    t->wants_bos = t->bos >= 0;
}

/* A string, or a list of {"name", "template"} of which "default" counts. */
static const qn__chat_family *chat_of(const json_t *value)
{
    size_t i;
    const json_t *one;
    json_array_foreach(value, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && strcmp(name, "default") == 0) return chat_of(json_object_get(one, "template"));
    }
    return json_is_string(value)
               ? qn__chat_recognise(json_string_value(value), json_string_length(value))
               : NULL;
}

static qn_status read_jinja(const char *path, qn_tokenizer *t)
{
    char *text;
    size_t bytes;
    QN_TRY(qn__file_read(path, &text, &bytes));
    t->chat = qn__chat_recognise(text, bytes);
    free(text);
    return QN_OK;
}

static qn_status read_config(const char *config, qn_tokenizer *t)
{
    json_t *root = NULL;
    QN_TRY(qn__json_load(config, &root));
    int32_t bos = token_named(t, json_object_get(root, "bos_token"));
    int32_t eos = token_named(t, json_object_get(root, "eos_token"));
    if (bos >= 0) t->bos = bos;
    if (eos >= 0) t->eos = eos;
    t->chat = chat_of(json_object_get(root, "chat_template"));
    json_decref(root);
    return QN_OK;
}

qn_status qn__hf_read_ends(const json_t *root, const char *path, qn_tokenizer *t)
{
    static const char *const begins[] = {"<s>", "<|begin_of_text|>", "<bos>", "<|endoftext|>",
                                         "[CLS]", NULL};
    static const char *const ends[] = {"</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>",
                                       "<|im_end|>", "[SEP]", NULL};
    read_template(root, t);
    char *copy = strdup(path), *folder = copy ? dirname(copy) : NULL;
    char *config = folder ? qn__path_join(folder, "tokenizer_config.json") : NULL;
    char *jinja = folder ? qn__path_join(folder, "chat_template.jinja") : NULL;
    qn_status status = config && jinja ? QN_OK : qn__fail(QN_OS_ERROR, "%s: out of memory", path);
    if (status == QN_OK && qn__is_file(config)) status = read_config(config, t);
    if (status == QN_OK && qn__is_file(jinja)) status = read_jinja(jinja, t);
    free(copy);
    free(config);
    free(jinja);
    if (t->bos < 0) t->bos = first_named(t, begins);
    if (t->eos < 0) t->eos = first_named(t, ends);
    return status;
}
