/* quernel chat: a conversation, a line a turn. */
#include "talk.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int qn__chat(const qn_command *self, int argc, char **argv);

static const qn_flag own_flags[] = {
    {"model", "PATH", "a GGUF file, a model folder, a llama2.c or an llm.c checkpoint"},
    {"adapter", "DIR", "LoRA adapters in PEFT's layout, folded into the model as it is read"},
    {"context", "N", "tokens at once: fewer save memory (default: the model's, at most 4096)"},
    {"type", "T", "quantize what is in floats first: q8_0, q4_0, q4_K ... (default: as it is)"},
    QN_FLAG_CACHE,
    {"tokenizer", "PATH", "a folder with tokenizer.json, or a file (default: from the model)"},
    {"system", "TEXT", "what the model is told before all else (default: nothing)"},
    {"template", "NAME",
     "how turns are written: chatml, llama2, llama3, mistral-v3, gemma, phi3 ... (default: as the "
     "model's file says, else chatml)"},
    {"stop", "TEXT", "a reply ends before this text; may be repeated", .many = true},
    QN_FLAGS_GRAMMAR,
    {"tokens", "N", "at most so many in a reply (default: 1024)"},
    {"no-context-shift", NULL,
     "when the context is full, leave out the oldest turns and read the rest again: exact, slower"},
    QN_FLAG_DEVICE,
    QN_FLAG_JSON,
    {0},
};

static volatile sig_atomic_t interrupted;

static void note(int number)
{
    (void)number;
    interrupted = 1;
}

bool qn__talk_interrupted(void)
{
    return interrupted != 0;
}

/* Again and again: LLVM, inside of PoCL, takes the signal for itself when it compiles. Reading a
 * line is not begun again after it. */
void qn__talk_listen(void)
{
    struct sigaction action = {.sa_handler = note};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    interrupted = 0;
}

/* ---- what a line that begins with / does ---- */

typedef struct order {
    const char *name, *argument, *help;
    int (*run)(qn_talk *talk, const char *argument);
} order;

static int help(qn_talk *talk, const char *argument);

static int reset(qn_talk *talk, const char *argument)
{
    (void)argument;
    qn__talk_cut(talk, talk->count && strcmp(talk->said[0].role, "system") == 0);
    return QN_GO_ON;
}

/* Another system's message, and a new conversation. */
static int set_system(qn_talk *talk, const char *argument)
{
    qn__talk_cut(talk, 0);
    return *argument ? qn__talk_add(talk, "system", argument, strlen(argument)) : QN_GO_ON;
}

static int save(qn_talk *talk, const char *argument)
{
    json_t *list = json_array();
    for (size_t i = 0; i < talk->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s%}", "role", talk->said[i].role, "content",
                                              talk->said[i].content, talk->said[i].bytes));
    json_t *root = json_pack("{s:o}", "messages", list);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text) {
        qn__say_error(QN_EXIT_USAGE, "chat: JSON holds only UTF-8, and a message is not");
        return QN_GO_ON;
    }
    size_t bytes = strlen(text);
    text[bytes] = '\n';
    if (qn__write_file(argument, text, bytes + 1) == QN_GO_ON)
        qn__note("%zu messages are in %s", talk->count, argument);
    free(text);
    return QN_GO_ON;
}

static bool is_talk(const json_t *list)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *role = json_string_value(json_object_get(one, "role"));
        bool known = false;
        for (size_t r = 0; role && r < 4; r++) known = known || strcmp(role, roles[r]) == 0;
        if (!known || !json_is_string(json_object_get(one, "content"))) return false;
    }
    return json_is_array(list);
}

static int load(qn_talk *talk, const char *argument)
{
    char *text = NULL;
    size_t bytes, i;
    json_error_t error;
    const json_t *one;
    int code = qn__read_file(argument, &text, &bytes);
    if (code != QN_GO_ON) return QN_GO_ON;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);
    const json_t *list = json_object_get(root, "messages");
    free(text);
    if (!is_talk(list)) {
        json_decref(root);
        qn__say_error(QN_EXIT_USAGE, "chat: %s is not {\"messages\": [...]}, as /save writes it",
                      argument);
        return QN_GO_ON;
    }
    qn__talk_cut(talk, 0);
    json_array_foreach(list, i, one)
    {
        const json_t *content = json_object_get(one, "content");
        if (code == QN_GO_ON)
            code = qn__talk_add(talk, json_string_value(json_object_get(one, "role")),
                                json_string_value(content), json_string_length(content));
    }
    json_decref(root);
    if (code == QN_GO_ON) qn__note("%zu messages from %s", talk->count, argument);
    return code;
}

