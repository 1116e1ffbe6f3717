/* quernel convert: a model from one format to another. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>

int qn__convert(const qn_command *self, int argc, char **argv);

static const qn_flag flags[] = {
    {"to", "FORMAT",
     "hf (a Hugging Face folder), gguf (a file that llama.cpp runs), llmc (an llm.c file; GPT-2 "
     "only), checkpoint (step 0 of a run) (default: gguf where OUT ends in .gguf, llmc where it "
     "ends in .bin, else hf)"},
    {"dtype", "TYPE", "f32, bf16 or f16 (default: as IN has each tensor)"},
    {"adapter", "DIR", "LoRA adapters in PEFT's layout, folded in"},
    {"tokenizer", "PATH", "give the model this tokenizer (default: IN's own); none: leave it out"},
    {"shard-size", "BYTES",
     "gguf: at most so many bytes of tensors in a file, as 4G or 500M (default: one file)"},
    {"quiet", NULL, "no progress line"},
    {0},
};

static bool show(void *user, int64_t done, int64_t total)
{
    if (!user) qn__progress("converting  %.0f %%", 100.0 * (double)done / (double)total);
    return !qn__stop_asked();
}

int qn__convert(const qn_command *self, int argc, char **argv)
{
    static char quiet[] = "quiet";
    qn_args args;
    int code = qn__args_parse(&args, self, flags, 2, argc, argv);
    if (code != QN_GO_ON) return code;
    const char *in = args.operand[0], *out = args.operand[1];
    if (args.operands != 2)
        return qn__say_error(QN_EXIT_USAGE, "convert: give IN and OUT: the model, and where to");
    uint64_t shard_bytes;
    code = qn__arg_bytes(&args, "shard-size", &shard_bytes);
    if (code != QN_GO_ON) return code;
    const qn_convert_options options = {.size = sizeof options,
                                        .to = qn__arg(&args, "to"),
                                        .dtype = qn__arg(&args, "dtype"),
                                        .adapter = qn__arg(&args, "adapter"),
                                        .tokenizer = qn__arg(&args, "tokenizer"),
                                        .shard_bytes = shard_bytes};
    qn__signals_catch();
    qn_status status =
        qn_model_convert(in, out, &options, show, qn__arg(&args, "quiet") ? quiet : NULL);
    qn__progress_end(false);
    return status == QN_OK ? QN_EXIT_OK : qn__say_status(status);
}
