/* Multiple-choice questions: llm.c's file written here by hand, damaged in every field and at every
 * byte, written again; and lines of JSON. */
#include "file_support.h"

#include "file/choices.h"

#include <quernel/text.h>

enum { HEADER = 1024, MAGIC = 20240522 };

static void put_u16(bytes *to, unsigned value)
{
    uint16_t word = (uint16_t)value;
    put(to, &word, sizeof word);
}

static void put_header(bytes *to, int32_t questions, int32_t longest)
{
    put_u32(to, MAGIC);
    put_u32(to, 1);
    put_u32(to, (uint32_t)questions);
    put_u32(to, (uint32_t)longest);
    put_zeros(to, HEADER - 16);
}

/* Two questions: [7 8 9] -> [1] [2 3]* ; [65534] -> [4 5]* [6] [7 7 7]. */
static bytes two_questions(void)
{
    static const uint16_t words[] = {65535, 28, 0, 1, 2, 3,     7, 8, 9, 1, 1, 2, 2, 3, 65535,
                                     32,    1,  0, 3, 1, 65534, 2, 4, 5, 1, 6, 3, 7, 7, 7};
    bytes file = {0};
    put_header(&file, 2, 34); /* longer than the longest: allowed */
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) put_u16(&file, words[i]);
    return file;
}

static void check_two(const qn_choices *c)
{
    assert_int_equal(qn_choices_count(c), 2);
    assert_int_equal(c->questions[0].label, 1);
    assert_int_equal(c->questions[0].endings, 2);
    assert_int_equal(c->questions[1].label, 0);
    assert_int_equal(c->questions[1].endings, 3);
    static const int32_t tokens[] = {7, 8, 9, 1, 2, 3, 65534, 4, 5, 6, 7, 7, 7};
    static const int32_t counts[] = {3, 1, 2, 1, 2, 1, 3};
    assert_int_equal(c->span_count, 7);
    for (size_t i = 0, at = 0; i < 7; at += (size_t)counts[i++]) {
        assert_int_equal(c->spans[i].count, counts[i]);
        assert_int_equal(c->spans[i].first, at);
    }
    assert_int_equal(c->questions[1].spans, 3);
    assert_int_equal(c->token_count, 13);
    assert_memory_equal(c->tokens, tokens, sizeof tokens);
}

static void test_read_and_write(void **state)
{
    (void)state;
    bytes file = two_questions();
    char *folder = folder_make();
    qn_choices *choices;
    assert_ok(qn__choices_parse(file.data, file.count, "two", &choices));
    check_two(choices);
    assert_ok(qn_choices_save(choices, path_in(folder, "two.bin")));
    qn_choices_destroy(&choices);
    assert_null(choices);
    bytes written = file_bytes(path_in(folder, "two.bin"));
    memcpy(file.data + 12, &(int32_t){32}, 4); /* the longest, exactly */
    assert_int_equal(written.count, file.count);
    assert_memory_equal(written.data, file.data, file.count);
    assert_ok(qn_choices_load(path_in(folder, "two.bin"), NULL, &choices));
    check_two(choices);
    qn_choices_destroy(&choices);
    free(written.data);
    free(file.data);
    folder_drop(folder);
}

static void refuse(const bytes *file, const char *says)
{
    qn_choices *choices;
    uint8_t *copy = malloc(file->count + 1); /* exactly as long: a sanitizer sees a byte beyond */
    uint8_t *exact = file->count ? realloc(copy, file->count) : copy;
    memcpy(exact, file->data, file->count);
    assert_bad(qn__choices_parse(exact, file->count, "evil", &choices), "evil", says);
    assert_null(choices);
    free(exact);
}

