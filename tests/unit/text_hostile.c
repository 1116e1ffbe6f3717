/* Files that lie: cut at every byte, with each byte changed, and made by hand to break things. An
 * error or a tokenizer that works; never a crash (run it under ASan and UBSan). */
#include "text_common.h"

#include "base/str.h"

/* Whatever loads must also encode, decode and save without harm. */
static void exercise(const qn_tokenizer *t)
{
    static const char text[] = "the <s>a\xFF\xE2\x96\x81 b<|endoftext|> 12 \xF0\x9F\x98\x81\n";
    int32_t *ids;
    char *again;
    size_t count, bytes;
    for (unsigned flags = 0; flags < 4; flags++) {
        if (qn_tokenizer_encode(t, text, sizeof text, flags, &ids, &count) != QN_OK) continue;
        for (size_t i = 0; i < count; i++)
            assert_in_range(ids[i], 0, qn_tokenizer_vocab_size(t) - 1);
        ASSERT_OK(qn_tokenizer_decode(t, ids, count, &again, &bytes));
        free(ids);
        free(again);
    }
}

/* Returns whether it loaded. */
static bool try_bytes(const char *path, const void *bytes, size_t count)
{
    qn_tokenizer *t = NULL;
    write_file(path, bytes, count);
    qn_status status = qn_tokenizer_load(path, &t);
    if (status == QN_OK) exercise(t);
    else assert_null(t);
    assert_true(status == QN_OK || status == QN_BAD_DATA || status == QN_UNSUPPORTED);
    qn_tokenizer_destroy(&t);
    return status == QN_OK;
}

static void cut_and_flip(const char *name, const char *good, size_t bytes, bool cuts_may_load)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", scratch_path(name));
    char *bad = malloc(bytes);
    size_t loaded = 0;
    assert_non_null(bad);
    assert_true(try_bytes(path, good, bytes));
    for (size_t cut = 0; cut < bytes; cut++) {
        bool fine = try_bytes(path, good, cut);
        if (fine && !cuts_may_load) fail_msg("%s cut to %zu bytes loads", name, cut);
    }
    static const uint8_t changes[] = {0x01, 0x20, 0x80, 0xFF};
    for (size_t i = 0; i < bytes; i++) {
        for (size_t c = 0; c < sizeof changes; c++) {
            memcpy(bad, good, bytes);
            bad[i] = (char)((uint8_t)bad[i] ^ changes[c]);
            loaded += try_bytes(path, bad, bytes);
        }
    }
    print_message("%s: %zu of %zu files with a changed byte load\n", name, loaded,
                  bytes * sizeof changes);
    unlink(path);
    free(bad);
}

static void put_token(qn_str *file, float score, int32_t length, const char *text)
{
    qn__str_add_bytes(file, &score, 4);
    qn__str_add_bytes(file, &length, 4);
    qn__str_add_bytes(file, text, strlen(text));
}

static void test_llama2c(void **state)
{
    static const char *const texts[] = {"<unk>", "\n<s>\n", "\n</s>\n", "<0x00>", "<0x01>",
                                        " ",     "t",       "h",        " t",     "th"};
    qn_str file = {0};
    int32_t longest = 6;
    (void)state;
    qn__str_add_bytes(&file, &longest, 4);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        put_token(&file, -(float)i, (int32_t)strlen(texts[i]), texts[i]);
    cut_and_flip("tokenizer.bin", file.data, file.length, true);
    qn__str_free(&file);
}

static void test_llama2c_by_hand(void **state)
{
    static const struct {
        int32_t longest, length;
        float score;
    } cases[] = {{0, 1, 0},  {-1, 1, 0},        {6, -1, 0},      {6, 7, 0},
                 {6, 2, 0},  {6, INT32_MAX, 0}, {6, INT32_MIN, 0}, {INT32_MAX, 1, 0}};
    const char *path = scratch_path("hand.bin");
    qn_tokenizer *t = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qn_str file = {0};
        qn__str_add_bytes(&file, &cases[i].longest, 4);
        put_token(&file, cases[i].score, cases[i].length, "a");
        write_file(path, file.data, file.length);
        assert_int_equal(qn_tokenizer_load(path, &t), QN_BAD_DATA);
        qn__str_free(&file);
    }
    unlink(path);
}

static void put_key(qn_str *file, const char *key, uint32_t type)
{
    uint64_t length = strlen(key);
    qn__str_add_bytes(file, &length, 8);
    qn__str_add_bytes(file, key, length);
    qn__str_add_bytes(file, &type, 4);
}

