/* Documents: which files a data set has, what the lines of JSON Lines say, which tokens are
 * learned; and the same from hostile files, whose errors name file, line and what is wrong. */
#include "unit/file_support.h"

#include "base/rng.h"
#include "text/chat.h"
#include "text/dataset.h"

#include <sys/stat.h>

/* ---- gathering ---- */

typedef struct gathered {
    bytes text; /* learned in [], read in (), an end of turn |, a document's end newline */
    int documents;
} gathered;

static qn_status gather(void *user, const qn__document *d, const char *path, uint64_t done)
{
    gathered *g = user;
    (void)path;
    (void)done;
    for (size_t i = 0; i < d->count; i++) {
        const qn__span *s = &d->span[i];
        put_text(&g->text, s->learned ? "[" : "(");
        if (s->turn_end) put_text(&g->text, "|");
        else put(&g->text, s->text, s->bytes);
        put_text(&g->text, s->learned ? "]" : ")");
    }
    put_text(&g->text, d->end_learned ? "$\n" : "\n");
    g->documents++;
    return QN_OK;
}

static qn_status read_all(const char *paths, gathered *g)
{
    qn__dataset set;
    *g = (gathered){0};
    qn_status status = qn__dataset_open(paths, &set);
    if (status == QN_OK) status = qn__dataset_each(&set, gather, g);
    qn__dataset_close(&set);
    put(&g->text, "", 1);
    return status;
}

static void assert_reads(const char *paths, const char *want)
{
    gathered g;
    assert_ok(read_all(paths, &g));
    assert_string_equal((char *)g.text.data, want);
    free(g.text.data);
}

static const char *write_lines(const char *folder, const char *lines)
{
    const char *path = path_in(folder, "x.jsonl");
    file_write(path, lines, strlen(lines));
    return path;
}

/* ---- JSON Lines ---- */

static void forms(void **state)
{
    (void)state;
    char *folder = folder_make();
    assert_reads(write_lines(folder,
                             "{\"text\": \"one\"}\n\n{\"text\":\"t\\u00e9\\n\",\"id\":3}\r\n"
                             "  \t\n{\"text\":\"last\",\"messages\":null}"),
                 "[one]$\n[t\xC3\xA9\n]$\n[last]$\n");
    assert_reads(write_lines(folder, "\xEF\xBB\xBF{\"prompt\":\"2+2=\",\"completion\":\"4\"}\n"
                                     "{\"completion\":\"y\",\"prompt\":\"\"}\n"),
                 "(2+2=)[4]$\n()[y]$\n");
    assert_reads(write_lines(folder, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
                                     "{\"role\":\"assistant\",\"content\":\"<|im_end|>\"},"
                                     "{\"role\":\"user\",\"content\":\"\"}]}\n"),
                 "(<|im_start|>)(user\nhi)(|)(\n)(<|im_start|>)(assistant\n)[<|im_end|>][|](\n)"
                 "(<|im_start|>)(user\n)(|)\n");
    /* Numbers that nobody reads may be of any length, and digits in a text are no number. */
    assert_reads(write_lines(folder,
                             "{\"n\":[18446744073709551616,-1000000000000000019884624838656],"
                             "\"x\":0.12345678901234567890123,\"y\":1e0000000000000000000001,"
                             "\"text\":\"\\\"12345678901234567890123\"}"),
                 "[\"12345678901234567890123]$\n");
    folder_drop(folder);
}

