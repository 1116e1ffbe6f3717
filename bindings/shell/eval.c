/* quernel eval: how well a model predicts a text, and chooses among endings. */
#include "shell.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int qn__eval(const qn_command *self, int argc, char **argv);

static const qn_flag flags[] = {
    {"model", "PATH", "a model folder, a llama2.c or an llm.c checkpoint"},
    {"adapter", "DIR", "LoRA adapters in PEFT's layout, folded into the model as it is read"},
    {"context", "N", "tokens at once: fewer save memory (default: the model's, at most 4096)"},
    {"type", "T", "quantize what is in floats first: q8_0, q4_0, q4_K ... (default: as it is)"},
    QN_FLAG_CACHE,
    {"tokenizer", "PATH",
     "a folder with tokenizer.json, or a file (default: from the model folder)"},
    {"text", "FILE",
     "the text; it is cut into windows of the model's context, each predicted afresh"},
    {"perplexity", NULL,
     "with --text: llama.cpp's protocol: chunks of --context tokens (default: 512), of which the "
     "second half is scored"},
    {"kl-against", "PATH",
     "with --text: as --perplexity, and how far the predictions are from this model's"},
    {"choices", "FILE",
     "instead: multiple-choice questions, llm.c's .bin or lines of JSON {\"ctx\", \"endings\", "
     "\"label\"}"},
    {"write", "FILE.bin", "with --choices: only write them as llm.c's .bin, with --tokenizer"},
    {"each", NULL, "with --choices: every question's answer too"},
    {"batch", "B", "windows or endings at a time (default: 8)"},
    QN_FLAG_DEVICE,
    QN_FLAG_JSON,
    {0},
};

typedef struct result {
    size_t bytes, tokens; /* of the text, BOS not counted */
    qn_loss loss;
    double seconds;
} result;

static bool show_progress(void *user, int64_t done, int64_t total)
{
    (void)user;
    if (total > 0)
        qn__progress("evaluating  %.0f %%",
                     100.0 * (double)(done < total ? done : total) / (double)total);
    return true;
}

static int measure(qn_model *model, const qn_tokenizer *tokenizer, const char *text, int batch,
                   result *r)
{
    int32_t *ids = NULL;
    size_t count = 0;
    bool bos = qn_tokenizer_wants_bos(tokenizer);
    unsigned how = QN_ENCODE_SPECIAL | (bos ? QN_ENCODE_BOS : 0u); /* as in training */
    qn_status status = qn_tokenizer_encode(tokenizer, text, r->bytes, how, &ids, &count);
    if (status != QN_OK) return qn__say_status(status);
    double begin = qn__now_seconds();
    status = qn_model_loss(model, ids, count, batch, show_progress, NULL, &r->loss);
    r->seconds = qn__now_seconds() - begin;
    qn__progress_end(false);
    free(ids);
    r->tokens = count - (bos && count > 0);
    if (status != QN_OK) return qn__say_status(status);
    if (r->loss.predicted < 1)
        return qn__say_error(
            65, "the text has %zu tokens, and nothing in it can be predicted: give a longer one",
            r->tokens);
    return QN_GO_ON;
}

static int print_result(const result *r, bool json, const char *model, const char *device)
{
    double loss = r->loss.nll / (double)r->loss.predicted;
    double bits = loss / log(2.0) * (double)r->tokens / (double)r->bytes;
    double speed = r->seconds > 0 ? (double)r->loss.predicted / r->seconds : 0;
    if (json)
        return qn__print_json(
            json_pack("{s:o,s:o,s:o,s:I,s:I,s:I,s:f,s:f,s:s,s:s}", "loss", qn__json_number(loss),
                      "perplexity", qn__json_number(exp(loss)), "bits_per_byte",
                      qn__json_number(bits), "tokens", (json_int_t)r->tokens, "predicted",
                      (json_int_t)r->loss.predicted, "bytes", (json_int_t)r->bytes, "seconds",
                      r->seconds, "tokens_per_s", speed, "model", model, "device", device));
    printf("loss           %.6f\nperplexity     %.4f\nbits per byte  %.4f\n", loss, exp(loss),
           bits);
    printf("tokens         %s of %s (%s bytes), %s tokens/s\n",
           qn__text_count((double)r->loss.predicted), qn__text_count((double)r->tokens),
           qn__text_count((double)r->bytes), qn__text_count(speed));
    return QN_EXIT_OK;
}

