/* Vocabularies of GGUF files that lie: a clear error that names the file, or a tokenizer whose ids
 * are all in its vocabulary. Run it under ASan and UBSan. */
#include "text_common.h"

#include "base/str.h"

#include <math.h>

typedef struct gguf {
    qn_str body;
    uint64_t keys;
} gguf;

static void put_u64(qn_str *out, uint64_t value)
{
    qn__str_add_bytes(out, &value, 8);
}

static void put_u32(qn_str *out, uint32_t value)
{
    qn__str_add_bytes(out, &value, 4);
}

static void put_text(qn_str *out, const char *text, size_t bytes)
{
    put_u64(out, bytes);
    qn__str_add_bytes(out, text, bytes);
}

static void put_key(gguf *g, const char *key, uint32_t type)
{
    char name[80];
    int bytes = snprintf(name, sizeof name, "tokenizer.ggml.%s", key);
    put_text(&g->body, name, (size_t)bytes);
    put_u32(&g->body, type);
    g->keys++;
}

static void put_array(gguf *g, const char *key, uint32_t element, uint64_t count)
{
    put_key(g, key, 9);
    put_u32(&g->body, element);
    put_u64(&g->body, count);
}

static void put_name(gguf *g, const char *key, const char *value)
{
    put_key(g, key, 8);
    put_text(&g->body, value, strlen(value));
}

static void put_strings(gguf *g, const char *key, const char *const *values, size_t count)
{
    put_array(g, key, 8, count);
    for (size_t i = 0; i < count; i++) put_text(&g->body, values[i], strlen(values[i]));
}

static void put_numbers(gguf *g, const char *key, uint32_t element, size_t count, double first)
{
    put_array(g, key, element, count);
    for (size_t i = 0; i < count; i++) {
        float real = (float)(first - (double)i);
        int32_t whole = (int32_t)first;
        if (element == 6) qn__str_add_bytes(&g->body, &real, 4);
        else if (element == 5) qn__str_add_bytes(&g->body, &whole, 4);
        else qn__str_add_bytes(&g->body, &whole, 1);
    }
}

/* Write it, load it, free it; the tokenizer or NULL. */
static qn_tokenizer *load(gguf *g, qn_status want, const char *says)
{
    const char *path = scratch_path("hostile.gguf");
    qn_str file = {0};
    qn_tokenizer *t = NULL;
    qn__str_add_bytes(&file, "GGUF\3\0\0\0", 8);
    put_u64(&file, 0);
    put_u64(&file, g->keys);
    qn__str_add_bytes(&file, g->body.data, g->body.length);
    assert_false(file.failed);
    write_file(path, file.data, file.length);
    qn_status status = qn_tokenizer_load(path, &t);
    if (status != want)
        fail_msg("%s instead of %s: %s", qn_status_name(status), qn_status_name(want),
                 status == QN_OK ? "" : qn_last_error());
    if (status != QN_OK && (!strstr(qn_last_error(), path) || !strstr(qn_last_error(), says)))
        fail_msg("the message \"%s\" lacks %s or \"%s\"", qn_last_error(), path, says);
    unlink(path);
    qn__str_free(&file);
    qn__str_free(&g->body);
    return t;
}

static const char *const TOKENS[] = {"<unk>", "<s>", "</s>", "<0x61>", "t", "h", "th", "<end>"};

enum { COUNT = sizeof TOKENS / sizeof TOKENS[0] };

static gguf begin(const char *model)
{
    gguf g = {0};
    put_name(&g, "model", model);
    if (strcmp(model, "gpt2") == 0) {
        static const char *const merges[] = {"t h"};
        put_name(&g, "pre", "gpt-2");
        put_strings(&g, "merges", merges, 1);
    }
    return g;
}

