/* Every reference backward against central differences of its forward, on random small shapes.
 *
 * A row of op_list.def with a gradient needs a cases_<stem> here, or the build fails; the run fails
 * where the cases leave a word of an attribute, a second value of a number, or an optional tensor
 * untried. QN_SEED in the environment chooses the numbers. */
#include "reference/differences.h"

enum { ROUNDS = 12, MATMUL_RELU = 4 };

/* ---- The rows of op_list.def ---- */

#define CASES_KERNEL(stem) static void cases_##stem(void);
#define CASES_GRAPH(stem) CASES_KERNEL(stem)
#define CASES_NONE(stem)
#define QN_OP(stem, NAME, in, out, attrs, gradient, recompute) CASES_##gradient(stem)
#include "ops/op_list.def"
#undef QN_OP

#define ROW_KERNEL(stem) .bwd = ref_##stem##_bwd, .cases = cases_##stem
#define ROW_GRAPH(stem) ROW_KERNEL(stem)
#define ROW_NONE(stem) .bwd = NULL, .cases = NULL
#define QN_OP(stem, NAME, in, out, attrs, gradient, recompute)                                     \
    {#stem, in, out, attrs, .fwd = ref_##stem##_fwd, ROW_##gradient(stem)},
static const op ops[] = {
#include "ops/op_list.def"
};
#undef QN_OP

/* ---- The cases of each op ---- */

/* ranks 0: a and b 2-D; 1: a 3-D, b 2-D; 2: both 3-D. flags: trans_a, trans_b, bias, c. */
static void matmul_case(int ranks, int act, int flags)
{
    bool trans_a = flags & 1, trans_b = flags & 2;
    int64_t n0 = pick(1, 3), m = pick(1, 4), n = pick(1, 4), k = pick(0, 4);
    int64_t a0 = trans_a ? k : m, a1 = trans_a ? m : k, b0 = trans_b ? n : k, b1 = trans_b ? k : n;
    dims y = ranks == 0 ? DIMS(m, n) : DIMS(n0, m, n);
    now.attr[0] = trans_a;
    now.attr[1] = trans_b;
    now.attr[2] = act;
    input(0, ranks == 0 ? DIMS(a0, a1) : DIMS(n0, a0, a1));
    input(1, ranks == 2 ? DIMS(n0, b0, b1) : DIMS(b0, b1));
    if (flags & 4) input(2, DIMS(n));
    if (flags & 8) input(3, y);
    if (pick(0, 3)) output(0, y);
    if (!now.has_out[0] || act == MATMUL_RELU || pick(0, 1)) output(1, y);
}

/* Is some argument of act near 0, where relu has its corner? */
static bool near_corner(void)
{
    bool near = false;
    loss();
    for (int64_t i = 0; i < count(&now.out[1]); i++) near |= fabs(now.out[1].d[i]) < 0.01;
    return near;
}

static void cases_matmul(void)
{
    for (int ranks = 0; ranks < 3; ranks++)
        for (int act = 0; act < 6; act++)
            for (int flags = 0; flags < 16; flags++) {
                matmul_case(ranks, act, flags);
                while (act == MATMUL_RELU && near_corner()) {
                    case_end();
                    matmul_case(ranks, act, flags);
                }
                check();
            }
}

static void cases_embedding(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        int64_t vocabulary = pick(1, 5), rows = pick(0, 7), channels = pick(1, 4);
        input(0, DIMS(vocabulary, channels));
        integers(1, DIMS(rows), 0, vocabulary - 1);
        output(0, DIMS(rows, channels));
        check();
    }
}

static void cases_layer_norm(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        dims shape = i % 2 ? DIMS(pick(0, 4), pick(2, 7)) : DIMS(2, pick(1, 3), pick(2, 7));
        now.attr[0] = i % 3 ? 1e-5 : 0.1;
        spread(0, shape, 0.3); /* a row of near equals curves within the step */
        input(1, DIMS(shape.dim[shape.rank - 1]));
        if (i % 4 < 2) input(2, DIMS(shape.dim[shape.rank - 1]));
        output(0, shape);
        check();
    }
}

