/* What the commands share: flags, reports, progress, charts, signals, files.
 *
 * A command is one file with one function of its name, and one row in main.c. It returns the exit
 * code. What a person or a program asked for goes to standard output; everything else to standard
 * error. */
#ifndef QN_SHELL_H
#define QN_SHELL_H

#include <jansson.h>
#include <quernel/quernel.h>
#include <stdio.h>

enum {
    QN_EXIT_OK = 0,
    QN_EXIT_USAGE = 64,
    QN_EXIT_OS = 71,
    QN_EXIT_WRITE = 73,
    QN_EXIT_RETRY = 75
};

/* ---- commands and their flags (options.c) ---- */

typedef struct qn_flag {
    const char *name;  /* "top-k" */
    const char *value; /* "K", as the help shows it; NULL: a switch */
    const char *help;
    bool many; /* may be given again, up to QN_MAX_MANY values in all */
} qn_flag;

typedef struct qn_command {
    const char *name, *summary, *usage, *example;
    int (*run)(const struct qn_command *self, int argc, char **argv);
} qn_command;

enum { QN_MAX_FLAGS = 112, QN_MAX_OPERANDS = 4, QN_MAX_MANY = 32 };

typedef struct qn_args {
    const qn_command *command;
    const qn_flag *flags;            /* ended by a row without a name */
    const char *value[QN_MAX_FLAGS]; /* NULL: not given; a switch that was given: "" */
    const char *operand[QN_MAX_OPERANDS];
    int operands;
    const char *many[QN_MAX_MANY]; /* values of flags that may be given again, in their order */
    int many_of[QN_MAX_MANY];      /* row of the flag */
    int many_count;
} qn_args;

/* One row for a flag that several commands have. */
#define QN_FLAG_JSON                                                                               \
    {                                                                                              \
        "json", NULL, "print JSON on standard output, everything else on standard error"           \
    }
#define QN_FLAG_DEVICE                                                                             \
    {                                                                                              \
        "device", "SEL", "index, part of the name, or cpu/gpu/accelerator (default: $QN_DEVICE)"   \
    }
#define QN_FLAG_CACHE                                                                              \
    {                                                                                              \
        "cache-type", "T", "keys and values are kept in f32, f16, q8_0 or q4_0 (default: f32)"     \
    }

enum { QN_GO_ON = -1 };

/* Read the flags. QN_GO_ON, or the exit code: 0 after --help, 64 after one line about what is
 * wrong. */
int qn__args_parse(qn_args *args, const qn_command *self, const qn_flag *flags, int max_operands,
                   int argc, char **argv);
/* NULL when the flag was not given. Asking for a flag that is not in the table is our mistake:
 * abort. */
const char *qn__arg(const qn_args *args, const char *name);
/* Of a flag that may be given again: how many values, which come into `values`. */
int qn__arg_many(const qn_args *args, const char *name, const char *values[QN_MAX_MANY]);
/* Whole numbers and numbers within [low, high]; *value is the default before. Exit code or
 * QN_GO_ON. */
int qn__arg_int(const qn_args *args, const char *name, int64_t low, int64_t high, int64_t *value);
int qn__arg_float(const qn_args *args, const char *name, double low, double high, double *value);
/* "500M", "4G"; 0 when it was not given. */
int qn__arg_bytes(const qn_args *args, const char *name, uint64_t *bytes);
/* The flag must have been given. */
int qn__arg_need(const qn_args *args, const char *name, const char **value);
/* The nearest of `words` (ended by NULL), or NULL when none is near. */
const char *qn__nearest(const char *word, const char *const *words);

/* ---- reports (report.c) ---- */

/* `quernel: ...` on standard error; returns `code`. */
int qn__say_error(int code, const char *format, ...) QN_PRINTF(2, 3);
/* The library's last error; returns the exit code of `status`. */
int qn__say_status(qn_status status);
/* One object on one line of standard output; takes the reference. */
int qn__print_json(json_t *value);
/* Text made by the library: parsed, freed. NULL after a message. */
json_t *qn__take_json(char *text);
/* NaN and infinities, which JSON lacks, become null. */
json_t *qn__json_number(double value);
double qn__get_number(const json_t *object, const char *key);
const char *qn__get_text(const json_t *object, const char *key);
/* "1.25 GiB", "1m20s", "12,345", in one of a few buffers used in turn. */
const char *qn__text_bytes(double bytes);
const char *qn__text_seconds(double seconds);
const char *qn__text_count(double count);
/* The table behind --profile. */
void qn__print_profile(FILE *out, const json_t *rows);
/* Bytes without their control characters, quotes where a shell needs them. */
const char *qn__text_quoted(const char *word);

/* ---- the clock and standard error (term.c) ---- */