static void test_scores(void **state)
{
    static const struct {
        uint32_t element;
        size_t count;
        double first;
        const char *says;
    } cases[] = {{0, COUNT, 0, "scores"},       {6, COUNT - 1, 0, "7 scores"},
                 {6, COUNT + 1, 0, "9 scores"}, {6, 0, 0, "0 scores"},
                 {6, COUNT, NAN, "finite"},     {6, COUNT, INFINITY, "finite"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gguf g = begin("llama");
        put_strings(&g, "tokens", TOKENS, COUNT);
        put_numbers(&g, "scores", cases[i].element, cases[i].count, cases[i].first);
        assert_null(load(&g, QN_BAD_DATA, cases[i].says));
    }
    gguf none = begin("llama");
    put_strings(&none, "tokens", TOKENS, COUNT);
    assert_null(load(&none, QN_BAD_DATA, "scores"));
}

static void test_types(void **state)
{
    static const struct {
        uint32_t element;
        size_t count;
        double first;
        const char *says;
    } cases[] = {{0, COUNT, 1, "token_type"}, {5, COUNT - 1, 1, "7 types"},
                 {5, 0, 1, "0 types"},        {5, COUNT, 0, "type 0"},
                 {5, COUNT, 7, "type 7"},     {5, COUNT, -1, "type -1"}};
    static const char *const models[] = {"llama", "gpt2", "bert"};
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            gguf g = begin(models[m]);
            put_strings(&g, "tokens", TOKENS, COUNT);
            put_numbers(&g, "scores", 6, COUNT, 0);
            put_numbers(&g, "token_type", cases[i].element, cases[i].count, cases[i].first);
            assert_null(load(&g, QN_BAD_DATA, cases[i].says));
        }
    }
}

static void test_byte_tokens(void **state)
{
    static const char *const wrong[] = {"<0xZZ>", "<0x-1>", "<0x1>", "<0x100>", "<0X41>", "a", ""};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *tokens[] = {wrong[i], "a", "b"};
        gguf g = begin("llama");
        put_strings(&g, "tokens", tokens, 3);
        put_numbers(&g, "scores", 6, 3, 0);
        put_numbers(&g, "token_type", 5, 3, 6);
        assert_null(load(&g, QN_BAD_DATA, "token 0"));
    }
}

static void test_ids(void **state)
{
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "unknown_token_id",
                                       "eot_token_id", "eom_token_id"};
    (void)state;
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        for (uint32_t id = COUNT - 1; id <= COUNT; id++) {
            gguf g = begin(k % 2 ? "llama" : "gpt2");
            put_strings(&g, "tokens", TOKENS, COUNT);
            put_numbers(&g, "scores", 6, COUNT, 0);
            put_key(&g, keys[k], 4);
            put_u32(&g.body, id);
            qn_tokenizer *t = load(&g, id < COUNT ? QN_OK : QN_BAD_DATA, keys[k]);
            qn_tokenizer_destroy(&t);
        }
    }
    gguf g = begin("llama"); /* how some writers say that there is none */
    put_strings(&g, "tokens", TOKENS, COUNT);
    put_numbers(&g, "scores", 6, COUNT, 0);
    put_key(&g, "eos_token_id", 4);
    put_u32(&g.body, UINT32_MAX);
    qn_tokenizer *t = load(&g, QN_OK, "");
    assert_int_equal(qn_tokenizer_eos(t), -1);
    qn_tokenizer_destroy(&t);
}

/* The defaults for ids are beyond the end of tiny vocabularies. */
static void test_tiny(void **state)
{
    static const char *const models[] = {"llama", "gpt2", "bert"};
    static const char *const one[] = {"a"};
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        gguf g = begin(models[m]);
        put_strings(&g, "tokens", one, 1);
        put_numbers(&g, "scores", 6, 1, 0);
        qn_tokenizer *t = load(&g, QN_OK, "");
        assert_int_equal(qn_tokenizer_bos(t), -1);
        assert_int_equal(qn_tokenizer_vocab_size(t), 1);
        assert_false(qn_tokenizer_is_end(t, 1));
        qn_tokenizer_destroy(&t);
        g = begin(models[m]);
        put_array(&g, "tokens", 8, 0);
        put_array(&g, "scores", 6, 0);
        assert_null(load(&g, QN_BAD_DATA, "0 tokens"));
    }
}

/* The first of equal tokens is the one that encoding makes; all decode. */
static void test_duplicates(void **state)
{
    static const char *const tokens[] = {"a", "b", "ab", "ab", "a", "", ""};
    static const char *const models[] = {"llama", "gpt2"};
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        gguf g = begin(models[m]);
        put_strings(&g, "tokens", tokens, 7);
        put_numbers(&g, "scores", 6, 7, 0);
        put_key(&g, "add_space_prefix", 7);
        qn__str_add_bytes(&g.body, "", 1);
        qn_tokenizer *t = load(&g, QN_OK, "");
        int32_t *ids;
        size_t count;
        ASSERT_OK(qn_tokenizer_encode(t, "a", 1, 0, &ids, &count));
        assert_int_equal(count, 1);
        assert_int_equal(ids[0], 0);
        free(ids);
        for (int32_t id = 0; id < 7; id++) {
            char *text;
            size_t bytes;
            ASSERT_OK(qn_tokenizer_decode(t, &id, 1, &text, &bytes));
            assert_int_equal(bytes, strlen(tokens[id]));
            free(text);
        }
        qn_tokenizer_destroy(&t);
    }
}

