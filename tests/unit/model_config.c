/* config.json of every architecture: what is read, that what is written says the same, and what is
 * refused with its name. */
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#define SIZES                                                                                      \
    "\"vocab_size\":90,\"max_position_embeddings\":32,\"hidden_size\":48,"                         \
    "\"intermediate_size\":80,\"num_hidden_layers\":4,\"num_attention_heads\":6,"                  \
    "\"num_key_value_heads\":2"

static qn_status parse(const char *text, qn_model_config *config)
{
    json_t *json = json_loads(text, 0, NULL);
    if (!json) fail_msg("not JSON: %s", text);
    qn_status status = qn__config_from_json(json, "there/config.json", config);
    json_decref(json);
    return status;
}

static void read_to(const char *text, qn_model_config *config)
{
    if (parse(text, config) != QN_OK) fail_msg("%s: %s", text, qn_last_error());
}

/* Written and read again, nothing changes. */
static void round_trip(const char *text, qn_model_config *config)
{
    qn_model_config again;
    read_to(text, config);
    json_t *json = qn__config_to_json(config);
    char *written = json_dumps(json, 0);
    read_to(written, &again);
    json_t *json_again = qn__config_to_json(&again);
    if (!json_equal(json, json_again) || qn_model_parameters(&again) != qn_model_parameters(config))
        fail_msg("%s\nis read as another than\n%s", written, text);
    json_decref(json_again);
    free(written);
    json_decref(json);
}

static void families(void **state)
{
    (void)state;
    qn_model_config c;
    round_trip("{\"model_type\":\"llama\"," SIZES "}", &c);
    assert_true(c.arch == QN_LLAMA && !c.bias && !c.mlp_bias && !c.tied && c.norm_eps == 1e-6f);
    assert_true(qn__head_size(&c) == 8 && !qn__has_window(&c));
    round_trip("{\"model_type\":\"llama\",\"attention_bias\":true,\"mlp_bias\":true,"
               "\"head_dim\":20,\"sliding_window\":4," SIZES "}",
               &c);
    assert_true(c.bias && c.mlp_bias && c.window == 0 && qn__head_size(&c) == 20);
    round_trip("{\"model_type\":\"mistral\",\"sliding_window\":5," SIZES "}", &c);
    assert_true(c.window == 5 && qn__layer_has_window(&c, 0) && qn__layer_has_window(&c, 3));
    round_trip("{\"model_type\":\"mistral\",\"sliding_window\":null," SIZES "}", &c);
    assert_true(c.window == 0);
    round_trip("{\"model_type\":\"mistral\"," SIZES "}", &c);
    assert_true(c.window == 4096 && !qn__has_window(&c)); /* longer than the context */
    round_trip("{\"model_type\":\"qwen2\",\"sliding_window\":5," SIZES "}", &c);
    assert_true(c.bias && c.window == 0);
    round_trip("{\"model_type\":\"qwen3\"," SIZES "}", &c);
    assert_true(!c.bias && qn__head_size(&c) == 128);
    round_trip("{\"model_type\":\"gpt2\",\"vocab_size\":90,\"n_positions\":32,\"n_embd\":48,"
               "\"n_layer\":2,\"n_head\":4,\"activation_function\":\"gelu\"}",
               &c);
    assert_true(c.bias && c.tied && c.gelu_erf && c.ffn == 192 && c.norm_eps == 1e-5f);
}

static void windows(void **state)
{
    (void)state;
    qn_model_config c;
    round_trip("{\"model_type\":\"gemma2\",\"head_dim\":8,\"sliding_window\":5,"
               "\"query_pre_attn_scalar\":16,\"attn_logit_softcapping\":null," SIZES "}",
               &c);
    assert_true(qn__layer_has_window(&c, 0) && !qn__layer_has_window(&c, 1));
    assert_true(c.attention_scale == 0.25f && c.attention_cap == 0 && c.logit_cap == 30 && c.tied);
    round_trip("{\"model_type\":\"phi3\"," SIZES "}", &c);
    assert_true(c.window == 0 && !c.tied && c.attention_cap == 0);
    round_trip("{\"model_type\":\"qwen2\",\"use_sliding_window\":true,\"sliding_window\":5,"
               "\"max_window_layers\":2," SIZES "}",
               &c);
    assert_true(!qn__layer_has_window(&c, 1) && qn__layer_has_window(&c, 2));
    round_trip("{\"model_type\":\"qwen3\",\"use_sliding_window\":true,\"sliding_window\":5,"
               "\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\","
               "\"full_attention\"]," SIZES "}",
               &c);
    assert_true(qn__layer_has_window(&c, 0) && !qn__layer_has_window(&c, 1));
    assert_true(qn__layer_has_window(&c, 2) && !qn__layer_has_window(&c, 3));
}