static void bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } table[] = {
        {"{\"text\":", "not valid JSON"},
        {"{\"text\":\"a\"} x", "not valid JSON"},
        {"{\"text\":\"\xFF\"}", "not valid JSON"},
        {"{\"text\":\"a\\u0000\"}", "not valid JSON"},
        {"{\"text\":\"a\",\"text\":\"b\"}", "not valid JSON"},
        {"{\"text\":99999999999999999999}", "\"text\" is not a string"},
        {"{\"text\":1e999}", "not valid JSON"},
        {"{\"text\":99999999999999999999 9}", "not valid JSON"},
        {"[1]", "not an object"},
        {"\"text\"", "not valid JSON"},
        {"3", "not valid JSON"},
        {"{}", "none of"},
        {"{\"Text\":\"a\"}", "none of"},
        {"{\"text\":null}", "none of"},
        {"{\"text\":3}", "\"text\" is not a string"},
        {"{\"text\":[\"a\"]}", "\"text\" is not a string"},
        {"{\"text\":\"a\",\"prompt\":\"b\"}", "more than one"},
        {"{\"text\":\"a\",\"messages\":[]}", "more than one"},
        {"{\"prompt\":\"b\"}", "\"completion\" is missing"},
        {"{\"completion\":\"b\"}", "\"prompt\" is missing"},
        {"{\"prompt\":\"b\",\"completion\":\"\"}", "\"completion\" is empty"},
        {"{\"prompt\":1,\"completion\":\"a\"}", "\"prompt\" is not a string"},
        {"{\"messages\":{}}", "not a list"},
        {"{\"messages\":[]}", "not a list"},
        {"{\"messages\":\"hi\"}", "not a list"},
        {"{\"messages\":[1]}", "3: message 1: not an object"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "assistant"},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"\"}]}", "assistant"},
        {"{\"messages\":[{\"role\":\"assistant\"}]}", "3: message 1: \"content\" is missing"},
        {"{\"messages\":[{\"content\":\"a\"}]}", "\"role\" is missing"},
        {"{\"messages\":[{\"role\":\"asistant\",\"content\":\"a\"}]}", "\"asistant\""},
        {"{\"messages\":[{\"role\":7,\"content\":\"a\"}]}", "\"role\" is not a string"},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":[]}]}", "\"content\" is not a string"},
    };
    char *folder = folder_make();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char lines[512];
        gathered g;
        snprintf(lines, sizeof lines, "{\"text\":\"good\"}\n\n%s\n{\"text\":\"after\"}\n",
                 table[i].line);
        const char *path = write_lines(folder, lines);
        assert_bad(read_all(path, &g), "x.jsonl:3", table[i].says);
        assert_int_equal(g.documents, 1); /* not one after the bad line */
        free(g.text.data);
    }
    folder_drop(folder);
}

/* Depth, length of a line, and any bytes at all: a status, never a crash. */
static void hostile(void **state)
{
    (void)state;
    char *folder = folder_make();
    gathered g;
    bytes lines = {0};
    put_text(&lines, "{\"text\":");
    for (int i = 0; i < 100000; i++) put_text(&lines, "[");
    put(&lines, "", 1);
    assert_bad(read_all(write_lines(folder, (char *)lines.data), &g), "x.jsonl:1", "nested");
    free(g.text.data);
    const char *path = path_in(folder, "x.jsonl");
    size_t most = (64 << 20) + 1;
    char *line = malloc(most);
    assert_non_null(line);
    memset(line, ' ', most);
    line[0] = '{';
    file_write(path, line, most);
    assert_bad(read_all(path, &g), "x.jsonl:1", "a line of");
    free(g.text.data);
    free(line);
    qn_rng rng = {.seed = 77, .stream = 1};
    static const char *const parts[] = {
        "{",     "}",    "\"text\"",     ":",         "\"a\"",         "[",           "]",
        ",",     "\n",   "\"messages\"", "\"role\"",  "\"assistant\"", "\"content\"", "null",
        "\\u12", "\xE2", "1e999",        "\"prompt\""};
    for (int round = 0; round < 3000; round++) {
        lines.count = 0;
        for (uint64_t i = qn__rng_below(&rng, 40); i > 0; i--) {
            uint8_t byte = (uint8_t)qn__rng_u32(&rng);
            if (qn__rng_below(&rng, 20) == 0) put(&lines, &byte, 1);
            else put_text(&lines, parts[qn__rng_below(&rng, sizeof parts / sizeof parts[0])]);
        }
        if (lines.count == 0) put_text(&lines, "\n");
        file_write(path, lines.data, lines.count);
        qn_status status = read_all(path, &g);
        assert_true(status == QN_OK || status == QN_BAD_DATA);
        if (status != QN_OK) assert_non_null(strstr(qn_last_error(), "x.jsonl:"));
        free(g.text.data);
    }
    free(lines.data);
    folder_drop(folder);
}

