/* Stacks, closures and states. */
#include "infer/automaton.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* Bounds on what is remembered, and half of them as the mark at which it is forgotten. */
enum { MOST_NODES = 1 << 20, MOST_CELLS = 1 << 23, MOST_TODO = 1 << 17, MOST_TOPS = 1 << 22 };

static uint32_t mix(uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 29 ^ c) * 0xBF58476D1CE4E5B9u;
    return (uint32_t)(h >> 32);
}

static qn_status too_ambiguous(void)
{
    return qn__fail(QN_BAD_DATA,
                    "the grammar is too ambiguous: there are thousands of ways to read "
                    "the text so far");
}

/* ---- nodes ---- */

static qn_status grow_nodes(qn_automaton *m)
{
    uint32_t room = m->node_room ? m->node_room * 2 : 1024;
    if (room > MOST_NODES) return too_ambiguous();
    qn_stack_node *nodes = realloc(m->nodes, room * sizeof *nodes);
    if (nodes) m->nodes = nodes;
    uint32_t *seen = realloc(m->seen, room * sizeof *seen);
    if (seen) m->seen = seen;
    uint32_t *slots = calloc((size_t)room * 2, sizeof *slots);
    if (!nodes || !seen || !slots) {
        free(slots);
        return qn__fail(QN_OS_ERROR, "out of memory");
    }
    free(m->node_slots);
    m->node_slots = slots;
    m->node_room = room;
    for (uint32_t i = 1; i < m->node_count; i++) {
        uint32_t slot = mix(nodes[i].pc, nodes[i].extra, nodes[i].parent) & (room * 2 - 1);
        while (slots[slot]) slot = (slot + 1) & (room * 2 - 1);
        slots[slot] = i;
    }
    return QN_OK;
}

static qn_status node_of(qn_automaton *m, qn_stack_node node, uint32_t *index)
{
    if (m->node_count >= m->node_room) QN_TRY(grow_nodes(m));
    uint32_t mask = m->node_room * 2 - 1, slot = mix(node.pc, node.extra, node.parent) & mask;
    for (; m->node_slots[slot]; slot = (slot + 1) & mask) {
        const qn_stack_node *other = &m->nodes[m->node_slots[slot]];
        if (other->pc == node.pc && other->extra == node.extra && other->parent == node.parent) {
            *index = m->node_slots[slot];
            return QN_OK;
        }
    }
    *index = m->node_slots[slot] = m->node_count;
    m->seen[m->node_count] = 0;
    m->nodes[m->node_count++] = node;
    return QN_OK;
}

/* ---- closures ---- */

static qn_status push(uint32_t **list, uint32_t *count, uint32_t *room, uint32_t item)
{
    QN_TRY(qn__grammar_room(list, *count, room, sizeof **list));
    (*list)[(*count)++] = item;
    return QN_OK;
}

/* Go on at pc above `parent`, unless this closure did already. */
static qn_status go_on(qn_automaton *m, uint32_t pc, uint32_t extra, uint32_t parent)
{
    uint32_t node;
    QN_TRY(node_of(m, (qn_stack_node){pc, extra, parent}, &node));
    if (m->seen[node] == m->epoch) return QN_OK;
    m->seen[node] = m->epoch;
    if (m->todo_count >= MOST_TODO) return too_ambiguous();
    return push(&m->todo, &m->todo_count, &m->todo_room, node);
}

/* The stack on which what follows pc lies: a rule that ends there needs no return. */
static qn_status above(qn_automaton *m, uint32_t pc, uint32_t extra, uint32_t parent,
                       uint32_t *node)
{
    *node = parent;
    if (m->g->code[pc].kind == QN_CODE_RETURN) return QN_OK;
    return node_of(m, (qn_stack_node){pc, extra, parent}, node);
}

static qn_status repeat(qn_automaton *m, const qn_stack_node *at)
{
    const qn_code *code = &m->g->code[at->pc];
    uint32_t done = at->extra, stack;
    if (done >= code->low) QN_TRY(go_on(m, at->pc + 1, 0, at->parent));
    if (done >= code->high) return QN_OK;
    done++;
    if (code->high == QN_REPEAT_ENDLESS && done > code->low) done = code->low;
    if (done == code->high) QN_TRY(above(m, at->pc + 1, 0, at->parent, &stack));
    else QN_TRY(node_of(m, (qn_stack_node){at->pc, done, at->parent}, &stack));
    return go_on(m, m->g->rules[code->a].pc, 0, stack);
}