static void test_truncated(void **state)
{
    (void)state;
    bytes file = two_questions();
    size_t whole = file.count;
    for (file.count = 0; file.count < whole; file.count++) refuse(&file, "");
    free(file.data);
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        size_t at; /* byte */
        int size;
        uint32_t value;
        const char *says;
    } damage[] = {
        {0, 4, MAGIC + 1, "not an evaluation file"},
        {4, 4, 2, "version 2"},
        {8, 4, 0, "0 questions"},
        {8, 4, 1, "follow the last"},
        {8, 4, 3, "3 questions in"},
        {8, 4, UINT32_MAX, "-1 questions"},
        {8, 4, INT32_MAX, "2147483647 questions"},
        {12, 4, 31, "question 1 has 32 bytes, the longest"},
        {12, 4, UINT32_MAX, "the longest is said to have -1"},
        {HEADER, 2, 65534, "question 0 begins with 65534"},
        {HEADER + 2, 2, 26, "question 0 has 28 bytes, and says 26"},
        {HEADER + 2, 2, 0, "says 0"},
        {HEADER + 4, 2, 1, "says that it is number 1"},
        {HEADER + 6, 2, 2, "number 2 (from 0) of 2"},
        {HEADER + 6, 2, 65535, "number 65535"},
        {HEADER + 8, 2, 1, "of 1"},
        {HEADER + 8, 2, 65, "of 65"},
        {HEADER + 8, 2, 3, ""}, /* the next question is taken for an ending */
        {HEADER + 10, 2, 0, "the context has no token"},
        {HEADER + 10, 2, 65535, "cut short"},
        {HEADER + 12, 2, 65535, "the context has the token 65535"},
        {HEADER + 18, 2, 0, "an ending has no token"},
        {HEADER + 28, 2, 0, "question 1 begins with 0"},
        {HEADER + 32, 2, 0, "question 1 says that it is number 0"},
    };
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        bytes file = two_questions();
        memcpy(file.data + damage[i].at, &damage[i].value, (size_t)damage[i].size);
        refuse(&file, damage[i].says);
        free(file.data);
    }
    bytes longer = two_questions();
    put_zeros(&longer, 1);
    refuse(&longer, "half a token");
    put_zeros(&longer, 1);
    refuse(&longer, "2 bytes follow the last");
    free(longer.data);
}

/* Random damage: refused, or what is offered is sound. */
static void test_random(void **state)
{
    (void)state;
    uint32_t random = 7;
    bytes whole = two_questions();
    size_t refused = 0;
    for (int i = 0; i < 20000; i++) {
        uint8_t copy[2048];
        qn_choices *choices;
        memcpy(copy, whole.data, whole.count);
        for (int k = 0; k < 1 + i % 3; k++) {
            random = random * 1664525u + 1013904223u;
            size_t at = random % 3 ? HEADER + random / 8 % (whole.count - HEADER) : random % 16;
            copy[at] = (uint8_t)(random >> 24);
        }
        if (qn__choices_parse(copy, whole.count, "random", &choices) != QN_OK) {
            refused++;
            continue;
        }
        for (size_t q = 0; q < choices->count; q++) {
            const qn_question *question = &choices->questions[q];
            assert_true(question->label >= 0 && question->label < question->endings);
            for (int e = 0; e <= question->endings; e++) {
                assert_true(question->spans + (size_t)e < choices->span_count);
                const qn_span *span = &choices->spans[question->spans + (size_t)e];
                assert_true(span->count > 0 &&
                            span->first + (size_t)span->count <= choices->token_count);
            }
        }
        qn_choices_destroy(&choices);
    }
    assert_true(refused > 5000 && refused < 20000);
    free(whole.data);
}

static void test_too_large(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "large.bin");
    int32_t *tokens = calloc(40000, sizeof *tokens), one = 1, wide = 65535;
    const struct {
        const int32_t *tokens;
        size_t count;
        bool fits;
    } endings[] = {{tokens, 32767 - 5 - 2 - 2 - 1, true}, /* 65,534 bytes in all */
                   {tokens, 32767 - 5 - 2 - 2, false},
                   {tokens, 40000, false},
                   {&wide, 1, false}};
    for (size_t i = 0; i < 4; i++) {
        qn_choices *choices;
        assert_ok(qn__choices_create(&choices));
        assert_ok(qn__choices_add(choices, 0, 2));
        assert_ok(qn__choices_add_span(choices, &one, 1));
        assert_ok(qn__choices_add_span(choices, endings[i].tokens, endings[i].count));
        assert_ok(qn__choices_add_span(choices, &one, 1));
        qn_status status = qn_choices_save(choices, path);
        assert_int_equal(status, endings[i].fits ? QN_OK : QN_BAD_ARGUMENT);
        qn_choices_destroy(&choices);
        if (!endings[i].fits) continue;
        assert_ok(qn_choices_load(path, NULL, &choices));
        assert_int_equal(choices->spans[1].count, endings[i].count);
        qn_choices_destroy(&choices);
        assert_int_equal(unlink(path), 0);
    }
    free(tokens);
    folder_drop(folder);
}

/* ---- lines of JSON ---- */

