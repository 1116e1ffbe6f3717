/* Mixtures of experts in files: what GGUF says of them comes back; lies are refused by name before
 * anything is allocated on their word. */
#include "file_support.h"

#include "model/network.h"
#include "model/weights.h"

static qn_model_config tiny(qn_arch arch)
{
    qn_model_config c;
    assert_ok(qn_model_config_named(arch, NULL, &c));
    c.vocab = 90;
    c.layers = 2;
    c.heads = 6;
    c.kv_heads = 2;
    c.embed = 48;
    c.ffn = 80;
    c.experts = 4;
    c.experts_used = 2;
    c.expert_ffn = arch == QN_MIXTRAL ? c.ffn : 24;
    c.shared_ffn = c.shared_ffn > 0 ? 56 : 0;
    return c;
}

static void put_weights(qn_gguf_writer *w, const qn_model_config *c, const char *less)
{
    float *zeros = calloc((size_t)c->experts * 90 * 90 * 8, sizeof *zeros);
    qn_weight weight;
    for (int pass = 0; pass < 2; pass++)
        for (int cursor = 0; qn__weight_next(c, &cursor, &weight);) {
            char name[128];
            int64_t ne[4];
            int rank = weight.shape.rank;
            (void)qn__weight_gguf(c, &weight, name, sizeof name);
            if (less && strcmp(name, less) == 0) continue;
            for (int d = 0; d < rank; d++) ne[d] = weight.shape.dim[rank - 1 - d];
            size_t size = (size_t)qn_shape_elements(&weight.shape) * sizeof *zeros;
            if (pass == 0) assert_ok(qn__gguf_writer_tensor(w, name, QN_GGML_F32, rank, ne));
            else assert_ok(qn__gguf_writer_add(w, name, zeros, size));
        }
    free(zeros);
}

/* A file whose metadata is of `said` and whose tensors are of `has`; count, if not 0, is its
 * expert_count. */
static qn_status made(const qn_model_config *said, const qn_model_config *has, uint64_t count,
                      const char *less, qn_model_config *config)
{
    char *folder = folder_make(), key[64];
    const char *path = path_in(folder, "made.gguf"), *arch = qn__arch(said->arch)->gguf;
    qn_gguf_writer *w;
    qn_model_file file;
    assert_ok(qn__gguf_writer_create(path, 0, &w));
    assert_ok(qn__gguf_writer_text(w, "general.architecture", arch));
    assert_ok(qn__config_to_gguf(said, w));
    if (count > 0) {
        snprintf(key, sizeof key, "%s.expert_count", arch);
        const qn_gguf_value value = {.key = key,
                                     .key_bytes = (uint32_t)strlen(key),
                                     .type = QN_GGUF_U64,
                                     .element = QN_GGUF_U64,
                                     .count = 1,
                                     .data = (const void *)&count};
        assert_ok(qn__gguf_writer_copy(w, &value));
    }
    put_weights(w, has, less);
    assert_ok(qn__gguf_writer_finish(&w));
    assert_ok(qn__model_file_open(path, &file));
    qn_status status = qn__config_from_file(&file, path, config);
    if (status == QN_OK) {
        qn_weight_source source = qn__weights_of_file(&file, config, path);
        status = qn__weights_check(&source);
    }
    qn__model_file_close(&file);
    folder_drop(folder);
    return status;
}

static void good(void **state)
{
    (void)state;
    static const qn_arch arches[] = {QN_MIXTRAL, QN_QWEN2_MOE, QN_QWEN3_MOE};
    for (int i = 0; i < 3; i++) {
        qn_model_config c = tiny(arches[i]), again;
        assert_ok(made(&c, &c, 0, NULL, &again));
        assert_true(again.arch == c.arch && again.experts == 4 && again.experts_used == 2);
        assert_true(again.expert_ffn == c.expert_ffn && again.shared_ffn == c.shared_ffn);
        assert_true(again.expert_norm == (c.arch != QN_QWEN2_MOE));
        assert_true(qn_model_parameters(&again) == qn_model_parameters(&c));
    }
}

static void refused(void **state)
{
    (void)state;
    const uint64_t huge = (uint64_t)1 << 40;
    const struct {
        qn_arch arch;
        int32_t experts, used, expert_ffn, shared_ffn; /* as the metadata says; 0: as they are */
        uint64_t count; /* instead of experts, which are then not written */
        const char *less, *part;
    } lies[] = {
        {QN_MIXTRAL, .used = 5, .part = "expert_used_count 5 of expert_count 4"},
        {QN_QWEN3_MOE, .used = 1 << 23, .part = "expert_used_count 8388608 of expert_count 4"},
        {QN_MIXTRAL, .used = -1, .part = "outside [0"},
        {QN_MIXTRAL, .experts = 3, .part = "blk.0.ffn_gate_inp.weight is f32[4,48]"},
        {QN_QWEN2_MOE, .experts = 5, .part = "blk.0.ffn_gate_inp.weight is f32[4,48]"},
        {QN_QWEN3_MOE, .experts = 5000, .part = "5000 experts are outside [1, 4096]"},
        {QN_QWEN3_MOE, .expert_ffn = 25, .part = "blk.0.ffn_gate_exps.weight is f32[4,24,48]"},
        {QN_QWEN2_MOE, .expert_ffn = 1 << 23, .part = "ffn_gate_exps.weight is f32[4,24,48]"},
        {QN_QWEN2_MOE, .shared_ffn = 55, .part = "blk.0.ffn_gate_shexp.weight is f32[56,48]"},
        {QN_QWEN2_MOE, .count = huge, .part = "expert_count"},
        {QN_MIXTRAL, .count = huge, .part = "expert_count"},
        {QN_MIXTRAL, .count = 4, .part = "\"llama.expert_used_count\" is missing"},
        {QN_QWEN3_MOE, .less = "blk.1.ffn_down_exps.weight",
         .part = "tensor blk.1.ffn_down_exps.weight is missing"},
        {QN_QWEN2_MOE, .less = "blk.0.ffn_gate_inp_shexp.weight",
         .part = "tensor blk.0.ffn_gate_inp_shexp.weight is missing"},
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        qn_model_config has = tiny(lies[i].arch), said = has, c;
        if (lies[i].experts) said.experts = lies[i].experts;
        if (lies[i].used) said.experts_used = lies[i].used;
        if (lies[i].expert_ffn) said.expert_ffn = lies[i].expert_ffn;
        if (lies[i].shared_ffn) said.shared_ffn = lies[i].shared_ffn;
        if (lies[i].count) said.experts = 0;
        qn_status status = made(&said, &has, lies[i].count, lies[i].less, &c);
        bool right = status == QN_BAD_DATA || status == QN_UNSUPPORTED;
        if (!right || !strstr(qn_last_error(), lies[i].part) ||
            !strstr(qn_last_error(), "made.gguf"))
            wrong++, print_error("lie %zu: %s (%s), without \"%s\"\n", i, qn_status_name(status),
                                 status == QN_OK ? "" : qn_last_error(), lies[i].part);
    }
    assert_int_equal(wrong, 0);
    /* No expert_count: of qwen it must be there; the name llama is then a dense model's. */
    qn_model_config has = tiny(QN_QWEN3_MOE), said = has, c;
    said.experts = 0;
    assert_bad(made(&said, &has, 0, NULL, &c), "made.gguf", "expert_count\" is missing");
    has = tiny(QN_MIXTRAL);
    said = has;
    said.experts = 0;
    assert_bad(made(&said, &has, 0, NULL, &c), "made.gguf", "blk.0.ffn_gate.weight is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
