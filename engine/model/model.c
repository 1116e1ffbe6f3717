#include "model/model.h"

#include "base/check.h"
#include "model/adapter.h"
#include "model/quantized.h"
#include "model/weights.h"

#include <stdlib.h>
#include <string.h>

typedef struct kept_source {
    const qn_weight_source *source;
    qn_dtype wanted;
} kept_source;

static qn_desc desc_of_source(void *user, const qn_weight *weight)
{
    const kept_source *kept = user;
    return qn__weight_desc(kept->source, weight, kept->wanted);
}

static qn_status create(qn_device *device, const qn_model_config *config, const kept_source *source,
                        qn_model **model)
{
    *model = NULL;
    QN_TRY(qn_model_config_check(config));
    qn_model *m = calloc(1, sizeof *m);
    if (!m) return qn__fail(QN_OS_ERROR, "out of memory");
    m->device = device;
    m->config = *config;
    qn_status status = qn_store_create(device, &m->store);
    if (status == QN_OK)
        status = source ? qn__weights_declare_each(m->store, config, desc_of_source, (void *)source)
                        : qn__weights_declare(m->store, config, QN_F32);
    if (status == QN_OK) status = qn_store_allocate(m->store);
    if (status == QN_OK) status = qn__rope_fill(m->store, config);
    if (status != QN_OK) qn_model_destroy(&m);
    *model = m;
    return status;
}

qn_status qn__model_create(qn_device *device, const qn_model_config *config, qn_model **model)
{
    return create(device, config, NULL, model);
}

qn_status qn__model_from(qn_device *device, const qn_weight_source *source, qn_dtype wanted,
                         qn_model **model)
{
    const kept_source kept = {source, wanted};
    QN_TRY(create(device, source->config, &kept, model));
    return qn__weights_read((*model)->store, source, NULL);
}

qn_status qn__model_over(qn_store *store, const qn_model_config *config, const qn_lora *lora,
                         qn_dtype type, qn_model **model)
{
    qn_model *m = calloc(1, sizeof *m);
    *model = m;
    if (!m) return qn__fail(QN_OS_ERROR, "out of memory");
    m->device = store->device;
    m->store = store;
    m->borrows = true;
    m->config = *config;
    m->lora = *lora;
    m->type = m->cache_type = type;
    return QN_OK;
}

static qn_status load(qn_device *device, const qn_model_file *file, const char *path,
                      const qn_model_options *options, qn_model **model)
{
    qn_model_config config;
    qn_adapter adapter = {0};
    QN_TRY(qn__config_from_file(file, path, &config));
    QN_CHECK(options->context >= 0 && options->context <= config.context,
             "a context of %d; %s has %d", options->context, path, config.context);
    QN_CHECK(options->context == 0 || !qn__arch(config.arch)->learned_positions,
             "%s learns its positions: its context of %d cannot be made shorter", path,
             config.context);
    if (options->adapter) QN_TRY(qn__adapter_open(options->adapter, &config, &adapter));
    const int32_t stated = config.context;
    config.context =
        options->context > 0
            ? options->context
            : qn__model_default_context(&config, options, qn__device_caps(device)->global_bytes);
    qn_weight_source source = qn__weights_of_file(file, &config, path);
    source.adapter = options->adapter ? &adapter : NULL;
    qn_status status = qn__weights_check(&source);
    qn_dtype wanted = QN_DTYPE_COUNT;
    if (status == QN_OK && options->type) status = qn__quantized_type(options->type, &wanted);
    if (status == QN_OK) status = qn__model_from(device, &source, wanted, model);
    if (status == QN_OK) {
        (*model)->stated_context = stated;
        status = qn__model_set_cache(*model, options);
    }
    qn__adapter_close(&adapter);
    return status;
}

qn_status qn_model_open(qn_device *device, const char *path, const qn_model_options *options,
                        qn_model **model)
{
    const qn_model_options none = {.size = sizeof none};
    qn_model_file file;
    *model = NULL;
    if (!options) options = &none;
    QN_CHECK(options->size == sizeof *options, "qn_model_options.size is %u, this library's is %zu",
             options->size, sizeof *options);
    QN_TRY(qn__model_file_open(path, &file));
    qn_status status = load(device, &file, path, options, model);
    if (status != QN_OK) qn_model_destroy(model);
    qn__model_file_close(&file);
    return status;
}