/* ---- files ---- */

static void put_file(const char *folder, const char *name, const char *text)
{
    file_write(path_in(folder, name), text, strlen(text));
}

static void folders(void **state)
{
    (void)state;
    char *folder = folder_make(), *outside = folder_make(), paths[8192];
    assert_int_equal(mkdir(path_in(folder, "b"), 0777), 0);
    assert_int_equal(mkdir(path_in(folder, "b/deep"), 0777), 0);
    assert_int_equal(mkdir(path_in(folder, ".git"), 0777), 0);
    put_file(folder, "z.txt", "last");
    put_file(folder, "b.md", "readme");
    put_file(folder, "b/one.jsonl", "{\"text\":\"1\"}\n{\"text\":\"2\"}\n");
    put_file(folder, "b/deep/x.txt", "deep");
    put_file(folder, "b/empty.txt", "");
    put_file(folder, "b/picture.png", "no");
    put_file(folder, ".git/x.txt", "hidden");
    put_file(folder, ".hidden.txt", "hidden");
    put_file(outside, "linked.txt", "linked");
    /* A link to a file is read, links to folders (out of it, or round in a circle) are not. */
    assert_int_equal(symlink(path_in(outside, "linked.txt"), path_in(folder, "c.txt")), 0);
    assert_int_equal(symlink(outside, path_in(folder, "outside")), 0);
    assert_int_equal(symlink("..", path_in(folder, "b/deep/circle")), 0);
    static const char want[] = "[readme]$\n[deep]$\n[1]$\n[2]$\n[linked]$\n[last]$\n";
    assert_reads(folder, want);
    snprintf(paths, sizeof paths, "%s//", folder);
    assert_reads(paths, want);
    snprintf(paths, sizeof paths, "%s/z.txt,%s/b/,%s/b.md", folder, folder, folder);
    assert_reads(paths, "[last]$\n[deep]$\n[1]$\n[2]$\n[readme]$\n");
    put_file(outside, "a,b.txt", "comma"); /* a name may have one */
    snprintf(paths, sizeof paths, "%s/a,b.txt", outside);
    assert_reads(paths, "[comma]$\n");
    assert_true(qn__dataset_is_plain(paths));
    assert_false(qn__dataset_is_plain(folder));
    gathered g;
    assert_int_equal(read_all(path_in(folder, "gone.txt"), &g), QN_OS_ERROR);
    free(g.text.data);
    assert_bad(read_all(path_in(folder, "b/empty.txt"), &g), "empty.txt", "is empty");
    free(g.text.data);
    assert_int_equal(mkdir(path_in(folder, "none"), 0777), 0);
    assert_bad(read_all(path_in(folder, "none"), &g), "none", "no .txt");
    free(g.text.data);
    folder_drop(outside); /* now c.txt is a link to nothing */
    assert_int_equal(read_all(folder, &g), QN_OS_ERROR);
    assert_non_null(strstr(qn_last_error(), "c.txt"));
    free(g.text.data);
    folder_drop(folder);
}

static void changed(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn__dataset set;
    put_file(folder, "a.txt", "one");
    put_file(folder, "b.txt", "two");
    assert_ok(qn__dataset_open(folder, &set));
    assert_ok(qn__dataset_check_same(&set));
    usleep(20000); /* longer than a tick of the clock that stamps files */
    put_file(folder, "b.txt", "TWO");
    assert_bad(qn__dataset_check_same(&set), "b.txt", "changed");
    qn__dataset_close(&set);
    folder_drop(folder);
}

/* ---- conversations ---- */

static const qn_message talk[] = {
    {"system", "be brief", 8}, {"user", "hi<|im_end|>", 12}, {"assistant", "hello", 5}};