static void test_lines(void **state)
{
    (void)state;
    static const char text[] =
        "{\"ctx\": \"Two and \\n\", \"endings\": [\"two\", \" \\tthree\"], \"label\": 1, \"ind\": "
        "3}\n"
        "  \r\n"
        "{\"label\": \"0\", \"endings\": [\"a\", \"b\", \"\\u00e9\"], \"ctx\": \"\"}";
    static const char *const spans[] = {"Two and", " two", " three", NULL, "a", "b", "\xC3\xA9"};
    char *folder = folder_make();
    qn_tokenizer *tokenizer;
    qn_choices *choices;
    assert_ok(qn_tokenizer_create_bytes(&tokenizer));
    file_write(path_in(folder, "q.jsonl"), text, sizeof text - 1);
    assert_ok(qn_choices_load(path_in(folder, "q.jsonl"), tokenizer, &choices));
    assert_int_equal(qn_choices_count(choices), 2);
    assert_int_equal(choices->questions[0].label, 1);
    assert_int_equal(choices->questions[1].endings, 3);
    assert_int_equal(choices->span_count, 7);
    for (size_t i = 0; i < 7; i++) {
        const qn_span *span = &choices->spans[i];
        const int32_t *ids = choices->tokens + span->first;
        assert_int_equal(span->count, spans[i] ? strlen(spans[i]) : 1);
        if (!spans[i]) assert_int_equal(ids[0], 256); /* an empty context: the start of a text */
        for (int32_t k = 0; spans[i] && k < span->count; k++)
            assert_int_equal(ids[k], (uint8_t)spans[i][k]);
    }
    qn_choices_destroy(&choices);
    qn_tokenizer_destroy(&tokenizer);
    folder_drop(folder);
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const char good[] = "{\"ctx\":\"a\",\"endings\":[\"b\",\"c\"],\"label\":0}\n";
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"[]", "not a JSON object"},
        {"{\"ctx\":", "not a JSON object: "},
        {"hello", "not a JSON object: "},
        {"\x16\xDA\x34\x01", "not a JSON object"}, /* like llm.c's number, but another */
        {"{\"ctx\":5,\"endings\":[\"b\",\"c\"],\"label\":0}", "\"ctx\""},
        {"{\"ctx\":\"a\",\"endings\":\"b\",\"label\":0}", "\"endings\""},
        {"{\"ctx\":\"a\",\"endings\":[\"b\",3],\"label\":0}", "\"endings\""},
        {"{\"ctx\":\"a\",\"endings\":[\"b\"],\"label\":0}", "1 endings"},
        {"{\"ctx\":\"a\",\"endings\":[],\"label\":0}", "0 endings"},
        {"{\"ctx\":\"a\",\"endings\":[\"b\",\"  \"],\"label\":0}", "an ending is empty"},
        {"{\"ctx\":\"a\",\"endings\":[\"b\",\"c\"],\"label\":2}", "\"label\" is 2, with 2"},
        {"{\"ctx\":\"a\",\"endings\":[\"b\",\"c\"],\"label\":-1}", "\"label\" is -1"},
        {"{\"ctx\":\"a\",\"endings\":[\"b\",\"c\"],\"label\":\"1x\"}", "\"label\""},
        {"{\"ctx\":\"a\",\"endings\":[\"b\",\"c\"]}", "\"label\""},
        {"{\"ctx\":\"a\",\"ctx\":\"b\",\"endings\":[\"b\",\"c\"],\"label\":0}", "duplicate"},
        {"{\"ctx\":\"\\u0000\",\"endings\":[\"b\",\"c\"],\"label\":0}", "JSON"},
    };
    char *folder = folder_make();
    const char *path = path_in(folder, "q.jsonl");
    qn_tokenizer *tokenizer;
    qn_choices *choices;
    assert_ok(qn_tokenizer_create_bytes(&tokenizer));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bytes text = {0};
        put_text(&text, good);
        put_text(&text, "\n");
        put_text(&text, bad[i].line);
        file_write(path, text.data, text.count);
        assert_bad(qn_choices_load(path, tokenizer, &choices), "q.jsonl, line 3", bad[i].says);
        assert_null(choices);
        free(text.data);
    }
    file_write(path, "\n \n", 3);
    assert_bad(qn_choices_load(path, tokenizer, &choices), "q.jsonl", "no question");
    file_write(path, good, sizeof good - 1);
    assert_int_equal(qn_choices_load(path, NULL, &choices), QN_BAD_ARGUMENT);
    assert_int_equal(qn_choices_load(path_in(folder, "gone"), tokenizer, &choices), QN_OS_ERROR);
    qn_tokenizer_destroy(&tokenizer);
    folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_and_write), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_fields),         cmocka_unit_test(test_random),
        cmocka_unit_test(test_too_large),      cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bad_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
