/* GBNF: what is refused and where, what texts are in a grammar (random expressions against PCRE2),
 * masks against a trial of each token, time and memory of hostile grammars. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <quernel/grammar.h>

#include "base/rng.h"

#include <math.h>
#include <pcre2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("QN_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

static qn_grammar *grammar_of(const char *text)
{
    qn_grammar *grammar;
    must(qn_grammar_create(text, strlen(text), "test", &grammar));
    return grammar;
}

/* -1: no text of the grammar begins so; 0: one does; 1: it is one. */
static int judge(const qn_grammar *grammar, const char *text, size_t bytes)
{
    qn_grammar_matcher *matcher;
    bool fits = true;
    must(qn_grammar_matcher_create(grammar, NULL, &matcher));
    for (size_t i = 0; fits && i < bytes; i++)
        must(qn_grammar_matcher_bytes(matcher, text + i, 1, &fits));
    int verdict = !fits ? -1 : qn_grammar_matcher_whole(matcher, NULL);
    qn_grammar_matcher_destroy(&matcher);
    return verdict;
}

typedef struct sample {
    const char *grammar;
    const char *whole, *begun, *wrong; /* texts with | between */
} sample;

static const sample samples[] = {
    {"root ::= \"yes\" | \"no\"", "yes|no", "y|ye|n", "x|yn|yess|Yes"},
    {"root ::= [a-c]+ [^a-c]", "ax|abc1|c\xC3\xA9|a\xF0\x9F\x98\x80", "a|cc|a\xC3|a\xF0\x9F",
     "x|a\xFF|axx|a\xC3(|a\xED\xA0\x80|a\xC0\x80"},
    {"root ::= \"\\x41\\u00e9\\U0001F600\\n\"", "A\xC3\xA9\xF0\x9F\x98\x80\n", "A|A\xC3",
     "a|A\xC4"},
    {"root ::= a{2,4} b?\na ::= \"a\"\nb ::= \"b\"", "aa|aaa|aaaa|aab|aaaab", "a",
     "b|ab|aaaaa|aabb"},
    {"root ::= (\"ab\"){2} \"c\"{0,} \"d\"{3,}", "ababddd|ababccccdddd", "abab|ababc|ababcdd",
     "abc|ababcddc"},
    {"root ::= \"ab\"*", "ab|abab", "a|aba", "b|abb"},
    {"root ::= [\\]\\[\\\\\\-a-]+", "]|[|\\|-|a|[]", "", "b|^"},
    {"# a comment\nroot ::= # another\n  \"a\"\n  | \"b\" (\n \"c\" |\n \"d\" # third\n )\n",
     "a|bc|bd", "b", "c|ab|be"},
    {"root ::= \"(\" root \")\" | \"x\"", "x|(x)|((((x))))", "(|((x)", ")|xx|(x))"},
    {"root ::= .", "a|\xC3\xA9|\n|\xF0\x9F\x98\x80", "\xC3|\xF0\x9F", "ab|\x80|\xFF"},
    {"root ::= (\"a\"? \"b\"?){3} (\"c\"*)*", "a|ab|abab|ababab|ccc|abc", "", "bbbb|ca|x"},
    {"root ::= item (\",\" item)*\nitem ::= [0-9]{1,3} | \"[\" root? \"]\"",
     "1|1,22|[1,[2]],333|[]", "1,|[1|[[", "1234|,|1,,|[,"},
    {"root ::= [\\u0400-\\u04ff\\u20ac]{2}", "\xD0\x80\xE2\x82\xAC", "\xD0\x80|\xD0\x80\xE2\x82",
     "a|\xD0\xC0"},
    {"root ::= \"\" | \"x\"", "x", "", "y|xx"},
};

