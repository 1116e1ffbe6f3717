/* What a checkpoint notes of the data, so that a run goes on with the samples it would have had. */
#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "train/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS = 1024, LOOK_TOKENS = 64 };

/* A hash of how many tokens there are, where documents end, and a thousand short stretches of them:
 * whatever moves later tokens along is seen, one changed word in a large text may not be. */
static qn_status fingerprint(const qn_tokens *tokens, char text[17])
{
    int32_t ids[LOOK_TOKENS];
    qn_hasher *hasher = qn__hasher_create();
    if (!hasher) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = QN_OK;
    uint64_t stride = tokens->count / LOOKS > LOOK_TOKENS ? tokens->count / LOOKS : LOOK_TOKENS;
    qn__hasher_add(hasher, &tokens->count, sizeof tokens->count);
    if (tokens->ends)
        qn__hasher_add(hasher, tokens->ends, (size_t)tokens->documents * sizeof *tokens->ends);
    for (uint64_t at = 0; status == QN_OK && at < tokens->count; at += stride) {
        uint64_t rest = tokens->count - at;
        size_t here = rest < LOOK_TOKENS ? (size_t)rest : LOOK_TOKENS;
        status = qn__tokens_read(tokens, at, here, ids);
        if (status == QN_OK) qn__hasher_add(hasher, ids, here * sizeof *ids);
    }
    snprintf(text, 17, "%016llx", (unsigned long long)qn__hasher_value(hasher));
    qn__hasher_destroy(&hasher);
    return status;
}

static const char *packing_of(const qn_samples *samples)
{
    return samples->how.documents ? "documents" : "stream";
}

static const char *shuffle_of(const qn_samples *samples)
{
    return samples->how.permutation ? "permutation" : "random";
}

qn_status qn__data_state(const qn_data *data, json_t **state)
{
    const qn_samples *samples = &data->train.samples;
    char hash[17];
    QN_TRY(fingerprint(&data->train.tokens, hash));
    *state = json_pack("{s:s,s:s,s:I,s:I,s:s}", "packing", packing_of(samples), "shuffle",
                       shuffle_of(samples), "tokens", (json_int_t)data->train.tokens.count,
                       "samples", (json_int_t)samples->count, "fingerprint", hash);
    return *state ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

qn_status qn__data_describe(const qn_data *data, json_t **description)
{
    const qn_samples *samples = &data->train.samples;
    const qn_tokens *train = &data->train.tokens;
    double rows = (double)samples->count * (double)samples->how.context;
    *description =
        json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:b}", "packing", packing_of(samples), "shuffle",
                  shuffle_of(samples), "tokens", (json_int_t)train->count, "documents",
                  (json_int_t)train->documents, "samples", (json_int_t)samples->count, "val_tokens",
                  (json_int_t)data->val.tokens.count, "cached", (int)data->cached);
    if (!*description) return qn__fail(QN_OS_ERROR, "out of memory");
    if (samples->how.documents && rows > 0) {
        const qn_packing *packing = &samples->packing;
        double used = 0;
        for (uint64_t p = 0; p < packing->sequences[packing->count]; p++)
            used += packing->pieces[p].tokens;
        json_object_set_new(*description, "full", json_real(used / rows));
        json_object_set_new(*description, "cut", json_integer((json_int_t)packing->cut));
    }
    const qn_token_head *head = &data->files[0].head;
    if (head->learned < head->tokens)
        json_object_set_new(*description, "learned",
                            json_real((double)head->learned / (double)head->tokens));
    return QN_OK;
}

static qn_status check_word(const json_t *state, const char *folder, const char *key,
                            const char *now)
{
    const char *then = now;
    QN_TRY(qn__json_string(state, folder, key, false, &then));
    if (strcmp(then, now) == 0) return QN_OK;
    return qn__fail(QN_BAD_ARGUMENT,
                    "%s was made with --%s %s, this run has %s: its samples would be others. "
                    "Give --%s %s, or use another --out",
                    folder, key, then, now, key, then);
}

qn_status qn__data_check_state(const qn_data *data, const json_t *state, const char *folder)
{
    const qn_samples *samples = &data->train.samples;
    const char *then = NULL;
    char now[17];
    if (!json_is_object(state)) return QN_OK;
    QN_TRY(check_word(state, folder, "packing", packing_of(samples)));
    QN_TRY(check_word(state, folder, "shuffle", shuffle_of(samples)));
    QN_TRY(qn__json_string(state, folder, "fingerprint", false, &then));
    QN_TRY(fingerprint(&data->train.tokens, now));
    if (then && strcmp(then, now) != 0)
        qn__log(QN_LOG_WARN,
                "%s: the training data changed since this checkpoint: the run goes on, but not "
                "with the samples it would have had",
                folder);
    return QN_OK;
}
