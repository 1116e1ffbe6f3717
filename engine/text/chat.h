/* Families of chat templates: what stands round the messages of a conversation. A template that a
 * file brings is never executed; it is recognised by what it contains. */
#ifndef QN_TEXT_CHAT_H
#define QN_TEXT_CHAT_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>

/* Pieces are text in which these characters stand for tokens:
 *   \1 name \1   the control token of this name, or its name as text where there is none
 *   \2 name \2   the same, at the end of a turn: where there is none, end of text
 *   \3           end of text
 *   \4           beginning of text, where the tokenizer wants one
 * A role that a family lacks has NULL. */
typedef struct qn__chat_family {
    const char *name;
    const char *has[3], *lacks[2]; /* recognition, in the order of the table */
    const char *system[2];         /* before and after the content */
    const char *user[2];
    const char *tool[2];
    const char *reply;   /* what opens the assistant's turn: the prompt ends here */
    const char *lead;    /* text between that and the assistant's words, learned with them */
    const char *end;     /* behind the words */
    const char *between; /* between two turns */
    const char *again;   /* more of it when the turn before was the assistant's */
    const char *stop;    /* text that begins the next turn, where no token ends this; or NULL */
    bool system_inside;  /* the system's message stands in the user's first turn */
    bool trims;          /* white space round contents is left out */
} qn__chat_family;

/* Family i, NULL past the last; the first is ChatML. */
const qn__chat_family *qn__chat_family_at(size_t i);
/* By name; QN_BAD_ARGUMENT lists the names. NULL gives ChatML. */
qn_status qn__chat_family_named(const char *name, const qn__chat_family **family) QN_MUST_USE;
/* By the text of a template; NULL: none of these. */
const qn__chat_family *qn__chat_recognise(const char *jinja, size_t bytes);
/* Is this the name of a control token in one of the families? */
bool qn__chat_is_mark(const char *text, size_t bytes);

#endif
