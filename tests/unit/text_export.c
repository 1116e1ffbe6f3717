/* Writes tokenizers and cases for tests/interop/tokenizers_hf.py, which compares them with Hugging
 * Face's packages: text_export FOLDER. Without an argument it only checks that writing works. */
#include "text_common.h"

#include "base/json.h"
#include "text/utf8.h"

enum { RANDOM_TEXTS = 300, LONGEST = 200 };
static const char *target;

/* Random texts of valid UTF-8; characters of `alphabet` if there is one. */
static size_t make_text(qn_rng *rng, const char *alphabet, char *text)
{
    size_t bytes = qn__rng_below(rng, LONGEST), to = 0;
    random_text(rng, text, bytes);
    for (size_t at = 0; at < bytes;) {
        size_t length = qn__utf8_decode((uint8_t *)text + at, bytes - at, NULL);
        if (alphabet) text[to++] = alphabet[(uint8_t)text[at] % strlen(alphabet)];
        else memmove(text + to, text + at, length), to += length;
        at += length ? length : 1;
    }
    for (size_t i = 0; i < to; i++)
        if (text[i] == 0) text[i] = ' ';
    return to;
}

static void add_case(json_t *cases, const qn_tokenizer *t, const char *text, size_t bytes)
{
    int32_t *ids;
    size_t count, decoded_bytes;
    char *decoded;
    ASSERT_OK(qn_tokenizer_encode(t, text, bytes, QN_ENCODE_SPECIAL, &ids, &count));
    ASSERT_OK(qn_tokenizer_decode(t, ids, count, &decoded, &decoded_bytes));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, json_integer(ids[i]));
    json_t *one = json_pack("{s:s%, s:o, s:s%}", "text", text, bytes, "ids", list, "decoded",
                            decoded, decoded_bytes);
    assert_non_null(one);
    json_array_append_new(cases, one);
    free(ids);
    free(decoded);
}

static void export_one(const char *name, const qn_tokenizer *t, const char *alphabet)
{
    char folder[4300], path[4400], text[LONGEST];
    qn_rng rng = {1, 13, 0};
    json_t *cases = json_array();
    snprintf(folder, sizeof folder, "%s/%s", target ? target : scratch_path("export"), name);
    ASSERT_OK(qn__make_folders(folder));
    ASSERT_OK(qn_tokenizer_save(t, folder));
    for (int i = 0; i < RANDOM_TEXTS; i++)
        add_case(cases, t, text, make_text(&rng, alphabet, text));
    if (!alphabet) {
        static const char *const more[] = {
            "Hello, y'all! It's 3333 o'clock  \n\n x", "a<|endoftext|> b", "   ", "\t\n \n",
            "\xE6\x88\x91\xE6\x83\xB3 \xD0\xBD\xD0\xB5\xD1\x89\xD0\xBE \xC2\xA0nbsp \xC2\xBD"};
        for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
            add_case(cases, t, more[i], strlen(more[i]));
    }
    snprintf(path, sizeof path, "%s/cases.json", folder);
    ASSERT_OK(qn__json_save(path, cases));
    json_decref(cases);
    if (target) return;
    static const char *const files[] = {"cases.json", "tokenizer.json", "tokenizer_config.json"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rmdir(scratch_path("export")), 0);
}

static void test_made(void **state)
{
    static const char alphabet[] = "to be, or not to be\n";
    size_t bytes;
    char *text = data_read("tinyshakespeare.txt", &bytes);
    qn_tokenizer *t = NULL;
    (void)state;
    ASSERT_OK(qn_tokenizer_create_chars(text, bytes, &t));
    export_one("chars", t, alphabet);
    qn_tokenizer_destroy(&t);
    ASSERT_OK(qn_tokenizer_create_bytes(&t));
    export_one("bytes", t, NULL);
    qn_tokenizer_destroy(&t);
    ASSERT_OK(qn_tokenizer_train_bpe(text, bytes, 1024, NULL, NULL, &t));
    export_one("bpe", t, NULL);
    qn_tokenizer_destroy(&t);
    free(text);
}

static void test_loaded(void **state)
{
    static const char *const names[] = {"ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf",
                                        "tok512.bin"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        qn_tokenizer *t = NULL;
        ASSERT_OK(qn_tokenizer_load(data_path(names[i]), &t));
        /* llama2.c tells U+2581 from a space, tokenizer.json cannot: plain text only. */
        export_one(names[i], t, i < 2 ? NULL : "the quick brown fox jumps over lazy dogs.  ,\n 0");
        qn_tokenizer_destroy(&t);
    }
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_loaded),
    };
    target = count > 1 ? arguments[1] : NULL;
    return cmocka_run_group_tests_name("text export", tests, NULL, NULL);
}
