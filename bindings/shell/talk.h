/* A conversation with a model: its messages, and which of them the model has read. */
#ifndef QN_SHELL_TALK_H
#define QN_SHELL_TALK_H

#include "shell.h"

#include <quernel/grammar.h>

typedef struct qn_said {
    char *role, *content;
    size_t bytes;
} qn_said;

typedef struct qn_talk {
    const qn_tokenizer *tokenizer;
    qn_model *model;
    qn_session *session;
    qn_sampler_options sampler;
    qn_grammar *grammar; /* NULL: none; each reply is a text of it */
    qn_grammar_matcher *matcher;
    qn_sampler *chooser;                /* with a grammar, in place of the session's */
    const char *family;                 /* a chat template's name */
    const char *stops[QN_MAX_MANY + 1]; /* those of the flags, then that of the family */
    int stop_count;
    int64_t tokens; /* at most so many in a reply */
    qn_said *said;
    size_t count, capacity;
    size_t read; /* messages that are in the session; the last of them lacks the end of its turn */
    bool json;
    bool shifts;  /* a full context drops its oldest tokens instead of being read again */
    bool told;    /* that it did */
    int32_t keep; /* tokens that stay then: the system's message */
    /* Of the last reply: */
    int64_t made, fed;
    double seconds, feed_seconds;
    const char *why; /* "end", "stop", "tokens", "context", "interrupted", "grammar" */
} qn_talk;

/* Exit code or QN_GO_ON, as everywhere in the shell. */
int qn__talk_add(qn_talk *talk, const char *role, const char *content, size_t bytes);
/* Drop messages from `from` on, and have the rest read again. */
void qn__talk_cut(qn_talk *talk, size_t from);
void qn__talk_free(qn_talk *talk);
/* Let the model answer; what it says goes to standard output as it comes, unless talk->json. The
 * answer becomes a message. When the context is too small, the oldest tokens are dropped from it
 * (qn_session_shift), or, where the model cannot do that, the oldest turns are left out and the
 * rest is read again. */
int qn__talk_reply(qn_talk *talk);
/* The session, and the matcher where there is a grammar. */
int qn__talk_open(qn_talk *talk);
/* A new number for the sampler, so that the same question has another answer. */
int qn__talk_reseed(qn_talk *talk);

/* Ctrl-C since the last call of qn__talk_listen (chat.c). */
bool qn__talk_interrupted(void);
void qn__talk_listen(void);

#endif
