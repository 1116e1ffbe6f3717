/* Graphs and plans: fusing changes no bit, tensors alive together never overlap, micro-batches in
 * flight do not disturb each other, derived tensors follow their source, and the run-time dimension
 * changes nothing but the number of rows. */
#include "graph/plan.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 24, IN = 20, HIDDEN = 36, OUT = 12 };

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static qn_shape shape2(int64_t rows, int64_t cols)
{
    return (qn_shape){.rank = 2, .dim = {rows, cols}};
}

static qn_shape shape1(int64_t n)
{
    return (qn_shape){.rank = 1, .dim = {n}};
}

static void write_wave(qn_store *store, const char *name, double phase)
{
    qn_shape shape;
    must(qn_store_find(store, name, NULL, &shape));
    int64_t count = qn_shape_elements(&shape);
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)((i * 37 + 11) % 101) / 101.0f - 0.5f + (float)phase;
    must(qn_store_write(store, name, values, (size_t)count * sizeof *values));
    free(values);
}

typedef struct net {
    qn_store *store;
    qn_graph *graph;
    qn_plan *plan;
} net;

/* x -> linear, bias, gelu -> linear, bias -> mean squared error; gradients of all weights. */
static void build(qn_device *device, const qn_plan_options *options, bool rows, net *n)
{
    const struct {
        const char *name;
        qn_shape shape;
    } table[] = {{"w1", shape2(HIDDEN, IN)},
                 {"b1", shape1(HIDDEN)},
                 {"w2", shape2(HIDDEN, OUT)},
                 {"b2", shape1(OUT)}};
    qn_shape x = shape2(ROWS, IN), y = shape2(ROWS, OUT), one = shape1(1);
    char name[16];
    *n = (net){0};
    must(qn_store_create(device, &n->store));
    must(qn_store_add(n->store, "leaf", "x", QN_F32, &x));
    must(qn_store_add(n->store, "leaf", "target", QN_F32, &y));
    must(qn_store_add(n->store, "out", "y", QN_F32, &y));
    must(qn_store_add(n->store, "out", "loss", QN_F32, &one));
    must(qn_store_add(n->store, "out", "seed", QN_F32, &one));
    must(qn_graph_create(n->store, &n->graph));
    qn_tensor *w[4];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "grad.%s", table[i].name);
        must(qn_store_add(n->store, "weights", table[i].name, QN_F32, &table[i].shape));
        must(qn_store_add(n->store, "grad", name, QN_F32, &table[i].shape));
        w[i] = qn_graph_weight(n->graph, table[i].name);
    }
    qn_tensor *h =
        qn_apply(n->graph, "matmul trans_b=1 act=gelu",
                 rows ? qn_graph_rows(n->graph, "x") : qn_graph_input(n->graph, "x"), w[0], w[1]);
    qn_tensor *out = qn_apply(n->graph, "add", qn_apply(n->graph, "matmul", h, w[2]), w[3]);
    must(qn_graph_status(n->graph));
    if (!options || options->slots < 2)
        must(qn_graph_assign(n->graph, out, "y")); /* stored tensors have no slots */
    if (!rows) {
        qn_tensor *loss = qn_apply(n->graph, "mse", out, qn_graph_input(n->graph, "target"));
        must(qn_graph_status(n->graph));
        must(qn_graph_assign(n->graph, loss, "loss"));
        must(qn_graph_backward(n->graph, loss, qn_graph_input(n->graph, "seed")));
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof name, "grad.%s", table[i].name);
            must(qn_graph_assign(n->graph, qn_graph_gradient(n->graph, w[i]), name));
        }
    }
    must(qn_plan_create(n->graph, options, &n->plan));
    must(qn_plan_prepare(n->plan));
    const char *filled[] = {"x", "target", "w1", "b1", "w2", "b2"};
    for (int i = 0; i < 6; i++) write_wave(n->store, filled[i], 0.01 * i);
    const float seed = 1.0f;
    must(qn_store_write(n->store, "seed", &seed, sizeof seed));
}

static void take_down(net *n)
{
    qn_plan_destroy(&n->plan);
    qn_graph_destroy(&n->graph);
    qn_store_destroy(&n->store);
}

static float *read_all(qn_store *store, const char *name, size_t *count)
{
    qn_shape shape;
    must(qn_store_find(store, name, NULL, &shape));
    *count = (size_t)qn_shape_elements(&shape);
    float *values = malloc(*count * sizeof *values);
    must(qn_store_read(store, name, values, *count * sizeof *values));
    return values;
}

static const char *const results[] = {"y", "loss", "grad.w1", "grad.b1", "grad.w2", "grad.b2"};

static void assert_same(net *a, net *b)
{
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        size_t n, m;
        float *x = read_all(a->store, results[i], &n), *y = read_all(b->store, results[i], &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n * sizeof *x);
        free(x);
        free(y);
    }
}

