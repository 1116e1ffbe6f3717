#include "ops/tune.h"

#include "base/clock.h"
#include "base/log.h"
#include "device/race.h"
#include "ops/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPEATS = 256 };
/* A sample is that long, so that the clock and the wait at its end do not count. */
static const double sample_seconds = 2e-3;
/* Above these a more general variant is not worth a try, and a try could take seconds. */
static const double small_flops = 1 << 25, small_bytes = 1 << 23;

int qn__call_candidates(const qn_call *call, qn_choice list[QN_MAX_CHOICES])
{
    const qn_op_row *row = qn__op_row(qn__op_id(call->op));
    int count = qn__call_choices(call, list), kept = count > 0;
    qn_cost cost = qn__call_cost(call);
    bool small = cost.flops <= small_flops && cost.bytes <= small_bytes, data = false;
    for (int i = 0; i < row->in_count; i++) data |= call->in[i].there && row->in[i].integer;
    if (cost.flops <= 0 && cost.bytes <= 0) data = true; /* nothing to do takes no time */
    for (int i = 1; i < count && !data; i++)
        if (list[i].variant == list[0].variant || (small && list[i].variant != list[i - 1].variant))
            list[kept++] = list[i];
    return kept;
}

/* ---- on the device ---- */

typedef struct bench {
    const qn_timer *timer;
    const qn_call *call; /* as asked, without memory */
    const qn_choice *list;
    qn_rig rig;
    qn_exec exec[QN_MAX_CHOICES];
    int repeats;
} bench;

static qn_status run_on_device(bench *b, int candidate, double *seconds)
{
    qn__call_take(&b->rig.call, &b->list[candidate]);
    QN_TRY(qn__rig_scratch(&b->rig));
    double start = qn__seconds();
    QN_TRY(qn__rig_run(&b->rig, &b->exec[candidate], b->repeats));
    *seconds = (qn__seconds() - start) / b->repeats;
    return QN_OK;
}

static qn_status run(void *user, int candidate, double *seconds)
{
    bench *b = user;
    if (b->timer->timing)
        return b->timer->timing(b->timer->user, b->call, &b->list[candidate], seconds);
    return run_on_device(b, candidate, seconds);
}

static bool over(void *user)
{
    const bench *b = user;
    return b->timer->over && b->timer->over(b->timer->user);
}

/* The default twice: once to build it, once to see how often a sample must run it. */
static qn_status calibrate(bench *b)
{
    double seconds;
    b->repeats = 1;
    QN_TRY(run_on_device(b, 0, &seconds));
    QN_TRY(run_on_device(b, 0, &seconds));
    double repeats = seconds > 0 ? sample_seconds / seconds : MAX_REPEATS;
    b->repeats = repeats < 1 ? 1 : repeats > MAX_REPEATS ? MAX_REPEATS : (int)repeats;
    return QN_OK;
}

/* ---- the same bits ---- */

static uint64_t result_bytes(const qn_call *call)
{
    uint64_t bytes = 0;
    for (int o = 0; o < QN_OP_MAX_OUT; o++)
        if (call->out[o].there && !call->backward) bytes += qn__desc_bytes(&call->out[o].desc);
    for (int i = 0; i < QN_OP_MAX_IN; i++)
        if (call->din[i].there) bytes += qn__desc_bytes(&call->din[i].desc);
    return bytes;
}

static qn_status read_one(const qn_operand *operand, char **to)
{
    uint64_t bytes = qn__desc_bytes(&operand->desc);
    if (bytes) QN_TRY(qn__buffer_read(operand->buffer, operand->offset, *to, bytes));
    *to += bytes;
    return QN_OK;
}

/* Fresh operands, one run, all that came out. */
static qn_status results_of(bench *b, int candidate, char *to)
{
    const qn_call *call = &b->rig.call;
    QN_TRY(qn__rig_fill(&b->rig));
    qn__call_take(&b->rig.call, &b->list[candidate]);
    QN_TRY(qn__rig_scratch(&b->rig));
    QN_TRY(qn__rig_run(&b->rig, &b->exec[candidate], 1));
    for (int o = 0; o < QN_OP_MAX_OUT; o++)
        if (call->out[o].there && !call->backward) QN_TRY(read_one(&call->out[o], &to));
    for (int i = 0; i < QN_OP_MAX_IN; i++)
        if (call->din[i].there) QN_TRY(read_one(&call->din[i], &to));
    return QN_OK;
}

static qn_status same_bits(bench *b, int winner, bool *same)
{
    uint64_t bytes = result_bytes(&b->rig.call);
    char *results = malloc(2 * bytes + 1);
    if (!results) return qn__fail(QN_OS_ERROR, "out of memory");
    qn_status status = results_of(b, 0, results);
    if (status == QN_OK) status = results_of(b, winner, results + bytes);
    *same = status == QN_OK && memcmp(results, results + bytes, bytes) == 0;
    free(results);
    return status;
}

/* ---- a call ---- */

static qn_status race(bench *b, int count, qn_race_result *result)
{
    qn_race race = {.candidates = count, .runs = 9, .run = run, .over = over, .user = b};
    bool same = true;
    if (!b->timer->timing) {
        QN_TRY(qn__rig_make(b->timer->device, b->call, &b->rig));
        QN_TRY(calibrate(b));
    }
    QN_TRY(qn__race(&race, result));
    if (result->winner && !b->timer->timing) QN_TRY(same_bits(b, result->winner, &same));
    if (same) return QN_OK;
    char line[512], choice[QN_TUNING_TEXT];
    qn__log(QN_LOG_WARN, "%s as %s does not give the bits of the default: it is not used",
            qn__call_text(b->call, line, sizeof line),
            qn__choice_text(&b->list[result->winner], choice, sizeof choice));
    result->winner = 0;
    result->seconds[1] = result->seconds[0];
    return QN_OK;
}

qn_status qn__call_tune(const qn_timer *timer, const qn_call *call, qn_tuned *entry, bool *finished)
{
    qn_choice list[QN_MAX_CHOICES];
    qn_race_result result = {0};
    bench b = {.timer = timer, .call = call, .list = list, .repeats = 1};
    int count = qn__call_candidates(call, list);
    *entry = (qn_tuned){0};
    *finished = false;
    if (count == 0) return qn__fail(QN_INTERNAL, "a call that nothing can run");
    for (int i = 0; i < count; i++) b.exec[i].device = timer->device;
    qn_status status = race(&b, count, &result);
    for (int i = 0; i < count; i++) qn__exec_free(&b.exec[i]);
    qn__rig_free(&b.rig);
    QN_TRY(status);
    *finished = result.finished;
    qn__choice_text(&list[0], entry->preset, sizeof entry->preset);
    qn__choice_text(&list[result.winner], entry->choice, sizeof entry->choice);
    entry->preset_ms = result.seconds[0] * 1e3;
    entry->choice_ms = result.seconds[1] * 1e3;
    return QN_OK;
}
