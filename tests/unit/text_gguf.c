/* Tokenizers in GGUF that lie: arrays of another type or length, byte tokens that are none, ids
 * outside the vocabulary. Each is refused with the file's name; what is left out has a default. */
#include "file_support.h"

#include "file/gguf_write.h"

#include <math.h>
#include <quernel/text.h>

enum { TOKENS = 6, NONE = -1 };

typedef struct lie {
    const char *model;                /* "llama" where NULL */
    const char *byte;                 /* the text of the byte token; "<0x61>" where NULL */
    int tokens;                       /* how many, TOKENS where 0, NONE: no such array */
    int scores, types;                /* the same */
    qn_gguf_type types_as, tokens_as; /* element types; 0: as they should be */
    bool bytes;                       /* scores are an array of bytes */
    const float *score;               /* of token 4 */
    int type;                         /* of token 4, where not 0 */
    const char *key;                  /* an id, tokenizer.ggml.<key>_token_id */
    int64_t id;
    const char *merge;
} lie;

static void put_tokens(qn_gguf_writer *w, const lie *l)
{
    static const char *const words[] = {"<unk>", "<s>", "</s>", "<0x61>", "t", "h"};
    int count = l->tokens ? l->tokens : TOKENS;
    if (count == NONE) return;
    if (l->tokens_as) {
        const int32_t zeros[TOKENS] = {0};
        assert_ok(qn__gguf_writer_array(w, "tokenizer.ggml.tokens", l->tokens_as, zeros, 1));
        return;
    }
    assert_ok(qn__gguf_writer_strings(w, "tokenizer.ggml.tokens", (uint64_t)count));
    for (int i = 0; i < count; i++) {
        const char *word = i == 3 && l->byte ? l->byte : words[i % TOKENS];
        assert_ok(qn__gguf_writer_element(w, word, strlen(word)));
    }
}

static void put_numbers(qn_gguf_writer *w, const lie *l)
{
    float scores[16] = {0, 0, 0, 0, -1, -2};
    int32_t types[16] = {2, 3, 3, 6, 1, 1};
    int score_count = l->scores ? l->scores : TOKENS, type_count = l->types ? l->types : TOKENS;
    if (l->score) scores[4] = *l->score;
    if (l->type) types[4] = l->type;
    if (score_count != NONE)
        assert_ok(qn__gguf_writer_array(w, "tokenizer.ggml.scores",
                                        l->bytes ? QN_GGUF_U8 : QN_GGUF_F32, scores,
                                        (uint64_t)score_count));
    if (type_count != NONE)
        assert_ok(qn__gguf_writer_array(w, "tokenizer.ggml.token_type",
                                        l->types_as ? l->types_as : QN_GGUF_I32, types,
                                        (uint64_t)type_count));
}

static qn_status load(const lie *l, qn_tokenizer **tokenizer)
{
    char *folder = folder_make(), key[64];
    const char *path = path_in(folder, "made.gguf");
    qn_gguf_writer *w;
    assert_ok(qn__gguf_writer_create(path, 0, &w));
    assert_ok(qn__gguf_writer_text(w, "tokenizer.ggml.model", l->model ? l->model : "llama"));
    assert_ok(qn__gguf_writer_text(w, "tokenizer.ggml.pre", "gpt-2"));
    put_tokens(w, l);
    put_numbers(w, l);
    if (l->merge) {
        assert_ok(qn__gguf_writer_strings(w, "tokenizer.ggml.merges", 1));
        assert_ok(qn__gguf_writer_element(w, l->merge, strlen(l->merge)));
    }
    if (l->key) {
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", l->key);
        const qn_gguf_value value = {.key = key,
                                     .key_bytes = (uint32_t)strlen(key),
                                     .type = QN_GGUF_I64,
                                     .element = QN_GGUF_I64,
                                     .count = 1,
                                     .data = (const void *)&l->id};
        assert_ok(qn__gguf_writer_copy(w, &value));
    }
    assert_ok(qn__gguf_writer_finish(&w));
    qn_status status = qn_tokenizer_load(path, tokenizer);
    folder_drop(folder);
    return status;
}

