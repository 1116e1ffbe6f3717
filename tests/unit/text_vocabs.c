/* Real vocabularies against the ids their own tools give. */
#include "text_common.h"

#include "text/split.h"

static const char SEPARATOR[] = "\n__ggml_vocab_test__\n";

/* One line of ids, against what we encode; returns whether they agree. */
static bool same_ids(const char *line, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *end;
        long id = strtol(line, &end, 10);
        if (end == line || id != ids[i]) return false;
        line = end;
    }
    return line[strspn(line, " ")] == 0;
}

static void check_cases(const char *name)
{
    char file[256];
    size_t in_bytes, out_bytes, passed = 0, cases = 0;
    qn_tokenizer *t = NULL;
    ASSERT_OK(qn_tokenizer_load(data_path(name), &t));
    snprintf(file, sizeof file, "%s.inp", name);
    char *in = data_read(file, &in_bytes);
    snprintf(file, sizeof file, "%s.out", name);
    char *out = data_read(file, &out_bytes), *line = out;
    for (char *at = in, *end; (end = strstr(at, SEPARATOR)); cases++) {
        char *line_end = strchr(line, '\n');
        size_t bytes = (size_t)(end - at), count;
        int32_t *ids;
        assert_non_null(line_end);
        *line_end = 0;
        ASSERT_OK(qn_tokenizer_encode(t, at, bytes, 0, &ids, &count));
        bool same = same_ids(line, ids, count);
        if (!same) print_message("%s: case %zu: \"%.*s\"\n", name, cases, (int)bytes, at);
        passed += same;
        free(ids);
        assert_round_trip(t, at, bytes);
        line = line_end + 1;
        at = end + strlen(SEPARATOR);
    }
    print_message("%s: %zu of %zu cases\n", name, passed, cases);
    assert_int_equal(cases, 46);
    assert_int_equal(passed, cases);
    free(in);
    free(out);
    qn_tokenizer_destroy(&t);
}

static void test_gpt2(void **state)
{
    (void)state;
    check_cases("ggml-vocab-gpt-2.gguf");
}

static void test_llama_spm(void **state)
{
    (void)state;
    check_cases("ggml-vocab-llama-spm.gguf");
}

/* Where each pre-tokenizer cuts one text; "/" marks the cuts. */
static void test_splits(void **state)
{
    static const struct {
        const char *name, *cut;
    } cases[] = {
        {"gpt-2", "I/'m/ 12345/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
        {"llama-bpe", "I/'m/ /123/45/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
        {"qwen2", "I/'m/ /1/2/3/4/5/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
        {"starcoder", "I/'m/ /1/2/3/4/5/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
        {"refact", "I/'m/ /1/2/3/4/5/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
        {"mpt", "I/'m/ 12345/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
        {"falcon", "I/'/m/ /123/45/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
        {"default", "I/'/m/ /123/45/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
        {"deepseek-llm", "I/'/m/ /12345/ \xC3\xA9/t/\xC3\xA9/!!/   /\n/\n/ x"},
        {"deepseek-coder", "I/'/m/ /1/2/3/4/5/ \xC3\xA9t\xC3\xA9/!!/   /\n/\n/ x"},
        {"deepseek-v3", "I/'m/ /123/45/ \xC3\xA9t\xC3\xA9/!!/   \n\n/ x"},
    };
    static const char text[] = "I'm 12345 \xC3\xA9t\xC3\xA9!!   \n\n x";
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qn__splitter splitter = {0};
        qn__ends ends = {0}, spare = {0};
        bool ignores;
        char cut[256];
        size_t to = 0, start = 0;
        const char *name = cases[i].name;
        ASSERT_OK(qn__splitter_add_named(&splitter, "a test", name, strlen(name), &ignores));
        ASSERT_OK(qn__split(&splitter, (const uint8_t *)text, strlen(text), &ends, &spare));
        for (size_t k = 0; k < ends.count; start = ends.data[k++]) {
            if (k) cut[to++] = '/';
            memcpy(cut + to, text + start, ends.data[k] - start);
            to += ends.data[k] - start;
        }
        cut[to] = 0;
        assert_string_equal(cut, cases[i].cut);
        qn__splitter_free(&splitter);
        qn__ends_free(&ends);
        qn__ends_free(&spare);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_llama_spm),
        cmocka_unit_test(test_splits),
    };
    return cmocka_run_group_tests_name("text vocabularies", tests, NULL, NULL);
}
