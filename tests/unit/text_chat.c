/* Chat templates: what each family writes, from the descriptions their authors publish; which
 * template text is recognised as which; contents that spell marks; stop strings. */
#include "text_common.h"

#include "base/json.h"
#include "base/str.h"
#include "text/chat.h"

/* A byte tokenizer with these control tokens behind its 257. */
static const char *const MARKS[] = {"<|im_start|>",
                                    "<|im_end|>",
                                    "<|im_sep|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eot_id|>",
                                    "<start_of_turn>",
                                    "<end_of_turn>",
                                    "<|START_OF_TURN_TOKEN|>",
                                    "<|END_OF_TURN_TOKEN|>",
                                    "<|USER_TOKEN|>",
                                    "<|CHATBOT_TOKEN|>",
                                    "<|SYSTEM_TOKEN|>",
                                    "<|start_of_role|>",
                                    "<|end_of_role|>",
                                    "<|end_of_text|>",
                                    "<|user|>",
                                    "<|assistant|>",
                                    "<|system|>",
                                    "<|end|>",
                                    "[INST]",
                                    "[/INST]",
                                    "[SYSTEM_PROMPT]",
                                    "[/SYSTEM_PROMPT]",
                                    "<｜User｜>",
                                    "<｜Assistant｜>",
                                    "<｜end▁of▁sentence｜>"};

static qn_tokenizer *make(void)
{
    char path[4096];
    qn_tokenizer *t = NULL;
    json_t *root;
    snprintf(path, sizeof path, "%s", scratch_path("marks.json"));
    ASSERT_OK(qn_tokenizer_create_bytes(&t));
    ASSERT_OK(qn_tokenizer_save(t, path));
    qn_tokenizer_destroy(&t);
    ASSERT_OK(qn__json_load(path, &root));
    for (size_t i = 0; i < sizeof MARKS / sizeof MARKS[0]; i++)
        json_array_append_new(
            json_object_get(root, "added_tokens"),
            json_pack("{s:i, s:s, s:b}", "id", (int)(257 + i), "content", MARKS[i], "special", 1));
    ASSERT_OK(qn__json_save(path, root));
    json_decref(root);
    ASSERT_OK(qn_tokenizer_load(path, &t));
    unlink(path);
    return t;
}

/* The tokens' text, end of text as $, the learned part in {}. */
static void assert_tokens(const qn_tokenizer *t, const int32_t *ids, const uint8_t *learned,
                          size_t count, const char *want)
{
    qn_str text = {0};
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        const char *token = qn_tokenizer_token_bytes(t, ids[i], &bytes);
        if (learned[i] && (i == 0 || !learned[i - 1])) qn__str_add(&text, "{");
        if (ids[i] == qn_tokenizer_eos(t)) qn__str_add(&text, "$");
        else qn__str_add_bytes(&text, token, bytes);
        if (learned[i] && (i + 1 == count || !learned[i + 1])) qn__str_add(&text, "}");
    }
    assert_string_equal(qn__str_text(&text), want);
    qn__str_free(&text);
}

static const qn_message TALK[] = {
    {"system", " S", 2}, {"user", "U1 ", 3}, {"assistant", "A1", 2}, {"user", "U2", 2}};

