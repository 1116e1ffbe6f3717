/* The benches behind `quernel bench`. */
#include <quernel/bench.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/median.h"
#include "base/rng.h"
#include "base/hash.h"
#include "model/model.h"
#include "model/quantized.h"
#include "ops/case.h"
#include "ops/choice.h"
#include "ops/rig.h"
#include "train/leaves.h"
#include "train/loss_scale.h"
#include "train/metrics.h"
#include "train/training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qn_status need_peaks(qn_device *device, const qn_caps **caps)
{
    qn_peaks peaks;
    *caps = qn__device_caps(device);
    return (*caps)->peak_gflops > 0 ? QN_OK : qn_device_measure(device, &peaks);
}

static qn_status dump(json_t *root, char **json)
{
    *json = root ? json_dumps(root, JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

/* ---- one op ---- */

static qn_status set_up(qn_device *device, const char *line, const char *variant, qn_rig *rig)
{
    qn_call call;
    qn_tune_mode mode;
    *rig = (qn_rig){0};
    QN_TRY(qn__case_parse(line, &call));
    QN_TRY(qn__tune_mode(NULL, &mode));
    QN_TRY(qn__rig_make(device, &call, rig));
    const qn_tuning *tuning = mode == QN_TUNE_OFF ? NULL : qn__tuned(device);
    QN_TRY(qn__call_choose_tuned(&rig->call, variant, tuning, NULL));
    return qn__rig_scratch(rig);
}

static qn_status time_call(qn_rig *rig, int repeats, double *seconds)
{
    double times[1001];
    int limit = repeats > 0 && repeats <= 1001 ? repeats : 51, count = 0;
    qn_exec exec = {.device = rig->device};
    qn_status status = qn__rig_run(rig, &exec, 1);
    for (double begin = qn__seconds(); status == QN_OK && count < limit;) {
        double start = qn__seconds();
        status = qn__rig_run(rig, &exec, 1);
        times[count++] = qn__seconds() - start;
        if (repeats <= 0 && count >= 5 && qn__seconds() - begin > 3) break;
    }
    qn__exec_free(&exec);
    if (status == QN_OK) *seconds = qn__median(times, count);
    return status;
}

qn_status qn_bench_op(qn_device *device, const char *line, const qn_bench_options *options,
                      char **json)
{
    qn_rig rig;
    const qn_caps *caps;
    char text[512], choice[QN_TUNING_TEXT];
    double seconds = 0;
    *json = NULL;
    QN_TRY(need_peaks(device, &caps));
    qn_status status = set_up(device, line, options ? options->variant : NULL, &rig);
    if (status == QN_OK) status = time_call(&rig, options ? options->repeats : 0, &seconds);
    if (status == QN_OK) {
        qn_cost cost = qn__call_cost(&rig.call);
        double gflops = cost.flops / seconds * 1e-9, gbytes = cost.bytes / seconds * 1e-9;
        double of_flops = 100 * cost.flops / seconds / qn__call_peak(&rig.call),
               of_bytes = 100 * gbytes / caps->peak_gbytes;
        bool compute = of_flops >= of_bytes;
        status = dump(json_pack("{s:s,s:s,s:s,s:s,s:f,s:f,s:f,s:f,s:s}", "case",
                                qn__call_text(&rig.call, text, sizeof text), "variant",
                                rig.call.variant->name, "choice",
                                qn__call_choice_text(&rig.call, choice, sizeof choice), "device",
                                caps->name, "ms", seconds * 1e3, "gflops", gflops, "gbytes_per_s",
                                gbytes, "percent_of_peak", compute ? of_flops : of_bytes, "bound",
                                compute ? "compute" : "memory"),
                      json);
    }
    qn__rig_free(&rig);
    return status;
}

/* ---- a training step ---- */

/* Medians in seconds: leaves by themselves, with their gradients added, with the update too. */
typedef struct step_times {
    double leaves, added, step;
} step_times;

static qn_status time_step(qn_training *t, int64_t step, step_times *times)
{
    const qn_hyper hyper = {1e-4f, 0.9f, 0.95f, 1e-8f, 0.1f, 10.0f, 20.0f, 1.0f};
    double start = qn__seconds(), loss, norm;
    QN_TRY(qn__training_step(t, 1, step, &loss, &norm));
    times->added = qn__seconds() - start;
    QN_TRY(qn__training_update(t, &hyper));
    QN_TRY(qn__device_finish(t->store->device));
    times->step = qn__seconds() - start;
    if (t->leaves == 1) return QN_OK;
    start = qn__seconds();
    QN_TRY(qn__leaves_alone(t));
    QN_TRY(qn__device_finish(t->store->device));
    times->leaves = qn__seconds() - start;
    return QN_OK;
}

static qn_status train_steps(qn_training *t, int repeats, step_times *medians)
{
    enum { MOST = 1001 };
    static const step_times none;
    int limit = repeats > 0 && repeats <= MOST ? repeats : 9, count = 0;
    double *seconds = malloc(3 * MOST * sizeof *seconds);
    int32_t *ids = malloc((size_t)t->rows * 2 * sizeof *ids);
    qn_rng rng = {.seed = 7};
    qn_status status = ids && seconds ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    for (int64_t r = 0; status == QN_OK && r < 2 * t->rows; r++)
        ids[r] = (int32_t)qn__rng_below(&rng, (uint64_t)t->config.vocab);
    for (int i = -2; status == QN_OK && i < limit; i++) {
        step_times now = none;
        for (int64_t leaf = 0; leaf < t->leaves; leaf++)
            qn__training_set_leaf(t, leaf, ids, ids + t->rows);
        status = time_step(t, i + 2, &now);
        if (i < 0) continue;
        seconds[count] = now.leaves;
        seconds[MOST + count] = now.added;
        seconds[2 * MOST + count++] = now.step;
    }
    if (status == QN_OK)
        *medians = (step_times){qn__median(seconds, count), qn__median(seconds + MOST, count),
                                qn__median(seconds + 2 * MOST, count)};
    free(ids);
    free(seconds);
    return status;
}

static json_t *train_report(qn_device *device, const qn_training *t, const step_times *times)
{
    const qn_caps *caps = qn__device_caps(device);
    uint64_t bytes;
    qn_device_memory(device, &bytes, NULL);
    json_t *root = json_pack(
        "{s:f,s:f,s:f,s:I,s:s,s:I,s:I}", "step_ms", times->step * 1e3, "tokens_per_s",
        (double)(t->batch * t->length) / times->step, "percent_of_peak",
        100 * qn__training_flops(t) / times->step / (qn__run_peak_gflops(caps, t->type) * 1e9),
        "parameters", (json_int_t)qn_model_parameters(&t->config), "device", caps->name,
        "device_bytes", (json_int_t)bytes, "planned_bytes", (json_int_t)qn__training_bytes(t));
    if (t->leaves == 1) return root;
    json_object_set_new(root, "leaves_ms", json_real(times->leaves * 1e3));
    json_object_set_new(root, "accumulated_ms", json_real(times->added * 1e3));
    json_object_set_new(root, "accumulation_percent",
                        json_real(100 * (times->added / times->leaves - 1)));
    return root;
}

qn_status qn_bench_train(qn_device *device, const qn_model_config *config, int batch, int context,
                         const qn_bench_options *options, char **json)
{
    const qn_caps *caps;
    qn_model_config c = *config;
    qn_training *t;
    int leaves = options && options->micro_batches > 1 ? options->micro_batches : 1;
    qn_training_options train = {.batch = (int64_t)batch * leaves,
                                 .micro = batch,
                                 .chain = options && options->chain,
                                 .variant = options ? options->variant : NULL};
    if (options && options->precision) QN_TRY(qn__precision(options->precision, &train.type));
    step_times times = {0};
    char *profile = NULL;
    *json = NULL;
    QN_TRY(need_peaks(device, &caps));
    if (context > 0) c.context = context;
    QN_TRY(qn__training_create(device, caps, &c, &train, &t));
    qn_status status = qn__training_prepare(t);
    if (status == QN_OK) status = qn__weights_init(t->store, &c, 1);
    if (status == QN_OK) status = train_steps(t, options ? options->repeats : 0, &times);
    if (status == QN_OK && qn__device_profiles(device)) {
        qn_plan *plans[QN_STEP_PLANS];
        int64_t runs[QN_STEP_PLANS];
        status = qn__plans_profile(plans, qn__training_plans(t, plans, runs), &profile);
    }
    if (status == QN_OK) {
        json_t *root = train_report(device, t, &times);
        if (profile) json_object_set_new(root, "profile", json_loads(profile, 0, NULL));
        status = dump(root, json);
    }
    free(profile);
    qn__training_destroy(&t);
    return status;
}

/* ---- decoding ---- */

typedef struct decoding {
    qn_batch *batch;
    qn_sampler *sampler; /* greedy */
    int32_t vocab, sequences, prompt;
    int32_t *id;        /* [sequences] */
    qn_batch_row *rows; /* [sequences * prompt] */
} decoding;

/* All prompts, then the likeliest token of each sequence in rows[0 .. sequences). */
static qn_status read_prompts(decoding *d)
{
    const float *logits;
    qn_rng rng = {.seed = 3};
    size_t count = 0;
    for (int32_t s = 0; s < d->sequences; s++) {
        QN_TRY(qn_batch_rewind(d->batch, d->id[s], 0));
        for (int32_t i = 0; i < d->prompt; i++)
            d->rows[count++] = (qn_batch_row){
                d->id[s], (int32_t)qn__rng_below(&rng, (uint64_t)d->vocab), i + 1 == d->prompt};
    }
    QN_TRY(qn_batch_run(d->batch, d->rows, count, &logits));
    for (int32_t s = 0; s < d->sequences; s++) d->rows[s] = (qn_batch_row){d->id[s], 1, true};
    return QN_OK;
}

static qn_status make_tokens(decoding *d, int tokens)
{
    for (int i = 0; i < tokens; i++) {
        const float *logits;
        QN_TRY(qn_batch_run(d->batch, d->rows, (size_t)d->sequences, &logits));
        for (int32_t s = 0; s < d->sequences; s++)
            QN_TRY(qn_sampler_choose(d->sampler, logits + (size_t)s * (size_t)d->vocab, NULL,
                                     &d->rows[s].token));
    }
    return QN_OK;
}

/* Seconds of all prompts, and of a token for every sequence. */
static qn_status decode_times(decoding *d, int tokens, double *prompt_s, double *token_s)
{
    QN_TRY(qn_sampler_create(NULL, d->vocab, &d->sampler));
    for (int32_t s = 0, reused; s < d->sequences; s++)
        QN_TRY(qn_batch_add(d->batch, NULL, 0, &d->id[s], &reused));
    QN_TRY(read_prompts(d)); /* builds the kernels */
    QN_TRY(make_tokens(d, tokens > 0));
    double start = qn__seconds();
    QN_TRY(read_prompts(d));
    *prompt_s = qn__seconds() - start;
    start = qn__seconds();
    QN_TRY(make_tokens(d, tokens));
    *token_s = (qn__seconds() - start) / (tokens > 0 ? tokens : 1);
    return QN_OK;
}

static qn_status time_decoding(qn_model *model, int sequences, int prompt, int tokens,
                               double *prompt_s, double *token_s)
{
    decoding d = {.vocab = model->config.vocab, .sequences = sequences, .prompt = prompt};
    QN_CHECK(prompt >= 1 && tokens >= 0 && prompt + tokens <= model->config.context,
             "%d prompt tokens and %d more do not fit the context of %d", prompt, tokens,
             model->config.context);
    d.id = malloc((size_t)sequences * sizeof *d.id);
    d.rows = malloc((size_t)sequences * (size_t)prompt * sizeof *d.rows);
    qn_status status =
        d.id && d.rows ? qn_batch_create(model, &d.batch) : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) status = decode_times(&d, tokens, prompt_s, token_s);
    qn_batch_destroy(&d.batch);
    qn_sampler_destroy(&d.sampler);
    free(d.id);
    free(d.rows);
    return status;
}

/* Numbers of no meaning, made fast: a sum of two uniforms of splitmix64. */
static qn_status random_fetch(const qn_weight_source *source, const qn_weight *weight,
                              float *values)
{
    (void)source;
    uint64_t state = qn__hash(weight->name, strlen(weight->name));
    for (int64_t i = 0; i < qn_shape_elements(&weight->shape); i++) {
        uint64_t z = state += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        values[i] = ((float)(uint32_t)z + (float)(uint32_t)(z >> 32) - 0x1p32f) * 0x1p-37f;
        if (weight->shape.rank == 1) values[i] += 1;
    }
    return QN_OK;
}

static qn_dtype random_dtype(const qn_weight_source *source, const qn_weight *weight)
{
    (void)source;
    (void)weight;
    return QN_F32;
}

static qn_status random_model(qn_device *device, const qn_model_config *config, const char *type,
                              qn_model **model)
{
    const qn_weight_source source = {
        .fetch = random_fetch, .dtype = random_dtype, .config = config, .path = "random weights"};
    qn_dtype wanted = QN_DTYPE_COUNT;
    if (type) QN_TRY(qn__quantized_type(type, &wanted));
    return qn__model_from(device, &source, wanted, model);
}

/* Bytes of the weights that making a token reads: all but a table that is only looked up, and of
 * experts those that a token meets. */
static double weight_bytes(const qn_model *model)
{
    qn_weight weight;
    double bytes = 0;
    for (int cursor = 0; qn__weight_next(&model->config, &cursor, &weight);) {
        int index = qn__store_index(model->store, weight.name);
        if (weight.role == QN_POSITIONS || (weight.role == QN_TOKENS && !model->config.tied))
            continue;
        const qn_model_config *c = &model->config;
        double met = qn__is_stack(weight.role) ? (double)c->experts_used / c->experts : 1;
        bytes += met * (double)qn__desc_bytes(&model->store->tensors[index].desc);
    }
    return bytes;
}

/* Are its products with quantized matrices? */
static bool in_integers(const qn_model *model)
{
    qn_weight weight;
    if (!qn__weight_at(&model->config, QN_O, 0, &weight)) return false;
    int index = qn__store_index(model->store, weight.name);
    return qn_dtype_is_block(model->store->tensors[index].desc.dtype);
}

/* Of `batch` prompts. */
static json_t *prefill_report(const qn_model *model, const qn_caps *caps, int tokens, int batch,
                              double seconds)
{
    const qn_model_config *c = &model->config;
    double flops = 2 * qn__matrix_elements(c) - 2.0 * c->vocab * c->embed; /* one row meets it */
    const double all = (double)tokens * batch;
    flops = (flops + qn__attention_flops(c, tokens)) * all / seconds;
    bool integers = in_integers(model) && caps->peak_int8_gops > 0;
    double peak = (integers ? caps->peak_int8_gops : caps->peak_gflops) * 1e9;
    return json_pack("{s:f,s:f,s:f,s:s,s:i,s:s}", "tokens_per_s", all / seconds, "gflops",
                     flops * 1e-9, "percent_of_peak", 100 * flops / peak, "of",
                     integers ? "int8" : "f32", "batch", batch, "device", caps->name);
}

/* seconds: of a token for each of `batch` sequences, which read the weights once. bandwidth: in
 * GB/s, as this run found it. */
static json_t *decode_report(const qn_model *model, const qn_caps *caps, double prompt_tokens_per_s,
                             int batch, double seconds, double bandwidth)
{
    double bytes = weight_bytes(model);
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:i,s:I,s:s}", "tokens_per_s", batch / seconds,
                     "gbytes_per_s", bytes / seconds * 1e-9, "percent_of_bandwidth",
                     100 * bytes / seconds * 1e-9 / bandwidth, "bandwidth_gbytes_per_s", bandwidth,
                     "prompt_tokens_per_s", prompt_tokens_per_s, "batch", batch, "cache_bytes",
                     (json_int_t)qn__model_cache_bytes(model), "device", caps->name);
}

