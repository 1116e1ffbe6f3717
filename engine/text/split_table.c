/* The pre-tokenizers that GGUF files name in tokenizer.ggml.pre. The patterns are those of the
 * tokenizer.json files that the models' authors publish, written for PCRE2. */
#include "text/split.h"

#include "base/check.h"
#include "base/str.h"

#include <string.h>

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CONTRACTIONS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3                                                                                     \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "                                    \
                 "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define QWEN2                                                                                      \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define DEEPSEEK_LETTERS \
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ" \
    "Ⴀ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\\x{1f7d}ᾀ-ᾴᾶ-ᾼ\\x{1fbe}" \
    "ῂ-ῄῆ-ῌῐ-\\x{1fd3}ῖ-\\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\\x{2126}ℨ\\x{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄ" \
    "Ⰰ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ" \
    "\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}" \
    "\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}]+"
#define DEEPSEEK_MARKS "\\s?[!-/:-~！-／：-～‘-‟\\x{3000}-。]+"
#define DEEPSEEK_CJK "[一-龥\\x{0800}-一\\x{ac00}-\\x{d7ff}]+"
#define DEEPSEEK3                                                                                  \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"                                       \
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES

const char *const qn__split_gpt2 = GPT2;

enum { NAMES = 16, STAGES = 6 };

/* One row a pre-tokenizer. ignores_merges: a piece that is a token is taken as it is. */
static const struct row {
    const char *names[NAMES];
    const char *stages[STAGES];
    bool ignores_merges;
} table[] = {
    {{"default"}, {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false},
    {{"gpt-2", "mpt", "olmo", "jais", "phi-2", "gigachat", "trillion", "granite-docling", "jina-es",
      "jina-de", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum", "modern-bert"},
     {GPT2},
     false},
    {{"llama-bpe", "llama-3", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
      "lfm2"},
     {LLAMA3},
     true},
    {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {LLAMA3}, false},
    {{"qwen2", "stablelm2", "deepseek-r1-qwen", "hunyuan", "megrez"}, {QWEN2}, false},
    {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"},
     {"\\p{N}", GPT2},
     false},
    {{"falcon"}, {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}, false},
    {{"deepseek-llm"},
     {"[\\r\\n]", DEEPSEEK_LETTERS, DEEPSEEK_MARKS, "\\s+$", DEEPSEEK_CJK, "\\p{N}+"},
     false},
    {{"deepseek-coder"}, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_CJK, "\\p{N}"}, false},
    {{"deepseek-v3", "hunyuan-dense"},
     {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3},
     false},
};

static bool has_name(const struct row *row, const char *name, size_t bytes)
{
    for (size_t i = 0; i < NAMES && row->names[i]; i++)
        if (strlen(row->names[i]) == bytes && memcmp(row->names[i], name, bytes) == 0) return true;
    return false;
}

qn_status qn__splitter_add_named(qn__splitter *splitter, const char *origin, const char *name,
                                 size_t name_bytes, bool *ignores_merges)
{
    size_t rows = sizeof table / sizeof table[0];
    for (size_t r = 0; r < rows; r++) {
        if (!has_name(&table[r], name, name_bytes)) continue;
        for (size_t s = 0; s < STAGES && table[r].stages[s]; s++)
            QN_TRY(qn__splitter_add(splitter, table[r].stages[s]));
        *ignores_merges = table[r].ignores_merges;
        return QN_OK;
    }
    qn_str known = {0};
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < NAMES && table[r].names[i]; i++)
            qn__str_add(&known, " %s", table[r].names[i]);
    int shown = name_bytes < 64 ? (int)name_bytes : 64;
    qn_status status = qn__fail(QN_UNSUPPORTED,
                                "%s: no pre-tokenizer (tokenizer.ggml.pre) is "
                                "called \"%.*s\"; known:%s",
                                origin, shown, name, qn__str_text(&known));
    qn__str_free(&known);
    return status;
}

/* Is this the row's pattern, or the same as tokenizer.json files write it? */
static bool same_pattern(const char *pattern, const char *stage)
{
    static const char folded[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    if (strncmp(pattern, folded, sizeof folded - 1) == 0 &&
        strncmp(stage, CONTRACTIONS, sizeof CONTRACTIONS - 1) == 0) {
        pattern += sizeof folded - 1;
        stage += sizeof CONTRACTIONS - 1;
    }
    return strcmp(pattern, stage) == 0;
}

const char *qn__splitter_name(const qn__splitter *splitter, bool ignores_merges)
{
    const char *name = NULL;
    for (size_t r = 0; r < sizeof table / sizeof table[0]; r++) {
        const struct row *row = &table[r];
        size_t stages = 0;
        while (stages < STAGES && row->stages[stages]) stages++;
        bool same = stages == splitter->stages;
        for (size_t s = 0; same && s < stages; s++)
            same = same_pattern(splitter->pattern[s], row->stages[s]);
        if (same && (!name || row->ignores_merges == ignores_merges)) name = row->names[0];
        if (same && row->ignores_merges == ignores_merges) break;
    }
    return name;
}