/* Do all texts of the list, | between, get this verdict? */
static void check_list(const sample *s, const qn_grammar *grammar, const char *list, int verdict)
{
    for (const char *at = list; *at;) {
        size_t bytes = strcspn(at, "|");
        int got = judge(grammar, at, bytes);
        if (got != verdict)
            fail_msg("%s: \"%.*s\" is judged %d, not %d", s->grammar, (int)bytes, at, got, verdict);
        at += bytes + (at[bytes] == '|');
    }
}

static void texts_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        qn_grammar *grammar = grammar_of(samples[i].grammar);
        check_list(&samples[i], grammar, samples[i].whole, 1);
        check_list(&samples[i], grammar, samples[i].begun, 0);
        check_list(&samples[i], grammar, samples[i].wrong, -1);
        qn_grammar_destroy(&grammar);
    }
}

static const char *const refused[][3] = {
    {"", "line 1, column 1", "no rule"},
    {"a ::= \"x\"", "line 1", "\"root\""},
    {"root ::= b", "line 1, column 10", "\"b\" is not defined"},
    {"root ::= \"a\"\n\nroot ::= \"b\"", "line 3, column 1", "defined before"},
    {"root ::= root \"a\" | \"b\"", "line 1, column 10", "left recursion"},
    {"root ::= a\na ::= \"x\"? b \"y\" | \"z\"\nb ::= (\"q\"* a)", "line 3", "left recursion"},
    {"root ::= a* \"x\"\na ::= \"\" root", "line 2", "left recursion"},
    {"root ::= \"a\" root", "line 1", "never ends"},
    {"root ::= \"a", "line 1, column 10", "closing quote"},
    {"root ::= \"a\n\"", "line 1, column 10", "closing quote"},
    {"root ::= [a", "line 1, column 10", "closing ]"},
    {"root ::= []", "line 1, column 10", "no character"},
    {"root ::= [z-a]", "line 1, column 12", "before it begins"},
    {"root ::= [^\\x01-\\U0010FFFF\\x00]", "line 1", "no character"},
    {"root ::= (\"a\"", "line 1, column 10", "not closed"},
    {"root ::= \"a\")", "line 1, column 13", "no element"},
    {"root ::= *", "line 1, column 10", "nothing before"},
    {"root ::= \"a\"{", "line 1", "number"},
    {"root ::= \"a\"{2", "line 1, column 13", "closing }"},
    {"root ::= \"a\"{3,2}", "line 1, column 13", "below its least"},
    {"root ::= \"a\"{1048577}", "line 1", "1048576"},
    {"root ::= \"a\"{99999999999999999999}", "line 1", "1048576"},
    {"root ::= (\"a\"?){0,1000}", "line 1", "may be empty"},
    {"root ::= \"\\q\"", "line 1, column 11", "escape"},
    {"root ::= \"\\x4\"", "line 1, column 11", "hexadecimal"},
    {"root ::= \"\\ud800\"", "line 1, column 11", "not a Unicode"},
    {"root ::= \"\\U00110000\"", "line 1, column 11", "not a Unicode"},
    {"root ::= \"\xFF\"", "line 1, column 11", "UTF-8"},
    {"root = \"a\"", "line 1, column 6", "::="},
    {"root ::= \"a\" $", "line 1, column 14", "no element"},
    {"root ::= \"\xC3\xA9\" \xC3\xA9", "line 1, column 14", "no element"},
};

static void errors_say_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        qn_grammar *grammar;
        qn_status status =
            qn_grammar_create(refused[i][0], strlen(refused[i][0]), "test", &grammar);
        assert_null(grammar);
        if (status != QN_BAD_DATA || !strstr(qn_last_error(), refused[i][1]) ||
            !strstr(qn_last_error(), refused[i][2]))
            fail_msg("%s: %s %s", refused[i][0], qn_status_name(status), qn_last_error());
    }
}

/* ---- random expressions ---- */

typedef struct text {
    char data[4096];
    size_t length;
} text;

static void add(text *to, const char *part)
{
    size_t bytes = strlen(part);
    if (to->length + bytes < sizeof to->data) memcpy(to->data + to->length, part, bytes + 1);
    to->length += bytes;
}