static int print_reply(qn_talk *talk)
{
    if (!talk->json) {
        putchar('\n');
        fflush(stdout);
        if (strcmp(talk->why, "end") != 0 && strcmp(talk->why, "stop") != 0 &&
            strcmp(talk->why, "grammar") != 0)
            qn__note("(stopped: %s)", talk->why);
        return QN_GO_ON;
    }
    const qn_said *said = &talk->said[talk->count - 1];
    double speed = talk->seconds > 0 ? (double)talk->made / talk->seconds : 0;
    int code = qn__print_json(json_pack("{s:s, s:s%, s:s, s:I, s:I, s:f}", "role", said->role,
                                        "content", said->content, said->bytes, "stop", talk->why,
                                        "tokens", (json_int_t)talk->made, "prompt_tokens",
                                        (json_int_t)talk->fed, "tokens_per_s", speed));
    fflush(stdout);
    return code == QN_EXIT_OK ? QN_GO_ON : code;
}

/* A question that does not fit is taken back; the conversation goes on. */
static int reply_to(qn_talk *talk)
{
    size_t before = talk->count;
    qn__talk_listen();
    int code = qn__talk_reply(talk);
    if (code == QN_GO_ON) return print_reply(talk);
    if (code == QN_EXIT_USAGE && talk->count <= before) {
        if (talk->count) qn__talk_cut(talk, talk->count - 1);
        return QN_GO_ON;
    }
    return code;
}

static int again(qn_talk *talk, const char *argument)
{
    (void)argument;
    if (talk->count == 0 || strcmp(talk->said[talk->count - 1].role, "assistant") != 0) {
        qn__say_error(QN_EXIT_USAGE, "chat: there is no reply to make again");
        return QN_GO_ON;
    }
    qn__talk_cut(talk, talk->count - 1);
    int code = qn__talk_reseed(talk);
    return code == QN_GO_ON ? reply_to(talk) : code;
}

static int stats(qn_talk *talk, const char *argument)
{
    (void)argument;
    double read = talk->feed_seconds > 0 ? (double)talk->fed / talk->feed_seconds : 0;
    double made = talk->seconds > 0 ? (double)talk->made / talk->seconds : 0;
    qn__note("template %s; %zu messages; context %d of %d; last turn: %lld tokens read "
             "(%.1f tokens/s), %lld made (%.1f tokens/s)",
             talk->family, talk->count, qn_session_length(talk->session),
             qn_model_get_config(talk->model)->context, (long long)talk->fed, read,
             (long long)talk->made, made);
    return QN_GO_ON;
}

static int leave(qn_talk *talk, const char *argument)
{
    (void)talk;
    (void)argument;
    return QN_EXIT_OK;
}

static const order orders[] = {
    {"help", "", "these lines", help},
    {"reset", "", "forget the conversation, not what the system says", reset},
    {"system", "TEXT", "begin anew, told TEXT before all else", set_system},
    {"save", "FILE", "write the conversation as a line of JSON, as training reads it", save},
    {"load", "FILE", "go on with a saved one", load},
    {"regen", "", "make the last reply again, with other random numbers", again},
    {"stats", "", "tokens, context, speed", stats},
    {"exit", "", "leave; so does Ctrl-D, and Ctrl-C at the prompt", leave},
};

enum { ORDERS = sizeof orders / sizeof orders[0] };

static int help(qn_talk *talk, const char *argument)
{
    (void)talk;
    (void)argument;
    for (int i = 0; i < ORDERS; i++)
        fprintf(stderr, "  /%-7s %-5s %s\n", orders[i].name, orders[i].argument, orders[i].help);
    fprintf(stderr, "  A line that ends in \\ goes on with the next. Ctrl-C stops a reply.\n");
    return QN_GO_ON;
}

static int obey(qn_talk *talk, char *line)
{
    size_t length = strcspn(line + 1, " \t");
    char *argument = line + 1 + length + strspn(line + 1 + length, " \t");
    line[1 + length] = 0;
    for (int i = 0; i < ORDERS; i++) {
        if (strcmp(orders[i].name, line + 1) != 0) continue;
        bool file = strcmp(orders[i].argument, "FILE") == 0;
        if (!file || *argument) return orders[i].run(talk, argument);
        qn__say_error(QN_EXIT_USAGE, "chat: /%s needs a file", orders[i].name);
        return QN_GO_ON;
    }
    const char *names[ORDERS + 1] = {0};
    for (int i = 0; i < ORDERS; i++) names[i] = orders[i].name;
    const char *near = qn__nearest(line + 1, names);
    qn__say_error(QN_EXIT_USAGE, "chat: there is no /%s; %s%s", line + 1,
                  near ? "did you mean /" : "/help lists what there is", near ? near : "");
    return QN_GO_ON;
}

/* ---- lines ---- */