static void usual_contexts(void **state)
{
    (void)state;
    qn_model_config c;
    const qn_model_options f32 = {0}, q8 = {.cache_type = "q8_0"}, four = {.sequences = 4};
    const uint64_t giga = 1 << 30;
    assert_int_equal(qn_model_config_named(QN_LLAMA, "1.1B", &c), QN_OK); /* 44 KB a token in f32 */
    c.context = 131072;
    assert_int_equal(qn__model_default_context(&c, &f32, 16 * giga), 4096);
    assert_int_equal(qn__model_default_context(&c, &f32, giga), 4096);
    assert_int_equal(qn__model_default_context(&c, &f32, giga / 2), 2048);
    assert_int_equal(qn__model_default_context(&c, &q8, giga / 4), 4096);
    assert_int_equal(qn__model_default_context(&c, &four, giga), 1024);
    assert_int_equal(qn__model_default_context(&c, &f32, 0), 256);
    c.context = 2048;
    assert_int_equal(qn__model_default_context(&c, &f32, 16 * giga), 2048);
    assert_int_equal(qn_model_config_named(QN_GPT2, "124M", &c), QN_OK); /* learns them all */
    assert_int_equal(qn__model_default_context(&c, &f32, 0), 1024);
}

static void rotary(void **state)
{
    (void)state;
    qn_model_config c;
    round_trip("{\"model_type\":\"llama\",\"rope_theta\":500000.0,\"rope_scaling\":{"
               "\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
               "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}," SIZES "}",
               &c);
    assert_true(c.rope_theta == 500000.0f && c.rope.scaling == QN_ROPE_LLAMA3);
    assert_true(c.rope.factor == 8 && c.rope.low == 1 && c.rope.high == 4);
    assert_true(c.rope.original == 8192);
    round_trip(
        "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}," SIZES "}",
        &c);
    assert_true(c.rope.scaling == QN_ROPE_LINEAR && c.rope_theta == 10000);
    round_trip(
        "{\"model_type\":\"qwen2\",\"rope_parameters\":{\"rope_type\":\"yarn\","
        "\"rope_theta\":1000000,\"factor\":4.0,\"original_max_position_embeddings\":8}," SIZES "}",
        &c);
    assert_true(c.rope.scaling == QN_ROPE_YARN && c.rope_theta == 1e6f && c.rope.whole_pairs);
    assert_true(c.rope.low == 1 && c.rope.high == 32);
    assert_float_equal(c.rope.attention, 0.1 * 1.3862943611 + 1, 1e-6);
    round_trip(
        "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":"
        "[1,1.5,2,3],\"long_factor\":[1,2,4.25,8],\"original_max_position_embeddings\":16}," SIZES
        "}",
        &c);
    assert_true(c.rope.scaling == QN_ROPE_FACTORS && c.rope.original == 16);
    assert_true(c.rope.factors[0][1] == 1.5f && c.rope.factors[1][2] == 4.25f);
    assert_float_equal(c.rope.attention, sqrt(1 + log(2) / log(16)), 1e-6); /* Ding et al. */
}

