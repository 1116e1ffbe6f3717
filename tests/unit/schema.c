/* JSON schemas as grammars: which texts are in them, what random texts of them are, what is
 * refused.
 */
#include <quernel/grammar.h>

#include "base/rng.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void must(qn_status status)
{
    if (status != QN_OK) fail_msg("%s: %s", qn_status_name(status), qn_last_error());
}

static qn_grammar *grammar_of(const char *schema)
{
    qn_grammar *grammar;
    char *text;
    must(qn_schema_to_grammar(schema, strlen(schema), "schema", &text));
    if (qn_grammar_create(text, strlen(text), "made", &grammar) != QN_OK)
        fail_msg("%s: %s\n%s", schema, qn_last_error(), text);
    free(text);
    return grammar;
}

static bool holds(const qn_grammar *grammar, const char *text)
{
    qn_grammar_matcher *matcher;
    bool fits;
    must(qn_grammar_matcher_create(grammar, NULL, &matcher));
    must(qn_grammar_matcher_bytes(matcher, text, strlen(text), &fits));
    fits = fits && qn_grammar_matcher_whole(matcher, NULL);
    qn_grammar_matcher_destroy(&matcher);
    return fits;
}

static const struct sample {
    const char *schema;
    const char *in[8], *out[8];
} samples[] = {
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"}"
     ","
     "\"c\":{\"type\":\"boolean\"}},\"required\":[\"b\"]}",
     {"{\"b\": \"\"}", "{\"a\": -5, \"b\": \"x\\n\\u00e9\"}", "{\"b\": \"q\", \"c\": true}",
      "{\"a\": 0, \"b\": \"\xC3\xA9\", \"c\": false}"},
     {"{}", "{\"a\": 1}", "{\"b\": 1}", "{\"a\": 01, \"b\": \"\"}", "{\"b\": \"\"",
      "{, \"b\": \"\"}", "{\"b\": \"\", \"c\": null}"}},
    {"{\"type\":\"array\",\"items\":{\"enum\":[\"x\",1,null,{\"k\":[1]}]},\"minItems\":1,"
     "\"maxItems\":3}",
     {"[\"x\"]", "[1, null]", "[{\"k\": [1]}, 1, 1]"},
     {"[]", "[1, 1, 1, 1]", "[2]", "[\"x\", ]", "[\"x\" ]"}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":4}",
     {"\"ab\"", "\"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\"", "\"a\\n\\u0041\""},
     {"\"a\"", "\"abcde\"", "ab"}},
    {"{\"type\":[\"string\",\"null\"]}", {"null", "\"\""}, {"1", "true"}},
    {"{\"anyOf\":[{\"type\":\"null\"},{\"const\":\"a\\\"b\\\\\"}]}",
     {"null", "\"a\\\"b\\\\\""},
     {"\"a\""}},
    {"{\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{\"l\":{\"$ref\":\"#/$defs/tree\"},"
     "\"v\":{\"type\":\"number\"}},\"required\":[\"v\"]}},\"$ref\":\"#/$defs/tree\"}",
     {"{\"v\": 1.5e3}", "{\"l\": {\"l\": {\"v\": 1}, \"v\": 2}, \"v\": -3}"},
     {"{}", "{\"l\": {}, \"v\": 1}"}},
    {"{\"type\":\"string\",\"format\":\"date\"}",
     {"\"2024-12-31\"", "\"1999-02-28\""},
     {"\"2024-13-01\"", "\"2024-04-31\"", "\"2024-1-1\""}},
    {"{\"type\":\"string\",\"format\":\"date-time\"}",
     {"\"2024-01-01T23:59:59Z\""},
     {"\"2024-01-01T24:00:00Z\"", "\"2024-01-01\""}},
    {"{\"type\":\"string\",\"format\":\"uuid\"}",
     {"\"123e4567-e89b-12d3-a456-426614174000\""},
     {"\"123e4567\""}},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"null\"}}",
     {"{}", "{\"q\": null, \"r\": null}"},
     {"{\"q\": 1}"}},
    {"{\"type\":\"object\",\"additionalProperties\":false}", {"{}"}, {"{\"a\": 1}"}},
    {"{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":0}},"
     "\"required\":[\"a\"]},{\"properties\":{\"a\":{\"maximum\":9},\"b\":{\"type\":\"null\"}}}]}",
     {"{\"a\": 3}", "{\"a\": 9, \"b\": null}"},
     {"{}", "{\"a\": 10}", "{\"a\": -1}", "{\"b\": null}"}},
    {"{\"$defs\":{\"n\":{\"type\":[\"integer\",\"string\",\"null\"]}},\"allOf\":[{\"$ref\":\"#/"
     "$defs/n\"},{\"type\":[\"number\",\"null\"]}],\"minimum\":5}",
     {"5", "77", "null"},
     {"4", "\"a\"", "5.5"}},
    {"{\"anyOf\":[{\"maximum\":1},{\"minimum\":8}],\"type\":\"integer\"}",
     {"1", "8", "-20"},
     {"2", "7", "\"a\""}},
    {"{\"enum\":[1,2,\"x\",null],\"type\":[\"integer\",\"null\"],\"anyOf\":[{\"const\":2},{"
     "\"type\":\"null\"}]}",
     {"2", "null"},
     {"1", "\"x\""}},
    {"{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"additionalProperties\":"
     "false},{\"properties\":{\"b\":{\"type\":\"null\"},\"c\":{}}}]}",
     {"{}", "{\"a\": 1, \"b\": null}"},
     {"{\"c\": 1}", "{\"b\": 1}"}},
    {"{\"$defs\":{\"t\":{\"allOf\":[{\"type\":\"object\"},{\"properties\":{\"l\":{\"$ref\":\"#/"
     "$defs/t\"},\"v\":{\"type\":\"integer\"}}}],\"required\":[\"v\"]}},\"$ref\":\"#/$defs/t\"}",
     {"{\"v\": 1}", "{\"l\": {\"v\": 1}, \"v\": 2}"},
     {"{}", "{\"l\": {}, \"v\": 1}"}},
    {"{\"allOf\":[{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":3},{\"items\":{"
     "\"maximum\":4},\"minItems\":2}]}",
     {"[1, 4]", "[0, 0, 0]"},
     {"[1]", "[5, 1]", "[1, 1, 1, 1]"}},
    {"{\"type\":\"number\",\"minimum\":-2,\"exclusiveMaximum\":3}",
     {"-2", "-1.5", "-0.25", "0", "0.125", "2", "2.875"},
     {"-3", "-2.5", "3", "3.5", "1.0", "1e1"}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}",
     {"0.5", "0.0625"},
     {"0", "1", "-0.5", "1.5", "0.0"}},
    {"{\"type\":\"string\",\"pattern\":\"^[a-c]{2}(-[0-9]+)?$\"}",
     {"\"ab\"", "\"cc-12\""},
     {"\"a\"", "\"abc\"", "\"ab-\"", "\"ad\""}},
    {"{\"type\":\"string\",\"pattern\":\"b+?|^\\\\d\\\\.$\"}",
     {"\"abc\"", "\"b\"", "\"7.\""},
     {"\"a\"", "\"77.\"", "\"x7.\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[^a\\\\s].\\\"\\\\\\\\\\\\u00e9\\\\/"
     "(?:x|(?<n>y)){0,2}$\"}",
     {"\"b\\\"\\\"\\\\é/xy\"", "\"\\\\z\\\"\\\\é/\""},
     {"\"a\\\"\\\"\\\\é/\"", "\"b\\n\\\"\\\\é/\"", "\"b\\\"\\\"\\\\é/xxx\""}},
    {"{\"type\":\"string\",\"pattern\":\"^\\\\w\\\\n$\"}", {"\"_\\n\""}, {"\"_\\r\"", "\"_n\""}},
    {"{\"type\":\"string\",\"pattern\":\"^\\\\ud83d\\\\ude00*$\"}", {"\"😀😀\""}, {"\"x\""}},
    {"{}", {"1", "{\"a\": [null, true]}", "\"\\ud83d\\ude00\""}, {"", "\"\\ud83d\"", "nul"}},
};