/* Until every stack has a character on top. */
static qn_status close_all(qn_automaton *m, bool *whole)
{
    while (m->todo_count > 0) {
        const qn_stack_node at = m->nodes[m->todo[--m->todo_count]];
        const qn_code *code = &m->g->code[at.pc];
        uint32_t node;
        switch (code->kind) {
        case QN_CODE_CLASS:
            QN_TRY(node_of(m, (qn_stack_node){at.pc, code->a, at.parent}, &node));
            QN_TRY(push(&m->made, &m->made_count, &m->made_room, node));
            break;
        case QN_CODE_CALL:
            QN_TRY(above(m, at.pc + 1, 0, at.parent, &node));
            QN_TRY(go_on(m, m->g->rules[code->a].pc, 0, node));
            break;
        case QN_CODE_FORK:
            QN_TRY(go_on(m, code->a, 0, at.parent));
            QN_TRY(go_on(m, at.pc + 1, 0, at.parent));
            break;
        case QN_CODE_REPEAT: QN_TRY(repeat(m, &at)); break;
        case QN_CODE_RETURN:
            if (at.parent == 0) *whole = true;
            else {
                const qn_stack_node below = m->nodes[at.parent];
                QN_TRY(go_on(m, below.pc, below.extra, below.parent));
            }
            break;
        }
    }
    return QN_OK;
}

/* ---- states ---- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t state_hash(const uint32_t *tops, uint32_t count, bool whole)
{
    uint32_t hash = whole;
    for (uint32_t i = 0; i < count; i++) hash = mix(hash, tops[i], i);
    return hash;
}

static qn_status grow_states(qn_automaton *m)
{
    uint32_t room = m->state_room ? m->state_room * 2 : 64;
    size_t kinds = (size_t)m->g->kinds;
    if (room > MOST_CELLS / kinds) return too_ambiguous();
    qn_state *states = realloc(m->states, room * sizeof *states);
    if (states) m->states = states;
    uint32_t *next = realloc(m->next, room * kinds * sizeof *next);
    if (next) m->next = next;
    uint32_t *slots = calloc((size_t)room * 2, sizeof *slots);
    if (!states || !next || !slots) {
        free(slots);
        return qn__fail(QN_OS_ERROR, "out of memory");
    }
    free(m->state_slots);
    m->state_slots = slots;
    m->state_room = room;
    for (uint32_t i = 1; i < m->state_count; i++) {
        const qn_state *s = &states[i];
        uint32_t slot = state_hash(m->tops + s->first, s->count, s->whole) & (room * 2 - 1);
        while (slots[slot]) slot = (slot + 1) & (room * 2 - 1);
        slots[slot] = i;
    }
    return QN_OK;
}

static qn_status add_state(qn_automaton *m, const uint32_t *tops, uint32_t count, bool whole,
                           uint32_t *state)
{
    if (m->state_count >= m->state_room) QN_TRY(grow_states(m));
    uint32_t mask = m->state_room * 2 - 1, slot = state_hash(tops, count, whole) & mask;
    for (; m->state_slots[slot]; slot = (slot + 1) & mask) {
        const qn_state *s = &m->states[m->state_slots[slot]];
        if (s->count == count && s->whole == whole &&
            memcmp(m->tops + s->first, tops, count * sizeof *tops) == 0) {
            *state = m->state_slots[slot];
            return QN_OK;
        }
    }
    if (m->top_count > MOST_TOPS - count) return too_ambiguous();
    uint32_t first = m->top_count;
    for (uint32_t i = 0; i < count; i++)
        QN_TRY(push(&m->tops, &m->top_count, &m->top_room, tops[i]));
    *state = m->state_slots[slot] = m->state_count;
    m->states[m->state_count++] = (qn_state){first, count, whole};
    memset(m->next + (size_t)*state * (size_t)m->g->kinds, 0,
           (size_t)m->g->kinds * sizeof *m->next);
    return QN_OK;
}

/* The state of the stacks in m->made. */
static qn_status made_state(qn_automaton *m, bool whole, uint32_t *state)
{
    uint32_t count = 0;
    *state = QN_DEAD;
    if (m->made_count == 0 && !whole) return QN_OK;
    if (m->made_count > 1) qsort(m->made, m->made_count, sizeof *m->made, by_number);
    for (uint32_t i = 0; i < m->made_count; i++)
        if (i == 0 || m->made[i] != m->made[i - 1]) m->made[count++] = m->made[i];
    if (count > QN_GRAMMAR_STACKS) return too_ambiguous();
    return add_state(m, m->made, count, whole, state);
}

static void begin_closure(qn_automaton *m)
{
    m->todo_count = m->made_count = 0;
    if (++m->epoch == 0) { /* after four thousand million */
        memset(m->seen, 0, m->node_room * sizeof *m->seen);
        m->epoch = 1;
    }
}