/* Time that only goes forward. */
double qn__now_seconds(void);
/* One line that is rewritten in place on a terminal, and printed every few seconds elsewhere. */
void qn__progress(const char *format, ...) QN_PRINTF(1, 2);
/* Leave the line as it is now, with a newline. last: print it even if it was just held back. */
void qn__progress_end(bool last);
/* A line above the progress line. */
void qn__note(const char *format, ...) QN_PRINTF(1, 2);
int qn__term_columns(void);
/* Hand the library's log lines to standard error; from now on only errors. */
void qn__log_start(bool verbose);
void qn__log_errors(void);
/* qn_trainer_create and qn_tokenizer_train_bpe call such things; false when the person asked to
 * stop. */
bool qn__work(void *user, const char *what, int64_t done, int64_t total);

/* ---- signals (signals.c) ---- */

/* The first SIGINT or SIGTERM sets a flag, the second kills. SIGUSR1 sets another. Call again when
 * kernels may have been built: LLVM, inside of PoCL, takes these signals for itself when it
 * compiles.
 */
void qn__signals_catch(void);
bool qn__stop_asked(void);
/* Since it was last asked. */
bool qn__save_asked(void);

/* ---- ranks (ranks.c) ---- */

/* Before anything of OpenCL. Without a launcher: one rank. */
qn_status qn__ranks_join(double watchdog_seconds);
/* Does this rank print what all of them would? */
bool qn__ranks_speaks(void);
/* qn__say_status, once for all ranks where they agreed on it. */
int qn__ranks_say(qn_status status);
/* Last: with what the work ended with, and the exit code to return. */
int qn__ranks_leave(qn_status status, int code);

/* ---- files (files.c) ---- */

/* Exit code or QN_GO_ON; the caller frees *data, which has a NUL after its last byte. */
int qn__read_file(const char *path, char **data, size_t *bytes);
int qn__read_stream(FILE *file, const char *name, char **data, size_t *bytes);
/* Written beside, then renamed. */
int qn__write_file(const char *path, const char *data, size_t bytes);
bool qn__is_folder(const char *path);

/* ---- train keys as flags (train_flags.c) ---- */

/* `own` rows, then one for each key that they do not have. The table lives as long as the process.
 */
const qn_flag *qn__train_flags(const qn_flag *own);
/* Set the keys that were given, --config first. */
int qn__train_options(const qn_args *args, qn_train_options **options);
/* The command line that sets what differs from the defaults in a train.json, quoted for a shell. */
void qn__train_command(const json_t *keys, FILE *out);
/* The same over other defaults: pairs of key and value, ended by {NULL}. */
int qn__train_options_over(const qn_args *args, const char *const (*defaults)[2],
                           qn_train_options **options);
/* Train as the options say and report as the flags say; destroys the options. Exit code (train.c).
 */
int qn__train_run(const qn_args *args, qn_train_options *options);

/* ---- sampling (sampling.c) ---- */

/* `own` rows, then one for each option of sampling, and --sampling FILE. */
const qn_flag *qn__sampling_flags(const qn_flag *own);
/* What --sampling and the flags say, over the defaults. *keeper owns texts that the options borrow:
 * json_decref it last. Exit code or QN_GO_ON. */
int qn__sampling_options(const qn_args *args, qn_sampler_options *options, json_t **keeper);

/* The flags of a grammar (grammar.c). */
#define QN_FLAGS_GRAMMAR                                                                           \
    {"grammar", "TEXT|FILE", "hold the text to a grammar in GBNF (docs/generate.md)"},             \
        {"json-schema", "TEXT|FILE", "hold the text to JSON that is valid under this schema"},     \
    {                                                                                              \
        "json-object", NULL, "hold the text to a JSON object"                                      \
    }
/* What they say; *grammar_out is NULL where they say nothing. */
int qn__open_grammar(const qn_args *args, qn_grammar **grammar_out);

/* ---- eval --choices (choices.c) ---- */

/* Is it llm.c's file, whose questions are tokens already? NULL: no. */
bool qn__choices_have_tokens(const char *path);
/* Read --choices, and with --write write them. */
int qn__choices_open(const qn_args *args, const qn_tokenizer *tokenizer, qn_choices **choices);
int qn__choices_answer(const qn_args *args, qn_model *model, const qn_choices *choices, int batch,
                       const char *device);

/* ---- eval --perplexity, --kl-against (perplexity.c) ---- */

int qn__perplexity(const qn_args *args, const qn_tokenizer *tokenizer, qn_device *device);

/* ---- opening things ---- */

int qn__open_device(const char *selector, bool profile, qn_device **device);
/* path NULL: from the model's folder. */
int qn__open_tokenizer(const char *path, const char *model_path, qn_tokenizer **tokenizer);
/* With the flags adapter, context, type and cache-type. */
int qn__open_model(const qn_args *args, qn_device *device, const char *path, qn_model **model);
int qn__check_vocab(const qn_tokenizer *tokenizer, const qn_model *model);

#endif