static void texts_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        qn_grammar *grammar = grammar_of(samples[i].schema);
        for (int k = 0; k < 8 && samples[i].in[k]; k++)
            if (!holds(grammar, samples[i].in[k]))
                fail_msg("%s lacks %s", samples[i].schema, samples[i].in[k]);
        for (int k = 0; k < 8 && samples[i].out[k]; k++)
            if (holds(grammar, samples[i].out[k]))
                fail_msg("%s holds %s", samples[i].schema, samples[i].out[k]);
        qn_grammar_destroy(&grammar);
    }
}

/* All numbers near the ends, and many in between. */
static void integers_lie_in_their_range(void **state)
{
    static const int64_t ranges[][2] = {{0, 0},     {0, 9},    {3, 17},   {-5, 5},
                                        {-120, -7}, {99, 101}, {1, 1000}, {250, 4095},
                                        {-1000, 0}, {7, 7},    {10, 99},  {-1234, 98765}};
    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        char schema[128], text[32];
        snprintf(schema, sizeof schema,
                 "{\"type\":\"integer\",\"minimum\":%lld,\"exclusiveMaximum\":%lld}",
                 (long long)ranges[i][0], (long long)ranges[i][1] + 1);
        qn_grammar *grammar = grammar_of(schema);
        for (int64_t n = -1500; n <= 100500; n += n > 1500 ? 97 : 1) {
            snprintf(text, sizeof text, "%lld", (long long)n);
            if (holds(grammar, text) != (n >= ranges[i][0] && n <= ranges[i][1]))
                fail_msg("%s on %s", schema, text);
        }
        assert_false(holds(grammar, "-0") || holds(grammar, "007") || holds(grammar, "-"));
        qn_grammar_destroy(&grammar);
    }
}