/* Tokens decoded, the learned ones in []. */
static void assert_chat(const qn_tokenizer *t, bool reply, const char *want)
{
    int32_t *ids;
    uint8_t *learned;
    size_t count;
    bytes text = {0};
    const qn_chat_options options = {.size = sizeof options, .reply = reply};
    assert_ok(qn_chat_encode(t, &options, talk, 3, &ids, &learned, &count));
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *token = qn_tokenizer_token_bytes(t, ids[i], &length);
        if (learned[i] && (i == 0 || !learned[i - 1])) put_text(&text, "[");
        put(&text, token, length);
        if (learned[i] && (i + 1 == count || !learned[i + 1])) put_text(&text, "]");
    }
    put(&text, "", 1);
    assert_string_equal((char *)text.data, want);
    free(text.data);
    free(ids);
    free(learned);
}

static void conversations(void **state)
{
    (void)state;
    qn_tokenizer *t;
    int32_t *ids;
    uint8_t *learned;
    size_t count;
    /* Without turn marks of its own: turns end with the end of text, the other marks are text. */
    assert_ok(qn_tokenizer_create_bytes(&t));
    assert_chat(t, false,
                "<|im_start|>system\nbe brief<|endoftext|>\n<|im_start|>user\nhi<|im_end|>"
                "<|endoftext|>\n<|im_start|>assistant\n[hello<|endoftext|>]");
    assert_chat(t, true,
                "<|im_start|>system\nbe brief<|endoftext|>\n<|im_start|>user\nhi<|im_end|>"
                "<|endoftext|>\n<|im_start|>assistant\n[hello<|endoftext|>]\n"
                "<|im_start|>assistant\n");
    const qn_message wrong = {"robot", "x", 1};
    assert_int_equal(qn_chat_encode(t, NULL, &wrong, 1, &ids, &learned, &count), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "robot"));
    assert_ok(qn_chat_encode(t, NULL, NULL, 0, &ids, NULL, &count));
    assert_true(count == 0 && !ids);
    qn_tokenizer_destroy(&t);
    /* Without any: all is text. */
    static const char every[] = "<|im_start|>end_systemuserassistant\nbe brief hi hello";
    assert_ok(qn_tokenizer_create_chars(every, sizeof every - 1, &t));
    assert_chat(t, false,
                "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>"
                "<|im_end|>\n<|im_start|>assistant\n[hello<|im_end|>]");
    qn_tokenizer_destroy(&t);
}

/* Lines in another family's words; a role that it lacks is an error of the line. */
static void families(void **state)
{
    (void)state;
    char *folder = folder_make(), path[4200];
    qn__dataset set;
    gathered g = {0};
    put_file(
        folder, "a.jsonl",
        "{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":"
        "\"U\"},{\"role\":\"assistant\",\"content\":\" A \"}]}\n");
    snprintf(path, sizeof path, "%s/a.jsonl", folder);
    assert_ok(qn__dataset_open(path, &set));
    assert_ok(qn__chat_family_named("llama2", &set.family));
    assert_ok(qn__dataset_each(&set, gather, &g));
    put(&g.text, "", 1);
    assert_string_equal((char *)g.text.data,
                        "([INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST])[ A ][|]\n");
    free(g.text.data);
    qn__dataset_close(&set);
    put_file(folder, "a.jsonl",
             "{\"messages\":[{\"role\":\"tool\",\"content\":\"T\"},{\"role\":\"assistant\","
             "\"content\":\"A\"}]}\n");
    assert_ok(qn__dataset_open(path, &set));
    assert_ok(qn__chat_family_named("gemma", &set.family));
    g = (gathered){0};
    assert_bad(qn__dataset_each(&set, gather, &g), "a.jsonl:1", "no role \"tool\"");
    free(g.text.data);
    qn__dataset_close(&set);
    folder_drop(folder);
}