static int open_device(void **state)
{
    qn_device *device;
    must(qn_device_open(NULL, &device));
    *state = device;
    return 0;
}

static int close_device(void **state)
{
    qn_device *device = *state;
    uint64_t left;
    qn_device_memory(device, &left, NULL);
    qn_device_close(&device);
    return left != 0; /* every test gives back what it took */
}

static void fusing_changes_no_bit(void **state)
{
    const qn_plan_options unfused = {.size = sizeof unfused, .keep_unfused = true};
    const qn_plan_options plain = {.size = sizeof plain, .variant = "plain"};
    net a, b, c;
    build(*state, NULL, false, &a);
    build(*state, &unfused, false, &b);
    build(*state, &plain, false, &c);
    assert_true(a.plan->step_count < b.plan->step_count);
    must(qn_plan_run(a.plan, QN_ALL, 0, 0));
    must(qn_plan_run(b.plan, QN_ALL, 0, 0));
    must(qn_plan_run(c.plan, QN_ALL, 0, 0));
    assert_same(&a, &b);
    assert_same(&a, &c);
    take_down(&a);
    take_down(&b);
    take_down(&c);
}

static void living_tensors_never_overlap(void **state)
{
    net n;
    char *text;
    build(*state, NULL, false, &n);
    must(qn_plan_json(n.plan, &text));
    json_t *root = json_loads(text, 0, NULL), *list = json_object_get(root, "tensors");
    size_t count = json_array_size(list), step = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) {
            const char *arena_a, *arena_b;
            json_int_t bytes_a, bytes_b, at_a, at_b, first_a = 0, last_a = 1 << 20, first_b = 0,
                                                     last_b = 1 << 20;
            json_t *a = json_array_get(list, i), *b = json_array_get(list, j);
            json_unpack(a, "{s:s,s:I,s:I,s?[I,I]}", "arena", &arena_a, "bytes", &bytes_a, "offset",
                        &at_a, "life", &first_a, &last_a);
            json_unpack(b, "{s:s,s:I,s:I,s?[I,I]}", "arena", &arena_b, "bytes", &bytes_b, "offset",
                        &at_b, "life", &first_b, &last_b);
            step += strcmp(arena_a, "step") == 0;
            if (strcmp(arena_a, arena_b) != 0 || last_a <= first_b || last_b <= first_a) continue;
            if (at_a + bytes_a > at_b && at_b + bytes_b > at_a)
                fail_msg("%s and %s overlap", json_string_value(json_object_get(a, "name")),
                         json_string_value(json_object_get(b, "name")));
        }
    assert_true(step > 0);
    json_decref(root);
    free(text);
    take_down(&n);
}

/* Two micro-batches in flight, halves interleaved, against each run by itself. */
static void slots_do_not_disturb_each_other(void **state)
{
    const qn_plan_options two = {.size = sizeof two, .slots = 2};
    net n, alone;
    size_t count;
    build(*state, &two, false, &n);
    build(*state, NULL, false, &alone);
    must(qn_plan_run(n.plan, QN_FORWARD, 0, 0));
    write_wave(n.store, "x", 0.3);
    must(qn_plan_run(n.plan, QN_FORWARD, 0, 1));
    write_wave(n.store, "x", 0.0);
    must(qn_plan_run(n.plan, QN_BACKWARD, 0, 0));
    must(qn_plan_run(alone.plan, QN_ALL, 0, 0));
    float *a = read_all(n.store, "grad.w2", &count), *b = read_all(alone.store, "grad.w2", &count);
    assert_memory_equal(a, b, count * sizeof *a);
    free(a);
    free(b);
    write_wave(alone.store, "x", 0.3);
    must(qn_plan_run(alone.plan, QN_ALL, 0, 0));
    write_wave(n.store, "x", 0.3);
    must(qn_plan_run(n.plan, QN_BACKWARD, 0, 1));
    a = read_all(n.store, "grad.w2", &count);
    b = read_all(alone.store, "grad.w2", &count);
    assert_memory_equal(a, b, count * sizeof *a);
    free(a);
    free(b);
    take_down(&n);
    take_down(&alone);
}

static void fewer_rows_are_the_first_rows(void **state)
{
    net n;
    size_t count;
    build(*state, NULL, true, &n);
    must(qn_plan_run(n.plan, QN_ALL, 0, 0));
    float *all = read_all(n.store, "y", &count);
    for (int64_t rows = 1; rows <= ROWS; rows += 5) {
        must(qn_plan_run(n.plan, QN_ALL, rows, 0));
        float *some = read_all(n.store, "y", &count);
        assert_memory_equal(some, all, (size_t)rows * OUT * sizeof *all);
        free(some);
    }
    free(all);
    assert_int_equal(qn_plan_run(n.plan, QN_ALL, ROWS + 1, 0), QN_BAD_ARGUMENT);
    take_down(&n);
}

