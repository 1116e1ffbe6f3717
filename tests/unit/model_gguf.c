/* Models in GGUF: what configurations are read from metadata and tensors, in whatever integer type;
 * every lie about a model is refused before anything is allocated on its word. */
#include "file_support.h"

#include "model/network.h"
#include "model/weights.h"

#include <math.h>

enum { VOCAB = 90, EMBED = 48, FFN = 80, HEADS = 6, KV = 2, HEAD = 8, LAYERS = 2 };

typedef struct change {
    const char *key; /* "embedding_length": the key that is put otherwise; NULL: none */
    qn_gguf_type type;
    int64_t value;     /* integers and bools */
    const void *bytes; /* f32, f64: the number; strings: the text */
    const char *extra; /* a tensor more, f32 [4] */
    const char *less;  /* a tensor that is left out */
    qn_ggml_type as;   /* of blk.0.ffn_up.weight, if not 0 (F32) */
} change;

static void put_scalar(qn_gguf_writer *w, const char *arch, const char *ending, qn_gguf_type type,
                       int64_t value, const void *data)
{
    char key[96];
    bool general =
        strchr(ending, '.') && (!strncmp(ending, "general", 7) || !strncmp(ending, "tokenizer", 9));
    snprintf(key, sizeof key, general ? "%.0s%s" : "%s.%s", arch, ending);
    qn_gguf_value one = {.key = key,
                         .key_bytes = (uint32_t)strlen(key),
                         .type = type,
                         .element = type,
                         .count = 1,
                         .data = data ? data : (const void *)&value};
    if (type == QN_GGUF_STRING) assert_ok(qn__gguf_writer_text(w, key, data));
    else assert_ok(qn__gguf_writer_copy(w, &one));
}

static const struct {
    const char *key;
    int64_t value;
} sizes[] = {
    {"context_length", 64},          {"embedding_length", EMBED},
    {"block_count", LAYERS},         {"feed_forward_length", FFN},
    {"attention.head_count", HEADS}, {"attention.head_count_kv", KV},
    {"rope.dimension_count", HEAD},
};

static void put_values(qn_gguf_writer *w, const char *arch, qn_gguf_type integers, const change *c)
{
    const float eps = 1e-5f;
    const char *name = c->key && !strcmp(c->key, "general.architecture") ? c->bytes : arch;
    if (name) assert_ok(qn__gguf_writer_text(w, "general.architecture", name));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (!c->key || strcmp(c->key, sizes[i].key) != 0)
            put_scalar(w, arch, sizes[i].key, integers, sizes[i].value, NULL);
    if (!c->key || strcmp(c->key, "attention.layer_norm_rms_epsilon") != 0)
        put_scalar(w, arch, "attention.layer_norm_rms_epsilon", QN_GGUF_F32, 0, &eps);
    if (c->key && strcmp(c->key, "general.architecture") != 0 && c->type != QN_GGUF_ARRAY)
        put_scalar(w, arch, c->key, c->type, c->value, c->bytes);
    if (c->key && c->type == QN_GGUF_ARRAY) {
        char key[96];
        const int32_t list[] = {HEADS, HEADS};
        snprintf(key, sizeof key, "%s.%s", arch, c->key);
        assert_ok(qn__gguf_writer_array(w, key, QN_GGUF_I32, list, 2));
    }
}

static const struct {
    const char *name;
    int64_t ne[2];
} tensors[] = {
    {"token_embd.weight", {EMBED, VOCAB}},
    {"output_norm.weight", {EMBED}},
    {"blk.%d.attn_norm.weight", {EMBED}},
    {"blk.%d.attn_q.weight", {EMBED, HEADS *HEAD}},
    {"blk.%d.attn_k.weight", {EMBED, KV *HEAD}},
    {"blk.%d.attn_v.weight", {EMBED, KV *HEAD}},
    {"blk.%d.attn_output.weight", {HEADS * HEAD, EMBED}},
    {"blk.%d.ffn_norm.weight", {EMBED}},
    {"blk.%d.ffn_gate.weight", {EMBED, FFN}},
    {"blk.%d.ffn_up.weight", {EMBED, FFN}},
    {"blk.%d.ffn_down.weight", {FFN, EMBED}},
};
enum { TENSORS = sizeof tensors / sizeof tensors[0] };