static void cases_rms_norm(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        dims shape = i % 2 ? DIMS(pick(0, 4), pick(1, 7)) : DIMS(2, pick(1, 3), pick(1, 7));
        now.attr[0] = i % 3 ? 1e-5 : 0.1;
        spread(0, shape, 0.3);
        input(1, DIMS(shape.dim[shape.rank - 1]));
        output(0, shape);
        check();
    }
}

static void cases_rope(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        int64_t pairs = pick(1, 3), size = 2 * pairs + pick(0, 3), positions = pick(1, 6);
        dims shape = DIMS(pick(1, 4), pick(1, 3), size);
        now.attr[0] = i % 2;
        input(0, shape);
        integers(1, DIMS(shape.dim[0]), 0, positions - 1);
        double *table = input(2, DIMS(positions, pairs, 2));
        for (int64_t j = 0; j < positions * pairs; j++) {
            double angle = uniform(-3, 3);
            table[2 * j] = cos(angle);
            table[2 * j + 1] = sin(angle);
        }
        output(0, shape);
        check();
    }
}

/* x and y of one shape, of each rank; inputs more of the same shape. */
static void elementwise(int inputs, int round)
{
    dims shapes[REF_RANK] = {DIMS(pick(1, 9)), DIMS(pick(0, 3), pick(1, 4)),
                             DIMS(pick(1, 3), 2, pick(1, 4)), DIMS(2, pick(1, 3), 2, 2)};
    for (int i = 0; i < inputs; i++) input(i, shapes[round % REF_RANK]);
    output(0, shapes[round % REF_RANK]);
}

static void cases_gelu(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        now.attr[0] = i % 2;
        elementwise(1, i / 2);
        check();
    }
}

static void elementwise_cases(int inputs)
{
    for (int i = 0; i < ROUNDS; i++) {
        elementwise(inputs, i);
        check();
    }
}

static void cases_silu(void)
{
    elementwise_cases(1);
}

static void cases_swiglu(void)
{
    elementwise_cases(2);
}

static void cases_relu(void)
{
    elementwise_cases(1);
}

static void cases_tanh(void)
{
    elementwise_cases(1);
}

static void cases_copy(void)
{
    elementwise_cases(1);
}

/* Rows cut into sequences; a row sees any part of its sequence, the causal part, or nothing. */
static void random_ranges(double *ranges, int64_t rows)
{
    for (int64_t base = 0, end; base < rows; base = end) {
        end = pick(base + 1, rows);
        for (int64_t r = base; r < end; r++) {
            int64_t from = pick(0, 1) ? base : pick(base, r), to = pick(from, end);
            if (pick(0, 1)) to = r + 1;
            const int64_t range[4] = {base, from, to, end};
            for (int i = 0; i < 4; i++) ranges[r * 4 + i] = (double)range[i];
        }
    }
}

static void cases_attention(void)
{
    for (int i = 0; i < 2 * ROUNDS; i++) {
        int64_t rows = pick(1, 6), groups = pick(1, 2), heads = groups * pick(1, 3);
        int64_t size = pick(1, 4), wide = pick(1, 4);
        now.attr[0] = i % 2 ? 0.7 : 0;
        now.attr[1] = i % 4 < 2 ? 1.5 : 0;
        now.attr[2] = i % 2; /* for cost estimates: must change nothing */
        input(0, DIMS(rows, heads, size));
        input(1, DIMS(rows, groups, size));
        input(2, DIMS(rows, groups, wide));
        random_ranges(input(3, DIMS(rows, 4)), rows);
        output(0, DIMS(rows, heads, wide));
        check();
    }
}

static void cases_cross_entropy(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        int64_t rows = pick(0, 5), vocabulary = pick(1, 6);
        input(0, DIMS(rows, vocabulary));
        integers(1, DIMS(rows), -1, vocabulary - 1);
        output(0, DIMS(rows));
        check();
    }
}

static void cases_dropout(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        now.attr[0] = i % 3 * 0.3;
        now.attr[1] = (double)pick(0, 5);
        elementwise(1, i);
        integers(1, DIMS(4), INT32_MIN, INT32_MAX);
        now.in[1].d[3] = (double)pick(0, 1 << 30);
        check();
    }
}