static void lies(void **state)
{
    (void)state;
    const float nan_score = NAN, inf_score = INFINITY;
    const struct {
        lie lie;
        const char *part;
    } cases[] = {
        {{.model = "rwkv"}, "rwkv"},
        {{.model = ""}, "model"},
        {{.tokens = NONE}, "\"tokenizer.ggml.tokens\" is missing"},
        {{.tokens_as = QN_GGUF_I32}, "an array of i32, not an array of string"},
        {{.bytes = true}, "an array of u8, not an array of f32"}, /* a cast reads 4 times too far */
        {{.types_as = QN_GGUF_I8}, "an array of i8, not an array of i32"},
        {{.types_as = QN_GGUF_U32}, "an array of u32, not an array of i32"},
        {{.scores = NONE}, "\"tokenizer.ggml.scores\" is missing"},
        {{.scores = 5}, "6 tokens, 5 scores, 6 types"},
        {{.scores = 7}, "6 tokens, 7 scores, 6 types"},
        {{.types = 5}, "6 tokens, 6 scores, 5 types"},
        {{.types = 7}, "6 tokens, 6 scores, 7 types"},
        {{.tokens = 7}, "7 tokens, 6 scores, 6 types"},
        {{.byte = "<0x-1>"}, "byte token 3 is not <0xNN>"},
        {{.byte = "<0xZZ>"}, "byte token 3 is not <0xNN>"},
        {{.byte = "<0x1>"}, "byte token 3 is not <0xNN>"},
        {{.byte = "<0x100>"}, "byte token 3 is not <0xNN>"},
        {{.byte = "<0x 1>"}, "byte token 3 is not <0xNN>"},
        {{.byte = "a"}, "byte token 3 is not <0xNN>"},
        {{.byte = ""}, "byte token 3 is not <0xNN>"},
        {{.type = 7}, "token 4 has type 7"},
        {{.type = -1}, "token 4 has type -1"},
        {{.type = INT32_MAX}, "token 4 has type 2147483647"},
        {{.score = &nan_score}, "score"},
        {{.score = &inf_score}, "score"},
        {{.key = "bos", .id = TOKENS}, "is 6, outside [-1, 5]"},
        {{.key = "eos", .id = -2}, "is -2, outside [-1, 5]"},
        {{.key = "unknown", .id = INT64_MAX}, "outside [-1, 5]"},
        {{.key = "bos", .id = INT64_MIN}, "outside [-1, 5]"},
        {{.model = "gpt2"}, "\"tokenizer.ggml.merges\" is missing"},
        {{.model = "gpt2", .merge = ""}, "merge 0 has no space"},
        {{.model = "gpt2", .merge = "th"}, "merge 0 has no space"},
        {{.model = "gpt2", .merge = " "}, "merge 0 has no space"},
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qn_tokenizer *t = NULL;
        qn_status status = load(&cases[i].lie, &t);
        assert_null(t);
        const char *said = status == QN_OK ? "" : qn_last_error();
        if ((status != QN_BAD_DATA && status != QN_UNSUPPORTED) || !strstr(said, cases[i].part))
            wrong++, print_error("case %zu: %s (%s), without \"%s\"\n", i, qn_status_name(status),
                                 said, cases[i].part);
    }
    assert_int_equal(wrong, 0);
}

static void truths(void **state)
{
    (void)state;
    static const lie good[] = {{0},
                               {.types = NONE, .byte = "x"},
                               {.key = "bos", .id = -1},
                               {.model = "gpt2", .merge = "t h"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        qn_tokenizer *t = NULL;
        assert_ok(load(&good[i], &t));
        assert_int_equal(qn_tokenizer_vocab_size(t), TOKENS);
        qn_tokenizer_destroy(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies), cmocka_unit_test(truths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