/* One turn, over several lines where they end in a backslash. false: no more. */
static bool read_turn(char **turn, size_t *bytes)
{
    static char *line;
    static size_t room;
    FILE *text = open_memstream(turn, bytes);
    bool more = text != NULL, any = false;
    while (more) {
        if (isatty(STDIN_FILENO)) fprintf(stderr, any ? ". " : "> ");
        ssize_t length = getline(&line, &room, stdin);
        if (length < 0) break;
        any = true;
        if (length && line[length - 1] == '\n') length--;
        more = length && line[length - 1] == '\\';
        fwrite(line, 1, (size_t)(more ? length - 1 : length), text);
        if (more) fputc('\n', text);
    }
    if (text && fclose(text) != 0) any = false;
    return any && !qn__talk_interrupted();
}

static int converse(qn_talk *talk)
{
    int code = QN_GO_ON;
    while (code == QN_GO_ON) {
        char *turn = NULL;
        size_t bytes = 0;
        qn__talk_listen();
        if (!read_turn(&turn, &bytes)) {
            if (isatty(STDIN_FILENO)) fputc('\n', stderr);
            free(turn);
            return QN_EXIT_OK;
        }
        if (turn[0] == '/') {
            code = obey(talk, turn);
        } else if (bytes) {
            code = qn__talk_add(talk, "user", turn, bytes);
            if (code == QN_GO_ON) code = reply_to(talk);
        }
        free(turn);
    }
    return code;
}

/* ---- the command ---- */

static int choose_family(qn_talk *talk, const char *name)
{
    const char *own = qn_tokenizer_chat_template(talk->tokenizer), *known = NULL;
    talk->family = name ? name : own ? own : qn_chat_template_at(0);
    for (size_t i = 0; (known = qn_chat_template_at(i)); i++)
        if (strcmp(known, talk->family) == 0) break;
    if (!known) {
        const qn_chat_options options = {.size = sizeof options, .template_name = talk->family};
        int32_t *ids;
        size_t count;
        return qn__say_status(
            qn_chat_encode(talk->tokenizer, &options, NULL, 0, &ids, NULL, &count));
    }
    if (!name && !own)
        qn__note("the model brings no chat template that is known: taking \"%s\" (--template NAME "
                 "takes another)",
                 talk->family);
    const char *stop = qn_chat_template_stop(talk->family);
    if (stop) talk->stops[talk->stop_count++] = stop;
    return QN_GO_ON;
}

static int open_and_talk(qn_talk *talk, const qn_args *args, const char *model)
{
    qn_device *device = NULL;
    qn_tokenizer *tokenizer = NULL;
    const char *system = qn__arg(args, "system");
    int code = qn__open_tokenizer(qn__arg(args, "tokenizer"), model, &tokenizer);
    talk->tokenizer = talk->sampler.tokenizer = tokenizer;
    if (code == QN_GO_ON) code = qn__open_grammar(args, &talk->grammar);
    if (code == QN_GO_ON) code = choose_family(talk, qn__arg(args, "template"));
    if (code == QN_GO_ON) code = qn__open_device(qn__arg(args, "device"), false, &device);
    if (code == QN_GO_ON) code = qn__open_model(args, device, model, &talk->model);
    if (code == QN_GO_ON) code = qn__check_vocab(tokenizer, talk->model);
    if (code == QN_GO_ON) code = qn__talk_open(talk);
    if (code == QN_GO_ON && system) code = qn__talk_add(talk, "system", system, strlen(system));
    if (code == QN_GO_ON && isatty(STDIN_FILENO)) qn__note("/help shows what there is");
    if (code == QN_GO_ON) code = converse(talk);
    qn__talk_free(talk);
    qn_model_destroy(&talk->model);
    qn_device_close(&device);
    qn_tokenizer_destroy(&tokenizer);
    return code;
}

int qn__chat(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    const char *model;
    json_t *keeper = NULL;
    qn_talk talk = {.tokens = 1024};
    int code = qn__args_parse(&args, self, qn__sampling_flags(own_flags), 0, argc, argv);
    if (code == QN_GO_ON) code = qn__arg_need(&args, "model", &model);
    if (code == QN_GO_ON) code = qn__arg_int(&args, "tokens", 1, 1 << 30, &talk.tokens);
    if (code == QN_GO_ON) code = qn__sampling_options(&args, &talk.sampler, &keeper);
    if (code == QN_GO_ON) {
        talk.json = qn__arg(&args, "json") != NULL;
        talk.shifts = !qn__arg(&args, "no-context-shift");
        talk.stop_count = qn__arg_many(&args, "stop", talk.stops);
        for (int i = 0; i < talk.stop_count; i++)
            if (!*talk.stops[i] || strlen(talk.stops[i]) > 4096)
                code = qn__say_error(QN_EXIT_USAGE, "chat: --stop takes 1 to 4096 bytes of text");
    }
    if (code == QN_GO_ON) {
        code = open_and_talk(&talk, &args, model);
    }
    json_decref(keeper);
    return code;
}
