/* A document to learn from: stretches of text, and which of them are learned. */
#ifndef QN_TEXT_DOCUMENT_H
#define QN_TEXT_DOCUMENT_H

#include "base/json.h"
#include "text/tokenizer.h"

struct qn__chat_family;

typedef struct qn__span {
    const char *text;
    size_t bytes;
    bool special;  /* names of control tokens in it become these tokens */
    bool learned;  /* else only read */
    bool turn_end; /* the control token that the text names, else end of text, else the text */
    bool begin;    /* no text: the token that begins a text, where the tokenizer wants one */
} qn__span;

typedef struct qn__document {
    qn__span *span; /* owned; the texts are borrowed, or in `owned` */
    size_t count, capacity;
    char **owned;
    size_t owned_count, owned_capacity;
    bool plain; /* text of somebody's own making: each end-of-text token in it ends a document */
    const struct qn__chat_family *family; /* of conversations; NULL: ChatML */
    bool end_learned;                     /* the end-of-text token that will follow */
} qn__document;

/* Tokens with a mark for each that is learned. */
typedef struct qn__marked {
    qn__ids ids;
    uint8_t *learned; /* [ids.count] */
    size_t capacity;
} qn__marked;

/* Empty it; what it owns is kept for the next one. */
void qn__document_clear(qn__document *document);
qn_status qn__document_add(qn__document *document, qn__span span) QN_MUST_USE;
enum { QN__SYSTEM, QN__USER, QN__ASSISTANT, QN__TOOL };
/* One of these; -1: another role. */
int qn__chat_role(const char *name);
enum {
    QN__CHAT_REPLY = 1,  /* end with what opens the assistant's turn */
    QN__CHAT_FOLLOWS = 2 /* an assistant's turn, its end included, came before */
};
/* The turns of a conversation as the family writes them. */
qn_status qn__document_chat(qn__document *document, const struct qn__chat_family *family,
                            const qn_message *messages, size_t count, unsigned flags) QN_MUST_USE;
/* What a line of JSON says: {"text"}, {"messages"} or {"prompt", "completion"}. `root` must outlive
 * the document's use; path and line are for messages. */
qn_status qn__document_json(qn__document *document, const json_t *root, const char *path,
                            uint64_t line) QN_MUST_USE;
void qn__document_free(qn__document *document);

/* Append the tokens of span `i` from byte *at on, which is moved on: a few MiB of a longer text at
 * once, cut behind a line where there is one. All but the start of span 0 continues a text. */
qn_status qn__document_encode(const qn__document *document, size_t i, size_t *at,
                              const qn_tokenizer *tokenizer, qn__marked *out) QN_MUST_USE;
qn_status qn__marked_add(qn__marked *marked, const int32_t *ids, size_t count,
                         bool learned) QN_MUST_USE;
void qn__marked_free(qn__marked *marked);

#endif
