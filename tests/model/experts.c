/* Mixtures of experts: the bits of a row do not depend on its neighbours, whichever experts they
 * meet: a whole sequence, its beginning, tokens one by one and pieces. Training one says that it
 * cannot be done. */
#include <quernel/graph.h>
#include <quernel/model.h>

#include "base/hash.h"
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 61, CONTEXT = 64, LENGTH = 40 };

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static qn_model_config tiny(qn_arch arch)
{
    qn_model_config c;
    must(qn_model_config_named(arch, NULL, &c));
    c.vocab = VOCAB;
    c.layers = 2;
    c.heads = 4;
    c.kv_heads = 2;
    c.embed = 64;
    c.ffn = 96;
    c.context = CONTEXT;
    c.experts = 5;
    c.experts_used = 2;
    c.expert_ffn = arch == QN_MIXTRAL ? c.ffn : 32;
    c.shared_ffn = c.shared_ffn > 0 ? 64 : 0;
    must(qn_model_config_check(&c));
    return c;
}

/* Uniform in [-1/4, 1/4), of norms around 1. */
static qn_status fetch(const qn_weight_source *source, const qn_weight *weight, float *values)
{
    (void)source;
    uint64_t state = qn__hash(weight->name, strlen(weight->name));
    for (int64_t i = 0; i < qn_shape_elements(&weight->shape); i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)(int32_t)(state >> 32) * 0x1p-33f + (qn__is_norm(weight->role) ? 1 : 0);
    }
    return QN_OK;
}

static qn_dtype in_floats(const qn_weight_source *source, const qn_weight *weight)
{
    (void)source;
    (void)weight;
    return QN_F32;
}

static void same_bits(qn_device *device, qn_arch arch, qn_dtype type)
{
    static float whole[LENGTH][VOCAB], part[LENGTH][VOCAB];
    static const int pieces[] = {1, 7, 1, 20, 3, 8};
    qn_model_config c = tiny(arch);
    const qn_weight_source source = {
        .fetch = fetch, .dtype = in_floats, .config = &c, .path = "random weights"};
    qn_model *model;
    qn_session *session;
    const float *logits;
    int32_t tokens[LENGTH];
    for (int i = 0; i < LENGTH; i++) tokens[i] = (i * i * 7 + 3 * i) % VOCAB;
    must(qn__model_from(device, &source, type, &model));
    must(qn_model_logits(model, tokens, LENGTH, whole[0]));
    assert_true(whole[0][0] == whole[0][0] && memcmp(whole[3], whole[4], sizeof whole[0]) != 0);
    must(qn_model_logits(model, tokens, 9, part[0]));
    assert_memory_equal(part, whole, 9 * sizeof whole[0]);
    must(qn_session_create(model, NULL, &session));
    for (int i = 0; i < 12; i++) {
        must(qn_session_feed(session, &tokens[i], 1));
        must(qn_session_logits(session, &logits));
        assert_memory_equal(logits, whole[i], sizeof whole[0]);
    }
    qn_session_reset(session);
    for (int p = 0, at = 0; p < 6; p++) {
        must(qn_session_feed(session, tokens + at, (size_t)pieces[p]));
        at += pieces[p];
        must(qn_session_logits(session, &logits));
        assert_memory_equal(logits, whole[at - 1], sizeof whole[0]);
    }
    qn_session_destroy(&session);
    qn_model_destroy(&model);
}

static void rows_alone_and_among_neighbours(void **state)
{
    (void)state;
    static const qn_arch arches[] = {QN_MIXTRAL, QN_QWEN2_MOE, QN_QWEN3_MOE};
    qn_device *device;
    must(qn_device_open(NULL, &device));
    for (int i = 0; i < 3; i++) same_bits(device, arches[i], QN_DTYPE_COUNT);
    same_bits(device, QN_QWEN2_MOE, QN_Q8_0);
    same_bits(device, QN_MIXTRAL, QN_Q4_0);
    qn_device_close(&device);
}

static void no_gradient(void **state)
{
    (void)state;
    qn_model_config c = tiny(QN_QWEN3_MOE);
    qn_device *device;
    qn_store *store;
    qn_graph *graph;
    must(qn_device_open(NULL, &device));
    must(qn_store_create(device, &store));
    must(qn__weights_declare(store, &c, QN_F32));
    qn_network network = {.config = &c, .prefix = "x"};
    must(qn__network_inputs(store, &network, 8));
    must(qn_graph_create(store, &graph));
    network.graph = graph;
    qn_tensor *logits = qn__network_head(&network, qn__network_hidden(&network));
    must(qn_graph_status(graph));
    assert_int_equal(qn_graph_backward(graph, logits, logits), QN_UNSUPPORTED);
    assert_non_null(strstr(qn_last_error(), "expert_sum has no gradient"));
    qn__network_free(&network);
    qn_graph_destroy(&graph);
    qn_store_destroy(&store);
    qn_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_alone_and_among_neighbours),
        cmocka_unit_test(no_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