qn_status qn_model_load(qn_device *device, const char *path, qn_model **model)
{
    return qn_model_open(device, path, NULL, model);
}

void qn_model_destroy(qn_model **model)
{
    qn_model *m = *model;
    if (!m) return;
    qn_plan_destroy(&m->all_plan);
    qn_plan_destroy(&m->loss_plan);
    qn_plan_destroy(&m->cache_plan);
    qn_plan_destroy(&m->rows_plan);
    qn_plan_destroy(&m->turn_plan);
    qn_plan_destroy(&m->choose_plan);
    qn_graph_destroy(&m->all_graph);
    qn_graph_destroy(&m->loss_graph);
    qn_graph_destroy(&m->cache_graph);
    qn_graph_destroy(&m->rows_graph);
    qn_graph_destroy(&m->turn_graph);
    qn_graph_destroy(&m->choose_graph);
    if (!m->borrows) qn_store_destroy(&m->store);
    free(m);
    *model = NULL;
}

const qn_model_config *qn_model_get_config(const qn_model *model)
{
    return &model->config;
}

int32_t qn_model_stated_context(const qn_model *model)
{
    return model->stated_context > 0 ? model->stated_context : model->config.context;
}

qn_status qn_model_save(qn_model *model, const char *folder)
{
    const qn_save_options options = {.dtype = QN_F32};
    qn_weight_source source = qn__weights_of_store(model->store, &model->config);
    return qn__weights_save_folder(&source, &options, folder);
}

static qn_status check_tokens(const qn_model *model, const int32_t *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        QN_CHECK(tokens[i] >= 0 && tokens[i] < model->config.vocab,
                 "token %d at position %zu is outside the vocabulary of %d: is this the model's "
                 "tokenizer?",
                 tokens[i], i, model->config.vocab);
    return QN_OK;
}

/* ---- logits of a whole sequence ---- */

static qn_status plan_all(qn_model *model)
{
    if (model->all_plan) return QN_OK;
    qn_shape shape = {.rank = 2, .dim = {model->config.context, model->config.vocab}};
    qn_network network = {
        .config = &model->config, .prefix = "all", .rows = true, .lora = &model->lora};
    QN_TRY(qn__network_inputs(model->store, &network, model->config.context));
    QN_TRY(qn_store_add(model->store, "all", "all.logits", QN_F32, &shape));
    QN_TRY(qn_graph_create(model->store, &model->all_graph));
    network.graph = model->all_graph;
    qn_tensor *logits = qn__network_head(&network, qn__network_hidden(&network));
    qn__network_free(&network);
    QN_TRY(qn_graph_status(model->all_graph));
    QN_TRY(qn_graph_assign(model->all_graph, logits, "all.logits"));
    return qn_plan_create(model->all_graph, NULL, &model->all_plan);
}

static qn_status write_rows(qn_store *store, const char *name, const int32_t *values, size_t count)
{
    return qn__store_write_part(store, qn__store_index(store, name), 0, values,
                                count * sizeof *values);
}

/* ids, positions and ranges of `sequences` sequences of `length` rows. */
static qn_status write_inputs(qn_model *model, const char *prefix, const int32_t *ids,
                              int sequences, int length)
{
    qn_store *store = model->store;
    size_t rows = (size_t)sequences * (size_t)length;
    int32_t *ranges = malloc(rows * 5 * sizeof *ranges + 1);
    char name[2][32];
    if (!ranges) return qn__fail(QN_OS_ERROR, "out of memory");
    snprintf(name[0], sizeof name[0], "%s.ids", prefix);
    snprintf(name[1], sizeof name[1], "%s.pos", prefix);
    qn__causal_ranges(ranges, ranges + rows * 4, sequences, length);
    qn_status status = write_rows(store, name[0], ids, rows);
    if (status == QN_OK) status = write_rows(store, name[1], ranges + rows * 4, rows);
    if (status == QN_OK)
        status = qn__network_write_ranges(model->store, &model->config, prefix, ranges, rows);
    free(ranges);
    return status;
}