/* Reading rates before and after, for a machine with others on it; where no memory is left to
 * measure, what was once measured. */
static double read_rate(qn_device *device, const qn_caps *caps)
{
    double rate;
    return qn__device_read_rate(device, &rate) == QN_OK ? rate : caps->peak_gbytes;
}

static qn_status decode_profile(const qn_model *model, json_t *root)
{
    qn_plan *plans[] = {model->cache_plan, model->rows_plan};
    char *profile = NULL;
    QN_TRY(qn__plans_profile(plans, model->rows_plan ? 2 : 1, &profile));
    json_object_set_new(root, "profile", json_loads(profile, 0, NULL));
    free(profile);
    return QN_OK;
}

qn_status qn_bench_decode(qn_device *device, const qn_model_config *config, const char *path,
                          int prompt_tokens, int tokens, const qn_bench_options *options,
                          char **json)
{
    const qn_caps *caps;
    qn_model *model = NULL;
    double prompt_s = 0, token_s = 0;
    *json = NULL;
    QN_TRY(need_peaks(device, &caps));
    const qn_bench_options none = {0};
    if (!options) options = &none;
    const int batch = options->batch > 1 ? options->batch : 1;
    const int64_t cells = (int64_t)batch * ((int64_t)prompt_tokens + tokens + 1);
    const qn_model_options open = {.size = sizeof open,
                                   .type = options->type,
                                   .context = options->context,
                                   .cache_type = options->cache_type,
                                   .sequences = batch,
                                   .cache_tokens = cells < INT32_MAX ? (int32_t)cells : 0};
    qn_status status = path ? qn_model_open(device, path, &open, &model)
                            : random_model(device, config, options->type, &model);
    if (status == QN_OK && !path) status = qn__model_set_cache(model, &open);
    double bandwidth = tokens > 0 && status == QN_OK ? read_rate(device, caps) : 0;
    if (status == QN_OK)
        status = time_decoding(model, batch, prompt_tokens, tokens, &prompt_s, &token_s);
    if (status == QN_OK) {
        if (tokens > 0 && !qn__device_profiles(device)) /* which would take its launches too */
            bandwidth = (bandwidth + read_rate(device, caps)) / 2;
        const double read = (double)prompt_tokens * batch / prompt_s;
        json_t *root = tokens > 0 ? decode_report(model, caps, read, batch, token_s, bandwidth)
                                  : prefill_report(model, caps, prompt_tokens, batch, prompt_s);
        if (qn__device_profiles(device)) status = decode_profile(model, root);
        if (status == QN_OK) status = dump(root, json);
        else json_decref(root);
    }
    qn_model_destroy(&model);
    return status;
}
