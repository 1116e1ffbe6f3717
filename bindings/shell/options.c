/* Flags by table, on getopt_long: one table makes the parser, the help and the suggestions. */
#include "shell.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const qn_flag common[] = {
    {"verbose", NULL, "say more on standard error"},
    {"help", NULL, "this text"},
};

enum { COMMON = sizeof common / sizeof common[0], VERBOSE = QN_MAX_FLAGS, HELP };

static int count_flags(const qn_flag *flags)
{
    int count = 0;
    while (flags[count].name) count++;
    return count;
}

/* ---- suggestions ---- */

static int smallest(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

/* How many letters to insert, drop, replace or exchange with their neighbour (Damerau 1964). */
static int edits(const char *a, const char *b)
{
    enum { MOST = 40 };
    int d[MOST + 1][MOST + 1];
    int m = (int)strlen(a), n = (int)strlen(b);
    if (m > MOST || n > MOST) return MOST;
    for (int i = 0; i <= m; i++) d[i][0] = i;
    for (int j = 0; j <= n; j++) d[0][j] = j;
    for (int i = 1; i <= m; i++)
        for (int j = 1; j <= n; j++) {
            d[i][j] = smallest(d[i - 1][j] + 1, d[i][j - 1] + 1,
                               d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[m][n];
}

const char *qn__nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    int best_edits = 4;
    for (int i = 0; words[i]; i++) {
        int needed = edits(word, words[i]);
        size_t length = strlen(word);
        if (length >= 3 && strncmp(word, words[i], length) == 0) needed = 1;
        if (needed < best_edits && needed * 2 <= (int)strlen(words[i])) {
            best = words[i];
            best_edits = needed;
        }
    }
    return best;
}

/* ---- help ---- */

static void print_flag(const qn_flag *flag)
{
    enum { INDENT = 28, COLUMNS = 100 };
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", flag->name, flag->value ? " " : "",
             flag->value ? flag->value : "");
    printf("  %-*s", INDENT - 3, left);
    int at = (int)strlen(left) > INDENT - 3 ? COLUMNS : INDENT - 1;
    for (const char *word = flag->help; *word;) {
        int length = (int)strcspn(word, " ");
        if (at + 1 + length > COLUMNS) {
            printf("\n%*s", INDENT - 1, "");
            at = INDENT - 1;
        }
        printf(" %.*s", length, word);
        at += 1 + length;
        word += length;
        while (*word == ' ') word++;
    }
    printf("\n");
}

static void print_help(const qn_command *command, const qn_flag *flags)
{
    printf("quernel %s: %s\n\nusage: quernel %s %s\n\n", command->name, command->summary,
           command->name, command->usage);
    for (int i = 0; flags[i].name; i++) print_flag(&flags[i]);
    for (int i = 0; i < COMMON; i++) print_flag(&common[i]);
    printf("\nexample:\n  %s\n", command->example);
}

/* ---- parsing ---- */

static int wrong_flag(const qn_command *command, const qn_flag *flags, const char *token)
{
    const char *names[QN_MAX_FLAGS + COMMON + 1] = {0};
    char name[64];
    int count = 0;
    for (; flags[count].name; count++) names[count] = flags[count].name;
    for (int i = 0; i < COMMON; i++) names[count++] = common[i].name;
    const char *begin = token + strspn(token, "-");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(begin, "="), begin);
    const char *near = qn__nearest(name, names);
    return near ? qn__say_error(QN_EXIT_USAGE, "%s: there is no flag %s; did you mean --%s?",
                                command->name, token, near)
                : qn__say_error(QN_EXIT_USAGE,
                                "%s: there is no flag %s; `quernel %s --help` lists them",
                                command->name, token, command->name);
}

/* getopt_long takes any unambiguous beginning of a name; a script that relies on one breaks with
 * the next flag. */
static bool is_whole(const char *token, const char *name)
{
    size_t length = strcspn(token + 2, "=");
    return length == strlen(name) && strncmp(token + 2, name, length) == 0;
}