/* A random walk through the grammar, ending as soon as it may after 60 bytes. */
static size_t walk(qn_grammar_matcher *matcher, qn_rng *rng, char *text, size_t most)
{
    static const char easy[] = "\"\"\"}}]],: abc019-tfnul";
    size_t bytes = 0;
    must(qn_grammar_matcher_reset(matcher));
    while (bytes < most) {
        bool ends, fits = false;
        bool whole = qn_grammar_matcher_whole(matcher, &ends);
        if (ends || (whole && bytes > 60)) return bytes;
        for (int tries = 0; !fits; tries++) {
            char byte = tries < 12 ? easy[qn__rng_below(rng, sizeof easy - 1)]
                                   : (char)qn__rng_below(rng, 256);
            must(qn_grammar_matcher_bytes(matcher, &byte, 1, &fits));
            text[bytes] = byte;
            assert_true(tries < 100000);
        }
        bytes++;
    }
    return 0;
}

static void random_texts_are_json(void **state)
{
    const char *seed = getenv("QN_TEST_SEED");
    qn_rng rng = {.seed = seed ? strtoull(seed, NULL, 10) : 1};
    int whole = 0;
    (void)state;
    print_message("QN_TEST_SEED=%llu\n", (unsigned long long)rng.seed);
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        qn_grammar *grammar = grammar_of(samples[i].schema);
        qn_grammar_matcher *matcher;
        must(qn_grammar_matcher_create(grammar, NULL, &matcher));
        for (int round = 0; round < 60; round++) {
            char text[4000];
            size_t bytes = walk(matcher, &rng, text, sizeof text);
            json_error_t error;
            if (bytes == 0) continue;
            json_t *json = json_loadb(text, bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
            if (!json) fail_msg("%s: %.*s: %s", samples[i].schema, (int)bytes, text, error.text);
            if (i == 0) assert_true(json_is_string(json_object_get(json, "b")));
            if (i == 1) assert_true(json_array_size(json) >= 1 && json_array_size(json) <= 3);
            json_decref(json);
            whole++;
        }
        qn_grammar_matcher_destroy(&matcher);
        qn_grammar_destroy(&grammar);
    }
    print_message("%d texts\n", whole);
    assert_true(whole > 300);
}

static const char *const refused[][2] = {
    {"{\"type\":\"string\",\"pattern\":\"a(?=b)\"}", "ahead"},
    {"{\"type\":\"string\",\"pattern\":\"(^a)\"}", "within"},
    {"{\"type\":\"string\",\"pattern\":\"(a)\\\\1\"}", "\\1"},
    {"{\"type\":\"string\",\"pattern\":\"\\\\bx\"}", "\\b"},
    {"{\"type\":\"string\",\"pattern\":\"[b-a]\"}", "range"},
    {"{\"type\":\"string\",\"pattern\":\"(a\"}", "closing )"},
    {"{\"type\":\"string\",\"pattern\":\"a)\"}", "closes nothing"},
    {"{\"type\":\"string\",\"pattern\":\"+a\"}", "nothing to repeat"},
    {"{\"type\":\"string\",\"pattern\":\"a{9999999}\"}", "1048576"},
    {"{\"type\":\"string\",\"pattern\":\"a\",\"maxLength\":3}", "pattern"},
    {"{\"allOf\":[]}", "allOf"},
    {"{\"allOf\":[{\"$ref\":\"#\"}]}", "back to itself"},
    {"{\"allOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}", "no type"},
    {"{\"allOf\":[{\"enum\":[1,2]},{\"const\":3}]}", "no value"},
    {"{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", "pattern"},
    {"{\"allOf\":[{\"not\":{}}]}", "not"},
    {"{\"type\":\"number\",\"minimum\":1.5}", "minimum"},
    {"{\"type\":\"array\",\"uniqueItems\":true}", "uniqueItems"},
    {"{\"properties\":{\"p\":{\"not\":{}}}}", "of \"p\""},
    {"{\"$ref\":\"http://x\"}", "local"},
    {"{\"$ref\":\"#/nowhere\"}", "nowhere"},
    {"{\"type\":\"text\"}", "text"},
    {"{\"type\":[]}", "type"},
    {"{\"enum\":[]}", "enum"},
    {"{\"enum\":[1],\"type\":\"string\"}", "type"},
    {"{\"enum\":[1],\"minimum\":1}", "beside"},
    {"{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", "maximum"},
    {"{\"type\":\"string\",\"minLength\":-1}", "minLength"},
    {"{\"type\":\"string\",\"format\":\"email\"}", "email"},
    {"{\"required\":[\"x\"],\"type\":\"object\"}", "required"},
    {"[]", "schema is"},
    {"{\"type\":", "schema"},
};

static void errors_name_the_keyword(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char *text;
        qn_status status =
            qn_schema_to_grammar(refused[i][0], strlen(refused[i][0]), "schema", &text);
        assert_null(text);
        if ((status != QN_UNSUPPORTED && status != QN_BAD_DATA) ||
            !strstr(qn_last_error(), refused[i][1]))
            fail_msg("%s: %s %s", refused[i][0], qn_status_name(status), qn_last_error());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_judged),
        cmocka_unit_test(integers_lie_in_their_range),
        cmocka_unit_test(random_texts_are_json),
        cmocka_unit_test(errors_name_the_keyword),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
