/* The states of a grammar, made as they are met: a state is a set of stacks. */
#ifndef QN_INFER_AUTOMATON_H
#define QN_INFER_AUTOMATON_H

#include "infer/grammar.h"

/* A stack is a list to its bottom (node 0). As the top: a character of the CLASS at pc is being
 * read, `extra` is its UTF-8 node. Below: go on at pc; `extra` is how often a REPEAT was done.
 * Equal nodes are one node. */
typedef struct qn_stack_node {
    uint32_t pc, extra, parent;
} qn_stack_node;

typedef struct qn_state {
    uint32_t first, count; /* tops, sorted */
    bool whole;            /* the text may end here */
} qn_state;

enum { QN_DEAD = 0 }; /* the state of a text that is not in the grammar */

typedef struct qn_automaton {
    const qn_grammar *g;
    qn_stack_node *nodes;
    uint32_t node_count, node_room;
    uint32_t kept;        /* nodes that were not forgotten the last time */
    uint32_t *node_slots; /* open addressing: node */
    uint32_t *seen;       /* [node_room] the last closure that met it */
    uint32_t epoch;
    uint32_t *tops;
    uint32_t top_count, top_room;
    qn_state *states;
    uint32_t state_count, state_room;
    uint32_t *state_slots; /* open addressing: state; 0: free */
    uint32_t *next;        /* [state_room][kinds] state + 1; 0: not known yet */
    uint32_t *todo, *made; /* of a closure */
    uint32_t todo_count, todo_room, made_count, made_room;
} qn_automaton;

/* *start: the state of the empty text. */
qn_status qn__automaton_create(const qn_grammar *grammar, qn_automaton *automaton,
                               uint32_t *start) QN_MUST_USE;
void qn__automaton_free(qn_automaton *automaton);
/* QN_BAD_DATA when the grammar is too ambiguous: thousands of ways to read a text. */
qn_status qn__automaton_step(qn_automaton *automaton, uint32_t state, uint8_t byte,
                             uint32_t *next) QN_MUST_USE;
/* Is so much remembered that it should be forgotten? */
bool qn__automaton_full(const qn_automaton *automaton);
/* Forget all but *state, which gets another number. */
qn_status qn__automaton_forget(qn_automaton *automaton, uint32_t *state) QN_MUST_USE;

/* The step when it is known; else qn__automaton_step. */
static inline qn_status qn__automaton_go(qn_automaton *automaton, uint32_t state, uint8_t byte,
                                         uint32_t *next)
{
    const qn_grammar *g = automaton->g;
    uint32_t known = automaton->next[(size_t)state * (size_t)g->kinds + g->kind_of_byte[byte]];
    if (known == 0) return qn__automaton_step(automaton, state, byte, next);
    *next = known - 1;
    return QN_OK;
}

#endif