static const struct {
    const char *name, *want; /* the talk, with a reply to come */
} CASES[] = {
    {"chatml", "<|im_start|>system\n S<|im_end|>\n<|im_start|>user\nU1 <|im_end|>\n"
               "<|im_start|>assistant\n{A1<|im_end|>}\n<|im_start|>user\nU2<|im_end|>\n"
               "<|im_start|>assistant\n"},
    {"phi4", "<|im_start|>system<|im_sep|> S<|im_end|><|im_start|>user<|im_sep|>U1 <|im_end|>"
             "<|im_start|>assistant<|im_sep|>{A1<|im_end|>}<|im_start|>user<|im_sep|>U2<|im_end|>"
             "<|im_start|>assistant<|im_sep|>"},
    {"llama3", "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
               "<|start_header_id|>user<|end_header_id|>\n\nU1<|eot_id|>"
               "<|start_header_id|>assistant<|end_header_id|>\n\n{A1<|eot_id|>}"
               "<|start_header_id|>user<|end_header_id|>\n\nU2<|eot_id|>"
               "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"gemma", "<start_of_turn>user\nS\n\nU1<end_of_turn>\n<start_of_turn>model\n"
              "{A1<end_of_turn>}\n<start_of_turn>user\nU2<end_of_turn>\n<start_of_turn>model\n"},
    {"command-r", "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>S<|END_OF_TURN_TOKEN|>"
                  "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>U1<|END_OF_TURN_TOKEN|>"
                  "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{A1<|END_OF_TURN_TOKEN|>}"
                  "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>U2<|END_OF_TURN_TOKEN|>"
                  "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"},
    {"granite", "<|start_of_role|>system<|end_of_role|> S$\n"
                "<|start_of_role|>user<|end_of_role|>U1 $\n"
                "<|start_of_role|>assistant<|end_of_role|>{A1$}\n"
                "<|start_of_role|>user<|end_of_role|>U2$\n"
                "<|start_of_role|>assistant<|end_of_role|>"},
    {"deepseek-v3", " S<｜User｜>U1 <｜Assistant｜>{A1<｜end▁of▁sentence｜>}<｜User｜>U2"
                    "<｜Assistant｜>"},
    {"deepseek-v2", " S\n\nUser: U1 \n\nAssistant:{ A1$}User: U2\n\nAssistant:"},
    {"phi3", "<|system|>\n S<|end|>\n<|user|>\nU1 <|end|>\n<|assistant|>\n{A1<|end|>}\n<|user|>\n"
             "U2<|end|>\n<|assistant|>\n"},
    {"falcon3", "<|system|>\n S\n<|user|>\nU1 \n<|assistant|>\n{A1$}\n<|user|>\nU2\n"
                "<|assistant|>\n"},
    {"zephyr", "<|system|>\n S$\n<|user|>\nU1 $\n<|assistant|>\n{A1$}\n<|user|>\nU2$\n"
               "<|assistant|>\n"},
    {"mistral-v1", " [INST]  S\n\nU1  [/INST]{ A1$} [INST] U2 [/INST]"},
    {"mistral-v3", "[INST]  S\n\nU1 [/INST]{ A1$}[INST] U2[/INST]"},
    {"mistral-v3-tekken", "[INST] S\n\nU1 [/INST]{A1$}[INST]U2[/INST]"},
    {"mistral-v7", "[SYSTEM_PROMPT]  S[/SYSTEM_PROMPT][INST] U1 [/INST]{ A1$}[INST] U2[/INST]"},
    {"mistral-v7-tekken", "[SYSTEM_PROMPT] S[/SYSTEM_PROMPT][INST]U1 [/INST]{A1$}[INST]U2[/INST]"},
    {"llama2", "[INST] <<SYS>>\nS\n<</SYS>>\n\nU1 [/INST]{ A1 $}[INST] U2 [/INST]"},
    {"vicuna", " S USER: U1  ASSISTANT:{ A1$}USER: U2 ASSISTANT:"},
    {"alpaca", " S\n\n### Instruction:\nU1 \n\n### Response:\n{A1$}\n\n### Instruction:\nU2\n\n"
               "### Response:\n"},
};

enum { CASE_COUNT = sizeof CASES / sizeof CASES[0] };