/* b has the last dimensions of a; a scalar's worth is b [1] beside a [.., 1]. */
static void broadcast_cases(void)
{
    for (int rank = 1; rank <= REF_RANK; rank++)
        for (int suffix = 1; suffix <= rank; suffix++) {
            dims a = {.rank = rank}, b = {.rank = suffix};
            for (int i = 0; i < rank; i++) a.dim[i] = pick(1, 4);
            for (int i = 0; i < suffix; i++) b.dim[i] = a.dim[rank - suffix + i];
            input(0, a);
            input(1, b);
            output(0, a);
            check();
        }
}

static void cases_add(void)
{
    broadcast_cases();
}

static void cases_multiply(void)
{
    broadcast_cases();
}

static void cases_scale(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        now.attr[0] = uniform(-2, 2);
        elementwise(1, i);
        check();
    }
}

/* The numbers and the step are multiples of 1/16 below 4, which all three formats hold, so that
 * rounding, whose slope is 0 or infinite elsewhere, is the identity it is taken for. */
static void cases_cast(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        now.attr[0] = i % 3;
        now.step = 0x1p-4;
        elementwise(1, i / 3);
        for (int64_t e = 0; e < count(&now.in[0]); e++) now.in[0].d[e] = (double)pick(-32, 32) / 16;
        check();
    }
}

static void cases_permute(void)
{
    for (int i = 0; i < 4 * ROUNDS; i++) {
        dims x = {.rank = i % REF_RANK + 1}, y = {.rank = x.rank};
        for (int j = 0; j < REF_RANK; j++) now.attr[j] = j;
        for (int j = x.rank - 1; j > 0; j--) {
            int other = (int)pick(0, j);
            double kept = now.attr[j];
            now.attr[j] = now.attr[other];
            now.attr[other] = kept;
        }
        for (int j = 0; j < x.rank; j++) x.dim[j] = pick(1, 4);
        for (int j = 0; j < x.rank; j++) y.dim[j] = x.dim[(int)now.attr[j]];
        input(0, x);
        output(0, y);
        check();
    }
}

/* A random shape of the rank that the round asks for, and an axis of it in attribute 0. */
static dims shape_and_axis(int round, int *axis)
{
    dims shape = {.rank = round % REF_RANK + 1};
    for (int i = 0; i < shape.rank; i++) shape.dim[i] = pick(1, 4);
    *axis = (int)pick(0, shape.rank - 1);
    now.attr[0] = *axis;
    return shape;
}

static void cases_slice(void)
{
    for (int i = 0; i < 2 * ROUNDS; i++) {
        int axis;
        dims shape = shape_and_axis(i, &axis);
        int64_t from = pick(0, shape.dim[axis]), to = pick(from, shape.dim[axis]);
        input(0, shape);
        now.attr[1] = (double)from;
        now.attr[2] = (double)to;
        shape.dim[axis] = to - from;
        output(0, shape);
        check();
    }
}

static void cases_pad(void)
{
    for (int i = 0; i < 2 * ROUNDS; i++) {
        int axis;
        dims shape = shape_and_axis(i, &axis);
        int64_t before = pick(0, 3), after = pick(0, 3);
        input(0, shape);
        now.attr[1] = (double)before;
        now.attr[2] = (double)after;
        shape.dim[axis] += before + after;
        output(0, shape);
        check();
    }
}

static void cases_concat(void)
{
    for (int i = 0; i < 2 * ROUNDS; i++) {
        int axis, parts = 2 + i % 3;
        dims shape = shape_and_axis(i / 2, &axis);
        int64_t total = 0;
        for (int part = 0; part < parts; part++) {
            shape.dim[axis] = pick(0, 3);
            total += shape.dim[axis];
            input(part, shape);
        }
        shape.dim[axis] = total;
        output(0, shape);
        check();
    }
}