static void put_tensors(qn_gguf_writer *w, const change *c, bool declare)
{
    static const double zeros[EMBED * VOCAB]; /* of the largest type */
    for (int layer = 0; layer < LAYERS; layer++)
        for (int i = 0; i < TENSORS; i++) {
            char name[64];
            const int64_t *ne = tensors[i].ne;
            int rank = ne[1] ? 2 : 1;
            if (i < 2 && layer > 0) continue;
            snprintf(name, sizeof name, tensors[i].name, layer);
            if (c->less && strcmp(c->less, name) == 0) continue;
            bool other = c->as && strcmp(name, "blk.0.ffn_up.weight") == 0;
            qn_ggml_type type = other ? c->as : QN_GGML_F32;
            const qn_ggml_traits *traits = qn__ggml_traits(type);
            size_t count = (size_t)(ne[0] * (rank == 2 ? ne[1] : 1));
            if (declare) assert_ok(qn__gguf_writer_tensor(w, name, type, rank, ne));
            else
                assert_ok(qn__gguf_writer_add(
                    w, name, zeros, count / (size_t)traits->block * (size_t)traits->bytes));
        }
    if (c->extra && declare)
        assert_ok(qn__gguf_writer_tensor(w, c->extra, QN_GGML_F32, 1, (int64_t[]){4}));
    if (c->extra && !declare) {
        const float fours[] = {1, 1.5f, 2, 4};
        assert_ok(qn__gguf_writer_add(w, c->extra, fours, sizeof fours));
    }
}

static qn_status read_model(const char *path, qn_model_config *config)
{
    qn_model_file file;
    assert_ok(qn__model_file_open(path, &file));
    qn_status status = qn__config_from_file(&file, path, config);
    if (status == QN_OK) {
        qn_weight_source source = qn__weights_of_file(&file, config, path);
        status = qn__weights_check(&source);
    }
    qn__model_file_close(&file);
    return status;
}

static qn_status made(const char *arch, qn_gguf_type integers, const change *c,
                      qn_model_config *config)
{
    char *folder = folder_make();
    const char *path = path_in(folder, "made.gguf");
    qn_gguf_writer *w;
    assert_ok(qn__gguf_writer_create(path, 0, &w));
    put_values(w, arch, integers, c);
    put_tensors(w, c, true);
    put_tensors(w, c, false);
    assert_ok(qn__gguf_writer_finish(&w));
    qn_status status = read_model(path, config);
    folder_drop(folder);
    return status;
}

static void good(void **state)
{
    (void)state;
    qn_model_config c;
    static const qn_gguf_type integers[] = {QN_GGUF_U8,  QN_GGUF_I8,  QN_GGUF_U16, QN_GGUF_I16,
                                            QN_GGUF_U32, QN_GGUF_I32, QN_GGUF_U64, QN_GGUF_I64};
    for (size_t i = 0; i < 8; i++) { /* every integer type is read */
        assert_ok(made("llama", integers[i], &(change){0}, &c));
        assert_true(c.arch == QN_LLAMA && c.vocab == VOCAB && c.embed == EMBED && c.ffn == FFN);
        assert_true(c.heads == HEADS && c.kv_heads == KV && c.layers == LAYERS && c.context == 64);
        assert_true(c.tied && !c.bias && !c.mlp_bias && c.rope_pairs && c.norm_eps == 1e-5f);
        assert_true(c.rope_theta == 10000 && c.rope.scaling == QN_ROPE_PLAIN && c.window == 0);
    }
    const change window = {"attention.sliding_window", QN_GGUF_U32, 5};
    assert_ok(made("llama", QN_GGUF_U32, &window, &c));
    assert_true(c.arch == QN_MISTRAL && c.window == 5); /* the row that has windows */
    const change factors = {.extra = "rope_freqs.weight"};
    assert_ok(made("llama", QN_GGUF_U32, &factors, &c));
    assert_true(c.rope.scaling == QN_ROPE_FACTORS && c.rope.factors[1][3] == 4);
    const change bos = {"tokenizer.ggml.bos_token_id", QN_GGUF_U32, 4000000000};
    assert_ok(made("llama", QN_GGUF_U32, &bos, &c)); /* no such token: none */
    assert_true(c.bos == -1 && c.eos == -1);
    const change blocks = {.as = QN_GGML_F16};
    assert_ok(made("llama", QN_GGUF_U32, &blocks, &c));
}

