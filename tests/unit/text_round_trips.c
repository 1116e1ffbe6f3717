/* Each kind of tokenizer: text to ids to text, and saved and loaded it is still the same. */
#include "text_common.h"

enum { TEXTS = 300, LONGEST = 400 };
static const char SEEDED[] = "seed 1 of stream 7";

/* The same vocabulary and the same ids for random texts. */
static void assert_same(const qn_tokenizer *a, const qn_tokenizer *b, const char *alphabet)
{
    char text[LONGEST];
    qn_rng rng = {1, 7, 0};
    assert_int_equal(qn_tokenizer_get_kind(a), qn_tokenizer_get_kind(b));
    assert_int_equal(qn_tokenizer_vocab_size(a), qn_tokenizer_vocab_size(b));
    assert_int_equal(qn_tokenizer_bos(a), qn_tokenizer_bos(b));
    assert_int_equal(qn_tokenizer_eos(a), qn_tokenizer_eos(b));
    assert_int_equal(qn_tokenizer_wants_bos(a), qn_tokenizer_wants_bos(b));
    for (int32_t id = 0; id < qn_tokenizer_vocab_size(a); id++) {
        size_t a_bytes, b_bytes;
        const char *a_text = qn_tokenizer_token_bytes(a, id, &a_bytes);
        const char *b_text = qn_tokenizer_token_bytes(b, id, &b_bytes);
        assert_int_equal(a_bytes, b_bytes);
        assert_memory_equal(a_text, b_text, a_bytes);
        assert_int_equal(qn_tokenizer_is_control(a, id), qn_tokenizer_is_control(b, id));
        assert_int_equal(qn_tokenizer_is_end(a, id), qn_tokenizer_is_end(b, id));
    }
    for (int i = 0; i < TEXTS; i++) {
        int32_t *a_ids, *b_ids;
        size_t bytes = qn__rng_below(&rng, LONGEST), a_count, b_count;
        random_text(&rng, text, bytes);
        for (size_t k = 0; alphabet && k < bytes; k++)
            text[k] = alphabet[(uint8_t)text[k] % strlen(alphabet)];
        ASSERT_OK(qn_tokenizer_encode(a, text, bytes, QN_ENCODE_BOS, &a_ids, &a_count));
        ASSERT_OK(qn_tokenizer_encode(b, text, bytes, QN_ENCODE_BOS, &b_ids, &b_count));
        if (a_count != b_count || (a_count && memcmp(a_ids, b_ids, a_count * sizeof *a_ids)))
            fail_msg("%s: text %d of %zu bytes has other ids after saving", SEEDED, i, bytes);
        free(a_ids);
        free(b_ids);
    }
}

static void check_saved(const qn_tokenizer *t, const char *alphabet)
{
    qn_tokenizer *again = NULL;
    const char *path = scratch_path("tokenizer.json");
    ASSERT_OK(qn_tokenizer_save(t, path));
    ASSERT_OK(qn_tokenizer_load(path, &again));
    unlink(path);
    assert_same(t, again, alphabet);
    qn_tokenizer_destroy(&again);
    assert_null(again);
}

static void check_random_bytes(const qn_tokenizer *t)
{
    char text[LONGEST];
    qn_rng rng = {1, 7, 0};
    assert_round_trip(t, "", 0);
    assert_round_trip(t, "\0", 1);
    assert_round_trip(t, "a\0b\0\0", 5);
    assert_round_trip(t, "<|endoftext|>", 13);
    for (int i = 0; i < TEXTS; i++) {
        size_t bytes = qn__rng_below(&rng, LONGEST);
        random_text(&rng, text, bytes);
        assert_round_trip(t, text, bytes);
    }
}

static void test_chars(void **state)
{
    static const char text[] = "to be, or not \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x81\n";
    qn_tokenizer *t = NULL, *refused = NULL;
    int32_t *ids;
    size_t count;
    (void)state;
    ASSERT_OK(qn_tokenizer_create_chars(text, strlen(text), &t));
    assert_int_equal(qn_tokenizer_get_kind(t), QN_TOKENIZER_CHARS);
    assert_int_equal(qn_tokenizer_vocab_size(t), 12);
    assert_int_equal(qn_tokenizer_bos(t), -1);
    assert_int_equal(qn_tokenizer_eos(t), -1);
    assert_int_equal(qn_tokenizer_find(t, "\n", 1), 0);
    assert_int_equal(qn_tokenizer_find(t, "\xF0\x9F\x98\x81", 4), 11);
    assert_round_trip(t, text, strlen(text));
    check_saved(t, "to be, or not\n");
    assert_int_equal(qn_tokenizer_encode(t, "x", 1, 0, &ids, &count), QN_BAD_ARGUMENT);
    assert_null(ids);
    assert_int_equal(qn_tokenizer_encode(t, "\xFF", 1, 0, &ids, &count), QN_BAD_ARGUMENT);
    qn_tokenizer_destroy(&t);
    assert_int_equal(qn_tokenizer_create_chars("a\0b", 3, &refused), QN_BAD_DATA);
    assert_int_equal(qn_tokenizer_create_chars("a\xFFz", 3, &refused), QN_BAD_DATA);
    assert_int_equal(qn_tokenizer_create_chars("", 0, &refused), QN_BAD_DATA);
    assert_null(refused);
}

