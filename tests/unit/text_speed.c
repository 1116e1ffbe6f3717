/* How long 1 MB of text takes; a bound loose enough for a slow, busy machine. */
#include "text_common.h"

#include "base/json.h"

enum { LIMIT_MS = 20000 };

static void time_encoding(const char *name, const qn_tokenizer *t, const char *text, size_t bytes)
{
    int32_t *ids;
    char *again;
    size_t count, again_bytes;
    double start = now_ms();
    ASSERT_OK(qn_tokenizer_encode(t, text, bytes, 0, &ids, &count));
    double encoded = now_ms();
    ASSERT_OK(qn_tokenizer_decode(t, ids, count, &again, &again_bytes));
    double decoded = now_ms();
    print_message("%-22s %7zu tokens, %5.2f bytes a token, encode %6.1f ms, decode %5.1f ms\n",
                  name, count, (double)bytes / (double)count, encoded - start, decoded - encoded);
    assert_int_equal(again_bytes, bytes);
    assert_memory_equal(again, text, bytes);
    assert_true(decoded - start < LIMIT_MS);
    free(ids);
    free(again);
}

static void time_file(const char *name, const char *text, size_t bytes)
{
    qn_tokenizer *t = NULL;
    double start = now_ms();
    ASSERT_OK(qn_tokenizer_load(data_path(name), &t));
    print_message("%-22s loaded in %.1f ms\n", name, now_ms() - start);
    time_encoding(name, t, text, bytes);
    qn_tokenizer_destroy(&t);
}

static void test_natural(void **state)
{
    size_t bytes;
    char *text = data_read("tinyshakespeare.txt", &bytes);
    qn_tokenizer *t = NULL;
    (void)state;
    ASSERT_OK(qn_tokenizer_create_chars(text, bytes, &t));
    time_encoding("chars", t, text, bytes);
    qn_tokenizer_destroy(&t);
    ASSERT_OK(qn_tokenizer_create_bytes(&t));
    time_encoding("bytes", t, text, bytes);
    qn_tokenizer_destroy(&t);
    double start = now_ms();
    ASSERT_OK(qn_tokenizer_train_bpe(text, bytes, 4096, NULL, NULL, &t));
    print_message("%-22s trained in %.1f ms\n", "bpe 4096", now_ms() - start);
    time_encoding("bpe 4096", t, text, bytes);
    qn_tokenizer_destroy(&t);
    time_file("ggml-vocab-gpt-2.gguf", text, bytes);
    time_file("ggml-vocab-llama-spm.gguf", text, bytes);
    time_file("tok512.bin", text, bytes);
    free(text);
}

/* Words of the text itself, and of letters, as BERT's vocabularies have them. */
static void test_words(void **state)
{
    size_t bytes, count, from = 0, words = 0;
    char path[4096], *text = data_read("tinyshakespeare.txt", &bytes);
    json_t *vocab = json_object();
    (void)state;
    json_object_set_new(vocab, "[UNK]", json_integer(0));
    for (char c = '!'; c <= '~'; c++) {
        char piece[4] = {'#', '#', c, 0};
        if (c >= 'A' && c <= 'Z') continue;
        json_object_set_new(vocab, piece + 2, json_integer((json_int_t)json_object_size(vocab)));
        json_object_set_new(vocab, piece, json_integer((json_int_t)json_object_size(vocab)));
    }
    for (size_t i = 0; i < bytes && words < 20000; i++) {
        bool letter = text[i] >= 'a' && text[i] <= 'z';
        if (letter) continue;
        char word[64] = {0};
        if (i - from > 1 && i - from < sizeof word) {
            memcpy(word, text + from, i - from);
            words++;
            if (!json_object_get(vocab, word))
                json_object_set_new(vocab, word,
                                    json_integer((json_int_t)json_object_size(vocab)));
        }
        from = i + 1;
    }
    json_t *root = json_pack("{s:{s:s}, s:{s:s}, s:{s:s, s:s, s:o}}", "normalizer", "type",
                             "BertNormalizer", "pre_tokenizer", "type", "BertPreTokenizer", "model",
                             "type", "WordPiece", "unk_token", "[UNK]", "vocab", vocab);
    snprintf(path, sizeof path, "%s", scratch_path("words.json"));
    ASSERT_OK(qn__json_save(path, root));
    json_decref(root);
    qn_tokenizer *t = NULL;
    ASSERT_OK(qn_tokenizer_load(path, &t));
    unlink(path);
    for (int shape = 0; shape < 2; shape++) { /* as it is, and in words of 100 letters */
        int32_t *ids;
        for (size_t i = 0; shape == 1 && i < bytes; i++)
            text[i] = i % 101 == 100 ? ' ' : (char)('a' + (i * i) % 26);
        double start = now_ms();
        ASSERT_OK(qn_tokenizer_encode(t, text, bytes, 0, &ids, &count));
        double took = now_ms() - start;
        print_message("wordpiece              %7zu tokens, %5.2f bytes a token, encode %6.1f ms\n",
                      count, (double)bytes / (double)count, took);
        assert_true(took < LIMIT_MS);
        free(ids);
    }
    qn_tokenizer_destroy(&t);
    free(text);
}

/* Texts without spaces, or of nothing else: where quadratic time would show. */
static void test_unnatural(void **state)
{
    static const char *const files[] = {"ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf",
                                        "tok512.bin"};
    static const char *const repeated[] = {" ", "a", "\n", "ab", "<", "\xF0\x9F\x98\x81", "\xFF"};
    const size_t bytes = 1 << 20;
    char *text = malloc(bytes);
    (void)state;
    assert_non_null(text);
    for (size_t f = 0; f < 3; f++) {
        qn_tokenizer *t = NULL;
        ASSERT_OK(qn_tokenizer_load(data_path(files[f]), &t));
        for (size_t r = 0; r < sizeof repeated / sizeof repeated[0]; r++) {
            char name[64];
            size_t length = strlen(repeated[r]);
            for (size_t i = 0; i < bytes; i++) text[i] = repeated[r][i % length];
            snprintf(name, sizeof name, "%.4s of %02x", files[f], (unsigned)(uint8_t)*repeated[r]);
            time_encoding(name, t, text, bytes);
        }
        qn_tokenizer_destroy(&t);
    }
    free(text);
}

/* Training on one word of 1 MB, and on 5 MB of different words. */
static void test_training(void **state)
{
    const size_t bytes = 5 << 20;
    char *text = malloc(bytes);
    qn_rng rng = {1, 11, 0};
    qn_tokenizer *t = NULL;
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < bytes; i++) {
        uint64_t letter = qn__rng_below(&rng, 30);
        text[i] = letter < 5 ? ' ' : (char)('a' + (letter * letter) % 26);
    }
    double start = now_ms();
    ASSERT_OK(qn_tokenizer_train_bpe(text, bytes, 4096, NULL, NULL, &t));
    print_message("5 MB of random words: trained in %.1f ms\n", now_ms() - start);
    assert_true(now_ms() - start < 3 * LIMIT_MS);
    qn_tokenizer_destroy(&t);
    for (size_t i = 0; i < 1 << 20; i++) text[i] = "acgt"[qn__rng_below(&rng, 4)];
    start = now_ms();
    ASSERT_OK(qn_tokenizer_train_bpe(text, 1 << 20, 1024, NULL, NULL, &t));
    print_message("1 MB without spaces: trained in %.1f ms\n", now_ms() - start);
    assert_true(now_ms() - start < 3 * LIMIT_MS);
    qn_tokenizer_destroy(&t);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_natural),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_unnatural),
        cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests_name("text speed", tests, NULL, NULL);
}