static void cases_gather(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        int64_t rows = pick(1, 3), wide = pick(1, 4), wanted = pick(0, 6);
        input(0, i % 2 ? DIMS(wide) : DIMS(rows, wide));
        integers(1, i % 2 ? DIMS(wanted) : DIMS(rows, wanted), 0, wide - 1);
        output(0, i % 2 ? DIMS(wanted) : DIMS(rows, wanted));
        check();
    }
}

static void cases_reduce(void)
{
    for (int i = 0; i < 6 * ROUNDS; i++) {
        int axis;
        dims shape = shape_and_axis(i / 3, &axis), y = {.rank = shape.rank - 1};
        now.attr[1] = i % 3;
        spread(0, shape, 0.03); /* no move changes which is the largest */
        for (int j = 0; j < y.rank; j++) y.dim[j] = shape.dim[j < axis ? j : j + 1];
        output(0, y);
        check();
    }
}

static void cases_softmax(void)
{
    elementwise_cases(1);
}

static void cases_mse(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        dims shape = i % 2 ? DIMS(pick(1, 9)) : DIMS(pick(1, 3), pick(1, 4));
        input(0, shape);
        input(1, shape);
        output(0, DIMS(1));
        check();
    }
}

/* ---- What differences cannot see ---- */

/* The first largest of equals takes the gradient. */
static void reduce_max_tie(void **unused)
{
    (void)unused;
    double values[] = {1, 3, 3, 2}, one = 1, gradient[4];
    ref_tensor x = {1, {4}, values}, dy = {0, {0}, &one}, dx = {1, {4}, gradient};
    ref_call call = {.attr = {0, 2}, .in = {&x}, .dout = {&dy}, .din = {&dx}};
    ref_reduce_bwd(&call);
    const double wanted[] = {0, 1, 0, 0};
    assert_memory_equal(gradient, wanted, sizeof wanted);
}

