/* The families, as their authors describe them. Rows with the more telling marks come first: the
 * first that fits a template is taken. */
#include "text/chat.h"

#include "base/check.h"
#include "base/str.h"

#include <string.h>

#define MARK(name) "\1" name "\1"
#define STOP(name) "\2" name "\2"
#define EOS "\3"
#define BOS "\4"
#define NONE                                                                                       \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

#define IM(role) MARK("<|im_start|>") role
#define IM_END STOP("<|im_end|>")
#define SEP(role) MARK("<|im_start|>") role MARK("<|im_sep|>")
#define HEADER(role) MARK("<|start_header_id|>") role MARK("<|end_header_id|>") "\n\n"
#define HEADER4(role) MARK("<|header_start|>") role MARK("<|header_end|>") "\n\n"
#define COHERE(role) MARK("<|START_OF_TURN_TOKEN|>") MARK("<|" role "_TOKEN|>")
#define COHERE_END STOP("<|END_OF_TURN_TOKEN|>")
#define ROLE(role) MARK("<|start_of_role|>") role MARK("<|end_of_role|>")
#define ROLE_END STOP("<|end_of_text|>")

static const qn__chat_family table[] = {
    {.name = "chatml",
     .has = {"<|im_start|>"},
     .lacks = {"<|im_sep|>"},
     .system = {IM("system\n"), IM_END},
     .user = {IM("user\n"), IM_END},
     .tool = {IM("tool\n"), IM_END},
     .reply = IM("assistant\n"),
     .lead = "",
     .end = IM_END,
     .between = "\n",
     .again = "",
     .stop = "<|im_end|>"},
    {.name = "phi4",
     .has = {"<|im_sep|>"},
     .system = {SEP("system"), IM_END},
     .user = {SEP("user"), IM_END},
     .tool = NONE,
     .reply = SEP("assistant"),
     .lead = "",
     .end = IM_END,
     .between = "",
     .again = ""},
    {.name = "llama3",
     .has = {"<|start_header_id|>"},
     .system = {HEADER("system"), STOP("<|eot_id|>")},
     .user = {HEADER("user"), STOP("<|eot_id|>")},
     .tool = {HEADER("ipython"), STOP("<|eot_id|>")},
     .reply = HEADER("assistant"),
     .lead = "",
     .end = STOP("<|eot_id|>"),
     .between = "",
     .again = "",
     .trims = true},
    {.name = "llama4",
     .has = {"<|header_start|>"},
     .system = {HEADER4("system"), STOP("<|eot|>")},
     .user = {HEADER4("user"), STOP("<|eot|>")},
     .tool = {HEADER4("ipython"), STOP("<|eot|>")},
     .reply = HEADER4("assistant"),
     .lead = "",
     .end = STOP("<|eot|>"),
     .between = "",
     .again = "",
     .trims = true},
    {.name = "gemma",
     .has = {"<start_of_turn>"},
     .system = {"", "\n\n"},
     .user = {MARK("<start_of_turn>") "user\n", STOP("<end_of_turn>")},
     .tool = NONE,
     .reply = MARK("<start_of_turn>") "model\n",
     .lead = "",
     .end = STOP("<end_of_turn>"),
     .between = "\n",
     .again = "",
     .system_inside = true,
     .trims = true},
    {.name = "command-r",
     .has = {"<|START_OF_TURN_TOKEN|>"},
     .system = {COHERE("SYSTEM"), COHERE_END},
     .user = {COHERE("USER"), COHERE_END},
     .tool = NONE,
     .reply = COHERE("CHATBOT"),
     .lead = "",
     .end = COHERE_END,
     .between = "",
     .again = "",
     .trims = true},
    {.name = "granite",
     .has = {"<|start_of_role|>"},
     .system = {ROLE("system"), ROLE_END},
     .user = {ROLE("user"), ROLE_END},
     .tool = {ROLE("tool"), ROLE_END},
     .reply = ROLE("assistant"),
     .lead = "",
     .end = ROLE_END,
     .between = "\n",
     .again = ""},
    {.name = "deepseek-v3",
     .has = {"<｜Assistant｜>", "<｜User｜>"},
     .system = {"", ""},
     .user = {MARK("<｜User｜>"), ""},
     .tool = NONE,
     .reply = MARK("<｜Assistant｜>"),
     .lead = "",
     .end = STOP("<｜end▁of▁sentence｜>"),
     .between = "",
     .again = ""},
    {.name = "phi3",
     .has = {"<|assistant|>", "<|end|>"},
     .system = {MARK("<|system|>") "\n", STOP("<|end|>")},
     .user = {MARK("<|user|>") "\n", STOP("<|end|>")},
     .tool = NONE,
     .reply = MARK("<|assistant|>") "\n",
     .lead = "",
     .end = STOP("<|end|>"),
     .between = "\n",
     .again = ""},
    {.name = "falcon3",
     .has = {"<|assistant|>", "<|user|>", "['content'] + '\n'"},
     .system = {MARK("<|system|>") "\n", ""},
     .user = {MARK("<|user|>") "\n", ""},
     .tool = NONE,
     .reply = MARK("<|assistant|>") "\n",
     .lead = "",
     .end = EOS,
     .between = "\n",
     .again = ""},
    {.name = "zephyr",
     .has = {"<|assistant|>", "<|user|>", "eos_token"},
     .system = {"<|system|>\n", EOS},
     .user = {"<|user|>\n", EOS},
     .tool = NONE,
     .reply = "<|assistant|>\n",
     .lead = "",
     .end = EOS,
     .between = "\n",
     .again = "",
     .stop = "<|user|>"},
    {.name = "mistral-v7",
     .has = {"[SYSTEM_PROMPT] "},
     .system = {MARK("[SYSTEM_PROMPT]") " ", MARK("[/SYSTEM_PROMPT]")},
     .user = {MARK("[INST]") " ", MARK("[/INST]")},
     .tool = NONE,
     .reply = "",
     .lead = " ",
     .end = EOS,
     .between = "",
     .again = ""},
    {.name = "mistral-v7-tekken",
     .has = {"[SYSTEM_PROMPT]"},
     .system = {MARK("[SYSTEM_PROMPT]"), MARK("[/SYSTEM_PROMPT]")},
     .user = {MARK("[INST]"), MARK("[/INST]")},
     .tool = NONE,
     .reply = "",
     .lead = "",
     .end = EOS,
     .between = "",
     .again = ""},
    {.name = "mistral-v1",
     .has = {" [INST] "},
     .lacks = {"<<SYS>>"},
     .system = {"", "\n\n"},
     .user = {" [INST] ", " [/INST]"},
     .tool = NONE,
     .reply = "",
     .lead = " ",
     .end = EOS,
     .between = "",
     .again = "",
     .stop = "[INST]",
     .system_inside = true},
    {.name = "mistral-v3-tekken",
     .has = {"[AVAILABLE_TOOLS]", "\"[INST]\""},
     .system = {"", "\n\n"},
     .user = {MARK("[INST]"), MARK("[/INST]")},
     .tool = NONE,
     .reply = "",
     .lead = "",
     .end = EOS,
     .between = "",
     .again = "",
     .system_inside = true},
    {.name = "mistral-v3",
     .has = {"[INST]", "[AVAILABLE_TOOLS]"},
     .system = {"", "\n\n"},
     .user = {MARK("[INST]") " ", MARK("[/INST]")},
     .tool = NONE,
     .reply = "",
     .lead = " ",
     .end = EOS,
     .between = "",
     .again = "",
     .system_inside = true},
    {.name = "llama2",
     .has = {"[INST]"},
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     .user = {"[INST] ", " [/INST]"},
     .tool = NONE,
     .reply = "",
     .lead = " ",
     .end = " " EOS,
     .between = "",
     .again = BOS,
     .stop = "[INST]",
     .system_inside = true,
     .trims = true},
    {.name = "vicuna",
     .has = {"USER: ", "ASSISTANT:"},
     .system = {"", " "},
     .user = {"USER: ", " "},
     .tool = NONE,
     .reply = "ASSISTANT:",
     .lead = " ",
     .end = EOS,
     .between = "",
     .again = "",
     .stop = "USER:"},
    {.name = "alpaca",
     .has = {"### Instruction:", "### Response:"},
     .system = {"", "\n\n"},
     .user = {"### Instruction:\n", "\n\n"},
     .tool = NONE,
     .reply = "### Response:\n",
     .lead = "",
     .end = EOS,
     .between = "",
     .again = "\n\n",
     .stop = "### Instruction:"},
    {.name = "deepseek-v2",
     .has = {"User: ", "Assistant:"},
     .system = {"", "\n\n"},
     .user = {"User: ", "\n\n"},
     .tool = NONE,
     .reply = "Assistant:",
     .lead = " ",
     .end = EOS,
     .between = "",
     .again = "",
     .stop = "User:"},
};