qn_status qn_model_logits(qn_model *model, const int32_t *tokens, size_t count, float *logits)
{
    QN_CHECK(count >= 1 && count <= (size_t)model->config.context, "%zu tokens; the context is %d",
             count, model->config.context);
    QN_TRY(check_tokens(model, tokens, count));
    if (model->cache_type != model->type)
        return qn__model_cached_logits(model, tokens, count, logits);
    QN_TRY(plan_all(model));
    QN_TRY(qn_plan_prepare(model->all_plan));
    QN_TRY(write_inputs(model, "all", tokens, 1, (int)count));
    QN_TRY(qn_plan_run(model->all_plan, QN_FORWARD, (int64_t)count, 0));
    int index = qn__store_index(model->store, "all.logits");
    return qn__store_read_part(model->store, index, 0, logits,
                               count * (uint64_t)model->config.vocab * sizeof *logits);
}

/* ---- mean loss of a text ---- */

static qn_status plan_loss(qn_model *model, int batch)
{
    int64_t rows = (int64_t)batch * model->config.context;
    qn_shape shape = {.rank = 1, .dim = {rows}};
    if (model->loss_plan)
        return model->loss_batch == batch
                   ? QN_OK
                   : qn__fail(QN_BAD_ARGUMENT, "the batch of qn_model_loss was %d before",
                              model->loss_batch);
    qn_network network = {.config = &model->config, .prefix = "loss", .lora = &model->lora};
    QN_TRY(qn__network_inputs(model->store, &network, rows));
    QN_TRY(qn_store_add(model->store, "loss", "loss.targets", QN_I32, &shape));
    QN_TRY(qn_store_add(model->store, "loss", "loss.loss", QN_F32, &shape));
    QN_TRY(qn_graph_create(model->store, &model->loss_graph));
    network.graph = model->loss_graph;
    qn_tensor *logits = qn__network_head(&network, qn__network_hidden(&network));
    qn_tensor *loss = qn_apply(model->loss_graph, "cross_entropy", logits,
                               qn_graph_input(model->loss_graph, "loss.targets"));
    qn__network_free(&network);
    QN_TRY(qn_graph_status(model->loss_graph));
    QN_TRY(qn_graph_assign(model->loss_graph, loss, "loss.loss"));
    model->loss_batch = batch;
    return qn_plan_create(model->loss_graph, NULL, &model->loss_plan);
}

/* One batch of windows from window `first`; adds to *loss. ids has room for ids and targets. */
static qn_status loss_batch(qn_model *model, const int32_t *tokens, size_t count, size_t first,
                            int32_t *ids, float *losses, qn_loss *loss)
{
    size_t context = (size_t)model->config.context, rows = (size_t)model->loss_batch * context;
    int32_t *targets = ids + rows;
    for (size_t r = 0; r < rows; r++) {
        size_t at = first * context + r;
        bool there = at + 1 < count;
        ids[r] = there ? tokens[at] : 0;
        targets[r] = there ? tokens[at + 1] : -1;
        loss->predicted += there;
    }
    QN_TRY(write_inputs(model, "loss", ids, model->loss_batch, (int)context));
    QN_TRY(qn_store_write(model->store, "loss.targets", targets, rows * sizeof *targets));
    QN_TRY(qn_plan_run(model->loss_plan, QN_FORWARD, 0, 0));
    QN_TRY(qn_store_read(model->store, "loss.loss", losses, rows * sizeof *losses));
    for (size_t r = 0; r < rows; r++) loss->nll += (double)losses[r];
    return QN_OK;
}

qn_status qn_model_loss(qn_model *model, const int32_t *tokens, size_t count, int batch,
                        qn_progress_fn progress, void *user, qn_loss *loss)
{
    *loss = (qn_loss){0};
    QN_CHECK(batch >= 1 && count >= 2, "a loss needs a batch of 1 or more and 2 tokens or more");
    QN_TRY(check_tokens(model, tokens, count));
    QN_TRY(plan_loss(model, batch));
    QN_TRY(qn_plan_prepare(model->loss_plan));
    size_t context = (size_t)model->config.context, rows = (size_t)batch * context;
    size_t windows = (count - 1 + context - 1) / context;
    int32_t *ids = malloc(rows * 2 * sizeof *ids);
    float *losses = malloc(rows * sizeof *losses);
    qn_status status = ids && losses ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    for (size_t first = 0; status == QN_OK && first < windows; first += (size_t)batch) {
        status = loss_batch(model, tokens, count, first, ids, losses, loss);
        if (status == QN_OK && progress &&
            !progress(user,
                      (int64_t)(first + (size_t)batch < windows ? first + (size_t)batch : windows),
                      (int64_t)windows))
            status = qn__fail(QN_INTERRUPTED, "evaluation stopped");
    }
    free(ids);
    free(losses);
    return status;
}