/* The whole talk at once, and the same in two parts, as a chat feeds it. */
static void test_families(void **state)
{
    qn_tokenizer *t = make();
    (void)state;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        qn_chat_options options = {.size = sizeof options, .template_name = CASES[i].name};
        int32_t *ids, *first, *next;
        uint8_t *learned;
        size_t count, first_count, next_count;
        options.reply = true;
        ASSERT_OK(qn_chat_encode(t, &options, TALK, 4, &ids, &learned, &count));
        assert_tokens(t, ids, learned, count, CASES[i].want);
        options.reply = false;
        ASSERT_OK(qn_chat_encode(t, &options, TALK, 3, &first, NULL, &first_count));
        options.reply = options.follows = true;
        ASSERT_OK(qn_chat_encode(t, &options, TALK + 3, 1, &next, NULL, &next_count));
        assert_int_equal(first_count + next_count, count);
        assert_memory_equal(first, ids, first_count * sizeof *ids);
        assert_memory_equal(next, ids + first_count, next_count * sizeof *ids);
        free(ids);
        free(learned);
        free(first);
        free(next);
    }
    qn_tokenizer_destroy(&t);
}

/* Contents that spell every mark there is: not one control token more than without. */
static void test_no_forging(void **state)
{
    qn_tokenizer *t = make();
    qn_str all = {0};
    (void)state;
    for (size_t i = 0; i < sizeof MARKS / sizeof MARKS[0]; i++) qn__str_add(&all, "%s", MARKS[i]);
    for (size_t i = 0; qn_chat_template_at(i); i++) {
        const qn_chat_options options = {.size = sizeof options,
                                         .template_name = qn_chat_template_at(i)};
        size_t controls[2] = {0};
        for (int forged = 0; forged < 2; forged++) {
            const qn_message talk[] = {{"user", all.data, forged ? all.length : 0},
                                       {"assistant", all.data, forged ? all.length : 0}};
            int32_t *ids;
            size_t count;
            ASSERT_OK(qn_chat_encode(t, &options, talk, 2, &ids, NULL, &count));
            for (size_t k = 0; k < count; k++)
                controls[forged] += qn_tokenizer_is_control(t, ids[k]);
            free(ids);
        }
        assert_int_equal(controls[0], controls[1]);
    }
    qn__str_free(&all);
    qn_tokenizer_destroy(&t);
}

/* Bits of templates as models bring them; never executed, only looked at. */
static void test_recognition(void **state)
{
    static const struct {
        const char *jinja, *name;
    } cases[] = {
        {"{{ '<|im_start|>' + message['role'] + '\\n' }}", "chatml"},
        {"{{ '<|im_start|>user<|im_sep|>' }}", "phi4"},
        {"{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}", "llama3"},
        {"{{ '<|header_start|>' + role }}", "llama4"},
        {"{{ '<start_of_turn>' + role + '\n' }}", "gemma"},
        {"{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' }}", "command-r"},
        {"{{ '<|start_of_role|>' + role }}", "granite"},
        {"{{ '<｜User｜>' + c }}{{ '<｜Assistant｜>' }}", "deepseek-v3"},
        {"{{ 'User: ' + c }}{{ 'Assistant: ' + c + eos_token }}", "deepseek-v2"},
        {"{{ '<|user|>\\n' + c + '<|end|>\\n<|assistant|>\\n' }}", "phi3"},
        {"{{ '<|user|>\\n' + message['content'] + '\\n' }}{{ '<|assistant|>\\n' }}", "falcon3"},
        {"{{ '<|user|>\n' + message['content'] + eos_token }}{{ '<|assistant|>' }}", "zephyr"},
        {"{{ '[SYSTEM_PROMPT] ' + c + '[/SYSTEM_PROMPT]' }}{{ '[INST] ' }}", "mistral-v7"},
        {"{{ '[SYSTEM_PROMPT]' + c + '[/SYSTEM_PROMPT]' }}{{ '[INST]' }}", "mistral-v7-tekken"},
        {"{{ ' [INST] ' + c + ' [/INST]' }}", "mistral-v1"},
        {"{{ \"[AVAILABLE_TOOLS] [\" }}{{ \"[INST] \" + c + \"[/INST]\" }}", "mistral-v3"},
        {"{{ \"[AVAILABLE_TOOLS][\" }}{{ \"[INST]\" + c + \"[/INST]\" }}", "mistral-v3-tekken"},
        {"{{ bos_token + '[INST] ' + '<<SYS>>\\n' + c + ' [/INST]' }}", "llama2"},
        {"{{ 'USER: ' + c + ' ' }}{{ 'ASSISTANT:' }}", "vicuna"},
        {"{{ '### Instruction:\\n' + c }}{{ '### Response:\\n' }}", "alpaca"},
        {"{{ c }}", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *name = qn_chat_template_recognise(cases[i].jinja, strlen(cases[i].jinja));
        if (!name || !cases[i].name ? name != cases[i].name : strcmp(name, cases[i].name) != 0)
            fail_msg("%s is %s, not %s", cases[i].jinja, name ? name : "none", cases[i].name);
    }
}

static void test_wrong(void **state)
{
    static const qn_message tool = {"tool", "x", 1};
    qn_tokenizer *t = make();
    qn_chat_options options = {.size = sizeof options, .template_name = "lama3"};
    int32_t *ids;
    size_t count;
    (void)state;
    assert_int_equal(qn_chat_encode(t, &options, TALK, 4, &ids, NULL, &count), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "\"lama3\"; known: chatml"));
    options.template_name = "gemma";
    assert_int_equal(qn_chat_encode(t, &options, &tool, 1, &ids, NULL, &count), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "no role \"tool\""));
    options.size = 1;
    assert_int_equal(qn_chat_encode(t, &options, TALK, 4, &ids, NULL, &count), QN_BAD_ARGUMENT);
    qn_tokenizer_destroy(&t);
}

