/* What a grammar must be before it is run. */
#include "base/check.h"
#include "infer/grammar.h"

#include <stdlib.h>
#include <string.h>

/* Which rules have a property that an alternative has when all its elements have it: derive nothing
 * (empty), or derive a text at all (ends). Each alternative counts the elements that still lack it;
 * a rule that gets it counts down where it is used (Dowling and Gallier 1984): linear time. */
typedef struct search {
    const qn_grammar *g;
    bool empty;
    uint32_t *missing; /* [code] at the RETURN of an alternative */
    uint32_t *uses;    /* ends of alternatives, by the rule that they need */
    uint32_t *starts;  /* where uses of rule r begin: at r + 1 */
    uint32_t *stack;   /* rules that got it */
    bool *has;
} search;

static bool needs_rule(const qn_code *code)
{
    return code->kind == QN_CODE_CALL || (code->kind == QN_CODE_REPEAT && code->low > 0);
}

static uint32_t end_of(const qn_grammar *g, uint32_t pc)
{
    while (g->code[pc].kind != QN_CODE_RETURN) pc++;
    return pc;
}

static void list_uses(search *s)
{
    const qn_grammar *g = s->g;
    for (uint32_t i = 0; i < g->code_count; i++)
        if (needs_rule(&g->code[i])) s->starts[g->code[i].a + 1]++;
    for (uint32_t r = 0; r < g->rule_count; r++) s->starts[r + 1] += s->starts[r];
    s->starts[g->rule_count + 1] = s->starts[g->rule_count];
    uint32_t end = 0;
    for (uint32_t i = g->code_count; i-- > 0;) { /* from the back: each start moves to its place */
        if (g->code[i].kind == QN_CODE_RETURN) end = i;
        if (needs_rule(&g->code[i])) s->uses[--s->starts[g->code[i].a + 1]] = end;
    }
}

static void spread(search *s)
{
    const qn_grammar *g = s->g;
    uint32_t missing = 0, depth = 0;
    list_uses(s);
    for (uint32_t i = 0; i < g->code_count; i++) {
        const qn_code *code = &g->code[i];
        missing += needs_rule(code) || (s->empty && code->kind == QN_CODE_CLASS);
        if (code->kind != QN_CODE_RETURN) continue;
        s->missing[i] = missing;
        if (missing == 0 && !s->has[code->a]) {
            s->has[code->a] = true;
            s->stack[depth++] = code->a;
        }
        missing = 0;
    }
    while (depth > 0) {
        uint32_t rule = s->stack[--depth];
        uint32_t begin = s->starts[rule + 1], end = s->starts[rule + 2];
        for (uint32_t u = begin; u < end; u++) {
            uint32_t at = s->uses[u], owner = g->code[at].a;
            if (--s->missing[at] > 0 || s->has[owner]) continue;
            s->has[owner] = true;
            s->stack[depth++] = owner;
        }
    }
}