enum { ROWS = sizeof table / sizeof table[0] };

const qn__chat_family *qn__chat_family_at(size_t i)
{
    return i < ROWS ? &table[i] : NULL;
}

qn_status qn__chat_family_named(const char *name, const qn__chat_family **family)
{
    qn_str known = {0};
    *family = &table[0];
    if (!name) return QN_OK;
    for (size_t i = 0; i < ROWS; i++) {
        *family = &table[i];
        if (strcmp(table[i].name, name) == 0) return QN_OK;
    }
    for (size_t i = 0; i < ROWS; i++) qn__str_add(&known, " %s", table[i].name);
    qn_status status = qn__fail(QN_BAD_ARGUMENT, "no chat template is called \"%.60s\"; known:%s",
                                name, qn__str_text(&known));
    qn__str_free(&known);
    return status;
}

/* Where `part` is in the text; in it a line feed may also be written as \n. */
static bool contains(const char *text, size_t bytes, const char *part)
{
    for (size_t at = 0; at < bytes; at++) {
        size_t from = at, i = 0;
        for (; part[i]; i++) {
            bool escaped =
                part[i] == '\n' && from + 1 < bytes && text[from] == '\\' && text[from + 1] == 'n';
            if (!escaped && (from >= bytes || text[from] != part[i])) break;
            from += escaped ? 2 : 1;
        }
        if (!part[i]) return true;
    }
    return false;
}

