/* Which tokens may come next: the vocabulary as a trie, walked with the automaton. */
#include "base/check.h"
#include "infer/automaton.h"

#include <stdlib.h>
#include <string.h>

enum { MASK_BYTES = 32 << 20 };

/* One byte after its parent's; in the order of a walk that takes children before siblings. */
typedef struct trie_node {
    uint32_t skip;      /* the node after all below this one */
    uint32_t token_end; /* tokens up to here end in this node or before it */
    uint16_t depth;     /* from 1 */
    uint8_t byte;
} trie_node;

struct qn_grammar_matcher {
    const qn_tokenizer *tokenizer;
    qn_automaton automaton;
    uint32_t state, start; /* start: QN_DEAD when it was forgotten */
    int32_t vocab;
    trie_node *trie;
    uint32_t trie_count;
    int32_t *tokens; /* in the order of their nodes */
    uint32_t token_count;
    uint32_t *walk; /* [deepest + 1] states on the way down */
    size_t words;   /* of a mask */
    uint32_t **masks;
    uint32_t mask_room;
    size_t mask_bytes;
    uint32_t *ends; /* mask of tokens that end a text */
};

/* ---- the vocabulary ---- */

typedef struct entry {
    const uint8_t *text;
    size_t bytes;
    int32_t id;
} entry;

static int by_text(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->bytes < y->bytes ? x->bytes : y->bytes);
    if (order) return order;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return x->id - y->id;
}

static size_t common(const entry *a, const entry *b)
{
    size_t most = a->bytes < b->bytes ? a->bytes : b->bytes, same = 0;
    while (same < most && a->text[same] == b->text[same]) same++;
    return same;
}

/* Entries are sorted: each adds the bytes that it does not share with the one before. */
static qn_status build_trie(qn_grammar_matcher *m, const entry *entries, uint32_t count,
                            size_t deepest)
{
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += entries[i].bytes - (i ? common(&entries[i - 1], &entries[i]) : 0);
    m->trie = calloc(total + 1, sizeof *m->trie);
    m->tokens = calloc((size_t)count + 1, sizeof *m->tokens);
    m->walk = calloc(deepest + 1, sizeof *m->walk);
    uint32_t *path = calloc(deepest + 1, sizeof *path);
    if (!m->trie || !m->tokens || !m->walk || !path) {
        free(path);
        return qn__fail(QN_OS_ERROR, "out of memory");
    }
    size_t depth = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t same = i ? common(&entries[i - 1], &entries[i]) : 0;
        while (depth > same) m->trie[path[--depth]].skip = m->trie_count;
        for (; depth < entries[i].bytes; depth++) {
            path[depth] = m->trie_count;
            m->trie[m->trie_count++] = (trie_node){
                .token_end = i, .depth = (uint16_t)(depth + 1), .byte = entries[i].text[depth]};
        }
        m->trie[m->trie_count - 1].token_end = i + 1;
        m->tokens[i] = entries[i].id;
    }
    while (depth > 0) m->trie[path[--depth]].skip = m->trie_count;
    m->token_count = count;
    free(path);
    return QN_OK;
}

static qn_status read_vocabulary(qn_grammar_matcher *m)
{
    entry *entries = calloc((size_t)m->vocab + 1, sizeof *entries);
    uint32_t count = 0;
    size_t deepest = 0;
    m->words = ((size_t)m->vocab + 31) / 32;
    m->ends = calloc(m->words + 1, sizeof *m->ends);
    if (!entries || !m->ends) {
        free(entries);
        return qn__fail(QN_OS_ERROR, "out of memory");
    }
    for (int32_t id = 0; id < m->vocab; id++) {
        size_t bytes;
        const char *text = qn_tokenizer_token_bytes(m->tokenizer, id, &bytes);
        if (qn_tokenizer_is_end(m->tokenizer, id)) m->ends[id / 32] |= 1u << id % 32;
        else if (text && bytes > 0 && bytes < UINT16_MAX &&
                 !qn_tokenizer_is_control(m->tokenizer, id)) {
            entries[count++] = (entry){(const uint8_t *)text, bytes, id};
            if (bytes > deepest) deepest = bytes;
        }
    }
    if (count > 1) qsort(entries, count, sizeof *entries, by_text);
    qn_status status = build_trie(m, entries, count, deepest);
    free(entries);
    return status;
}

/* ---- life ---- */

qn_status qn_grammar_matcher_create(const qn_grammar *grammar, const qn_tokenizer *tokenizer,
                                    qn_grammar_matcher **matcher)
{
    *matcher = NULL;
    qn_grammar_matcher *m = calloc(1, sizeof *m);
    if (!m) return qn__fail(QN_OS_ERROR, "out of memory");
    m->tokenizer = tokenizer;
    m->vocab = tokenizer ? qn_tokenizer_vocab_size(tokenizer) : 0;
    qn_status status = qn__automaton_create(grammar, &m->automaton, &m->state);
    m->start = m->state;
    if (status == QN_OK && tokenizer) status = read_vocabulary(m);
    if (status != QN_OK) qn_grammar_matcher_destroy(&m);
    *matcher = m;
    return status;
}

static void forget_masks(qn_grammar_matcher *m)
{
    for (uint32_t i = 0; i < m->mask_room; i++) free(m->masks[i]);
    free(m->masks);
    m->masks = NULL;
    m->mask_room = 0;
    m->mask_bytes = 0;
}