/* The same expression for both; an expression may be empty only where both allow it. */
static void random_expression(qn_rng *rng, int depth, text *ours, text *theirs)
{
    static const char *const atoms[][2] = {{"\"a\"", "a"},
                                           {"\"bc\"", "(?:bc)"},
                                           {"[ab]", "[ab]"},
                                           {"[^a]", "[^a]"},
                                           {"[\\u00e0-\\u0101]", "[\\x{e0}-\\x{101}]"},
                                           {"\"\\u00e9\"", "\\x{e9}"},
                                           {".", "[\\x{0}-\\x{10ffff}]"}};
    static const char *const repeats[] = {"", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "{0,2}"};
    int alternatives = 1 + (int)qn__rng_below(rng, depth > 0 ? 3 : 1);
    for (int a = 0; a < alternatives; a++) {
        int elements = 1 + (int)qn__rng_below(rng, 3);
        if (a) add(ours, " | "), add(theirs, "|");
        for (int e = 0; e < elements; e++) {
            if (depth > 0 && qn__rng_below(rng, 3) == 0) {
                add(ours, " ( "), add(theirs, "(?:");
                random_expression(rng, depth - 1, ours, theirs);
                add(ours, " )"), add(theirs, ")");
            } else {
                size_t at = (size_t)qn__rng_below(rng, sizeof atoms / sizeof *atoms);
                add(ours, " "), add(ours, atoms[at][0]);
                add(theirs, atoms[at][1]);
            }
            const char *times = repeats[qn__rng_below(rng, sizeof repeats / sizeof *repeats)];
            add(ours, times), add(theirs, times);
        }
    }
}

static size_t random_text(qn_rng *rng, char *out)
{
    static const char *const parts[] = {"a", "b", "bc", "c", "\xC3\xA9", "\xC4\x81", "x"};
    size_t bytes = 0;
    int count = (int)qn__rng_below(rng, 9);
    for (int i = 0; i < count; i++) {
        const char *part = parts[qn__rng_below(rng, 7)];
        memcpy(out + bytes, part, strlen(part));
        bytes += strlen(part);
    }
    return bytes;
}

static void random_expressions_equal_pcre2(void **state)
{
    qn_rng rng = {.seed = seed_of_run()};
    int whole = 0, judged = 0;
    (void)state;
    print_message("QN_TEST_SEED=%llu\n", (unsigned long long)rng.seed);
    for (int round = 0; round < 400; round++) {
        text ours = {.length = 0}, theirs = {.length = 0};
        int error;
        size_t at;
        add(&ours, "root ::=");
        add(&theirs, "^(?:");
        random_expression(&rng, 3, &ours, &theirs);
        add(&theirs, ")\\z");
        if (ours.length >= sizeof ours.data || theirs.length >= sizeof theirs.data) continue;
        qn_grammar *grammar;
        if (qn_grammar_create(ours.data, ours.length, "test", &grammar) != QN_OK)
            fail_msg("%s: %s", ours.data, qn_last_error());
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)theirs.data, theirs.length,
                                         PCRE2_UTF | PCRE2_DOTALL, &error, &at, NULL);
        assert_non_null(code);
        pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, NULL);
        for (int t = 0; t < 60; t++) {
            char line[64];
            size_t bytes = random_text(&rng, line);
            int want = pcre2_match(code, (PCRE2_SPTR)line, bytes, 0, 0, match, NULL);
            if (want < 0 && want != PCRE2_ERROR_NOMATCH) continue; /* it gave up */
            int got = judge(grammar, line, bytes);
            if ((got == 1) != (want >= 0))
                fail_msg("%s on \"%.*s\": %d, PCRE2 %d", ours.data, (int)bytes, line, got, want);
            whole += got == 1;
            judged++;
        }
        pcre2_match_data_free(match);
        pcre2_code_free(code);
        qn_grammar_destroy(&grammar);
    }
    print_message("%d texts judged, %d in their grammar\n", judged, whole);
    assert_true(whole > 500);
}