static void refused(void **state)
{
    (void)state;
    const float nan_eps = NAN, zero = 0;
    const double huge = 1e300;
    const struct {
        change change;
        const char *part;
    } cases[] = {
        {{"general.architecture", QN_GGUF_STRING, 0, "rwkv6"}, "is \"rwkv6\"; gpt2, llama"},
        {{"general.architecture", QN_GGUF_STRING, 0, ""}, "is \"\""},
        {{"general.architecture", QN_GGUF_STRING, 0, NULL}, "\"general.architecture\" is missing"},
        {{"embedding_length", QN_GGUF_U64, -1}, "outside [0, 16777215]"},
        {{"embedding_length", QN_GGUF_U32, 0}, "embed 0 cannot be cut"},
        {{"embedding_length", QN_GGUF_U32, 47}, "cannot be cut into 6 heads"},
        {{"embedding_length", QN_GGUF_U32, 96}, "8 of 16 elements of a head are turned"},
        {{"embedding_length", QN_GGUF_STRING, 0, "48"}, "not an integer"},
        {{"embedding_length", QN_GGUF_F32, 0, &zero}, "not an integer"},
        {{"expert_count", QN_GGUF_U32, 8}, "\"llama.expert_used_count\" is missing"},
        {{"block_count", QN_GGUF_I32, -1}, "outside [0"},
        {{"block_count", QN_GGUF_U32, 0}, "0 layers"},
        {{"block_count", QN_GGUF_U32, 3}, "tensor blk.2.attn_norm.weight is missing"},
        {{"block_count", QN_GGUF_U32, 1}, "tensor blk.1."},
        {{"block_count", QN_GGUF_U32, 1 << 23}, "layers are outside [1, 4096]"},
        {{"feed_forward_length", QN_GGUF_U32, 0}, "ffn 0"},
        {{"feed_forward_length", QN_GGUF_U32, 81}, "does not fit the configuration"},
        {{"feed_forward_length", QN_GGUF_ARRAY}, "an array of i32, not an integer"},
        {{"context_length", QN_GGUF_U32, 0}, "context 0"},
        {{"context_length", QN_GGUF_U64, 1LL << 40}, "outside [0"},
        {{"attention.head_count", QN_GGUF_U32, 0}, "cut into 0 heads"},
        {{"attention.head_count", QN_GGUF_U32, 7}, "cut into 7 heads"},
        {{"attention.head_count", QN_GGUF_ARRAY}, "an array of i32, not an integer"},
        {{"attention.head_count_kv", QN_GGUF_U32, 0}, "0 kv-heads"},
        {{"attention.head_count_kv", QN_GGUF_U32, 4}, "6 heads are not a multiple of 4"},
        {{"attention.head_count_kv", QN_GGUF_U32, 3}, "does not fit"},
        {{"attention.key_length", QN_GGUF_U32, 16}, "8 of 16 elements of a head are turned"},
        {{"attention.value_length", QN_GGUF_U32, 16}, "keys of 0 and values of 16"},
        {{"rope.dimension_count", QN_GGUF_U32, 4}, "4 of 8 elements of a head are turned"},
        {{"rope.dimension_count", QN_GGUF_U32, 1 << 20}, "elements of a head are turned"},
        {{"attention.layer_norm_rms_epsilon", QN_GGUF_F32, 0, &nan_eps}, "norm_eps nan"},
        {{"attention.layer_norm_rms_epsilon", QN_GGUF_F32, 0, &zero}, "norm_eps 0"},
        {{"attention.layer_norm_rms_epsilon", QN_GGUF_U32, 1}, "not f32 or f64"},
        {{"rope.freq_base", QN_GGUF_F64, 0, &huge}, "rope_theta inf"},
        {{"rope.freq_base", QN_GGUF_F32, 0, &zero}, "rope_theta 0"},
        {{"rope.scaling.type", QN_GGUF_STRING, 0, "dynamic"}, "\"dynamic\" is not supported"},
        {{"rope.scaling.type", QN_GGUF_STRING, 0, "longrope"}, "needs both rope_factors_short"},
        {{"rope.scaling.type", QN_GGUF_U32, 1}, "is u32, not a string"},
        {{.extra = "rope_factors_long.weight"}, "needs both rope_factors_short"},
        {{.extra = "blk.0.attn_sinks.weight"}, "blk.0.attn_sinks.weight is no part of llama"},
        {{.extra = "blk.7.attn_norm.weight"}, "blk.7.attn_norm.weight is no part of llama"},
        {{.extra = "output.weight"}, "tensor output.weight is f32[4]"},
        {{.less = "token_embd.weight"}, "tensor token_embd.weight is missing"},
        {{.less = "output_norm.weight"}, "tensor output_norm.weight is missing"},
        {{.less = "blk.1.ffn_down.weight"}, "tensor blk.1.ffn_down.weight is missing"},
        {{.as = QN_GGML_I32}, "blk.0.ffn_up.weight is I32"},
        {{.as = QN_GGML_F64}, "blk.0.ffn_up.weight is F64"},
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qn_model_config c;
        qn_status status = made("llama", QN_GGUF_U32, &cases[i].change, &c);
        bool right = status == QN_BAD_DATA || status == QN_UNSUPPORTED;
        if (!right || !strstr(qn_last_error(), cases[i].part) ||
            !strstr(qn_last_error(), "made.gguf"))
            wrong++, print_error("case %zu: %s (%s), without \"%s\"\n", i, qn_status_name(status),
                                 status == QN_OK ? "" : qn_last_error(), cases[i].part);
    }
    assert_int_equal(wrong, 0);
}

