/* quernel convert: a model from one format to another. */
#include "shell.h"

int qn__convert(const qn_command *self, int argc, char **argv);

static const qn_flag flags[] = {
    {"to", "FORMAT",
     "hf (a Hugging Face folder), llmc (an llm.c file; GPT-2 only), checkpoint (step 0 of a run) "
     "(default: llmc where OUT ends in .bin, else hf)"},
    {"dtype", "TYPE", "f32, bf16 or f16 (default: as IN has each tensor)"},
    {"adapter", "DIR", "LoRA adapters in PEFT's layout, folded in"},
    {"tokenizer", "PATH",
     "put this tokenizer beside the model (default: IN's own files, where IN is a folder)"},
    {"quiet", NULL, "no progress line"},
    {0},
};

static bool show(void *user, int64_t done, int64_t total)
{
    if (!user) qn__progress("converting  %.0f %%", 100.0 * (double)done / (double)total);
    return !qn__stop_asked();
}

static int add_tokenizer(const char *path, const char *out)
{
    qn_tokenizer *tokenizer = NULL;
    qn_status status = qn_tokenizer_load(path, &tokenizer);
    if (status == QN_OK) status = qn_tokenizer_save(tokenizer, out);
    qn_tokenizer_destroy(&tokenizer);
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

int qn__convert(const qn_command *self, int argc, char **argv)
{
    static char quiet[] = "quiet";
    qn_args args;
    int code = qn__args_parse(&args, self, flags, 2, argc, argv);
    if (code != QN_GO_ON) return code;
    const char *in = args.operand[0], *out = args.operand[1];
    const char *tokenizer = qn__arg(&args, "tokenizer");
    if (args.operands != 2)
        return qn__say_error(QN_EXIT_USAGE, "convert: give IN and OUT: the model, and where to");
    const qn_convert_options options = {.size = sizeof options,
                                        .to = qn__arg(&args, "to"),
                                        .dtype = qn__arg(&args, "dtype"),
                                        .adapter = qn__arg(&args, "adapter")};
    qn__signals_catch();
    qn_status status =
        qn_model_convert(in, out, &options, show, qn__arg(&args, "quiet") ? quiet : NULL);
    qn__progress_end(false);
    if (status != QN_OK) return qn__say_status(status);
    if (tokenizer && !qn__is_folder(out))
        return qn__say_error(QN_EXIT_USAGE,
                             "convert: %s is written, but a file has no place for a tokenizer",
                             qn__text_quoted(out));
    return tokenizer ? (code = add_tokenizer(tokenizer, out)) == QN_GO_ON ? QN_EXIT_OK : code
                     : QN_EXIT_OK;
}