static void test_shakespeare_chars(void **state)
{
    size_t bytes, count;
    int32_t *ids;
    char *text = data_read("tinyshakespeare.txt", &bytes);
    qn_tokenizer *t = NULL;
    (void)state;
    ASSERT_OK(qn_tokenizer_create_chars(text, bytes, &t));
    assert_int_equal(qn_tokenizer_vocab_size(t), 65);
    ASSERT_OK(qn_tokenizer_encode(t, "hii there", 9, 0, &ids, &count));
    /* The example every tutorial on this text prints. */
    const int32_t known[] = {46, 47, 47, 1, 58, 46, 43, 56, 43};
    assert_int_equal(count, 9);
    assert_memory_equal(ids, known, sizeof known);
    free(ids);
    assert_round_trip(t, text, bytes);
    qn_tokenizer_destroy(&t);
    free(text);
}

static void test_bytes(void **state)
{
    qn_tokenizer *t = NULL;
    int32_t *ids;
    size_t count;
    (void)state;
    ASSERT_OK(qn_tokenizer_create_bytes(&t));
    assert_int_equal(qn_tokenizer_vocab_size(t), 257);
    assert_int_equal(qn_tokenizer_eos(t), 256);
    assert_true(qn_tokenizer_is_end(t, 256));
    assert_true(qn_tokenizer_is_control(t, 256));
    check_random_bytes(t);
    check_saved(t, NULL);
    ASSERT_OK(qn_tokenizer_encode(t, "a<|endoftext|>b", 15,
                                  QN_ENCODE_BOS | QN_ENCODE_SPECIAL, &ids, &count));
    const int32_t known[] = {256, 'a', 256, 'b'};
    assert_int_equal(count, 4);
    assert_memory_equal(ids, known, sizeof known);
    free(ids);
    ASSERT_OK(qn_tokenizer_encode(t, "a<|endoftext|>b", 15, 0, &ids, &count));
    assert_int_equal(count, 15);
    free(ids);
    qn_tokenizer_destroy(&t);
}

static bool count_calls(void *user, int64_t done, int64_t total)
{
    ++*(int *)user;
    return done <= total;
}

static bool stop_at_once(void *user, int64_t done, int64_t total)
{
    (void)user;
    return done > total;
}

static void test_bpe_by_hand(void **state)
{
    static const char text[] = "aaab aaab aaab<|endoftext|>aaab";
    qn_tokenizer *t = NULL;
    int32_t *ids;
    size_t count, bytes;
    int calls = 0;
    (void)state;
    ASSERT_OK(qn_tokenizer_train_bpe(text, strlen(text), 1000, count_calls, &calls, &t));
    assert_true(calls > 0);
    /* "aa" occurs 8 times, then "ab" 4 times, " " + "aa" 3, ... until no pair occurs twice. */
    assert_memory_equal(qn_tokenizer_token_bytes(t, 256, &bytes), "aa", 2);
    assert_memory_equal(qn_tokenizer_token_bytes(t, 257, &bytes), "ab", 2);
    assert_int_equal(qn_tokenizer_vocab_size(t), 256 + 4 + 1);
    assert_int_equal(qn_tokenizer_eos(t), 260);
    ASSERT_OK(qn_tokenizer_encode(t, "aaab aaab", 9, 0, &ids, &count));
    assert_int_equal(count, 2);
    free(ids);
    qn_tokenizer_destroy(&t);
    assert_int_equal(qn_tokenizer_train_bpe(text, strlen(text), 300, stop_at_once, NULL, &t),
                     QN_INTERRUPTED);
    assert_null(t);
    assert_int_equal(qn_tokenizer_train_bpe(text, strlen(text), 256, NULL, NULL, &t),
                     QN_BAD_ARGUMENT);
    ASSERT_OK(qn_tokenizer_train_bpe(NULL, 0, 257, NULL, NULL, &t));
    check_random_bytes(t);
    qn_tokenizer_destroy(&t);
}

static void test_bpe(void **state)
{
    size_t bytes;
    char *text = data_read("tinyshakespeare.txt", &bytes);
    qn_tokenizer *t = NULL, *twin = NULL;
    (void)state;
    ASSERT_OK(qn_tokenizer_train_bpe(text, bytes, 1024, NULL, NULL, &t));
    assert_int_equal(qn_tokenizer_vocab_size(t), 1024);
    ASSERT_OK(qn_tokenizer_train_bpe(text, bytes, 1024, NULL, NULL, &twin));
    assert_same(t, twin, NULL);
    check_random_bytes(t);
    check_saved(t, NULL);
    assert_round_trip(t, text, bytes);
    qn_tokenizer_destroy(&t);
    qn_tokenizer_destroy(&twin);
    free(text);
}

/* Loaded from GGUF, written as tokenizer.json, loaded again. */
static void test_gguf_to_json(void **state)
{
    static const char *const names[] = {"ggml-vocab-gpt-2.gguf", "llama-2-tiny-random.gguf"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        qn_tokenizer *t = NULL;
        ASSERT_OK(qn_tokenizer_load(data_path(names[i]), &t));
        if (qn_tokenizer_get_kind(t) == QN_TOKENIZER_BPE) check_random_bytes(t);
        if (qn_tokenizer_get_kind(t) == QN_TOKENIZER_BPE) check_saved(t, NULL);
        else check_saved(t, "the quick brown fox jumps over lazy dogs.  ,\n 0123");
        qn_tokenizer_destroy(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chars),       cmocka_unit_test(test_shakespeare_chars),
        cmocka_unit_test(test_bytes),       cmocka_unit_test(test_bpe_by_hand),
        cmocka_unit_test(test_bpe),         cmocka_unit_test(test_gguf_to_json),
    };
    return cmocka_run_group_tests_name("text round trips", tests, NULL, NULL);
}
