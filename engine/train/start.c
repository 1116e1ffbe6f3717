#include "train/start.h"

#include "base/check.h"
#include "base/fs.h"
#include "model/adapter.h"
#include "model/network.h"
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

qn_status qn__start_tokenizer(qn_train_options *o)
{
    if (!*o->model || strcmp(o->tokenizer, "char") != 0) return QN_OK;
    if (!qn__is_folder(o->model) && !qn__is_gguf(o->model))
        return qn__fail(QN_BAD_ARGUMENT, "%s has no tokenizer in it: give --tokenizer PATH",
                        o->model);
    return qn_train_options_set(o, "tokenizer", o->model);
}

qn_status qn__start_copy_tokenizer(const qn_train_options *o)
{
    if (!*o->model || strcmp(o->tokenizer, o->model) != 0 || !qn__is_folder(o->model)) return QN_OK;
    return qn__hf_folder_copy_tokenizer(o->model, o->out);
}

qn_status qn__start_lora(const qn_train_options *o, const qn_model_config *config, qn_lora *lora)
{
    *lora = (qn_lora){.rank = (int32_t)o->lora_rank, .dropout = (float)o->lora_dropout};
    if (o->lora_rank == 0) return QN_OK;
    lora->alpha = (float)(o->lora_alpha > 0 ? o->lora_alpha : 2.0 * (double)o->lora_rank);
    QN_CHECK(*o->model, "lora_rank: adapters need the weights of a model beside them: give --model "
                        "PATH, or train all weights with --lora-rank 0");
    QN_CHECK(!config->rope_pairs,
             "%s turns pairs, which adapters in PEFT's layout do not know: first `quernel convert "
             "%s FOLDER`, then --model FOLDER",
             o->model, o->model);
    return qn__lora_targets(config, o->lora_targets, lora);
}

static qn_status open_model(const qn_train_options *o, const qn_tokenizer *tokenizer, qn_start *s)
{
    int32_t tokens = qn_tokenizer_vocab_size(tokenizer);
    QN_TRY(qn__model_file_open(o->model, &s->file));
    QN_TRY(qn__config_from_file(&s->file, o->model, &s->config));
    QN_CHECK(tokens <= s->config.vocab,
             "the tokenizer has %d tokens, %s %d: they were not made for each other", tokens,
             o->model, s->config.vocab);
    QN_CHECK(o->context <= s->config.context, "a context of %lld; %s has %d: lower --context",
             (long long)o->context, o->model, s->config.context);
    qn_weight_source source = qn__weights_of_file(&s->file, &s->config, o->model);
    return qn__weights_check(&source);
}

qn_status qn__start_open(const qn_train_options *o, const qn_tokenizer *tokenizer, qn_start *start)
{
    *start = (qn_start){.path = o->model};
    qn_status status;
    if (*o->model) status = open_model(o, tokenizer, start);
    else status = qn__train_options_config(o, qn_tokenizer_vocab_size(tokenizer), &start->config);
    if (start->config.bos < 0) start->config.bos = qn_tokenizer_bos(tokenizer);
    if (start->config.eos < 0) start->config.eos = qn_tokenizer_eos(tokenizer);
    if (status == QN_OK) status = qn__start_lora(o, &start->config, &start->lora);
    if (status != QN_OK) qn__start_close(start);
    return status;
}

void qn__start_close(qn_start *start)
{
    qn__model_file_close(&start->file);
}

qn_status qn__start_weights(qn_start *s, const qn_train_options *o, qn_store *store)
{
    uint64_t seed = (uint64_t)o->seed;
    if (s->file.kind == QN_MODEL_FILE_NONE) return qn__weights_init(store, &s->config, seed);
    qn_weight_source source = qn__weights_of_file(&s->file, &s->config, s->path);
    QN_TRY(qn__weights_read(store, &source, &s->hash));
    return s->lora.rank > 0 ? qn__lora_init(store, &s->config, &s->lora, seed) : QN_OK;
}

/* ---- checkpoints ---- */

static void hash_text(uint64_t hash, char text[17])
{
    snprintf(text, 17, "%016llx", (unsigned long long)hash);
}

json_t *qn__start_to_json(const qn_start *s)
{
    char hash[17];
    hash_text(s->hash, hash);
    return json_pack("{s:s,s:s,s:i,s:f}", "model", s->path, "hash", hash, "rank", s->lora.rank,
                     "alpha", (double)s->lora.alpha);
}

qn_status qn__start_check(const qn_start *s, const json_t *json, const char *folder)
{
    const char *then = "";
    char now[17];
    if (!json) return QN_OK;
    QN_TRY(qn__json_string(json, folder, "hash", true, &then));
    hash_text(s->hash, now);
    if (strcmp(then, now) == 0) return QN_OK;
    return qn__fail(QN_BAD_ARGUMENT,
                    "%s: the adapters were made for weights with hash %.16s; those of %s have %s: "
                    "give the model they began with",
                    folder, then, s->path, now);
}