static void derived_tensors_follow_their_source(void **state)
{
    net n;
    build(*state, NULL, false, &n);
    must(qn__store_derive(n.store, "w2.panels", "w2", "pack trans=1"));
    must(qn_store_allocate(n.store));
    for (int round = 0; round < 2; round++) {
        float panel[QN_PANEL * HIDDEN], w[HIDDEN * OUT];
        write_wave(n.store, "w2", 0.5 * round);
        must(qn_plan_run(n.plan, QN_ALL, 0, 0));
        must(qn_store_read(n.store, "w2", w, sizeof w));
        must(qn_store_read(n.store, "w2.panels", panel, sizeof panel));
        for (int r = 0; r < QN_PANEL; r++) /* rows of the transpose */
            for (int c = 0; c < HIDDEN; c++)
                assert_true(panel[c * QN_PANEL + r] == (r < OUT ? w[c * OUT + r] : 0.0f));
    }
    take_down(&n);
}

/* Two ranks that hold the same: a sum doubles. Counts what it was asked. */
static int comm_calls;

static qn_status twice(qn_comm *comm, qn_comm_op op, float *data, uint64_t count, int *ticket)
{
    (void)comm;
    assert_int_equal(op, QN_COMM_SUM);
    for (uint64_t i = 0; i < count; i++) data[i] += data[i];
    comm_calls++;
    *ticket = 7;
    return QN_OK;
}

static qn_status wait_for(qn_comm *comm, int ticket, uint64_t from, uint64_t to)
{
    (void)comm;
    assert_int_equal(ticket, 7);
    assert_int_equal(from, 0);
    assert_int_equal(to, HIDDEN * OUT * 4);
    return QN_OK;
}

static qn_status progress(qn_comm *comm)
{
    (void)comm;
    return QN_OK;
}

/* A collective between device segments: w2 -> all_reduce -> scale, into grad.w2. */
static void collectives_are_ops(void **state)
{
    qn_comm comm = {.size = 2, .all_reduce = twice, .wait = wait_for, .progress = progress};
    net n;
    qn_graph *graph;
    qn_plan *plan;
    int reduced;
    size_t count;
    build(*state, NULL, false, &n);
    must(qn_graph_create(n.store, &graph));
    qn_tensor *x = qn_apply(graph, "scale factor=3", qn_graph_input(graph, "w2"));
    must(qn__graph_all_reduce(graph, x->id, QN_COMM_SUM, &reduced));
    qn_tensor *y = qn_apply(graph, "scale factor=0.5", graph->tensors[reduced]);
    must(qn_graph_status(graph));
    must(qn_graph_assign(graph, y, "grad.w2"));
    must(qn_plan_create(graph, NULL, &plan));
    assert_int_equal(qn_plan_run(plan, QN_ALL, 0, 0), QN_INTERNAL); /* nobody to speak to */
    qn__plan_set_comm(plan, &comm);
    must(qn_plan_run(plan, QN_ALL, 0, 0));
    assert_int_equal(comm_calls, 1);
    float *w = read_all(n.store, "w2", &count), *g = read_all(n.store, "grad.w2", &count);
    for (size_t i = 0; i < count; i++) assert_true(g[i] == 2 * (3 * w[i]) * 0.5f);
    free(w);
    free(g);
    qn_plan_destroy(&plan);
    qn_graph_destroy(&graph);
    take_down(&n);
}

static void mistakes_are_named(void **state)
{
    qn_store *store;
    qn_graph *graph;
    qn_shape a = shape2(4, 5);
    must(qn_store_create(*state, &store));
    must(qn_store_add(store, "", "a", QN_F32, &a));
    must(qn_graph_create(store, &graph));
    assert_null(qn_apply(graph, "matmul", qn_graph_input(graph, "a"), qn_graph_input(graph, "a")));
    assert_null(
        qn_apply(graph, "gelu", qn_graph_input(graph, "a"))); /* after a failure nothing is built */
    assert_int_equal(qn_graph_status(graph), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "dimension 0 of input b is 4; it must be 5"));
    qn_graph_destroy(&graph);
    must(qn_graph_create(store, &graph));
    assert_null(qn_apply(graph, "gelu err=1", qn_graph_input(graph, "a")));
    assert_int_equal(qn_graph_status(graph), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "err=1"));
    qn_graph_destroy(&graph);
    qn_store_destroy(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fusing_changes_no_bit),
        cmocka_unit_test(living_tensors_never_overlap),
        cmocka_unit_test(slots_do_not_disturb_each_other),
        cmocka_unit_test(fewer_rows_are_the_first_rows),
        cmocka_unit_test(derived_tensors_follow_their_source),
        cmocka_unit_test(collectives_are_ops),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