static qn_status find(qn_grammar *g, bool empty)
{
    search s = {.g = g, .empty = empty};
    s.missing = calloc((size_t)g->code_count + 1, sizeof *s.missing);
    s.uses = calloc((size_t)g->code_count + 1, sizeof *s.uses);
    s.starts = calloc((size_t)g->rule_count + 2, sizeof *s.starts);
    s.stack = calloc((size_t)g->rule_count + 1, sizeof *s.stack);
    s.has = calloc((size_t)g->rule_count + 1, sizeof *s.has);
    bool room = s.missing && s.uses && s.starts && s.stack && s.has;
    if (room) {
        spread(&s);
        for (uint32_t r = 0; r < g->rule_count; r++)
            if (empty) g->rules[r].empty = s.has[r];
            else g->rules[r].ends = s.has[r];
    }
    free(s.missing);
    free(s.uses);
    free(s.starts);
    free(s.stack);
    free(s.has);
    return room ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

/* ---- left recursion ---- */

/* Depth first over "may begin with", without recursion: `place` is where each open rule goes on. */
static qn_status find_left_recursion(const qn_grammar *g, uint32_t *open, uint32_t *place,
                                     uint8_t *colour, uint32_t *at)
{
    enum { NEW, OPEN, DONE };
    for (uint32_t start = 0; start < g->rule_count; start++) {
        uint32_t depth = 0;
        if (colour[start] != NEW) continue;
        open[depth] = start;
        place[depth++] = g->rules[start].pc;
        colour[start] = OPEN;
        while (depth > 0) {
            uint32_t rule = open[depth - 1], pc = place[depth - 1];
            const qn_code *code = &g->code[pc];
            bool calls = code->kind == QN_CODE_CALL || code->kind == QN_CODE_REPEAT;
            bool skips = calls && (g->rules[code->a].empty ||
                                   (code->kind == QN_CODE_REPEAT && code->low == 0));
            if (code->kind == QN_CODE_CLASS || (calls && !skips)) {
                place[depth - 1] = end_of(g, pc);
            } else if (code->kind == QN_CODE_RETURN) {
                if (!code->low) place[depth - 1] = pc + 1;
                else colour[rule] = DONE, depth--;
                continue;
            } else {
                place[depth - 1] = pc + 1;
            }
            if (!calls || colour[code->a] == DONE) continue;
            if (colour[code->a] == OPEN) {
                *at = code->at;
                return qn__fail(QN_BAD_DATA,
                                "%s%s%s can begin with itself (left recursion): write the "
                                "repetition with * or +, or the rule itself last",
                                g->rules[code->a].name ? "rule \"" : "this group",
                                g->rules[code->a].name ? g->rules[code->a].name : "",
                                g->rules[code->a].name ? "\"" : "");
            }
            colour[code->a] = OPEN;
            open[depth] = code->a;
            place[depth++] = g->rules[code->a].pc;
        }
    }
    return QN_OK;
}

static qn_status check_left_recursion(qn_grammar *g, uint32_t *at)
{
    uint32_t *open = calloc((size_t)g->rule_count + 1, sizeof *open);
    uint32_t *place = calloc((size_t)g->rule_count + 1, sizeof *place);
    uint8_t *colour = calloc((size_t)g->rule_count + 1, 1);
    qn_status status = open && place && colour ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) status = find_left_recursion(g, open, place, colour, at);
    free(open);
    free(place);
    free(colour);
    return status;
}

/* ---- the rest ---- */

static qn_status check_repeats(qn_grammar *g, uint32_t *at)
{
    for (uint32_t i = 0; i < g->code_count; i++) {
        qn_code *code = &g->code[i];
        if (code->kind != QN_CODE_REPEAT || !g->rules[code->a].empty) continue;
        code->low = 0; /* the same texts */
        *at = code->at;
        if (code->high != QN_REPEAT_ENDLESS && code->high > QN_REPEAT_MOST_EMPTY)
            return qn__fail(QN_BAD_DATA,
                            "what is repeated up to %u times may be empty; at most %d times then, "
                            "or *",
                            code->high, QN_REPEAT_MOST_EMPTY);
    }
    return QN_OK;
}

static void number_bytes(qn_grammar *g)
{
    bool begins[257] = {true};
    for (uint32_t i = 0; i < g->arc_count; i++)
        begins[g->arcs[i].low] = begins[g->arcs[i].high + 1] = true;
    for (int byte = 0; byte < 256; byte++) {
        if (begins[byte]) g->byte_of_kind[g->kinds++] = (uint8_t)byte;
        g->kind_of_byte[byte] = (uint8_t)(g->kinds - 1);
    }
}

qn_status qn__grammar_check(qn_grammar *grammar, uint32_t *at)
{
    for (uint32_t r = 0; r < grammar->rule_count; r++) {
        *at = grammar->rules[r].at;
        if (!grammar->rules[r].defined)
            return qn__fail(QN_BAD_DATA, "rule \"%s\" is not defined", grammar->rules[r].name);
    }
    QN_TRY(find(grammar, true));
    QN_TRY(find(grammar, false));
    for (uint32_t r = 0; r < grammar->rule_count; r++) {
        *at = grammar->rules[r].at;
        if (!grammar->rules[r].ends)
            return qn__fail(QN_BAD_DATA, "%s%s%s never ends: each of its alternatives needs itself",
                            grammar->rules[r].name ? "rule \"" : "this group",
                            grammar->rules[r].name ? grammar->rules[r].name : "",
                            grammar->rules[r].name ? "\"" : "");
    }
    QN_TRY(check_left_recursion(grammar, at));
    QN_TRY(check_repeats(grammar, at));
    number_bytes(grammar);
    return QN_OK;
}