/* A token of 3 MiB, normal, user-defined and control, and a text that nearly is it. */
static void test_gigantic(void **state)
{
    const size_t bytes = 3 << 20;
    static const char *const models[] = {"llama", "gpt2", "bert"};
    char *text = malloc(bytes);
    (void)state;
    assert_non_null(text);
    memset(text, 'a', bytes);
    for (size_t m = 0; m < 3; m++) {
        for (int32_t type = 1; type <= 5; type++) {
            gguf g = begin(models[m]);
            put_array(&g, "tokens", 8, 2);
            put_text(&g.body, "a", 1);
            put_text(&g.body, text, bytes);
            put_numbers(&g, "scores", 6, 2, 0);
            put_array(&g, "token_type", 5, 2);
            put_u32(&g.body, 1);
            put_u32(&g.body, (uint32_t)type);
            qn_tokenizer *t = load(&g, QN_OK, "");
            int32_t *ids = NULL;
            size_t count = 0, length;
            qn_status status = qn_tokenizer_encode(t, text, bytes - 1, 2, &ids, &count);
            assert_true(status == QN_OK || m == 2); /* one word of bert, and nothing for unknown */
            free(ids);
            assert_non_null(qn_tokenizer_token_bytes(t, 1, &length));
            assert_true(length >= bytes);
            qn_tokenizer_destroy(&t);
        }
    }
    free(text);
}

static void test_names(void **state)
{
    (void)state;
    gguf g = {0};
    put_name(&g, "model", "gpt2");
    put_name(&g, "pre", "no-such-thing");
    put_strings(&g, "tokens", TOKENS, COUNT);
    assert_null(load(&g, QN_UNSUPPORTED, "\"no-such-thing\"; known: default gpt-2"));
    g = (gguf){0};
    put_name(&g, "model", "t5");
    put_strings(&g, "tokens", TOKENS, COUNT);
    assert_null(load(&g, QN_UNSUPPORTED, "\"t5\""));
    static const char *const merges[] = {"th"};
    g = (gguf){0};
    put_name(&g, "model", "gpt2");
    put_strings(&g, "merges", merges, 1);
    put_strings(&g, "tokens", TOKENS, COUNT);
    assert_null(load(&g, QN_BAD_DATA, "merge 0"));
}

/* User-defined tokens are cut out before the pattern and the merges see the text; control tokens
 * only on request. */
static void test_special_first(void **state)
{
    static const char *const tokens[] = {"a",
                                         "\xC4\xA0",
                                         "b",
                                         "  ",
                                         "\xC3\xBC",
                                         "<c>",
                                         "\xC3\x83",
                                         "\xC2\xBC",
                                         "\xC4\xA0"
                                         "a",
                                         "<",
                                         "c",
                                         ">"};
    static const int32_t types[] = {1, 1, 1, 4, 4, 3, 1, 1, 1, 1, 1, 1};
    static const char *const merges[] = {"\xC4\xA0 a", "\xC3\x83 \xC2\xBC"};
    static const int32_t plain[] = {0, 3, 8, 4, 2, 9, 10, 11}, special[] = {0, 3, 8, 4, 2, 5};
    static const char text[] = "a   a\xC3\xBC"
                               "b<c>";
    gguf g = {0};
    int32_t *ids;
    size_t count;
    (void)state;
    put_name(&g, "model", "gpt2");
    put_name(&g, "pre", "mpt");
    put_strings(&g, "merges", merges, 2);
    put_strings(&g, "tokens", tokens, 12);
    put_array(&g, "token_type", 5, 12);
    qn__str_add_bytes(&g.body, types, sizeof types);
    qn_tokenizer *t = load(&g, QN_OK, "");
    ASSERT_OK(qn_tokenizer_encode(t, text, strlen(text), 0, &ids, &count));
    assert_int_equal(count, 8);
    assert_memory_equal(ids, plain, sizeof plain);
    free(ids);
    ASSERT_OK(qn_tokenizer_encode(t, text, strlen(text), QN_ENCODE_SPECIAL, &ids, &count));
    assert_int_equal(count, 6);
    assert_memory_equal(ids, special, sizeof special);
    free(ids);
    qn_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores),        cmocka_unit_test(test_types),
        cmocka_unit_test(test_byte_tokens),   cmocka_unit_test(test_ids),
        cmocka_unit_test(test_tiny),          cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_gigantic),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_special_first),
    };
    return cmocka_run_group_tests_name("hostile vocabularies", tests, NULL, NULL);
}
