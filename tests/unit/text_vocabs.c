/* Real vocabularies against the ids their own tools give. */
#include "text_common.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_llama_spm),
    };
    return cmocka_run_group_tests_name("text vocabularies", tests, NULL, NULL);
}