const qn__chat_family *qn__chat_recognise(const char *jinja, size_t bytes)
{
    for (size_t r = 0; r < ROWS; r++) {
        bool fits = true;
        for (size_t i = 0; i < 3 && table[r].has[i]; i++)
            fits = fits && contains(jinja, bytes, table[r].has[i]);
        for (size_t i = 0; i < 2 && table[r].lacks[i]; i++)
            fits = fits && !contains(jinja, bytes, table[r].lacks[i]);
        if (fits) return &table[r];
    }
    return NULL;
}

/* Is the text one of the names in the piece? */
static bool names(const char *piece, const char *text, size_t bytes)
{
    while (piece && (piece = strpbrk(piece, "\1\2"))) {
        size_t length = strcspn(piece + 1, "\1\2");
        if (length == bytes && memcmp(piece + 1, text, bytes) == 0) return true;
        piece += length + 2;
    }
    return false;
}

bool qn__chat_is_mark(const char *text, size_t bytes)
{
    if (bytes == 0 || (text[0] != '<' && text[0] != '[')) return false;
    for (size_t r = 0; r < ROWS; r++) {
        const qn__chat_family *f = &table[r];
        const char *const pieces[] = {f->system[0], f->system[1], f->user[0], f->user[1],
                                      f->tool[0],   f->tool[1],   f->reply,   f->end};
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
            if (names(pieces[i], text, bytes)) return true;
    }
    return false;
}