static int on_text(const qn_args *args, qn_model *model, const qn_tokenizer *tokenizer, int batch,
                   const char *device)
{
    char *text = NULL;
    result r = {0};
    int code = qn__read_file(qn__arg(args, "text"), &text, &r.bytes);
    if (code == QN_GO_ON) code = measure(model, tokenizer, text, batch, &r);
    if (code == QN_GO_ON)
        code = print_result(&r, qn__arg(args, "json"), qn__arg(args, "model"), device);
    free(text);
    return code;
}

/* Either a text or questions; a file that is not there is said before a model is loaded. */
static int check_words(const qn_args *args)
{
    const char *text = qn__arg(args, "text"), *choices = qn__arg(args, "choices"), *model;
    if (!text && !choices)
        return qn__say_error(QN_EXIT_USAGE, "eval: --text or --choices is missing: what to "
                                            "predict; `quernel eval --help` shows an example");
    if (text && choices)
        return qn__say_error(QN_EXIT_USAGE, "eval: both --text and --choices: choose one");
    if (!text && (qn__arg(args, "perplexity") || qn__arg(args, "kl-against")))
        return qn__say_error(QN_EXIT_USAGE,
                             "eval: --perplexity and --kl-against go with --text FILE");
    if (text && (qn__arg(args, "write") || qn__arg(args, "each")))
        return qn__say_error(QN_EXIT_USAGE, "eval: --write and --each go with --choices");
    if (access(text ? text : choices, R_OK) != 0)
        return qn__say_error(QN_EXIT_OS, "%s: cannot open: %s", text ? text : choices,
                             strerror(errno));
    if (qn__arg(args, "write") && qn__arg(args, "tokenizer")) return QN_GO_ON;
    return qn__arg_need(args, "model", &model);
}

static int open_and_run(const qn_args *args, int batch)
{
    const char *model_path = qn__arg(args, "model");
    qn_device *device = NULL;
    qn_tokenizer *tokenizer = NULL;
    qn_choices *choices = NULL;
    qn_model *model = NULL;
    bool tokens = qn__choices_have_tokens(qn__arg(args, "choices"));
    int code = QN_GO_ON;
    if (!tokens) code = qn__open_tokenizer(qn__arg(args, "tokenizer"), model_path, &tokenizer);
    if (code == QN_GO_ON && qn__arg(args, "choices"))
        code = qn__choices_open(args, tokenizer, &choices);
    if (code == QN_GO_ON && !qn__arg(args, "write"))
        code = qn__open_device(qn__arg(args, "device"), false, &device);
    else if (code == QN_GO_ON) code = QN_EXIT_OK;
    if (code == QN_GO_ON && (qn__arg(args, "perplexity") || qn__arg(args, "kl-against")))
        code = qn__perplexity(args, tokenizer, device);
    if (code == QN_GO_ON) code = qn__open_model(args, device, model_path, &model);
    if (code == QN_GO_ON && tokenizer) code = qn__check_vocab(tokenizer, model);
    if (code == QN_GO_ON && choices)
        code = qn__choices_answer(args, model, choices, batch, qn_device_name(device));
    else if (code == QN_GO_ON)
        code = on_text(args, model, tokenizer, batch, qn_device_name(device));
    qn_model_destroy(&model);
    qn_device_close(&device);
    qn_choices_destroy(&choices);
    qn_tokenizer_destroy(&tokenizer);
    return code;
}

int qn__eval(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    int64_t batch = 8;
    int code = qn__args_parse(&args, self, flags, 0, argc, argv);
    if (code == QN_GO_ON) code = check_words(&args);
    if (code == QN_GO_ON) code = qn__arg_int(&args, "batch", 1, 1 << 16, &batch);
    return code == QN_GO_ON ? open_and_run(&args, (int)batch) : code;
}