/* Llama 3's factors, as ggml's converter writes them, are the rule again. */
static void llama3(void **state)
{
    (void)state;
    qn_model_config c, again;
    char *folder = folder_make();
    const char *path = path_in(folder, "made.gguf"), *name;
    qn_gguf_writer *w;
    float factors[QN_MAX_ROPE_PAIRS];
    assert_ok(qn_model_config_named(QN_LLAMA, NULL, &c));
    c.head_size = 64;
    c.rope_theta = 500000;
    c.context = 131072;
    c.rope = (qn_rope_rule){
        .scaling = QN_ROPE_LLAMA3, .factor = 32, .low = 1, .high = 4, .original = 8192};
    assert_true(qn__gguf_factors(&c, 0, &name, factors));
    assert_string_equal(name, "rope_freqs.weight");
    assert_true(factors[0] == 1 && fabsf(factors[31] - 32) < 1e-4f);
    assert_false(qn__gguf_factors(&c, 1, &name, factors + 128));
    int64_t pairs = 32, tokens[] = {c.embed, c.vocab};
    assert_ok(qn__gguf_writer_create(path, 0, &w));
    assert_ok(qn__gguf_writer_text(w, "general.architecture", "llama"));
    assert_ok(qn__config_to_gguf(&c, w));
    assert_ok(qn__gguf_writer_tensor(w, name = "rope_freqs.weight", QN_GGML_F32, 1, &pairs));
    assert_ok(qn__gguf_writer_tensor(w, "token_embd.weight", QN_GGML_F16, 2, tokens));
    assert_ok(qn__gguf_writer_add(w, name, factors, 128));
    uint16_t *zeros = calloc((size_t)(tokens[0] * tokens[1]), 2);
    assert_ok(
        qn__gguf_writer_add(w, "token_embd.weight", zeros, (size_t)(tokens[0] * tokens[1]) * 2));
    free(zeros);
    assert_ok(qn__gguf_writer_finish(&w));
    qn_gguf *g;
    assert_ok(qn__gguf_open(path, &g));
    assert_ok(qn__config_from_gguf(g, &again));
    assert_true(again.rope.scaling == QN_ROPE_LLAMA3 && again.rope.original == 8192);
    assert_float_equal(again.rope.factor, 32, 1e-3);
    assert_true(again.rope_theta == 500000 && qn__head_size(&again) == 64);
    qn__gguf_close(&g);
    folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(refused),
        cmocka_unit_test(llama3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
