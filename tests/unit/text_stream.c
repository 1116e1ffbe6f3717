/* llama2.c's tokenizer, and decoding token by token. */
#include "text_common.h"

static void load_known(int32_t **ids, size_t *count, char **text, size_t *bytes)
{
    size_t id_bytes;
    *ids = (int32_t *)(void *)data_read("stories260K_tokens_i32.bin", &id_bytes);
    *count = id_bytes / sizeof **ids;
    *text = data_read("stories260K_greedy200.txt", bytes);
}

static void test_tok512(void **state)
{
    qn_tokenizer *t = NULL;
    int32_t *known, *ids;
    size_t known_count, count, known_bytes, bytes;
    char *known_text, *text;
    (void)state;
    ASSERT_OK(qn_tokenizer_load(data_path("tok512.bin"), &t));
    load_known(&known, &known_count, &known_text, &known_bytes);
    assert_int_equal(qn_tokenizer_vocab_size(t), 512);
    assert_int_equal(qn_tokenizer_bos(t), 1);
    assert_int_equal(qn_tokenizer_eos(t), 2);
    assert_true(qn_tokenizer_wants_bos(t));
    ASSERT_OK(qn_tokenizer_decode(t, known, known_count, &text, &bytes));
    assert_int_equal(known_count, 201);
    assert_int_equal(bytes, known_bytes);
    assert_memory_equal(text, known_text, bytes);
    free(text);
    ASSERT_OK(qn_tokenizer_encode(t, known_text, known_bytes, QN_ENCODE_BOS, &ids, &count));
    assert_int_equal(count, known_count);
    assert_memory_equal(ids, known, count * sizeof *ids);
    free(ids);
    ASSERT_OK(qn_tokenizer_encode(t, "", 0, QN_ENCODE_BOS, &ids, &count));
    assert_int_equal(count, 1);
    free(ids);
    free(known);
    free(known_text);
    qn_tokenizer_destroy(&t);
}

static void test_tok512_random(void **state)
{
    qn_tokenizer *t = NULL;
    qn_rng rng = {1, 9, 0};
    char text[300];
    (void)state;
    ASSERT_OK(qn_tokenizer_load(data_path("tok512.bin"), &t));
    for (int i = 0; i < 500; i++) {
        size_t bytes = qn__rng_below(&rng, sizeof text);
        random_text(&rng, text, bytes);
        assert_round_trip(t, text, bytes);
    }
    qn_tokenizer_destroy(&t);
}

/* Push all ids; each piece must be whole characters. Returns how much came out. */
static size_t stream(const qn_tokenizer *t, const int32_t *ids, size_t count, char *out)
{
    qn_decoder *decoder = NULL;
    const char *text;
    size_t bytes, length = 0;
    ASSERT_OK(qn_decoder_create(t, true, &decoder));
    for (size_t i = 0; i <= count; i++) {
        if (i < count) ASSERT_OK(qn_decoder_push(decoder, ids[i], &text, &bytes));
        else ASSERT_OK(qn_decoder_finish(decoder, &text, &bytes));
        assert_int_equal(text[bytes], 0);
        if (bytes) assert_int_not_equal(text[0] & 0xC0, 0x80);
        memcpy(out + length, text, bytes);
        length += bytes;
    }
    qn_decoder_destroy(&decoder);
    assert_null(decoder);
    return length;
}

static void test_stream_story(void **state)
{
    qn_tokenizer *t = NULL;
    int32_t *known;
    size_t count, bytes;
    char *text, out[2048];
    (void)state;
    ASSERT_OK(qn_tokenizer_load(data_path("tok512.bin"), &t));
    load_known(&known, &count, &text, &bytes);
    assert_int_equal(stream(t, known, count, out), bytes);
    assert_memory_equal(out, text, bytes);
    free(known);
    free(text);
    qn_tokenizer_destroy(&t);
}

/* Bytes one at a time: characters come out whole, what is not UTF-8 as U+FFFD, one for each part of
 * a character (Unicode 15, table 3-8). */
static void test_stream_bytes(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x81z", "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x81z"},
        {"\xE2\x82", "\xEF\xBF\xBD"},
        {"\xE2\x82x", "\xEF\xBF\xBDx"},
        {"\xFFx\x80", "\xEF\xBF\xBDx\xEF\xBF\xBD"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF1\x80\x80\xE1\x80\xC2"
         "b",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
         "b"},
    };
    qn_tokenizer *t = NULL;
    (void)state;
    ASSERT_OK(qn_tokenizer_create_bytes(&t));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t ids[32];
        char out[256];
        size_t count = strlen(cases[i].in);
        for (size_t k = 0; k < count; k++) ids[k] = (uint8_t)cases[i].in[k];
        size_t length = stream(t, ids, count, out);
        assert_int_equal(length, strlen(cases[i].out));
        assert_memory_equal(out, cases[i].out, length);
    }
    qn_tokenizer_destroy(&t);
}

/* SentencePiece's own tokens: characters that are in no piece come as <0xNN> tokens, one a byte,
 * and the space before the text goes, once. */
static void test_stream_pieces(void **state)
{
    static const char *const texts[] = {"hello",
                                        " hello",
                                        "  two",
                                        "\xF0\x9F\x98\x81\xF0\x9F\xA6\x99 x",
                                        "a\n\n\tb",
                                        "\xE2\x96\x81",
                                        "\xE1\x9E\x94\xE1\x9F\x92 \xC2\xA0"};
    qn_tokenizer *t = NULL;
    (void)state;
    ASSERT_OK(qn_tokenizer_load(data_path("ggml-vocab-llama-spm.gguf"), &t));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int32_t *ids;
        size_t count, bytes;
        char out[256], *whole;
        ASSERT_OK(qn_tokenizer_encode(t, texts[i], strlen(texts[i]), QN_ENCODE_BOS, &ids, &count));
        ASSERT_OK(qn_tokenizer_decode(t, ids, count, &whole, &bytes));
        assert_int_equal(stream(t, ids, count, out), bytes);
        assert_memory_equal(out, whole, bytes);
        if (i != 5) assert_string_equal(whole, texts[i]); /* U+2581 is a space to this vocabulary */
        free(whole);
        free(ids);
    }
    qn_tokenizer_destroy(&t);
}

static void test_wrong_ids(void **state)
{
    qn_tokenizer *t = NULL;
    qn_decoder *decoder = NULL;
    const int32_t wrong[] = {-1, 257, INT32_MAX, INT32_MIN};
    char *text;
    const char *part;
    size_t bytes;
    (void)state;
    ASSERT_OK(qn_tokenizer_create_bytes(&t));
    ASSERT_OK(qn_decoder_create(t, false, &decoder));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(qn_tokenizer_decode(t, &wrong[i], 1, &text, &bytes), QN_BAD_ARGUMENT);
        assert_int_equal(qn_decoder_push(decoder, wrong[i], &part, &bytes), QN_BAD_ARGUMENT);
        assert_null(qn_tokenizer_token_bytes(t, wrong[i], &bytes));
        assert_false(qn_tokenizer_is_end(t, wrong[i]));
    }
    qn_decoder_destroy(&decoder);
    qn_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tok512),       cmocka_unit_test(test_tok512_random),
        cmocka_unit_test(test_stream_story), cmocka_unit_test(test_stream_bytes),
        cmocka_unit_test(test_wrong_ids),    cmocka_unit_test(test_stream_pieces),
    };
    return cmocka_run_group_tests_name("text streams", tests, NULL, NULL);
}
