/* quernel generate: a prompt, continued, on standard output as it comes. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int qn__generate(const qn_command *self, int argc, char **argv);

static const qn_flag own_flags[] = {
    {"model", "PATH", "a model folder, a llama2.c or an llm.c checkpoint"},
    {"adapter", "DIR", "LoRA adapters in PEFT's layout, folded into the model as it is read"},
    {"context", "N", "tokens at once: fewer save memory (default: the model's, at most 4096)"},
    {"type", "T", "quantize what is in floats first: q8_0, q4_0, q4_K ... (default: as it is)"},
    QN_FLAG_CACHE,
    {"tokenizer", "PATH",
     "a folder with tokenizer.json, or a file (default: from the model folder)"},
    {"prompt", "TEXT",
     "what to continue (default: nothing). Standard output gets exactly the prompt and what "
     "follows; a newline is added at the end only on a terminal"},
    {"stop", "TEXT", "end before this text, also where it is cut between tokens; may be repeated",
     .many = true},
    {"tokens", "N",
     "at most so many (default: 200); the end of the text or of the context stops earlier"},
    {"context-shift", NULL,
     "when the context is full, drop the older half and go on (an approximation)"},
    {"keep", "N", "with --context-shift: the first tokens that stay (default: 1)"},
    QN_FLAGS_GRAMMAR,
    {"draft", "PATH", "a smaller model of the same vocabulary guesses ahead; the same text"},
    {"lookup", "N",
     "guess what followed the last tokens, up to N, when they were there before; the same text"},
    {"draft-tokens", "N", "guessed at a time, up to 31 (default: 8)"},
    QN_FLAG_DEVICE,
    QN_FLAG_JSON,
    {0},
};

typedef struct job {
    const char *prompt;
    int64_t tokens;
    bool json, shift;
    qn_tokenizer *tokenizer;
    qn_model *model;
    qn_model *draft;
    qn_grammar *grammar;
    qn_generator *generator;
    qn_decoder *decoder;
    const char *stop_texts[QN_MAX_MANY];
    int stop_count;
    qn_stops *stops;
    bool stopped;
    FILE *text; /* standard output, or with --json a buffer */
    json_t *ids;
    int64_t prompt_tokens, made;
    const char *stop; /* why: "tokens", "end", "context", "grammar", "stop" */
    double prompt_seconds, seconds;
} job;

static int put(job *j, const char *text, size_t bytes)
{
    if (bytes == 0 || (fwrite(text, 1, bytes, j->text) == bytes && fflush(j->text) == 0))
        return QN_GO_ON;
    return QN_EXIT_WRITE; /* main says why */
}

