#include "ops/choice.h"

#include "base/log.h"
#include "ops/case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qn__call_take(qn_call *call, const qn_choice *choice)
{
    call->variant = choice->variant;
    call->setting = choice->setting;
}

static int add_settings(const qn_call *call, const qn_variant *variant, qn_choice *list, int count)
{
    qn_call one = *call;
    one.variant = variant;
    one.setting = 0;
    int preset = variant->preset ? variant->preset(&one) : 0, rows = 1;
    for (rows = 0; variant->settings && variant->settings[rows].name;) rows++;
    if (count < QN_MAX_CHOICES) list[count++] = (qn_choice){variant, preset};
    for (int s = 0; s < rows && count < QN_MAX_CHOICES; s++)
        if (s != preset && !(variant->refuse_setting && variant->refuse_setting(&one, s)))
            list[count++] = (qn_choice){variant, s};
    return count;
}

int qn__call_choices(const qn_call *call, qn_choice list[QN_MAX_CHOICES])
{
    qn_call first = *call;
    if (qn__call_choose(&first, NULL) != QN_OK) return 0;
    int count = add_settings(call, first.variant, list, 0);
    for (const qn_variant *v = call->op->variants; v->name; v++)
        if (v != first.variant && v->order == first.variant->order && !v->only_forced &&
            !v->refuse(call))
            count = add_settings(call, v, list, count);
    return count;
}

const char *qn__choice_text(const qn_choice *choice, char *text, size_t bytes)
{
    const qn_variant *v = choice->variant;
    if (v->settings) snprintf(text, bytes, "%s/%s", v->name, v->settings[choice->setting].name);
    else snprintf(text, bytes, "%s", v->name);
    return text;
}

const char *qn__call_choice_text(const qn_call *call, char *text, size_t bytes)
{
    return qn__choice_text(&(qn_choice){call->variant, call->setting}, text, bytes);
}

/* The choice of this name among those of the call. */
static bool find_choice(const qn_call *call, const char *name, qn_choice *found)
{
    qn_choice list[QN_MAX_CHOICES];
    char text[QN_TUNING_TEXT];
    int count = qn__call_choices(call, list);
    for (int i = 0; i < count; i++) {
        if (strcmp(qn__choice_text(&list[i], text, sizeof text), name) != 0) continue;
        *found = list[i];
        return true;
    }
    return false;
}

static bool find_entry(const qn_call *call, const qn_tuning *tuning, qn_choice *found)
{
    char line[512];
    qn_tuned entry;
    if (!tuning || qn__tuning_count(tuning) == 0) return false;
    return qn__tuning_find(tuning, qn__call_text(call, line, sizeof line), &entry) &&
           find_choice(call, entry.choice, found);
}

qn_status qn__call_choose_tuned(qn_call *call, const char *force, const qn_tuning *tuning,
                                bool *tuned)
{
    qn_choice choice;
    if (tuned) *tuned = false;
    QN_TRY(qn__call_choose(call, force));
    if (force || !find_entry(call, tuning, &choice)) return QN_OK;
    QN_ASSERT(choice.variant->order == call->variant->order);
    qn__call_take(call, &choice);
    if (tuned) *tuned = true;
    return QN_OK;
}

void qn__call_reset(qn_call *call, const qn_call *timed, const qn_tuning *tuning,
                    uint64_t scratch_bytes)
{
    const qn_variant *v = call->variant;
    int before = call->setting;
    qn_choice choice;
    if (!v->settings) return;
    call->setting = 0;
    call->setting = v->preset ? v->preset(call) : 0;
    if (timed && find_entry(timed, tuning, &choice) && choice.variant == v &&
        !(v->refuse_setting && v->refuse_setting(call, choice.setting)))
        call->setting = choice.setting;
    if (v->scratch && v->scratch(call) > scratch_bytes) call->setting = before;
}

/* ---- entries that are not what they say ---- */

typedef struct checking {
    qn_tuning *tuning;
    const qn_caps *caps;
    char why[256];
    int dropped;
} checking;

static void check_entry(void *user, const char *line, const qn_tuned *entry)
{
    checking *c = user;
    qn_call call;
    qn_choice choice;
    qn_status status = qn__case_parse(line, &call);
    call.caps = c->caps;
    if (status == QN_OK && find_choice(&call, entry->choice, &choice)) return;
    if (c->dropped++ == 0)
        snprintf(c->why, sizeof c->why, "\"%.60s\" for \"%.120s\"", entry->choice, line);
    qn__tuning_drop(c->tuning, line);
}

void qn__tuning_check(qn_tuning *tuning, const qn_caps *caps, const char *origin)
{
    checking c = {.tuning = tuning, .caps = caps};
    qn__tuning_each(tuning, check_entry, &c);
    if (c.dropped)
        qn__log(QN_LOG_WARN,
                "%s: %d tuning entries are passed over, such as %s: not a choice of that call on "
                "%s; `quernel tune` times it again",
                origin, c.dropped, c.why, caps->name);
}

qn_tuning *qn__tuned(qn_device *device)
{
    bool fresh;
    qn_tuning *tuning = qn__device_tuning(device, &fresh);
    if (!tuning || !fresh) return tuning;
    char *path = qn__tuning_path(qn__device_caps(device));
    qn__tuning_check(tuning, qn__device_caps(device), path ? path : "the tuning file");
    free(path);
    return tuning;
}
