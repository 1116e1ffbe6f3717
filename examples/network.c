/* A network of one's own: not a language model, but two spirals that a small network learns to tell
 * apart.
 *
 *     network [steps]
 *
 * It shows the whole way: declare what lasts (a store), say what is computed (a graph), have it
 * differentiated, plan it, run it again and again. The exit status says whether the network learned
 * the spirals.
 *
 *     x [R, 2] -> tanh(x w1 + b1) -> tanh(. w2 + b2) -> . w3 + b3 = logits [R, 2] -> cross entropy
 * with the class */
#include <math.h>
#include <quernel/quernel.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 512, WIDTH = 64, CLASSES = 2, TURNS = 2 };

/* Every weight: its name, shape, and how far from zero it starts. */
static const struct weight {
    const char *name;
    int rows, columns; /* rows 0: a vector */
    double spread;
} weights[] = {
    {"w1", 2, WIDTH, 1.0}, {"b1", 0, WIDTH, 1.0},        {"w2", WIDTH, WIDTH, 0.15},
    {"b2", 0, WIDTH, 0.1}, {"w3", WIDTH, CLASSES, 0.15}, {"b3", 0, CLASSES, 0.0},
};

enum { WEIGHTS = sizeof weights / sizeof weights[0] };

/* The library never prints and never exits; it returns a status, and qn_last_error() says what
 * happened in words: what, where, the offending value, what to do. A program decides here what to
 * do with it. This one stops. */
static void must(qn_status status)
{
    if (status == QN_OK) return;
    fprintf(stderr, "network: %s\n", qn_last_error());
    exit(qn_status_exit_code(status));
}

static double uniform(void) /* in [-1, 1] */
{
    return 2.0 * rand() / RAND_MAX - 1.0;
}

static qn_shape shape_of(const struct weight *w)
{
    return w->rows ? qn_shape_make(2, w->rows, w->columns) : qn_shape_make(1, w->columns);
}

/* What lasts: inputs, weights, and for each weight its gradient and the two moments of AdamW. */
static void declare(qn_store *store)
{
    static const char *const kinds[] = {"", "grad.", "m.", "v."};
    qn_shape points = qn_shape_make(2, ROWS, 2), rows = qn_shape_make(1, ROWS),
             eight = qn_shape_make(1, 8);
    qn_shape logits = qn_shape_make(2, ROWS, CLASSES);
    char name[32];
    must(qn_store_add(store, "data", "points", QN_F32, &points));
    must(qn_store_add(store, "data", "classes", QN_I32, &rows));
    must(qn_store_add(store, "data", "seed", QN_F32, &rows));
    must(qn_store_add(store, "data", "hyper", QN_F32, &eight));
    must(qn_store_add(store, "results", "loss", QN_F32, &rows));
    must(qn_store_add(store, "results", "logits", QN_F32, &logits));
    for (int i = 0; i < WEIGHTS; i++)
        for (int k = 0; k < 4; k++) {
            qn_shape shape = shape_of(&weights[i]);
            snprintf(name, sizeof name, "%s%s", kinds[k], weights[i].name);
            must(qn_store_add(store, "weights", name, QN_F32, &shape));
        }
    must(qn_store_allocate(store)); /* all of it, now, filled with zeros */
}

/* Forward, loss, backward. A building function that fails returns NULL and so do all after it, so
 * it is enough to ask once, at the end. */
static qn_graph *learning_graph(qn_store *store)
{
    qn_graph *g = NULL;
    qn_tensor *w[WEIGHTS];
    char name[32];
    must(qn_graph_create(store, &g));
    for (int i = 0; i < WEIGHTS; i++) w[i] = qn_graph_weight(g, weights[i].name);
    qn_tensor *x = qn_graph_input(g, "points"); /* an input is not differentiated, a weight is */
    qn_tensor *h1 = qn_apply(g, "tanh", qn_apply(g, "matmul", x, w[0], w[1]));
    qn_tensor *h2 = qn_apply(g, "tanh", qn_apply(g, "matmul", h1, w[2], w[3]));
    qn_tensor *logits = qn_apply(g, "matmul", h2, w[4], w[5]);
    qn_tensor *loss = qn_apply(g, "cross_entropy", logits, qn_graph_input(g, "classes"));
    must(qn_graph_status(g));
    must(qn_graph_assign(g, loss,
                         "loss")); /* what is assigned to the store can be read after a run */
    must(qn_graph_assign(g, logits, "logits"));
    must(qn_graph_backward(g, loss, qn_graph_input(g, "seed")));
    for (int i = 0; i < WEIGHTS; i++) {
        snprintf(name, sizeof name, "grad.%s", weights[i].name);
        must(qn_graph_assign(g, qn_graph_gradient(g, w[i]), name));
    }
    return g;
}