#define MIXTURE "\"num_experts\":4,\"num_experts_per_tok\":2,"

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } lies[] = {
        {"{" SIZES "}", "model_type"},
        {"{\"model_type\":\"bloom\"," SIZES "}", "gpt2, llama, mistral, qwen2, qwen3, phi3, "
                                                 "gemma2, mixtral, qwen2_moe, qwen3_moe are known"},
        {"{\"model_type\":\"mixtral\"," SIZES "}", "\"num_local_experts\" is missing"},
        {"{\"model_type\":\"mixtral\",\"num_local_experts\":4,\"num_experts_per_tok\":5," SIZES "}",
         "5 experts used of 4"},
        {"{\"model_type\":\"qwen3_moe\"," MIXTURE SIZES "}",
         "\"moe_intermediate_size\" is missing"},
        {"{\"model_type\":\"qwen3_moe\",\"moe_intermediate_size\":24,"
         "\"decoder_sparse_step\":2," MIXTURE SIZES "}",
         "decoder_sparse_step 2"},
        {"{\"model_type\":\"qwen3_moe\",\"moe_intermediate_size\":24,"
         "\"mlp_only_layers\":[0]," MIXTURE SIZES "}",
         "mlp_only_layers names 1 layers"},
        {"{\"model_type\":\"qwen3_moe\",\"moe_intermediate_size\":24,"
         "\"use_sliding_window\":true," MIXTURE SIZES "}",
         "use_sliding_window"},
        {"{\"model_type\":\"qwen2_moe\",\"moe_intermediate_size\":24," MIXTURE SIZES "}",
         "\"shared_expert_intermediate_size\" is missing"},
        {"{\"model_type\":\"llama\"}", "\"vocab_size\" is missing"},
        {"{\"model_type\":\"llama\",\"head_dim\":7," SIZES "}", "even head size, not 7"},
        {"{\"model_type\":\"llama\",\"head_dim\":1024," SIZES "}", "head size of 1024"},
        {"{\"model_type\":\"llama\",\"head_dim\":512,\"vocab_size\":90,"
         "\"max_position_embeddings\":32,\"hidden_size\":48,\"intermediate_size\":80,"
         "\"num_hidden_layers\":4,\"num_attention_heads\":65536}",
         "wider than 2^24"},
        {"{\"model_type\":\"llama\",\"head_dim\":\"x\"," SIZES "}", "head_dim"},
        {"{\"model_type\":\"llama\",\"hidden_act\":\"gelu\"," SIZES "}", "hidden_act \"gelu\""},
        {"{\"model_type\":\"llama\",\"partial_rotary_factor\":0.5," SIZES "}", "partial_rotary"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}," SIZES
         "}",
         "rope scaling \"dynamic\" is not supported; default, linear, llama3, yarn and "
         "longrope are"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\"}," SIZES "}",
         "\"short_factor\" has 0 factors; heads of 8 need 4"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,"
         "1,"
         "1],\"long_factor\":[1,\"2\",3,4]}," SIZES "}",
         "\"long_factor\"[1] is no number"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,"
         "1,"
         "1],\"long_factor\":[1,0,3,4]}," SIZES "}",
         "factor 1 is 0"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\"}," SIZES "}",
         "needs a factor"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\",\"factor\":1e30}," SIZES
         "}",
         "factor"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,"
         "\"low_freq_factor\":4,\"high_freq_factor\":4}," SIZES "}",
         "below"},
        {"{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8,"
         "\"original_max_position_embeddings\":0}," SIZES "}",
         "original context"},
        {"{\"model_type\":\"llama\",\"rope_theta\":0," SIZES "}", "rope_theta"},
        {"{\"model_type\":\"llama\",\"rope_theta\":1e300," SIZES "}", "rope_theta"},
        {"{\"model_type\":\"llama\",\"rms_norm_eps\":1e39," SIZES "}", "norm_eps"},
        {"{\"model_type\":\"mistral\",\"sliding_window\":-1," SIZES "}", "window -1"},
        {"{\"model_type\":\"qwen2\",\"use_sliding_window\":true,\"sliding_window\":5,"
         "\"layer_types\":[\"full_attention\"]," SIZES "}",
         "layer_types has 1 entries"},
        {"{\"model_type\":\"qwen2\",\"use_sliding_window\":true,\"sliding_window\":5,"
         "\"layer_types\":[\"full_attention\",\"sliding_attention\",\"full_attention\",1]," SIZES
         "}",
         "layer_types[3] is not text"},
        {"{\"model_type\":\"qwen2\",\"use_sliding_window\":true,\"sliding_window\":5,"
         "\"layer_types\":[\"sliding_attention\",\"full_attention\",\"full_attention\","
         "\"sliding_attention\"]," SIZES "}",
         "no pattern"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        qn_model_config c;
        qn_status status = parse(lies[i].text, &c);
        const char *said = qn_last_error();
        if ((status != QN_BAD_DATA && status != QN_UNSUPPORTED) || !strstr(said, lies[i].part) ||
            !strstr(said, "there/config.json"))
            fail_msg("%s\n%s: %s, without \"%s\"", lies[i].text, qn_status_name(status),
                     status == QN_OK ? "accepted" : said, lies[i].part);
    }
}

/* Names of the weights of one layer follow the architecture's row. */
static void weights_of_a_layer(void **state)
{
    (void)state;
    static const struct {
        qn_arch arch;
        int count;
    } table[] = {{QN_GPT2, 12},  {QN_LLAMA, 9},    {QN_MISTRAL, 9},    {QN_QWEN2, 12},
                 {QN_QWEN3, 11}, {QN_MIXTRAL, 10}, {QN_QWEN2_MOE, 17}, {QN_QWEN3_MOE, 12}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        qn_model_config c;
        qn_weight weight;
        int count = 0;
        assert_int_equal(qn_model_config_named(table[i].arch, NULL, &c), QN_OK);
        for (int cursor = 0; qn__weight_next(&c, &cursor, &weight);) {
            qn_weight same;
            count += weight.layer == 1;
            assert_true(qn__weight_at(&c, weight.role, weight.layer, &same));
            assert_string_equal(same.name, weight.name);
            assert_true(qn_shape_equal(&same.shape, &weight.shape));
        }
        assert_int_equal(count, table[i].count);
        assert_true(qn__weight_at(&c, QN_Q_NORM, 0, &weight) ==
                    (c.arch == QN_QWEN3 || c.arch == QN_QWEN3_MOE));
        assert_true(!qn__weight_at(&c, QN_HEAD, -1, &weight) == c.tied);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families),       cmocka_unit_test(windows),
        cmocka_unit_test(usual_contexts), cmocka_unit_test(rotary),
        cmocka_unit_test(refused),        cmocka_unit_test(weights_of_a_layer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