/* Halfway goes to even, denormals stay, the halfway point above the largest is infinity. */
static void cast_rounding(void **unused)
{
    (void)unused;
    static const struct {
        int to;
        double x, y;
    } rows[] = {
        {1, 1 + 0x1p-11, 1},
        {1, 1 + 0x3p-11, 1 + 0x1p-9},
        {1, 65519, 65504},
        {1, 65520, INFINITY},
        {1, -65520, -INFINITY},
        {1, 0x1p-24, 0x1p-24},
        {1, 0x1p-25, 0},
        {1, 0x3p-25, 0x1p-23},
        {1, 0x1.1p-25, 0x1p-24},
        {1, 2047 * 0x1p-25, 0x1p-14},
        {2, 1 + 0x1p-8, 1},
        {2, 1 + 0x3p-8, 1 + 0x1p-6},
        {2, 0x1p-133, 0x1p-133},
        {2, 0x1p-134, 0},
        {2, 0x1.FEp127, 0x1.FEp127},
        {2, 0x1.FFp127, INFINITY},
        {0, 1 + 0x1p-24, 1},
        {0, 0x1p-149, 0x1p-149},
        {0, 0x1.FFFFFEp127, 0x1.FFFFFEp127},
        {0, 0x1.FFFFFFp127, INFINITY},
        {1, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double value = rows[i].x, got = NAN;
        ref_tensor x = {1, {1}, &value}, y = {1, {1}, &got};
        ref_call call = {.attr = {rows[i].to}, .in = {&x}, .out = {&y}};
        ref_cast_fwd(&call);
        if (got != rows[i].y)
            fail_msg("cast to=%d of %a is %a, not %a", rows[i].to, value, got, rows[i].y);
    }
}

/* Known words of Philox 4x32-10, read through p: an element is kept up to its own fraction and
 * dropped just above it. The first row is a published vector (counter and key 0); the second has
 * each part of counter (0x43F6A880, 2, 0x13198A2E, 0x03707344) and key different, and was computed
 * with a third implementation that gives the published vector of the digits of pi. */
static void dropout_philox(void **unused)
{
    (void)unused;
    enum { A_ROW = 64 }; /* element 0 of first row r is 64 r, so it opens block 16 r */
    static const struct {
        double rng[4], stream;
        uint32_t words[4];
    } rows[] = {
        {{0, 0, 0, 0}, 0, {0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u}},
        {{(double)0xA4093822 - 0x1p32, 0x299F31D0, 0x03707344, 0x243F6A88},
         0x13198A2E,
         {0x7232AB7Au, 0xAA6092F3u, 0x8221ADD5u, 0x17398ADDu}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int e = 0; e < 4; e++)
            for (uint32_t above = 0; above < 2; above++) {
                double numbers[4], ones[A_ROW], got[A_ROW];
                double p = ((rows[i].words[e] >> 8) + above) * 0x1p-24;
                memcpy(numbers, rows[i].rng, sizeof numbers);
                for (int j = 0; j < A_ROW; j++) ones[j] = 1;
                ref_tensor x = {2, {1, A_ROW}, ones}, rng = {1, {4}, numbers};
                ref_tensor y = {2, {1, A_ROW}, got};
                ref_call call = {.attr = {p, rows[i].stream}, .in = {&x, &rng}, .out = {&y}};
                ref_dropout_fwd(&call);
                assert_true(above ? got[e] == 0 : got[e] == 1 / (1 - p));
            }
}

/* Keys read through slots are the keys of a tensor in that order; an empty range gives zeros. */
static void attention_slots(void **unused)
{
    (void)unused;
    enum { ROWS = 3, KEYS = 4, SIZE = 2 };
    double q[ROWS * SIZE], k[KEYS * SIZE], v[KEYS * SIZE], sorted_k[KEYS * SIZE];
    double sorted_v[KEYS * SIZE], order[KEYS] = {2, 0, 3, 1}, direct[ROWS * SIZE];
    double through[ROWS * SIZE], ranges[ROWS * 4] = {0, 0, 4, 4, 0, 1, 3, 4, 0, 2, 2, 4};
    for (int i = 0; i < ROWS * SIZE; i++) q[i] = uniform(-1, 1);
    for (int i = 0; i < KEYS * SIZE; i++) k[i] = uniform(-1, 1);
    for (int i = 0; i < KEYS * SIZE; i++) v[i] = uniform(-1, 1);
    for (int i = 0; i < KEYS * SIZE; i++) {
        sorted_k[i] = k[(int)order[i / SIZE] * SIZE + i % SIZE];
        sorted_v[i] = v[(int)order[i / SIZE] * SIZE + i % SIZE];
    }
    ref_tensor tq = {3, {ROWS, 1, SIZE}, q}, tr = {2, {ROWS, 4}, ranges};
    ref_tensor slots = {1, {KEYS}, order};
    ref_tensor tk = {3, {KEYS, 1, SIZE}, k}, tv = {3, {KEYS, 1, SIZE}, v}, o = tq;
    ref_call call = {.in = {&tq, &tk, &tv, &tr, &slots}, .out = {&o}};
    o.d = through;
    ref_attention_fwd(&call);
    tk.d = sorted_k;
    tv.d = sorted_v;
    call.in[4] = NULL;
    o.d = direct;
    ref_attention_fwd(&call);
    assert_memory_equal(through, direct, sizeof direct);
    assert_true(direct[4] == 0 && direct[5] == 0 && direct[0] != 0);
}

#define TEST_KERNEL(stem, NAME) {#stem, run, NULL, NULL, (void *)&ops[OP_##NAME]},
#define TEST_GRAPH(stem, NAME) TEST_KERNEL(stem, NAME)
#define TEST_NONE(stem, NAME)
#define QN_OP(stem, NAME, in, out, attrs, gradient, recompute) OP_##NAME,
enum {
#include "ops/op_list.def"
};
#undef QN_OP
#define QN_OP(stem, NAME, in, out, attrs, gradient, recompute) TEST_##gradient(stem, NAME)
static const struct CMUnitTest tests[] = {
#include "ops/op_list.def"
    cmocka_unit_test(reduce_max_tie),
    cmocka_unit_test(cast_rounding),
    cmocka_unit_test(dropout_philox),
    cmocka_unit_test(attention_slots),
};
#undef QN_OP

int main(void)
{
    const char *chosen = getenv("QN_SEED");
    seed = chosen ? strtoull(chosen, NULL, 0) : 1;
    printf("QN_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