/* AdamW, one op a weight; it writes the weight and its moments in place. */
static qn_graph *update_graph(qn_store *store)
{
    qn_graph *g = NULL;
    char grad[32], m[32], v[32];
    must(qn_graph_create(store, &g));
    qn_tensor *hyper = qn_graph_input(g, "hyper");
    for (int i = 0; i < WEIGHTS; i++) {
        snprintf(grad, sizeof grad, "grad.%s", weights[i].name);
        snprintf(m, sizeof m, "m.%s", weights[i].name);
        snprintf(v, sizeof v, "v.%s", weights[i].name);
        qn_apply(g, "adamw", qn_graph_input(g, weights[i].name), qn_graph_input(g, grad),
                 qn_graph_input(g, m), qn_graph_input(g, v), hyper);
    }
    must(qn_graph_status(g));
    return g;
}

/* Class c goes round the origin TURNS times, half a turn behind the other. */
static void fill_data(qn_store *store, int32_t *classes)
{
    static float points[ROWS][2], seed[ROWS];
    for (int i = 0; i < ROWS; i++) {
        double way = (i / 2 + 0.5) / (ROWS / 2), angle = 6.2831853 * (TURNS * way + 0.5 * (i % 2));
        points[i][0] = (float)(way * cos(angle) * 2);
        points[i][1] = (float)(way * sin(angle) * 2);
        classes[i] = i % 2;
        seed[i] = 1.0f / ROWS; /* d(mean loss) / d(loss of this row) */
    }
    must(qn_store_write(store, "points", points, sizeof points));
    must(qn_store_write(store, "classes", classes, sizeof *classes * ROWS));
    must(qn_store_write(store, "seed", seed, sizeof seed));
}

static void fill_weights(qn_store *store)
{
    static float values[WIDTH * WIDTH];
    for (int i = 0; i < WEIGHTS; i++) {
        qn_shape shape = shape_of(&weights[i]);
        size_t count = (size_t)qn_shape_elements(&shape);
        for (size_t j = 0; j < count; j++) values[j] = (float)(weights[i].spread * uniform());
        must(qn_store_write(store, weights[i].name, values, count * sizeof *values));
    }
}

/* lr, beta1, beta2, eps, weight decay, 1/(1-beta1^t), 1/(1-beta2^t), gradient scale: see adamw in
 * the table of ops. */
static void set_hyper(qn_store *store, int step, int steps)
{
    double lr = 0.01 * (1 - 0.9 * (step - 1) / steps);
    float hyper[8] = {(float)lr,
                      0.9f,
                      0.99f,
                      1e-8f,
                      0,
                      (float)(1 / (1 - pow(0.9, step))),
                      (float)(1 / (1 - pow(0.99, step))),
                      1};
    must(qn_store_write(store, "hyper", hyper, sizeof hyper));
}

static double mean_loss(qn_store *store)
{
    static float loss[ROWS];
    double sum = 0;
    must(qn_store_read(store, "loss", loss, sizeof loss)); /* waits for everything enqueued */
    for (int i = 0; i < ROWS; i++) sum += loss[i];
    return sum / ROWS;
}

static double accuracy(qn_store *store, const int32_t *classes)
{
    static float logits[ROWS][CLASSES];
    int right = 0;
    must(qn_store_read(store, "logits", logits, sizeof logits));
    for (int i = 0; i < ROWS; i++) right += (logits[i][1] > logits[i][0]) == classes[i];
    return 100.0 * right / ROWS;
}

int main(int argc, char **argv)
{
    int steps = argc > 1 ? atoi(argv[1]) : 1000;
    static int32_t classes[ROWS];
    qn_device *device = NULL;
    qn_store *store = NULL;
    qn_plan *learn = NULL, *update = NULL;
    if (steps < 1) {
        fprintf(stderr, "usage: network [steps]\n");
        return 64;
    }
    srand(1);
    must(qn_device_open(NULL, &device)); /* the default one, or what $QN_DEVICE says */
    must(qn_store_create(device, &store));
    declare(store);
    fill_data(store, classes);
    fill_weights(store);
    qn_graph *learning = learning_graph(store), *updating = update_graph(store);
    must(qn_plan_create(learning, NULL, &learn));
    must(qn_plan_create(updating, NULL, &update));
    printf("two spirals, %d points, on %s\n", ROWS, qn_device_name(device));
    for (int step = 1; step <= steps; step++) {
        set_hyper(store, step, steps);
        must(
            qn_plan_run(learn, QN_ALL, 0, 0)); /* enqueued: nothing waits until something is read */
        must(qn_plan_run(update, QN_ALL, 0, 0));
        if (step == 1 || step % (steps < 10 ? 1 : steps / 10) == 0)
            printf("step %5d  loss %.4f\n", step, mean_loss(store));
    }
    double percent = accuracy(store, classes);
    printf("%.1f %% of the points are told apart\n", percent);
    qn_plan_destroy(&update); /* children before parents */
    qn_plan_destroy(&learn);
    qn_graph_destroy(&updating);
    qn_graph_destroy(&learning);
    qn_store_destroy(&store);
    qn_device_close(&device);
    return percent > 95 ? 0 : 1;
}