/* With marks of its own, a content that spells one out is only text. */
static void turn_marks(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn_tokenizer *t;
    int32_t *ids;
    uint8_t *learned;
    size_t count;
    put_file(folder, "tokenizer.json",
             "{\"added_tokens\":[{\"id\":12,\"content\":\"<|im_start|>\",\"special\":true},"
             "{\"id\":13,\"content\":\"<|im_end|>\",\"special\":true}],"
             "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
             "\"use_regex\":false},\"decoder\":{\"type\":\"ByteLevel\"},"
             "\"model\":{\"type\":\"BPE\",\"vocab\":{\"u\":0,\"s\":1,\"e\":2,\"r\":3,\"\\u010a\":4,"
             "\"<\":5,\"|\":6,\"i\":7,\"m\":8,\"_\":9,\"n\":10,\"d>\":11},\"merges\":[]}}");
    qn_status status = qn_tokenizer_load(folder, &t);
    if (status != QN_OK) fail_msg("%s", qn_last_error());
    const qn_message one = {"user", "<|im_en|", 8};
    const int32_t want[] = {12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 10, 6, 13};
    assert_ok(qn_chat_encode(t, NULL, &one, 1, &ids, &learned, &count));
    assert_int_equal(count, sizeof want / sizeof want[0]);
    assert_memory_equal(ids, want, sizeof want);
    for (size_t i = 0; i < count; i++) assert_false(learned[i]);
    free(ids);
    free(learned);
    qn_tokenizer_destroy(&t);
    folder_drop(folder);
}

/* Pieces put a space before a text; not where a text goes on. */
static void goes_on(void **state)
{
    (void)state;
    const char *path = real_data("tok512.bin");
    if (!path) return;
    qn_tokenizer *t;
    int32_t *whole, *first, *rest;
    size_t whole_count, first_count, rest_count;
    assert_ok(qn_tokenizer_load(path, &t));
    assert_ok(qn_tokenizer_encode(t, "once upon", 9, 0, &whole, &whole_count));
    assert_ok(qn_tokenizer_encode(t, "once", 4, 0, &first, &first_count));
    assert_ok(qn_tokenizer_encode(t, " upon", 5, QN_ENCODE_GOES_ON, &rest, &rest_count));
    assert_int_equal(first_count + rest_count, whole_count);
    assert_memory_equal(whole, first, first_count * sizeof *whole);
    assert_memory_equal(whole + first_count, rest, rest_count * sizeof *whole);
    free(rest);
    assert_ok(qn_tokenizer_encode(t, " upon", 5, 0, &rest, &rest_count));
    assert_true(rest_count > whole_count - first_count); /* a second space */
    free(whole);
    free(first);
    free(rest);
    qn_tokenizer_destroy(&t);
}

/* Two tokenizers differ in their number; one saved and loaded has the same. */
static void hashes(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn_tokenizer *a, *b, *c, *d;
    static const char text[] = "the cat sat on the mat; the cat sat; on the mat the cat";
    assert_ok(qn_tokenizer_train_bpe(text, sizeof text - 1, 262, NULL, NULL, &a));
    assert_ok(qn_tokenizer_train_bpe(text, sizeof text - 1, 263, NULL, NULL, &b));
    assert_ok(qn_tokenizer_save(a, folder));
    assert_ok(qn_tokenizer_load(folder, &c));
    assert_ok(qn_tokenizer_create_chars("abc", 3, &d));
    assert_true(qn__tokenizer_hash(a) == qn__tokenizer_hash(c));
    assert_true(qn__tokenizer_hash(a) != qn__tokenizer_hash(b));
    assert_true(qn__tokenizer_hash(a) != qn__tokenizer_hash(d));
    assert_true(qn__tokenizer_hash(d) == qn__tokenizer_hash(d) && qn__tokenizer_hash(d) != 0);
    qn_tokenizer_destroy(&a);
    qn_tokenizer_destroy(&b);
    qn_tokenizer_destroy(&c);
    qn_tokenizer_destroy(&d);
    folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms),    cmocka_unit_test(bad_lines),
                                       cmocka_unit_test(hostile),  cmocka_unit_test(folders),
                                       cmocka_unit_test(changed),  cmocka_unit_test(conversations),
                                       cmocka_unit_test(families), cmocka_unit_test(turn_marks),
                                       cmocka_unit_test(goes_on),  cmocka_unit_test(hashes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
