/* Generate text from a model folder, token by token.
 *
 *     generate FOLDER "Once upon a time" [tokens] [temperature]
 *
 * A model holds the weights; a session is one text in the making with its cache of keys and values.
 * Many texts at once: sequences.c. */
#include <quernel/quernel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    qn_device *device;
    qn_tokenizer *tokenizer;
    qn_model *model;
    qn_session *session;
    qn_decoder *decoder;
} writer;

static qn_status open_all(writer *w, const char *folder, float temperature)
{
    qn_sampler_options sampler = {
        .size = sizeof sampler, .temperature = temperature, .top_p = 0.95f, .seed = 1};
    qn_status status = qn_device_open(NULL, &w->device);
    if (status == QN_OK) status = qn_tokenizer_load(folder, &w->tokenizer);
    if (status == QN_OK) status = qn_model_load(w->device, folder, &w->model);
    if (status == QN_OK) status = qn_session_create(w->model, &sampler, &w->session);
    /* Tokens may end in the middle of a character; a decoder gives whole ones only. */
    if (status == QN_OK) status = qn_decoder_create(w->tokenizer, false, &w->decoder);
    return status;
}

/* The whole prompt in one go: much faster than token by token. */
static qn_status feed_prompt(writer *w, const char *prompt)
{
    int32_t *ids = NULL;
    size_t count = 0;
    unsigned bos = qn_tokenizer_wants_bos(w->tokenizer) || !*prompt ? QN_ENCODE_BOS : 0;
    qn_status status = qn_tokenizer_encode(w->tokenizer, prompt, strlen(prompt), bos, &ids, &count);
    if (status == QN_OK) status = qn_session_feed(w->session, ids, count);
    free(ids);
    return status;
}

static qn_status write_text(writer *w, int tokens)
{
    int32_t context = qn_model_get_config(w->model)->context;
    for (int i = 0; i < tokens && qn_session_length(w->session) < context; i++) {
        int32_t token;
        const char *text;
        size_t bytes;
        qn_status status =
            qn_session_sample(w->session, &token); /* chosen, but not yet part of the text */
        if (status != QN_OK) return status;
        if (qn_tokenizer_is_end(w->tokenizer, token)) break;
        status = qn_decoder_push(w->decoder, token, &text, &bytes);
        if (status != QN_OK) return status;
        fwrite(text, 1, bytes, stdout);
        fflush(stdout);
        status = qn_session_feed(w->session, &token, 1);
        if (status != QN_OK) return status;
    }
    putchar('\n');
    return QN_OK;
}

int main(int argc, char **argv)
{
    writer w = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: generate FOLDER PROMPT [tokens] [temperature]\n");
        return 64;
    }
    qn_status status = open_all(&w, argv[1], argc > 4 ? (float)atof(argv[4]) : 0.8f);
    if (status == QN_OK) status = feed_prompt(&w, argv[2]);
    if (status == QN_OK) {
        fputs(argv[2], stdout);
        status = write_text(&w, argc > 3 ? atoi(argv[3]) : 200);
    }
    if (status != QN_OK) fprintf(stderr, "generate: %s\n", qn_last_error());
    qn_decoder_destroy(&w.decoder);
    qn_session_destroy(&w.session);
    qn_model_destroy(&w.model);
    qn_tokenizer_destroy(&w.tokenizer);
    qn_device_close(&w.device);
    return qn_status_exit_code(status);
}
