/* A grammar as a small program, run by a pushdown automaton with many stacks at once.
 *
 * A rule's alternatives are code; a group is a rule without a name:
 *
 *   CLASS n     one character of class n
 *   CALL r      rule r, then what follows
 *   FORK pc     what follows, and what is at pc
 *   REPEAT r    rule r, `low` to `high` times, then what follows
 *   RETURN      the end of a rule
 *
 * Classes are automata over the bytes of UTF-8, so that a character may be cut anywhere. */
#ifndef QN_INFER_GRAMMAR_H
#define QN_INFER_GRAMMAR_H

#include <quernel/grammar.h>

typedef enum qn_code_kind {
    QN_CODE_CLASS,
    QN_CODE_CALL,
    QN_CODE_FORK,
    QN_CODE_REPEAT,
    QN_CODE_RETURN
} qn_code_kind;

enum {
    QN_REPEAT_MOST = 1 << 20,    /* {m,n}: largest number */
    QN_REPEAT_ENDLESS = 1 << 30, /* `high` of * and + */
    QN_REPEAT_MOST_EMPTY = 64,   /* largest finite n where the repeated part may be empty */
    QN_GRAMMAR_DEPTH = 256,      /* parentheses within one another */
    QN_GRAMMAR_BYTES = 16 << 20, /* of text */
    QN_GRAMMAR_STACKS = 4096     /* at once */
};

typedef struct qn_code {
    qn_code_kind kind;
    uint32_t a;         /* class, rule or pc; of a RETURN: whose it is */
    uint32_t low, high; /* of a RETURN, low: 1 for the last alternative */
    uint32_t at;        /* byte of the text, for messages */
} qn_code;

/* From a node of UTF-8: bytes low..high lead to `next`, QN_UTF8_END ends the character. */
typedef struct qn_arc {
    uint8_t low, high;
    uint32_t next;
} qn_arc;

enum { QN_UTF8_END = 0xFFFFFFFF };

typedef struct qn_utf8_node {
    uint32_t first, count; /* arcs */
} qn_utf8_node;

typedef struct qn_rule {
    char *name; /* NULL: a group; owned */
    uint32_t pc;
    bool defined, empty, ends; /* may it derive nothing? something at all? */
    uint32_t at;               /* where it was defined, or else first used */
} qn_rule;

struct qn_grammar {
    qn_code *code;
    uint32_t code_count, code_room;
    qn_rule *rules;
    uint32_t rule_count, rule_room;
    uint32_t *names; /* open addressing by name: rule + 1 */
    uint32_t name_room, name_count;
    qn_utf8_node *nodes; /* node i of a class is where it begins */
    uint32_t node_count, node_room;
    qn_arc *arcs;
    uint32_t arc_count, arc_room;
    uint32_t root;
    uint8_t kind_of_byte[256]; /* bytes that no arc tells apart share a number */
    int kinds;
    uint8_t byte_of_kind[256];
};

/* ---- characters (utf8_class.c) ---- */

typedef struct qn_range32 {
    uint32_t low, high;
} qn_range32;

/* A node for the characters of `ranges` (any order, overlapping; sorted in place), or for all
 * others. Surrogates are in no class. */
qn_status qn__class_add(qn_grammar *grammar, qn_range32 *ranges, size_t count, bool negated,
                        uint32_t *node) QN_MUST_USE;
qn_status qn__class_add_byte(qn_grammar *grammar, uint8_t byte, uint32_t *node) QN_MUST_USE;

/* ---- checks (grammar_check.c) ---- */

/* Rules that are not defined, never end or begin with themselves; repeats of what may be empty.
 * *at is the place of the error in the text. */
qn_status qn__grammar_check(qn_grammar *grammar, uint32_t *at) QN_MUST_USE;

/* Grow *items of `size` bytes each to hold one more. */
qn_status qn__grammar_room(void *items, uint32_t count, uint32_t *room, size_t size) QN_MUST_USE;

#endif