static int parse_one(qn_args *args, int code, const struct option *table, char **argv)
{
    const qn_command *command = args->command;
    const char *token = argv[optind - 1];
    if (code == 'h') {
        print_help(command, args->flags);
        return QN_EXIT_OK;
    }
    if (code == '?' && optopt > 0 && optopt < 128) {
        char letter[3] = {'-', (char)optopt, 0};
        return wrong_flag(command, args->flags, letter);
    }
    if (code == '?' && optopt == 0) return wrong_flag(command, args->flags, token);
    int index = (code == '?' || code == ':' ? optopt : code) - 128;
    const char *name = index == HELP ? "help" : index == VERBOSE ? "verbose" : table[index].name;
    if (code == '?')
        return qn__say_error(QN_EXIT_USAGE, "%s: --%s takes no value", command->name, name);
    if (code == ':')
        return qn__say_error(QN_EXIT_USAGE, "%s: --%s needs a value: --%s %s", command->name, name,
                             name, args->flags[index].value);
    if (optarg && optarg == token) token = argv[optind - 2];
    if (!is_whole(token, name)) return wrong_flag(command, args->flags, token);
    if (index == HELP) {
        print_help(command, args->flags);
        return QN_EXIT_OK;
    }
    if (index == VERBOSE) {
        qn__log_start(true);
        return QN_GO_ON;
    }
    args->value[index] = optarg ? optarg : "";
    if (!args->flags[index].many) return QN_GO_ON;
    if (args->many_count == QN_MAX_MANY)
        return qn__say_error(QN_EXIT_USAGE, "%s: --%s is given more than %d times", command->name,
                             name, QN_MAX_MANY);
    args->many_of[args->many_count] = index;
    args->many[args->many_count++] = args->value[index];
    return QN_GO_ON;
}

int qn__args_parse(qn_args *args, const qn_command *self, const qn_flag *flags, int max_operands,
                   int argc, char **argv)
{
    struct option table[QN_MAX_FLAGS + COMMON + 1] = {0};
    int count = count_flags(flags), code;
    *args = (qn_args){.command = self, .flags = flags};
    for (int i = 0; i < count; i++)
        table[i] = (struct option){flags[i].name, flags[i].value ? required_argument : no_argument,
                                   NULL, 128 + i};
    table[count] = (struct option){"verbose", no_argument, NULL, 128 + VERBOSE};
    table[count + 1] = (struct option){"help", no_argument, NULL, 128 + HELP};
    qn__log_start(false);
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        int exit_code = parse_one(args, code, table, argv);
        if (exit_code != QN_GO_ON) return exit_code;
    }
    for (int i = optind; i < argc; i++) {
        if (args->operands == max_operands)
            return qn__say_error(QN_EXIT_USAGE,
                                 "%s: what is \"%s\"? `quernel %s --help` shows the usage",
                                 self->name, argv[i], self->name);
        args->operand[args->operands++] = argv[i];
    }
    return QN_GO_ON;
}

/* ---- values ---- */

const char *qn__arg(const qn_args *args, const char *name)
{
    for (int i = 0; args->flags[i].name; i++)
        if (strcmp(args->flags[i].name, name) == 0) return args->value[i];
    abort();
}

int qn__arg_many(const qn_args *args, const char *name, const char *values[QN_MAX_MANY])
{
    int count = 0;
    for (int i = 0; i < args->many_count; i++)
        if (strcmp(args->flags[args->many_of[i]].name, name) == 0) values[count++] = args->many[i];
    return count;
}

int qn__arg_need(const qn_args *args, const char *name, const char **value)
{
    *value = qn__arg(args, name);
    if (*value && **value) return QN_GO_ON;
    return qn__say_error(QN_EXIT_USAGE, "%s: --%s is missing; usage: quernel %s %s",
                         args->command->name, name, args->command->name, args->command->usage);
}

int qn__arg_int(const qn_args *args, const char *name, int64_t low, int64_t high, int64_t *value)
{
    const char *text = qn__arg(args, name);
    char *end;
    if (!text) return QN_GO_ON;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (*text == 0 || isspace((unsigned char)*text) || *end || errno || number < low ||
        number > high)
        return qn__say_error(QN_EXIT_USAGE,
                             "%s: --%s is \"%s\"; it must be a whole number from %lld to %lld",
                             args->command->name, name, text, (long long)low, (long long)high);
    *value = number;
    return QN_GO_ON;
}

int qn__arg_bytes(const qn_args *args, const char *name, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    const char *text = qn__arg(args, name);
    char *end;
    *bytes = 0;
    if (!text) return QN_GO_ON;
    double count = *text >= '0' && *text <= '9' ? strtod(text, &end) : 0;
    const char *unit = count > 0 && *end ? strchr(units, *end) : NULL;
    if (count > 0 && *end && (!unit || end[1])) count = 0;
    for (const char *at = units; unit && at <= unit; at++) count *= 1024;
    if (!(count >= 1 && count < 1e18))
        return qn__say_error(QN_EXIT_USAGE, "%s: --%s %s is no number of bytes; 500M and 4G are",
                             args->command->name, name, qn__text_quoted(text));
    *bytes = (uint64_t)count;
    return QN_GO_ON;
}

int qn__arg_float(const qn_args *args, const char *name, double low, double high, double *value)
{
    const char *text = qn__arg(args, name);
    char *end;
    if (!text) return QN_GO_ON;
    double number = strtod(text, &end);
    if (*text == 0 || isspace((unsigned char)*text) || *end || !(number >= low && number <= high))
        return qn__say_error(QN_EXIT_USAGE, "%s: --%s is \"%s\"; it must be a number from %g to %g",
                             args->command->name, name, text, low, high);
    *value = number;
    return QN_GO_ON;
}