qn_status qn__automaton_step(qn_automaton *automaton, uint32_t state, uint8_t byte, uint32_t *next)
{
    qn_automaton *m = automaton;
    const qn_grammar *g = m->g;
    bool whole = false;
    *next = QN_DEAD;
    if (state == QN_DEAD) return QN_OK;
    begin_closure(m);
    const qn_state s = m->states[state];
    for (uint32_t i = 0; i < s.count; i++) {
        const qn_stack_node top = m->nodes[m->tops[s.first + i]];
        const qn_utf8_node *node = &g->nodes[top.extra];
        for (uint32_t a = node->first; a < node->first + node->count; a++) {
            uint32_t made;
            if (byte < g->arcs[a].low || byte > g->arcs[a].high) continue;
            if (g->arcs[a].next == QN_UTF8_END) {
                QN_TRY(go_on(m, top.pc + 1, 0, top.parent));
                continue;
            }
            QN_TRY(node_of(m, (qn_stack_node){top.pc, g->arcs[a].next, top.parent}, &made));
            QN_TRY(push(&m->made, &m->made_count, &m->made_room, made));
        }
    }
    QN_TRY(close_all(m, &whole));
    QN_TRY(made_state(m, whole, next));
    m->next[(size_t)state * (size_t)g->kinds + g->kind_of_byte[byte]] = *next + 1;
    return QN_OK;
}

/* ---- life ---- */

/* Node 0 is the bottom, state 0 the dead end. */
static qn_status begin(qn_automaton *m)
{
    QN_TRY(grow_nodes(m));
    m->nodes[0] = (qn_stack_node){0};
    m->seen[0] = 0;
    m->node_count = 1;
    QN_TRY(grow_states(m));
    m->states[0] = (qn_state){0};
    m->state_count = 1;
    for (int k = 0; k < m->g->kinds; k++) m->next[k] = QN_DEAD + 1;
    return QN_OK;
}

qn_status qn__automaton_create(const qn_grammar *grammar, qn_automaton *automaton, uint32_t *start)
{
    bool whole = false;
    *automaton = (qn_automaton){.g = grammar};
    qn_status status = begin(automaton);
    if (status == QN_OK) {
        begin_closure(automaton);
        status = go_on(automaton, grammar->rules[grammar->root].pc, 0, 0);
    }
    if (status == QN_OK) status = close_all(automaton, &whole);
    if (status == QN_OK) status = made_state(automaton, whole, start);
    if (status != QN_OK) qn__automaton_free(automaton);
    return status;
}

void qn__automaton_free(qn_automaton *m)
{
    void *owned[] = {m->nodes,       m->node_slots, m->seen, m->tops, m->states,
                     m->state_slots, m->next,       m->todo, m->made};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    *m = (qn_automaton){.g = m->g};
}

bool qn__automaton_full(const qn_automaton *m)
{
    return m->node_count - m->kept > MOST_NODES / 4 || m->top_count > MOST_TOPS / 4 ||
           m->state_count > MOST_CELLS / 4 / (uint32_t)m->g->kinds;
}

/* Copy a stack from the bottom up; `to` says where nodes went, 0: not yet. */
static qn_status copy_stack(const qn_automaton *from, qn_automaton *m, uint32_t *to, uint32_t *path,
                            uint32_t node)
{
    uint32_t depth = 0;
    for (uint32_t at = node; at && !to[at]; at = from->nodes[at].parent) path[depth++] = at;
    while (depth > 0) {
        qn_stack_node copy = from->nodes[path[--depth]];
        copy.parent = copy.parent ? to[copy.parent] : 0;
        QN_TRY(node_of(m, copy, &to[path[depth]]));
    }
    return QN_OK;
}

qn_status qn__automaton_forget(qn_automaton *automaton, uint32_t *state)
{
    qn_automaton fresh = {.g = automaton->g};
    const qn_state old = automaton->states[*state];
    uint32_t *to = calloc(automaton->node_count, sizeof *to);
    uint32_t *path = calloc(automaton->node_count, sizeof *path);
    qn_status status = to && path ? begin(&fresh) : qn__fail(QN_OS_ERROR, "out of memory");
    for (uint32_t i = 0; status == QN_OK && i < old.count; i++) {
        uint32_t top = automaton->tops[old.first + i];
        status = copy_stack(automaton, &fresh, to, path, top);
        if (status == QN_OK)
            status = push(&fresh.made, &fresh.made_count, &fresh.made_room, to[top]);
    }
    if (status == QN_OK && *state != QN_DEAD) status = made_state(&fresh, old.whole, state);
    free(to);
    free(path);
    if (status != QN_OK) {
        qn__automaton_free(&fresh);
        return status;
    }
    qn__automaton_free(automaton);
    fresh.kept = fresh.node_count;
    *automaton = fresh;
    return QN_OK;
}