/* ---- tokens ---- */

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static const char json_text[] = "{\"name\": \"\xC3\xA9t\xC3\xA9 \\u00e9\", \"list\": [1, -2.5e3, "
                                "true, null, {}], \"deep\": {\"a\": {\"b\": \"c\"}}}";

static qn_tokenizer *some_bpe(void)
{
    qn_tokenizer *tokenizer;
    char *many = malloc(sizeof json_text * 40);
    size_t bytes = 0;
    for (int i = 0; i < 40; i++)
        bytes += (size_t)sprintf(many + bytes, "%.*s", (int)(sizeof json_text - 2 - (size_t)i % 7),
                                 json_text);
    must(qn_tokenizer_train_bpe(many, bytes, 400, NULL, NULL, &tokenizer));
    free(many);
    return tokenizer;
}

/* Allowed is what the bytes of the token, tried by themselves, say. */
static void masks_equal_trials(void **state)
{
    qn_tokenizer *tokenizer = some_bpe();
    qn_grammar *grammar = grammar_of(qn_grammar_json_object());
    qn_grammar_matcher *matcher;
    int32_t *ids, vocab = qn_tokenizer_vocab_size(tokenizer);
    size_t count;
    int allowed_in_all = 0;
    (void)state;
    must(qn_grammar_matcher_create(grammar, tokenizer, &matcher));
    must(qn_tokenizer_encode(tokenizer, json_text, sizeof json_text - 1, 0, &ids, &count));
    char *so_far = calloc(sizeof json_text + 64, 1);
    size_t bytes = 0;
    for (size_t i = 0; i <= count; i++) {
        const uint32_t *allowed;
        must(qn_grammar_matcher_allowed(matcher, &allowed));
        for (int32_t id = 0; id < vocab; id++) {
            size_t more;
            const char *token = qn_tokenizer_token_bytes(tokenizer, id, &more);
            bool want;
            if (qn_tokenizer_is_end(tokenizer, id)) want = i == count;
            else {
                memcpy(so_far + bytes, token, more);
                want = more > 0 && !qn_tokenizer_is_control(tokenizer, id) &&
                       judge(grammar, so_far, bytes + more) >= 0;
            }
            if (want != (allowed[id / 32] >> id % 32 & 1))
                fail_msg("after \"%.*s\" token %d is wrong", (int)bytes, so_far, id);
            allowed_in_all += want;
        }
        if (i == count) break;
        size_t more;
        const char *token = qn_tokenizer_token_bytes(tokenizer, ids[i], &more);
        memcpy(so_far + bytes, token, more);
        bytes += more;
        must(qn_grammar_matcher_accept(matcher, ids[i]));
    }
    print_message("%zu places, %d tokens allowed\n", count, allowed_in_all);
    assert_true(qn_grammar_matcher_whole(matcher, NULL));
    assert_int_equal(qn_grammar_matcher_accept(matcher, ids[0]), QN_BAD_ARGUMENT);
    assert_int_equal(qn_grammar_matcher_accept(matcher, vocab), QN_BAD_ARGUMENT);
    must(qn_grammar_matcher_accept(matcher, qn_tokenizer_eos(tokenizer)));
    must(qn_grammar_matcher_reset(matcher));
    must(qn_grammar_matcher_accept(matcher, ids[0]));
    free(so_far);
    free(ids);
    qn_grammar_matcher_destroy(&matcher);
    qn_grammar_destroy(&grammar);
    qn_tokenizer_destroy(&tokenizer);
}

