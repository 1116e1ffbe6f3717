/* What the model has read stays in its cache: a turn costs its own tokens only. */
#include "talk.h"

#include <stdlib.h>
#include <string.h>

enum { FEED = 256 }; /* tokens between two looks for Ctrl-C */

static void drop(qn_said *said)
{
    free(said->role);
    free(said->content);
}

int qn__talk_add(qn_talk *talk, const char *role, const char *content, size_t bytes)
{
    if (talk->count == talk->capacity) {
        size_t more = talk->capacity ? 2 * talk->capacity : 16;
        qn_said *larger = realloc(talk->said, more * sizeof *larger);
        if (!larger) return qn__say_error(QN_EXIT_OS, "out of memory");
        talk->said = larger;
        talk->capacity = more;
    }
    qn_said said = {strdup(role), malloc(bytes + 1), bytes};
    if (!said.role || !said.content) {
        drop(&said);
        return qn__say_error(QN_EXIT_OS, "out of memory");
    }
    memcpy(said.content, content, bytes);
    said.content[bytes] = 0;
    talk->said[talk->count++] = said;
    return QN_GO_ON;
}

void qn__talk_cut(qn_talk *talk, size_t from)
{
    while (talk->count > from) drop(&talk->said[--talk->count]);
    talk->read = 0;
}

