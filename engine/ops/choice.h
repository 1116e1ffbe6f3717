/* What may run a call: a variant and a setting of its knobs. The default follows from the call and
 * the capability record alone; an entry of a tuning may replace it by another choice of the same
 * sum order, so no bit of a result depends on what was timed. */
#ifndef QN_OPS_CHOICE_H
#define QN_OPS_CHOICE_H

#include "device/tuning.h"
#include "ops/op.h"

typedef struct qn_choice {
    const qn_variant *variant;
    int setting;
} qn_choice;

enum { QN_MAX_CHOICES = 32 };

/* All that apply to this call (its caps, descs and attributes) in the order of the default, which
 * is list[0]. 0 when no variant applies. Pure. */
int qn__call_choices(const qn_call *call, qn_choice list[QN_MAX_CHOICES]);
void qn__call_take(qn_call *call, const qn_choice *choice);

/* "wide/deep"; "plain" for a variant without settings. Returns text. */
const char *qn__choice_text(const qn_choice *choice, char *text, size_t bytes);
/* What the call runs as. */
const char *qn__call_choice_text(const qn_call *call, char *text, size_t bytes);

/* qn__call_choose; then, unless `force` is given, the entry of `tuning` (NULL: none) for this call.
 * An entry that is not a choice of this call, or adds in another order, is passed over. Pure.
 * *tuned, if wanted: an entry was followed, even to the default. */
qn_status qn__call_choose_tuned(qn_call *call, const char *force, const qn_tuning *tuning,
                                bool *tuned) QN_MUST_USE;
/* The setting of a call whose number of rows changed, its variant kept: the preset, or the entry's
 * of `timed`, the same call with the number of rows that was timed; NULL: none. Left as it is where
 * it would need more than `scratch_bytes`. Pure. */
void qn__call_reset(qn_call *call, const qn_call *timed, const qn_tuning *tuning,
                    uint64_t scratch_bytes);

/* Drop the entries that are not choices of the call they name on this device, with one warning;
 * `origin` (a file) is for it. Entries of other programs' ops are data, not orders. */
void qn__tuning_check(qn_tuning *tuning, const qn_caps *caps, const char *origin);
/* Entries for this device, from its file, checked: the first time reads. Owned by the device; never
 * NULL but when memory is out. */
qn_tuning *qn__tuned(qn_device *device);

#endif
