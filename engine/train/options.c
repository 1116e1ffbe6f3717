#include "train/options.h"

#include "base/check.h"
#include "base/options.h"
#include "model/arch.h"

#include <stdlib.h>

static const qn_option_row rows[] = {
#define QN_OPTION(...) QN_OPTION_ROW(qn_train_options, __VA_ARGS__)
#include "train/option_list.def"
#undef QN_OPTION
};

static const qn_option_table table = {rows, sizeof rows / sizeof rows[0], .owns_text = true,
                                      .command = "train"};

const qn_option_info *qn_train_option(int i)
{
    return qn__option_info(&table, i);
}

qn_status qn_train_options_set(qn_train_options *options, const char *key, const char *value)
{
    return qn__options_set(&table, options, key, value);
}

qn_status qn_train_options_create(qn_train_options **options)
{
    *options = calloc(1, sizeof **options);
    if (!*options) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = qn__options_defaults(&table, *options);
    if (status != QN_OK) qn_train_options_destroy(options);
    return status;
}

void qn_train_options_destroy(qn_train_options **options)
{
    if (!*options) return;
    qn__options_free_texts(&table, *options);
    free(*options);
    *options = NULL;
}

json_t *qn__train_options_to_json(const qn_train_options *options)
{
    return qn__options_to_json(&table, options);
}

qn_status qn__train_options_from_json(qn_train_options *options, const json_t *json,
                                      const char *origin)
{
    return qn__options_from_json(&table, options, json, origin);
}

qn_status qn_train_options_load(qn_train_options *options, const char *path)
{
    json_t *json;
    QN_TRY(qn__json_load(path, &json));
    qn_status status = qn__train_options_from_json(options, json, path);
    json_decref(json);
    return status;
}

qn_status qn_train_options_json(const qn_train_options *options, char **json)
{
    json_t *root = qn__train_options_to_json(options);
    *json = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(root);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

qn_status qn__train_options_copy(const qn_train_options *from, qn_train_options **to)
{
    json_t *json = qn__train_options_to_json(from);
    QN_TRY(qn_train_options_create(to));
    qn_status status = qn__train_options_from_json(*to, json, "options");
    json_decref(json);
    return status;
}

qn_status qn__train_options_config(const qn_train_options *o, int32_t vocab,
                                   qn_model_config *config)
{
    qn_arch arch;
    QN_TRY(qn_arch_find(o->arch, &arch));
    QN_TRY(qn_model_config_named(arch, NULL, config));
    config->vocab = vocab;
    config->layers = (int32_t)o->layers;
    config->heads = (int32_t)o->heads;
    config->kv_heads = (int32_t)(o->kv_heads ? o->kv_heads : o->heads);
    config->embed = (int32_t)o->embed;
    int64_t ffn = qn__arch(arch)->swiglu ? (o->embed * 8 / 3 + 31) / 32 * 32 : 4 * o->embed;
    config->ffn = (int32_t)(o->ffn ? o->ffn : ffn);
    config->head_size = (int32_t)o->head_size;
    config->window = (int32_t)o->window;
    config->context = (int32_t)o->context;
    config->norm_eps = (float)o->norm_eps;
    config->rope_theta = (float)o->rope_theta;
    if (arch == QN_GPT2) config->bias = !o->no_bias;
    config->tied = !o->untied;
    return qn_model_config_check(config);
}
