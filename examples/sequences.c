/* Continue several prompts at once, as a server would: every run of the model takes the next piece
 * of each text, and reads the weights once for all of them.
 *
 *     sequences FOLDER "Once upon a time" "One day" ...
 *
 * Each text is what it would be alone: its neighbours change no bit. */
#include <quernel/quernel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 60, MOST = 16 };

typedef struct text {
    const char *prompt;
    int32_t *ids; /* of the prompt */
    size_t count, fed;
    int32_t sequence, reused, next, made; /* next: the token chosen last */
    bool ended;
    qn_decoder *decoder;
} text;

typedef struct job {
    qn_device *device;
    qn_tokenizer *tokenizer;
    qn_model *model;
    qn_batch *batch;
    qn_sampler *sampler; /* greedy, so that all texts can share one */
    text texts[MOST];
    int count;
} job;

static qn_status open_all(job *j, const char *folder)
{
    const qn_model_options options = {
        .size = sizeof options, .sequences = j->count, .cache_type = "f16"};
    qn_status status = qn_device_open(NULL, &j->device);
    if (status == QN_OK) status = qn_tokenizer_load(folder, &j->tokenizer);
    if (status == QN_OK) status = qn_model_open(j->device, folder, &options, &j->model);
    if (status == QN_OK) status = qn_batch_create(j->model, &j->batch);
    if (status == QN_OK)
        status = qn_sampler_create(NULL, qn_model_get_config(j->model)->vocab, &j->sampler);
    return status;
}

static qn_status begin(job *j, text *t)
{
    unsigned bos = qn_tokenizer_wants_bos(j->tokenizer) || !*t->prompt ? QN_ENCODE_BOS : 0;
    qn_status status =
        qn_tokenizer_encode(j->tokenizer, t->prompt, strlen(t->prompt), bos, &t->ids, &t->count);
    /* What another text began with, too, is there already. */
    if (status == QN_OK)
        status = qn_batch_add(j->batch, t->ids, t->count, &t->sequence, &t->reused);
    t->fed = (size_t)t->reused;
    return status == QN_OK ? qn_decoder_create(j->tokenizer, false, &t->decoder) : status;
}

/* One run: the rest of each prompt, or the token chosen last; then the next one of each. */
static qn_status step(job *j, qn_batch_row *rows, bool *more)
{
    const float *logits;
    size_t count = 0;
    *more = false;
    for (int i = 0; i < j->count; i++) {
        text *t = &j->texts[i];
        if (t->ended) continue;
        for (; t->fed < t->count; t->fed++)
            rows[count++] = (qn_batch_row){t->sequence, t->ids[t->fed], t->fed + 1 == t->count};
        if (t->made > 0) rows[count++] = (qn_batch_row){t->sequence, t->next, true};
    }
    if (count == 0) return QN_OK;
    qn_status status = qn_batch_run(j->batch, rows, count, &logits);
    for (int i = 0; i < j->count && status == QN_OK; i++) {
        text *t = &j->texts[i];
        if (t->ended) continue;
        status = qn_sampler_choose(j->sampler, logits, NULL, &t->next);
        logits += qn_model_get_config(j->model)->vocab;
        t->made++;
        t->ended = t->made == TOKENS || qn_tokenizer_is_end(j->tokenizer, t->next);
        const char *piece;
        size_t bytes;
        if (status == QN_OK) status = qn_decoder_push(t->decoder, t->next, &piece, &bytes);
        if (status == QN_OK) printf("%d: %.*s\n", i + 1, (int)bytes, piece);
        *more |= !t->ended;
    }
    return status;
}

int main(int argc, char **argv)
{
    static job j;
    size_t most = MOST; /* rows of a run */
    bool more = true;
    if (argc < 3 || argc > 2 + MOST) {
        fprintf(stderr, "usage: sequences FOLDER PROMPT ... (up to %d)\n", MOST);
        return 64;
    }
    j.count = argc - 2;
    qn_status status = open_all(&j, argv[1]);
    for (int i = 0; i < j.count && status == QN_OK; i++) {
        j.texts[i].prompt = argv[2 + i];
        status = begin(&j, &j.texts[i]);
        most += j.texts[i].count;
    }
    qn_batch_row *rows = malloc(most * sizeof *rows);
    while (rows && more && status == QN_OK) status = step(&j, rows, &more);
    if (status != QN_OK) fprintf(stderr, "sequences: %s\n", qn_last_error());
    free(rows);
    for (int i = 0; i < j.count; i++) {
        qn_decoder_destroy(&j.texts[i].decoder);
        free(j.texts[i].ids);
    }
    qn_sampler_destroy(&j.sampler);
    qn_batch_destroy(&j.batch);
    qn_model_destroy(&j.model);
    qn_tokenizer_destroy(&j.tokenizer);
    qn_device_close(&j.device);
    return qn_status_exit_code(status);
}