void qn_grammar_matcher_destroy(qn_grammar_matcher **matcher)
{
    qn_grammar_matcher *m = *matcher;
    if (!m) return;
    forget_masks(m);
    qn__automaton_free(&m->automaton);
    free(m->trie);
    free(m->tokens);
    free(m->walk);
    free(m->ends);
    free(m);
    *matcher = NULL;
}

qn_status qn_grammar_matcher_reset(qn_grammar_matcher *matcher)
{
    const qn_grammar *grammar = matcher->automaton.g;
    qn_automaton fresh;
    uint32_t start;
    matcher->state = matcher->start;
    if (matcher->start != QN_DEAD) return QN_OK;
    QN_TRY(qn__automaton_create(grammar, &fresh, &start));
    forget_masks(matcher);
    qn__automaton_free(&matcher->automaton);
    matcher->automaton = fresh;
    matcher->state = matcher->start = start;
    return QN_OK;
}

/* Between walks, when nobody holds a state. */
static qn_status make_room(qn_grammar_matcher *m)
{
    if (m->mask_bytes > MASK_BYTES) forget_masks(m);
    if (!qn__automaton_full(&m->automaton)) return QN_OK;
    forget_masks(m);
    m->start = QN_DEAD;
    return qn__automaton_forget(&m->automaton, &m->state);
}

/* ---- bytes and tokens ---- */

qn_status qn_grammar_matcher_bytes(qn_grammar_matcher *matcher, const char *text, size_t bytes,
                                   bool *fits)
{
    qn_grammar_matcher *m = matcher;
    uint32_t before = m->state;
    *fits = false;
    for (size_t i = 0; i < bytes; i++) {
        uint32_t next;
        if (i == 0) {
            QN_TRY(make_room(m));
            before = m->state;
        }
        QN_TRY(qn__automaton_go(&m->automaton, m->state, (uint8_t)text[i], &next));
        m->state = next;
        if (next != QN_DEAD) continue;
        m->state = before;
        return QN_OK;
    }
    *fits = true;
    return QN_OK;
}

bool qn_grammar_matcher_whole(const qn_grammar_matcher *matcher, bool *ends)
{
    const qn_state *state = &matcher->automaton.states[matcher->state];
    if (ends) *ends = state->whole && state->count == 0;
    return state->whole;
}

size_t qn_grammar_matcher_words(const qn_grammar_matcher *matcher)
{
    return matcher->words;
}

qn_status qn_grammar_matcher_accept(qn_grammar_matcher *matcher, int32_t token)
{
    qn_grammar_matcher *m = matcher;
    size_t bytes = 0;
    bool fits = false, inside = token >= 0 && token < m->vocab;
    if (inside && (m->ends[token / 32] >> token % 32 & 1)) fits = qn_grammar_matcher_whole(m, NULL);
    else if (inside && !qn_tokenizer_is_control(m->tokenizer, token)) {
        const char *text = qn_tokenizer_token_bytes(m->tokenizer, token, &bytes);
        if (bytes > 0) QN_TRY(qn_grammar_matcher_bytes(m, text, bytes, &fits));
    }
    QN_CHECK(fits, "the grammar does not allow token %d here", token);
    return QN_OK;
}

static qn_status fill_mask(qn_grammar_matcher *m, uint32_t *mask)
{
    m->walk[0] = m->state;
    for (uint32_t i = 0; i < m->trie_count;) {
        const trie_node *node = &m->trie[i];
        uint32_t next;
        QN_TRY(qn__automaton_go(&m->automaton, m->walk[node->depth - 1], node->byte, &next));
        if (next == QN_DEAD) {
            i = node->skip;
            continue;
        }
        m->walk[node->depth] = next;
        for (uint32_t t = i ? m->trie[i - 1].token_end : 0; t < node->token_end; t++)
            mask[m->tokens[t] / 32] |= 1u << m->tokens[t] % 32;
        i++;
    }
    if (qn_grammar_matcher_whole(m, NULL))
        for (size_t w = 0; w < m->words; w++) mask[w] |= m->ends[w];
    return QN_OK;
}

qn_status qn_grammar_matcher_allowed(qn_grammar_matcher *matcher, const uint32_t **allowed)
{
    qn_grammar_matcher *m = matcher;
    QN_CHECK(m->tokenizer, "this matcher was made without a tokenizer: it has no tokens");
    QN_TRY(make_room(m));
    if (m->state >= m->mask_room) {
        uint32_t room = m->automaton.state_room;
        uint32_t **masks = realloc(m->masks, room * sizeof *masks);
        if (!masks) return qn__fail(QN_OS_ERROR, "out of memory");
        memset(masks + m->mask_room, 0, (room - m->mask_room) * sizeof *masks);
        m->masks = masks;
        m->mask_room = room;
    }
    if (!m->masks[m->state]) {
        uint32_t *mask = calloc(m->words + 1, sizeof *mask);
        qn_status status = mask ? fill_mask(m, mask) : qn__fail(QN_OS_ERROR, "out of memory");
        if (status != QN_OK) {
            free(mask);
            return status;
        }
        m->masks[m->state] = mask;
        m->mask_bytes += m->words * sizeof *mask;
    }
    *allowed = m->masks[m->state];
    return QN_OK;
}