static void masks_are_fast(void **state)
{
    char path[4096];
    const char *folder = getenv("QN_TEST_DATA");
    qn_tokenizer *tokenizer;
    (void)state;
    snprintf(path, sizeof path, "%s/ggml-vocab-gpt-2.gguf",
             folder && *folder ? folder : QN_TEST_DATA_DEFAULT);
    if (qn_tokenizer_load(path, &tokenizer) != QN_OK) {
        print_message("%s: skipped\n", qn_last_error());
        skip();
    }
    qn_grammar *grammar = grammar_of(qn_grammar_json_object());
    qn_grammar_matcher *matcher;
    int32_t *ids;
    size_t count;
    double begin = cpu_ms(), worst = 0, sum = 0;
    must(qn_grammar_matcher_create(grammar, tokenizer, &matcher));
    print_message("%d tokens in %.0f ms\n", qn_tokenizer_vocab_size(tokenizer), cpu_ms() - begin);
    must(qn_tokenizer_encode(tokenizer, json_text, sizeof json_text - 1, 0, &ids, &count));
    for (int warm = 0; warm < 2; warm++) {
        for (size_t i = 0; i < count; i++) {
            const uint32_t *allowed;
            begin = cpu_ms();
            must(qn_grammar_matcher_allowed(matcher, &allowed));
            double ms = cpu_ms() - begin;
            sum += ms;
            worst = fmax(worst, ms);
            must(qn_grammar_matcher_accept(matcher, ids[i]));
        }
        print_message("%s: a mask takes %.3f ms, at worst %.3f ms\n", warm ? "again" : "first",
                      sum / (double)count, worst);
        if (warm) assert_true(sum / (double)count < 1);
        sum = worst = 0;
        must(qn_grammar_matcher_reset(matcher)); /* states and masks are remembered */
    }
    free(ids);
    qn_grammar_matcher_destroy(&matcher);
    qn_grammar_destroy(&grammar);
    qn_tokenizer_destroy(&tokenizer);
}

/* ---- hostile grammars ---- */

static void hostile_grammars_end(void **state)
{
    qn_grammar *grammar;
    qn_grammar_matcher *matcher;
    bool fits = true;
    (void)state;
    char *deep = malloc(100000);
    memset(deep, '(', 99999);
    memcpy(deep, "root ::= ", 9);
    assert_int_equal(qn_grammar_create(deep, 99999, "test", &grammar), QN_BAD_DATA);
    assert_non_null(strstr(qn_last_error(), "256"));
    free(deep);

    /* Each character doubles the ways to read the text. */
    grammar = grammar_of("root ::= \"a\" root \"b\" | \"a\" root \"c\" root | \"a\"");
    must(qn_grammar_matcher_create(grammar, NULL, &matcher));
    qn_status status = QN_OK;
    for (int i = 0; status == QN_OK && i < 100; i++)
        status = qn_grammar_matcher_bytes(matcher, "a", 1, &fits);
    assert_int_equal(status, QN_BAD_DATA);
    assert_non_null(strstr(qn_last_error(), "ambiguous"));
    qn_grammar_matcher_destroy(&matcher);
    qn_grammar_destroy(&grammar);

    /* Counters are counted, not unrolled; nesting is as deep as memory. */
    grammar = grammar_of("root ::= ((\"a\"{1000}){1000}){1000} | \"[\" root \"]\"");
    must(qn_grammar_matcher_create(grammar, NULL, &matcher));
    for (int i = 0; i < 60000; i++) must(qn_grammar_matcher_bytes(matcher, "[", 1, &fits));
    for (int i = 0; i < 60000; i++) must(qn_grammar_matcher_bytes(matcher, "a", 1, &fits));
    assert_true(fits);
    must(qn_grammar_matcher_bytes(matcher, "]", 1, &fits));
    assert_false(fits);
    qn_grammar_matcher_destroy(&matcher);
    qn_grammar_destroy(&grammar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_judged),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(random_expressions_equal_pcre2),
        cmocka_unit_test(masks_equal_trials),
        cmocka_unit_test(masks_are_fast),
        cmocka_unit_test(hostile_grammars_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