static void put_string(qn_str *file, const char *text)
{
    uint64_t length = strlen(text);
    qn__str_add_bytes(file, &length, 8);
    qn__str_add_bytes(file, text, length);
}

static void put_array(qn_str *file, const char *key, uint32_t element, uint64_t count)
{
    put_key(file, key, 9);
    qn__str_add_bytes(file, &element, 4);
    qn__str_add_bytes(file, &count, 8);
}

/* A GGUF file of no tensors and a tokenizer of 8 tokens. */
static qn_str make_gguf(bool pieces)
{
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<0x61>", "t", "h", "th", "ht"};
    static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1, 4};
    static const float scores[] = {0, 0, 0, 0, -1, -2, -3, -4};
    qn_str file = {0};
    uint32_t version = 3, bos = 1;
    uint64_t counts[] = {0, pieces ? 5 : 6};
    qn__str_add_bytes(&file, "GGUF", 4);
    qn__str_add_bytes(&file, &version, 4);
    qn__str_add_bytes(&file, counts, 16);
    put_key(&file, "tokenizer.ggml.model", 8);
    put_string(&file, pieces ? "llama" : "gpt2");
    put_array(&file, "tokenizer.ggml.tokens", 8, 8);
    for (size_t i = 0; i < 8; i++) put_string(&file, tokens[i]);
    put_array(&file, "tokenizer.ggml.token_type", 5, 8);
    qn__str_add_bytes(&file, types, sizeof types);
    put_key(&file, "tokenizer.ggml.bos_token_id", 4);
    qn__str_add_bytes(&file, &bos, 4);
    if (pieces) {
        put_array(&file, "tokenizer.ggml.scores", 6, 8);
        qn__str_add_bytes(&file, scores, sizeof scores);
    } else {
        put_key(&file, "tokenizer.ggml.pre", 8);
        put_string(&file, "gpt-2");
        put_array(&file, "tokenizer.ggml.merges", 8, 1);
        put_string(&file, "t h");
    }
    return file;
}

static void test_gguf(void **state)
{
    (void)state;
    for (int pieces = 0; pieces < 2; pieces++) {
        qn_str file = make_gguf(pieces);
        cut_and_flip(pieces ? "pieces.gguf" : "bpe.gguf", file.data, file.length, false);
        qn__str_free(&file);
    }
}

static void saved_file(const char *name, qn_tokenizer *t)
{
    char path[4096], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s", scratch_path("good.json"));
    ASSERT_OK(qn_tokenizer_save(t, path));
    qn_tokenizer_destroy(&t);
    ASSERT_OK(qn__file_read(path, &text, &bytes));
    unlink(path);
    cut_and_flip(name, text, bytes, false);
    free(text);
}

static void test_json_chars(void **state)
{
    static const char text[] = "abc \n\xC3\xA9";
    qn_tokenizer *t = NULL;
    (void)state;
    ASSERT_OK(qn_tokenizer_create_chars(text, strlen(text), &t));
    saved_file("chars.json", t);
}

static const char BPE[] =
    "{\"added_tokens\":[{\"id\":5,\"content\":\"<s>\",\"special\":true,\"lstrip\":true},"
    "{\"id\":6,\"content\":\"  \",\"special\":false,\"rstrip\":true}],"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
    "{\"Regex\":\"[0-9]\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
    "\"add_prefix_space\":false,\"use_regex\":true}]},\"post_processor\":null,"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"t\",\"vocab\":{\"t\":0,\"h\":1,\"th\":2,"
    "\"\\u0120\":3,\"\\u0120th\":4},\"merges\":[\"t h\",[\"\\u0120\",\"th\"]]}}";

static void test_json_bpe(void **state)
{
    (void)state;
    cut_and_flip("bpe.json", BPE, sizeof BPE - 1, false);
}

static void test_json_pieces(void **state)
{
    static const char text[] =
        "{\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true}],\"normalizer\":"
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
        "{\"id\":\"<s>\",\"type_id\":0}}]},\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\","
        "\"byte_fallback\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"<0x0A>\":2,\"\\u2581\":3,"
        "\"t\":4,\"\\u2581t\":5},\"merges\":[\"\\u2581 t\"]}}";
    (void)state;
    cut_and_flip("pieces.json", text, sizeof text - 1, false);
}

#define MODEL(vocab, merges)                                                                       \
    "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":" vocab           \
    ",\"merges\":" merges "}}"