static int feed_prompt(job *j)
{
    int32_t *ids = NULL;
    size_t count = 0;
    unsigned bos = qn_tokenizer_wants_bos(j->tokenizer) || *j->prompt == 0 ? QN_ENCODE_BOS : 0;
    qn_status status =
        qn_tokenizer_encode(j->tokenizer, j->prompt, strlen(j->prompt), bos, &ids, &count);
    if (status != QN_OK) return qn__say_status(status);
    if (count == 0) {
        free(ids);
        return qn__say_error(
            QN_EXIT_USAGE,
            "generate: this tokenizer has no token that begins a text: give --prompt");
    }
    double begin = qn__now_seconds();
    status = qn_generator_feed(j->generator, ids, count);
    j->prompt_seconds = qn__now_seconds() - begin;
    j->prompt_tokens = (int64_t)count;
    free(ids);
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

static bool ends_text(const job *j, int32_t token)
{
    const qn_model_config *config = qn_model_get_config(j->model);
    return qn_tokenizer_is_end(j->tokenizer, token) || (token >= 0 && token == config->eos) ||
           (token >= 0 &&
            token == qn_tokenizer_bos(j->tokenizer)); /* llama2.c: BOS parts documents */
}

/* What is no part of a stop text; `last`: and what may have become it. */
static int pass(job *j, const char *text, size_t bytes, bool last)
{
    const char *out;
    size_t count;
    qn_status status = qn_stops_push(j->stops, text, bytes, &out, &count, &j->stopped);
    int code = status == QN_OK ? put(j, out, count) : qn__say_status(status);
    if (code != QN_GO_ON || !last || j->stopped) return code;
    status = qn_stops_finish(j->stops, &out, &count);
    return status == QN_OK ? put(j, out, count) : qn__say_status(status);
}

static int make_tokens(job *j)
{
    const qn_model_config *config = qn_model_get_config(j->model);
    const char *text;
    size_t bytes;
    int code = QN_GO_ON;
    j->stop = "tokens";
    while (code == QN_GO_ON && j->made < j->tokens) {
        int32_t token;
        qn_status status = qn_generator_next(j->generator, &token);
        if (status != QN_OK) return qn__say_status(status);
        if (ends_text(j, token)) {
            j->stop = "end";
            break;
        }
        status = qn_decoder_push(j->decoder, token, &text, &bytes);
        if (status != QN_OK) return qn__say_status(status);
        code = pass(j, text, bytes, false);
        j->made++;
        if (j->ids) json_array_append_new(j->ids, json_integer(token));
        if (j->stopped) {
            j->stop = "stop";
            break;
        }
        if (j->made == j->tokens || code != QN_GO_ON) break;
        if (qn_generator_done(j->generator)) {
            j->stop = "grammar";
            break;
        }
        if (!j->shift && qn_generator_length(j->generator) > config->context) {
            j->stop = "context";
            break;
        }
    }
    if (code == QN_GO_ON && !j->stopped && qn_decoder_finish(j->decoder, &text, &bytes) == QN_OK)
        code = pass(j, text, bytes, true);
    if (j->stopped) j->stop = "stop";
    return code;
}

static int run_job(job *j)
{
    qn_status status = qn_decoder_create(j->tokenizer, *j->prompt == 0, &j->decoder);
    if (status == QN_OK) status = qn_stops_create(j->stop_texts, (size_t)j->stop_count, &j->stops);
    if (status != QN_OK) return qn__say_status(status);
    int code = feed_prompt(j);
    if (code == QN_GO_ON && !j->json) code = put(j, j->prompt, strlen(j->prompt));
    double begin = qn__now_seconds();
    if (code == QN_GO_ON) code = make_tokens(j);
    j->seconds = qn__now_seconds() - begin;
    return code;
}

static int print_result(job *j, const char *model, const char *device, const char *text,
                        size_t bytes)
{
    double speed = j->seconds > 0 ? (double)j->made / j->seconds : 0;
    double prompt_speed = j->prompt_seconds > 0 ? (double)j->prompt_tokens / j->prompt_seconds : 0;
    qn_generator_stats stats = qn_generator_get_stats(j->generator);
    if (!j->json) {
        if (isatty(STDOUT_FILENO)) putchar('\n');
        fflush(stdout);
        if (stats.drafted > 0)
            qn__note("guessed %lld tokens, %lld of them right; %.2f tokens a feed",
                     (long long)stats.drafted, (long long)stats.accepted,
                     (double)stats.tokens / (double)(stats.feeds ? stats.feeds : 1));
        if (stats.dropped > 0)
            qn__note("the context was full: dropped %lld of the oldest tokens, so what followed is "
                     "an approximation",
                     (long long)stats.dropped);
        qn__note("%lld tokens, %.1f tokens/s (prompt: %lld, %.1f tokens/s)%s", (long long)j->made,
                 speed, (long long)j->prompt_tokens, prompt_speed,
                 strcmp(j->stop, "context") == 0 ? "; stopped: the context is full" : "");
        return QN_EXIT_OK;
    }
    json_t *made = json_stringn(text, bytes);
    return qn__print_json(
        json_pack("{s:s,s:o,s:O,s:I,s:I,s:s,s:f,s:f,s:s,s:s,s:I,s:I,s:I,s:I}", "prompt", j->prompt,
                  "text", made, "ids", j->ids, "tokens", (json_int_t)j->made, "prompt_tokens",
                  (json_int_t)j->prompt_tokens, "stop", j->stop, "tokens_per_s", speed,
                  "prompt_tokens_per_s", prompt_speed, "model", model, "device", device, "drafted",
                  (json_int_t)stats.drafted, "accepted", (json_int_t)stats.accepted, "feeds",
                  (json_int_t)stats.feeds, "dropped", (json_int_t)stats.dropped));
}

static int open_generator(job *j, const qn_args *args, const qn_sampler_options *sampler,
                          qn_device *device)
{
    const char *draft = qn__arg(args, "draft");
    int64_t lookup = 0, tokens = 8, keep = 1;
    int code = qn__arg_int(args, "lookup", 0, 1000, &lookup);
    if (code == QN_GO_ON) code = qn__arg_int(args, "draft-tokens", 1, QN_MAX_DRAFT, &tokens);
    if (code == QN_GO_ON) code = qn__arg_int(args, "keep", 0, 1 << 24, &keep);
    if (code == QN_GO_ON) code = qn__open_grammar(args, &j->grammar);
    if (code != QN_GO_ON) return code;
    qn_status status = draft ? qn_model_load(device, draft, &j->draft) : QN_OK;
    qn_generator_options options = {.size = sizeof options,
                                    .sampler = sampler,
                                    .grammar = j->grammar,
                                    .tokenizer = j->tokenizer,
                                    .draft = j->draft,
                                    .lookup = (int32_t)lookup,
                                    .draft_tokens = (int32_t)tokens,
                                    .shift = j->shift,
                                    .keep = (int32_t)keep};
    if (status == QN_OK) status = qn_generator_create(j->model, &options, &j->generator);
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

static int open_and_run(job *j, const qn_args *args, qn_sampler_options *sampler, const char *model)
{
    qn_device *device = NULL;
    char *text = NULL;
    size_t bytes = 0;
    int code = qn__open_tokenizer(qn__arg(args, "tokenizer"), model, &j->tokenizer);
    sampler->tokenizer = j->tokenizer;
    if (code == QN_GO_ON) code = qn__open_device(qn__arg(args, "device"), false, &device);
    if (code == QN_GO_ON) code = qn__open_model(args, device, model, &j->model);
    qn_status status = QN_OK;
    if (status == QN_OK && code == QN_GO_ON) code = qn__check_vocab(j->tokenizer, j->model);
    if (status == QN_OK && code == QN_GO_ON) code = open_generator(j, args, sampler, device);
    if (status != QN_OK) code = qn__say_status(status);
    j->text = j->json ? open_memstream(&text, &bytes) : stdout;
    j->ids = j->json ? json_array() : NULL;
    if (!j->text) code = qn__say_error(QN_EXIT_OS, "out of memory");
    if (code == QN_GO_ON) code = run_job(j);
    if (code == QN_GO_ON) code = print_result(j, model, qn_device_name(device), text, bytes);
    if (j->json && j->text) fclose(j->text);
    free(text);
    json_decref(j->ids);
    qn_decoder_destroy(&j->decoder);
    qn_stops_destroy(&j->stops);
    qn_generator_destroy(&j->generator);
    qn_model_destroy(&j->draft);
    qn_grammar_destroy(&j->grammar);
    qn_model_destroy(&j->model);
    qn_device_close(&device);
    qn_tokenizer_destroy(&j->tokenizer);
    return code;
}

int qn__generate(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    const char *model;
    qn_sampler_options sampler;
    json_t *keeper = NULL;
    job j = {.tokens = 200};
    int code = qn__args_parse(&args, self, qn__sampling_flags(own_flags), 0, argc, argv);
    if (code == QN_GO_ON) code = qn__arg_need(&args, "model", &model);
    if (code == QN_GO_ON) code = qn__arg_int(&args, "tokens", 0, 1 << 30, &j.tokens);
    if (code == QN_GO_ON) code = qn__sampling_options(&args, &sampler, &keeper);
    j.prompt = code == QN_GO_ON && qn__arg(&args, "prompt") ? qn__arg(&args, "prompt") : "";
    j.json = code == QN_GO_ON && qn__arg(&args, "json");
    j.shift = code == QN_GO_ON && qn__arg(&args, "context-shift");
    if (code == QN_GO_ON) j.stop_count = qn__arg_many(&args, "stop", j.stop_texts);
    json_t *prompt = json_string(j.prompt);
    bool utf8 = prompt != NULL;
    json_decref(prompt);
    if (j.json && !utf8)
        code = qn__say_error(QN_EXIT_USAGE, "generate: JSON holds only UTF-8, and --prompt is not");
    if (code == QN_GO_ON) code = open_and_run(&j, &args, &sampler, model);
    json_decref(keeper);
    return code;
}