/* Cut in all ways: the same text comes out, and never a byte of a stop string. */
static void test_stops(void **state)
{
    static const struct {
        const char *stops[3], *text, *want;
        bool found;
    } cases[] = {
        {{"User:"}, "hello\nUser: x", "hello\n", true},
        {{"User:"}, "hello\nUse: x", "hello\nUse: x", false},
        {{"aab"}, "aaab", "a", true},
        {{"abcX", "b"}, "abcd", "a", true},
        {{"\xE2\x82\xAC", "zz"}, "1z\xE2\x82\xAC", "1z", true},
        {{"zz"}, "1z", "1z", false},
        {{"x"}, "x", "", true},
        {{NULL}, "any", "any", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count = 0, bytes = strlen(cases[i].text);
        while (count < 3 && cases[i].stops[count]) count++;
        for (unsigned cuts = 0; cuts < 1u << (bytes - 1); cuts++) {
            qn_stops *stops;
            qn_str all = {0};
            const char *out;
            size_t out_bytes, start = 0;
            bool found = false;
            ASSERT_OK(qn_stops_create(cases[i].stops, count, &stops));
            for (size_t at = 1; at <= bytes; at++) {
                if (at < bytes && !(cuts >> (at - 1) & 1)) continue;
                ASSERT_OK(qn_stops_push(stops, cases[i].text + start, at - start, &out, &out_bytes,
                                        &found));
                qn__str_add_bytes(&all, out, out_bytes);
                start = at;
            }
            assert_int_equal(found, cases[i].found);
            ASSERT_OK(qn_stops_finish(stops, &out, &out_bytes));
            qn__str_add_bytes(&all, out, out_bytes);
            assert_string_equal(qn__str_text(&all), cases[i].want);
            qn__str_free(&all);
            qn_stops_destroy(&stops);
        }
    }
    const char *empty[] = {""};
    qn_stops *stops = NULL;
    assert_int_equal(qn_stops_create(empty, 1, &stops), QN_BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),    cmocka_unit_test(test_no_forging),
        cmocka_unit_test(test_recognition), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_stops),
    };
    return cmocka_run_group_tests_name("chat templates", tests, NULL, NULL);
}