static void test_json_by_hand(void **state)
{
    static const struct {
        const char *text;
        qn_status status;
    } cases[] = {
        {"{}", QN_BAD_DATA},
        {"{\"model\":3}", QN_BAD_DATA},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", QN_UNSUPPORTED},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", QN_BAD_DATA},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", QN_UNSUPPORTED},
        {MODEL("{\"a\":0}", "[]"), QN_OK},
        {MODEL("{\"a\":0,\"b\":0}", "[]"), QN_BAD_DATA},
        {MODEL("{\"a\":-1}", "[]"), QN_BAD_DATA},
        {MODEL("{\"a\":1.5}", "[]"), QN_BAD_DATA},
        {MODEL("{\"a\":2147483647}", "[]"), QN_BAD_DATA},
        {MODEL("{\"a\":9223372036854775807}", "[]"), QN_BAD_DATA},
        {MODEL("{\"a\":\"0\"}", "[]"), QN_BAD_DATA},
        {MODEL("[]", "[]"), QN_BAD_DATA},
        {MODEL("{}", "[]"), QN_BAD_DATA},
        {MODEL("{\"a\":0}", "{}"), QN_BAD_DATA},
        {MODEL("{\"a\":0}", "[\"aa\"]"), QN_BAD_DATA},
        {MODEL("{\"a\":0}", "[\"\"]"), QN_BAD_DATA},
        {MODEL("{\"a\":0}", "[[\"a\"]]"), QN_BAD_DATA},
        {MODEL("{\"a\":0}", "[[\"a\",\"a\",\"a\"]]"), QN_BAD_DATA},
        {MODEL("{\"a\":0}", "[[1,2]]"), QN_BAD_DATA},
        {MODEL("{\"a\":0}", "[7]"), QN_BAD_DATA},
        {MODEL("{\"a\":0}", "[\"a a\"]"), QN_OK}, /* names no token: left out */
    };
    const char *path = scratch_path("hand.json");
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qn_tokenizer *t = NULL;
        write_file(path, cases[i].text, strlen(cases[i].text));
        qn_status status = qn_tokenizer_load(path, &t);
        if (status != cases[i].status)
            fail_msg("%s gives %s: %s", cases[i].text, qn_status_name(status), qn_last_error());
        qn_tokenizer_destroy(&t);
    }
    unlink(path);
}

/* Patterns that would run for ever, recurse, or look at half characters. */
static void test_patterns(void **state)
{
    static const char *const patterns[] = {"(a+)+b", "(?R)?a", "\\\\C", "(", "x*", "(?=a)", "\\\\K",
                                           "(?:a|a)*b", "a\\\\Kb", "(?<=a)", "[^x]*?$"};
    const char *path = scratch_path("pattern.json");
    size_t bytes = 5000, count;
    char *text = malloc(bytes);
    (void)state;
    assert_non_null(text);
    memset(text, 'a', bytes);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        qn_str file = {0};
        qn_tokenizer *t = NULL;
        int32_t *ids;
        qn__str_add(&file, "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
                    "\"Split\",\"pattern\":{\"Regex\":\"%s\"},\"behavior\":\"Isolated\"},{\"type\":"
                    "\"ByteLevel\"}]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,"
                    "\"\\u0120\":1},\"merges\":[]}}", patterns[i]);
        write_file(path, file.data, file.length);
        qn__str_free(&file);
        if (qn_tokenizer_load(path, &t) != QN_OK) continue;
        qn_status status = qn_tokenizer_encode(t, text, bytes, 0, &ids, &count);
        assert_true(status == QN_OK || status == QN_BAD_DATA);
        if (status == QN_OK) assert_int_equal(count, bytes + 1);
        free(ids);
        qn_tokenizer_destroy(&t);
    }
    unlink(path);
    free(text);
}

static void test_no_file(void **state)
{
    qn_tokenizer *t = NULL;
    (void)state;
    assert_int_equal(qn_tokenizer_load("/nowhere/at/all", &t), QN_OS_ERROR);
    assert_int_equal(qn_tokenizer_load("/tmp", &t), QN_OS_ERROR);
    assert_int_equal(qn_tokenizer_load(NULL, &t), QN_BAD_ARGUMENT);
    ASSERT_OK(qn_tokenizer_create_bytes(&t));
    assert_int_equal(qn_tokenizer_save(t, "/nowhere/at/all"), QN_CANNOT_WRITE);
    qn_tokenizer_destroy(&t);
    qn_tokenizer_destroy(&t);
    qn_tokenizer_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama2c),     cmocka_unit_test(test_llama2c_by_hand),
        cmocka_unit_test(test_json_chars),  cmocka_unit_test(test_json_bpe),
        cmocka_unit_test(test_json_pieces), cmocka_unit_test(test_json_by_hand),
        cmocka_unit_test(test_patterns),    cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests_name("text hostile", tests, NULL, NULL);
}
