/* quernel finetune: a model and some text in; the model trained on, or an adapter for it, out. */
#include "shell.h"

#include <string.h>

int qn__finetune(const qn_command *self, int argc, char **argv);

/* What is another default here than in train, with the help that says so. */
static const qn_flag own_flags[] = {
    {"model", "PATH", "the model to begin with: a folder or a checkpoint"},
    {"lora-rank", "N",
     "train adapters of this rank instead of the weights: less memory, a small result; 8 to 64 are "
     "usual (default: 0, all weights)"},
    {"lr", "X", "highest learning rate (default: 2e-5; with --lora-rank 2e-4)"},
    {"batch", "N", "sequences a step (default: 8)"},
    {"steps", "N", "steps in all (default: 300)"},
    {"warmup", "N", "steps over which the learning rate rises (default: 10)"},
    {"beta2", "X", "AdamW: decay of the second moment (default: 0.999)"},
    {"weight-decay", "X", "AdamW: decay of matrices; vectors do not decay (default: 0.01)"},
    {"eval-every", "N", "steps between validations; 0: at the end only (default: 50)"},
    {"tokenizer", "PATH", "a tokenizer file or folder (default: the model's)"},
    {"config", "FILE", "keys from a JSON file; flags override it"},
    QN_FLAG_DEVICE,
    {"profile", NULL, "time every kernel (slower), and show where the time went"},
    {"quiet", NULL, "no progress line, no chart"},
    {"json", NULL, "one JSON object a step on standard output, everything else on standard error"},
    {0},
};

int qn__finetune(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    qn_train_options *options = NULL;
    const char *path;
    int code = qn__args_parse(&args, self, qn__train_flags(own_flags), 0, argc, argv);
    if (code != QN_GO_ON) return code;
    const char *rank = qn__arg(&args, "lora-rank");
    bool lora = rank && strcmp(rank, "0") != 0;
    const char *const defaults[][2] = {{"lr", lora ? "2e-4" : "2e-5"},
                                       {"batch", "8"},
                                       {"steps", "300"},
                                       {"warmup", "10"},
                                       {"beta2", "0.999"},
                                       {"weight_decay", "0.01"},
                                       {"eval_every", "50"},
                                       {0}};
    if (!qn__arg(&args, "config")) code = qn__arg_need(&args, "model", &path);
    if (code == QN_GO_ON) code = qn__train_options_over(&args, defaults, &options);
    return code == QN_GO_ON ? qn__train_run(&args, options) : code;
}
