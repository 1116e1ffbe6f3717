/* Adapters without a device: which layers a list of targets names, under which names A and B lie,
 * the walk over what is trained, and folding against plain loops in doubles. */
#include "model/lora.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static qn_model_config tiny(qn_arch arch)
{
    qn_model_config c;
    assert_int_equal(qn_model_config_named(arch, NULL, &c), QN_OK);
    c.layers = 3;
    c.kv_heads = arch == QN_GPT2 ? c.heads : 2;
    return c;
}

static qn_lora of(const qn_model_config *config, const char *targets)
{
    qn_lora lora = {.rank = 4, .alpha = 6};
    if (qn__lora_targets(config, targets, &lora) != QN_OK) fail_msg("%s", qn_last_error());
    return lora;
}

static int roles_of(const qn_lora *lora)
{
    int count = 0;
    for (int role = 0; role < QN_ROLE_COUNT; role++) count += lora->roles[role];
    return count;
}

static void refused(const qn_model_config *config, const char *targets, const char *part)
{
    qn_lora lora = {.rank = 4};
    qn_status status = qn__lora_targets(config, targets, &lora);
    if (status == QN_OK || !strstr(qn_last_error(), part))
        fail_msg("\"%s\": %s, without \"%s\"", targets, status ? qn_last_error() : "taken", part);
}

static void targets(void **state)
{
    (void)state;
    qn_model_config gpt2 = tiny(QN_GPT2), llama = tiny(QN_LLAMA);
    qn_lora lora = of(&gpt2, "c_proj");
    assert_true(roles_of(&lora) == 2 && lora.roles[QN_O] && lora.roles[QN_DOWN]);
    lora = of(&gpt2, "mlp.c_proj, c_attn");
    assert_true(roles_of(&lora) == 2 && lora.roles[QN_QKV] && lora.roles[QN_DOWN]);
    assert_string_equal(qn__lora_target(&gpt2, &lora, 0), "c_attn");
    assert_string_equal(qn__lora_target(&gpt2, &lora, 1), "mlp.c_proj");
    assert_null(qn__lora_target(&gpt2, &lora, 2));
    lora = of(&gpt2, "all-linear");
    assert_int_equal(roles_of(&lora), 4);
    lora = of(&llama, "all-linear");
    assert_int_equal(roles_of(&lora), 7);
    lora = of(&llama, "q_proj,self_attn.v_proj,");
    assert_true(roles_of(&lora) == 2 && lora.roles[QN_Q] && lora.roles[QN_V_]);
    lora = of(&llama, "model.layers.0.self_attn.q_proj,model.layers.1.self_attn.q_proj,"
                      "model.layers.2.self_attn.q_proj");
    assert_true(roles_of(&lora) == 1 && lora.roles[QN_Q]);
    refused(&llama, "model.layers.0.self_attn.q_proj", "1 of 3 layers");
    refused(&llama, "q_pro", "\"q_pro\" is no linear layer of llama; there are q_proj, k_proj");
    refused(&llama, "proj", "\"proj\"");
    refused(&llama, "lm_head", "\"lm_head\"");
    refused(&llama, "embed_tokens", "\"embed_tokens\"");
    refused(&llama, "input_layernorm", "\"input_layernorm\"");
    refused(&llama, "", "no linear layer");
    refused(&llama, ", ,", "no linear layer");
    refused(&gpt2, "q_proj", "c_attn, c_proj, c_fc");
}

static void walk(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_GPT2);
    qn_lora lora = of(&c, "c_attn,mlp.c_proj");
    qn_weight weight;
    int64_t count = 0, parameters = 0;
    for (int cursor = 0; qn__trainable_next(&c, &lora, &cursor, &weight); count++) {
        assert_true(weight.shape.rank == 2 && weight.decay && weight.layer == count / 4);
        assert_int_equal(weight.shape.dim[count % 2 ? 1 : 0], 4);
        if (count == 0)
            assert_string_equal(weight.name,
                                "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight");
        if (count == 3)
            assert_string_equal(weight.name,
                                "base_model.model.transformer.h.0.mlp.c_proj.lora_B.weight");
        if (count == 1) assert_int_equal(weight.shape.dim[0], 3 * c.embed);
        if (count == 2) assert_int_equal(weight.shape.dim[1], c.ffn);
        parameters += qn_shape_elements(&weight.shape);
    }
    assert_int_equal(count, 3 * 2 * 2);
    assert_int_equal(parameters, qn__trainable_parameters(&c, &lora));
    assert_int_equal(parameters, 3 * 4 * (c.embed + 3 * c.embed + c.ffn + c.embed));
    assert_int_equal(qn__trainable_parameters(&c, NULL), qn_model_parameters(&c));
    lora.rank = 0;
    assert_int_equal(qn__trainable_parameters(&c, &lora), qn_model_parameters(&c));
}

static float wave(int i)
{
    return (float)sin(0.7 * i + 0.3);
}

static void fold(bool in_out, bool rank_stable)
{
    enum { IN = 13, OUT = 7, RANK = 3 };
    const qn_lora lora = {.rank = RANK, .alpha = 5, .rank_stable = rank_stable};
    const qn_shape shape = {.rank = 2, .dim = {in_out ? IN : OUT, in_out ? OUT : IN}};
    float a[RANK * IN], b[OUT * RANK], w[IN * OUT];
    for (int i = 0; i < RANK * IN; i++) a[i] = wave(i);
    for (int i = 0; i < OUT * RANK; i++) b[i] = wave(i + 100);
    for (int i = 0; i < IN * OUT; i++) w[i] = wave(i + 200);
    qn__lora_fold(&lora, in_out, &shape, a, b, w);
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < IN; i++) {
            int at = in_out ? i * OUT + o : o * IN + i;
            double sum = 0, scale = 5.0 / (rank_stable ? sqrt(RANK) : RANK);
            for (int r = 0; r < RANK; r++) sum += (double)b[o * RANK + r] * (double)a[r * IN + i];
            assert_float_equal(w[at], (double)wave(at + 200) + scale * sum, 1e-5);
        }
}

static void folding(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) fold(i % 2, i / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(targets), cmocka_unit_test(walk),
                                       cmocka_unit_test(folding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