int qn__talk_open(qn_talk *talk)
{
    qn_status status = qn_session_create(talk->model, &talk->sampler, &talk->session);
    if (status == QN_OK && talk->shifts) /* learned positions cannot */
        talk->shifts = qn_session_shift(talk->session, 0, 0) == QN_OK;
    if (status == QN_OK && talk->grammar)
        status = qn_sampler_create(&talk->sampler, qn_model_get_config(talk->model)->vocab,
                                   &talk->chooser);
    if (status == QN_OK && talk->grammar)
        status = qn_grammar_matcher_create(talk->grammar, talk->tokenizer, &talk->matcher);
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

static void close_session(qn_talk *talk)
{
    qn_session_destroy(&talk->session);
    qn_sampler_destroy(&talk->chooser);
    qn_grammar_matcher_destroy(&talk->matcher);
}

void qn__talk_free(qn_talk *talk)
{
    qn__talk_cut(talk, 0);
    free(talk->said);
    talk->said = NULL;
    close_session(talk);
    qn_grammar_destroy(&talk->grammar);
}

int qn__talk_reseed(qn_talk *talk)
{
    talk->sampler.seed++;
    talk->read = 0;
    close_session(talk);
    return qn__talk_open(talk);
}

/* ---- tokens ---- */

typedef struct token_list {
    int32_t *ids;
    size_t count;
} token_list;

/* Messages [from, count) as tokens, with what opens the reply; follows: after an answer's end. */
static qn_status encode(const qn_talk *talk, size_t from, bool follows, token_list *list)
{
    const qn_chat_options options = {
        .size = sizeof options, .template_name = talk->family, .reply = true, .follows = follows};
    size_t count = talk->count - from;
    qn_message *messages = calloc(count + 1, sizeof *messages);
    if (!messages) return QN_OS_ERROR;
    for (size_t i = 0; i < count; i++)
        messages[i] = (qn_message){talk->said[from + i].role, talk->said[from + i].content,
                                   talk->said[from + i].bytes};
    qn_status status =
        qn_chat_encode(talk->tokenizer, &options, messages, count, &list->ids, NULL, &list->count);
    free(messages);
    return status;
}

/* What ends the assistant's turn: the learned end of an answer without words. */
static qn_status encode_end(const qn_talk *talk, token_list *list)
{
    const qn_chat_options options = {.size = sizeof options, .template_name = talk->family};
    const qn_message nothing = {"assistant", "", 0};
    uint8_t *learned = NULL;
    qn_status status =
        qn_chat_encode(talk->tokenizer, &options, &nothing, 1, &list->ids, &learned, &list->count);
    if (status != QN_OK) return status;
    size_t first = list->count;
    while (first > 0 && learned[first - 1]) first--;
    int32_t last = list->count ? list->ids[list->count - 1] : -1;
    if (qn_tokenizer_is_control(talk->tokenizer, last)) first = list->count - 1;
    list->count -= first;
    memmove(list->ids, list->ids + first, list->count * sizeof *list->ids);
    free(learned);
    return QN_OK;
}

static qn_status join(token_list *list, const token_list *more)
{
    int32_t *ids = malloc((list->count + more->count + 1) * sizeof *ids);
    if (!ids) return QN_OS_ERROR;
    if (list->count) memcpy(ids, list->ids, list->count * sizeof *ids);
    if (more->count) memcpy(ids + list->count, more->ids, more->count * sizeof *ids);
    free(list->ids);
    list->ids = ids;
    list->count += more->count;
    return QN_OK;
}

/* What shifting keeps: of the conversation's tokens those that the system's message alone has, too;
 * in any case the first. */
static void measure_keep(qn_talk *talk, const token_list *all)
{
    const qn_chat_options options = {.size = sizeof options, .template_name = talk->family};
    token_list list = {0};
    size_t same = 0;
    if (talk->count && strcmp(talk->said[0].role, "system") == 0) {
        const qn_message message = {talk->said[0].role, talk->said[0].content, talk->said[0].bytes};
        if (qn_chat_encode(talk->tokenizer, &options, &message, 1, &list.ids, NULL, &list.count) !=
            QN_OK)
            list.count = 0;
    }
    while (same < list.count && same < all->count && list.ids[same] == all->ids[same]) same++;
    talk->keep = same > 0 ? (int32_t)same : 1;
    free(list.ids);
}

/* Tokens that the session lacks; all of them when nothing was read. */
static qn_status missing(qn_talk *talk, token_list *list)
{
    *list = (token_list){0};
    if (talk->read == 0) {
        qn_session_reset(talk->session);
        if (talk->chooser) qn_sampler_rewind(talk->chooser, 0);
        qn_status read = encode(talk, 0, false, list);
        if (read == QN_OK) measure_keep(talk, list);
        return read;
    }
    token_list more = {0};
    qn_status status = encode_end(talk, list);
    if (status == QN_OK) status = encode(talk, talk->read, true, &more);
    if (status == QN_OK) status = join(list, &more);
    free(more.ids);
    return status;
}

/* Leave out the oldest question and its answer, not the system's message and not the last. */
static bool forget_oldest(qn_talk *talk)
{
    size_t first = talk->count && strcmp(talk->said[0].role, "system") == 0, end = first + 1;
    while (end < talk->count && strcmp(talk->said[end].role, "user") != 0) end++;
    if (end >= talk->count) return false;
    for (size_t i = first; i < end; i++) drop(&talk->said[i]);
    memmove(talk->said + first, talk->said + end, (talk->count - end) * sizeof *talk->said);
    talk->count -= end - first;
    talk->read = 0;
    return true;
}

/* Drop the oldest tokens, at least `need` and half of them; *done: there were so many. */
static qn_status shift(qn_talk *talk, int64_t need, bool *done)
{
    int32_t there = qn_session_length(talk->session) - talk->keep, drop = (there + 1) / 2;
    *done = talk->shifts && need <= there && there > 0;
    if (!*done) return QN_OK;
    if (drop < need) drop = (int32_t)need;
    qn_status status = qn_session_shift(talk->session, talk->keep, drop);
    if (status == QN_OK && !talk->told)
        qn__note("the context is full: from now on its oldest tokens are dropped; what follows is "
                 "an approximation (--no-context-shift reads the rest again instead)");
    talk->told = true;
    return status;
}

/* The tokens to feed, such that a reply of some length still fits. */
static int fit(qn_talk *talk, token_list *list)
{
    int64_t context = qn_model_get_config(talk->model)->context, room = context / 4;
    if (talk->tokens < room) room = talk->tokens;
    for (int left_out = 0;; left_out++) {
        qn_status status = missing(talk, list);
        if (status != QN_OK) return qn__say_status(status);
        int64_t used = qn_session_length(talk->session) + (int64_t)list->count;
        bool fits = used + room <= context;
        if (!fits && talk->read) {
            status = shift(talk, used + room - context, &fits);
            if (status != QN_OK) return qn__say_status(status);
        }
        if (fits && left_out)
            qn__note("the context is full: turns left out: %d, the oldest", left_out);
        if (fits) return QN_GO_ON;
        if (talk->read == 0 && !forget_oldest(talk)) {
            if (used < context) return QN_GO_ON;
            return qn__say_error(QN_EXIT_USAGE,
                                 "chat: %lld tokens are too many for a context of "
                                 "%lld",
                                 (long long)used, (long long)context);
        }
        if (talk->read) {
            talk->read = 0; /* read again from the start: a look whether that is shorter */
            left_out--;
        }
        free(list->ids);
    }
}

static int feed(qn_talk *talk, const token_list *list)
{
    double begin = qn__now_seconds();
    const float *logits;
    qn_status status = QN_OK;
    size_t at = 0;
    while (status == QN_OK && at < list->count && !qn__talk_interrupted()) {
        size_t some = list->count - at < FEED ? list->count - at : FEED;
        status = qn_session_feed(talk->session, list->ids + at, some);
        for (size_t i = 0; talk->chooser && status == QN_OK && i < some; i++)
            status = qn_sampler_accept(talk->chooser, list->ids[at + i]);
        at += some;
    }
    if (status == QN_OK && at > 0) status = qn_session_logits(talk->session, &logits);
    talk->fed = (int64_t)at;
    talk->feed_seconds = qn__now_seconds() - begin;
    return status == QN_OK ? QN_GO_ON : qn__say_status(status);
}

/* ---- the reply ---- */

typedef struct reply {
    qn_decoder *decoder;
    qn_stops *stops;
    FILE *text; /* a buffer */
    bool begun; /* something else than white space was said */
    bool found; /* a stop string */
} reply;

static int say(const qn_talk *talk, reply *r, const char *text, size_t bytes)
{
    for (; !r->begun && bytes && strchr(" \n\t", *text); bytes--) text++;
    if (bytes == 0) return QN_GO_ON;
    r->begun = true;
    fwrite(text, 1, bytes, r->text);
    if (talk->json || (fwrite(text, 1, bytes, stdout) == bytes && fflush(stdout) == 0))
        return QN_GO_ON;
    return QN_EXIT_WRITE;
}

static int pass(const qn_talk *talk, reply *r, const char *text, size_t bytes)
{
    const char *out;
    size_t out_bytes;
    qn_status status = qn_stops_push(r->stops, text, bytes, &out, &out_bytes, &r->found);
    return status == QN_OK ? say(talk, r, out, out_bytes) : qn__say_status(status);
}

/* What was held back, unless a stop string came. */
static int finish(const qn_talk *talk, reply *r)
{
    const char *text;
    size_t bytes;
    int code = QN_GO_ON;
    qn_status status = qn_decoder_finish(r->decoder, &text, &bytes);
    if (status == QN_OK && !r->found) code = pass(talk, r, text, bytes);
    if (status == QN_OK) status = qn_stops_finish(r->stops, &text, &bytes);
    if (status != QN_OK) return qn__say_status(status);
    return code == QN_GO_ON ? say(talk, r, text, bytes) : code;
}

static bool ends(const qn_talk *talk, int32_t token)
{
    return qn_tokenizer_is_end(talk->tokenizer, token) ||
           token == qn_model_get_config(talk->model)->eos ||
           token == qn_tokenizer_bos(talk->tokenizer);
}

/* One that the grammar allows, if there is one; an end is not accepted. */
static qn_status choose(qn_talk *talk, int32_t *token)
{
    const float *logits;
    const uint32_t *allowed;
    if (!talk->grammar) return qn_session_sample(talk->session, token);
    qn_status status = qn_session_logits(talk->session, &logits);
    if (status == QN_OK) status = qn_grammar_matcher_allowed(talk->matcher, &allowed);
    if (status == QN_OK) status = qn_sampler_choose(talk->chooser, logits, allowed, token);
    if (status != QN_OK || ends(talk, *token)) return status;
    status = qn_grammar_matcher_accept(talk->matcher, *token);
    return status == QN_OK ? qn_sampler_accept(talk->chooser, *token) : status;
}

static bool is_whole(const qn_talk *talk)
{
    bool last = false;
    return talk->grammar && qn_grammar_matcher_whole(talk->matcher, &last) && last;
}

static int make_tokens(qn_talk *talk, reply *r)
{
    const int32_t context = qn_model_get_config(talk->model)->context;
    for (talk->made = 0; talk->made < talk->tokens; talk->made++) {
        const char *text;
        size_t bytes;
        int32_t token;
        talk->why = "interrupted";
        if (qn__talk_interrupted()) return QN_GO_ON;
        bool room = qn_session_length(talk->session) < context;
        talk->why = "context";
        if (!room && !talk->shifts) return QN_GO_ON;
        talk->why = "end";
        qn_status status = choose(talk, &token);
        if (status == QN_OK && ends(talk, token)) return QN_GO_ON;
        talk->why = "context";
        if (status == QN_OK && !room) status = shift(talk, 1, &room);
        if (status == QN_OK && !room) return QN_GO_ON;
        if (status == QN_OK) status = qn_session_feed(talk->session, &token, 1);
        if (status == QN_OK) status = qn_decoder_push(r->decoder, token, &text, &bytes);
        if (status != QN_OK) return qn__say_status(status);
        talk->why = "stop";
        int code = pass(talk, r, text, bytes);
        if (code != QN_GO_ON || r->found) return code;
        talk->why = "grammar";
        if (is_whole(talk)) return QN_GO_ON;
    }
    talk->why = "tokens";
    return QN_GO_ON;
}

static int answer(qn_talk *talk, reply *r)
{
    qn_status status = qn_decoder_create(talk->tokenizer, false, &r->decoder);
    if (status == QN_OK) status = qn_stops_create(talk->stops, (size_t)talk->stop_count, &r->stops);
    if (status == QN_OK && talk->grammar) status = qn_grammar_matcher_reset(talk->matcher);
    if (status != QN_OK) return qn__say_status(status);
    double begin = qn__now_seconds();
    int code = make_tokens(talk, r);
    talk->seconds = qn__now_seconds() - begin;
    return code == QN_GO_ON ? finish(talk, r) : code;
}

int qn__talk_reply(qn_talk *talk)
{
    reply r = {0};
    token_list list = {0};
    char *text = NULL;
    size_t bytes = 0;
    talk->made = 0;
    talk->seconds = 0;
    talk->why = "interrupted";
    r.text = open_memstream(&text, &bytes);
    if (!r.text) return qn__say_error(QN_EXIT_OS, "out of memory");
    int code = fit(talk, &list);
    if (code == QN_GO_ON) code = feed(talk, &list);
    bool whole = code == QN_GO_ON && talk->fed == (int64_t)list.count;
    if (whole) code = answer(talk, &r);
    if (fclose(r.text) != 0) code = qn__say_error(QN_EXIT_OS, "out of memory");
    if (code == QN_GO_ON) code = qn__talk_add(talk, "assistant", text, bytes);
    /* After a stop string, or a question read in part, the cache holds what no message says. */
    talk->read = code == QN_GO_ON && whole && !r.found ? talk->count : 0;
    qn_decoder_destroy(&r.decoder);
    qn_stops_destroy(&r.stops);
    free(list.ids);
    free(text);
    return code;
}
