/* quernel COMMAND [flags]: the table of commands and the way into them. */
#include "shell.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

#define ROWS(ROW)                                                                                  \
    ROW(devices, "every OpenCL device: limits, what was proven, measured peaks",                   \
        "[--json] [--no-measure]", "quernel devices")                                              \
    ROW(train, "train a language model from text", "--data PATH --out DIR [flags]",                \
        "quernel train --text stories.txt --tokenizer bpe:1024 --arch llama --layers 4 "           \
        "--heads 4 \\\n      --embed 128 --context 128 --batch 32 --steps 1000 --lr 1e-3 "         \
        "--out model")                                                                             \
    ROW(finetune, "train a model further, or LoRA adapters for it",                                \
        "--model PATH --data FILE --out DIR [--lora-rank R] [flags]",                              \
        "quernel finetune --model llama --data poems.jsonl --lora-rank 16 --out poet\n"            \
        "  quernel generate --model llama --adapter poet --prompt \"O rose\"")                     \
    ROW(generate, "continue a prompt", "--model PATH [--prompt TEXT] [--tokens N] [flags]",        \
        "quernel generate --model model --prompt \"Once upon a time\" --tokens 200")               \
    ROW(chat, "talk with a model", "--model PATH [--system TEXT] [--template NAME] [flags]",       \
        "quernel chat --model model.gguf --system \"Answer briefly.\"")                            \
    ROW(convert, "a model from one format to another",                                             \
        "IN OUT [--to hf|gguf|llmc|checkpoint] [--dtype f32|bf16|f16] [flags]",                    \
        "quernel convert stories15M.bin stories --tokenizer tokenizer.bin\n"                       \
        "  quernel convert llama llama.gguf --dtype f16\n"                                         \
        "  quernel convert gpt2 gpt2.bin --dtype bf16")                                            \
    ROW(inspect, "what a model file holds: metadata, tensors, bits per weight; does it run here",  \
        "PATH [--elements N] [--json]", "quernel inspect llama.gguf")                              \
    ROW(quantize, "a model as a GGUF file in fewer bits",                                          \
        "IN OUT [--type Q4_K_M|Q8_0|...] [flags]",                                                 \
        "quernel quantize stories stories-q4.gguf --type Q4_K_M\n"                                 \
        "  quernel quantize --list")                                                               \
    ROW(eval, "mean loss, perplexity and bits per byte on a text; multiple-choice accuracy",       \
        "--model PATH --text FILE [--perplexity] [--kl-against PATH] | --choices FILE [flags]",    \
        "quernel eval --model model --text held-out.txt\n"                                         \
        "  quernel eval --model model --choices hellaswag_val.bin")                                \
    ROW(report, "the pages of a run: report.html and loss.svg, from what lies in its folder",      \
        "--run DIR [--json]", "quernel report --run model")                                        \
    ROW(plan, "memory and time of a run, before spending them",                                    \
        "(the flags of train) [--device-record FILE]",                                             \
        "quernel plan --text stories.txt --tokenizer bpe:1024 --arch llama --layers 4 "            \
        "--heads 4 \\\n      --embed 128 --context 128 --batch 32")                                \
    ROW(tune, "time kernels for the shapes of a model, once a device",                             \
        "(the flags of train or finetune) | --model PATH [--budget SECONDS]",                      \
        "quernel tune --text stories.txt --tokenizer bpe:1024 --arch llama --layers 4 "            \
        "--heads 4 \\\n      --embed 128 --context 128 --batch 32 --budget 120\n"                  \
        "  quernel tune --model model")                                                            \
    ROW(bench, "measure the device, an op, a matrix product, a training step, decoding",           \
        "peak|op|gemm|train|decode [flags]",                                                       \
        "quernel bench gemm --m 1536 --n 1536 --k 768 --dtype f32\n"                               \
        "  quernel bench train --arch gpt2 --size 124M --batch 4 --context 64 --profile\n"         \
        "  quernel bench op --case \"rope : x=f32[256,12,64] pos=i32[256] table=f32[256,32,2]\"")  \
    ROW(tokenize, "standard input to token ids on one line, and back",                             \
        "--tokenizer PATH [--decode] [--bos]",                                                     \
        "quernel tokenize --tokenizer model < story.txt\n"                                         \
        "  echo 464 2746 | quernel tokenize --tokenizer model --decode")

#define DECLARE(name, ...) int qn__##name(const qn_command *self, int argc, char **argv);
ROWS(DECLARE)

static const qn_command commands[] = {
#define ROW(name, summary, usage, example) {#name, summary, usage, example, qn__##name},
    ROWS(ROW)};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_commands(FILE *out)
{
    fprintf(out, "usage: quernel COMMAND [flags]\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(
        out,
        "\n`quernel COMMAND --help` lists the flags of a command and shows an example.\n"
        "Exit codes: 0 done, 64 wrong usage, 65 bad data, 69 no device, 70 our mistake, 71 system "
        "error,\n73 cannot write, 75 stopped (resume me), 76 another rank failed, 77 not "
        "finite.\n");
}

static const qn_command *find(const char *name)
{
    const char *names[COMMANDS + 1] = {0};
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0) return &commands[i];
        names[i] = commands[i].name;
    }
    const char *near = qn__nearest(name, names);
    if (near)
        qn__say_error(QN_EXIT_USAGE, "there is no command \"%s\"; did you mean `quernel %s`?", name,
                      near);
    else
        qn__say_error(QN_EXIT_USAGE, "there is no command \"%s\"; `quernel --help` lists them",
                      name);
    return NULL;
}

/* A result that did not reach its file is no result, whatever the command thought. */
static int flush_output(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    int write_code =
        qn__say_error(QN_EXIT_WRITE, "cannot write to standard output: %s", strerror(errno));
    return code == QN_EXIT_OK ? write_code : code;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    signal(SIGXFSZ,
           SIG_IGN); /* a file size limit is then an error with a message, like a full disk */
    if (argc < 2) {
        print_commands(stderr);
        return QN_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
        (strcmp(word, "help") == 0 && argc == 2)) {
        print_commands(stdout);
        return flush_output(QN_EXIT_OK);
    }
    if (strcmp(word, "--version") == 0) {
        printf("quernel %s\n", qn_version_string());
        return flush_output(QN_EXIT_OK);
    }
    bool help = strcmp(word, "help") == 0;
    const qn_command *command = find(help ? argv[2] : word);
    if (!command) return QN_EXIT_USAGE;
    char help_flag[] = "--help", *help_args[] = {argv[0], help_flag, NULL};
    return flush_output(help ? command->run(command, 2, help_args)
                             : command->run(command, argc - 1, argv + 1));
}
