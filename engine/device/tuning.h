/* Tuning entries: what was timed on a device, by case line. Here they are texts; ops/choice.h gives
 * them meaning. Kept in a file for each device, driver, version and set of kernel sources:
 *
 *   {"format": 1, "device": "...", "driver": "...", "entries": {
 *     "matmul : a=f32[64,768] b=f32[768,768]":
 *       {"choice": "wide/deep", "default": "wide/auto", "default_ms": 0.41, "best_ms": 0.36}}} */
#ifndef QN_DEVICE_TUNING_H
#define QN_DEVICE_TUNING_H

#include "device/device.h"

enum { QN_TUNING_TEXT = 64 };

typedef struct qn_tuned {
    char choice[QN_TUNING_TEXT]; /* the faster, or the default again */
    char preset[QN_TUNING_TEXT]; /* what the default was when this was timed */
    double preset_ms, choice_ms; /* medians; 0: not known */
} qn_tuned;

/* When entries are used: never; where there are some; or those missing are timed first. */
typedef enum qn_tune_mode { QN_TUNE_OFF, QN_TUNE_READ, QN_TUNE_ON } qn_tune_mode;
/* "off", "read", "on"; NULL or "": $QN_TUNE, else read. QN_BAD_ARGUMENT names what it was. */
qn_status qn__tune_mode(const char *word, qn_tune_mode *mode) QN_MUST_USE;
const char *qn__tune_mode_name(qn_tune_mode mode);

qn_status qn__tuning_create(qn_tuning **tuning) QN_MUST_USE;
void qn__tuning_destroy(qn_tuning **tuning);
int qn__tuning_count(const qn_tuning *tuning);
bool qn__tuning_find(const qn_tuning *tuning, const char *line, qn_tuned *entry);
/* Adds or replaces; remembered as new until it is kept. */
qn_status qn__tuning_set(qn_tuning *tuning, const char *line, const qn_tuned *entry) QN_MUST_USE;
void qn__tuning_drop(qn_tuning *tuning, const char *line);
/* Calls fn for every entry; fn may drop the one that it was called with. */
void qn__tuning_each(qn_tuning *tuning,
                     void (*fn)(void *user, const char *line, const qn_tuned *entry), void *user);

/* "entries" alone, as in the file and in a capability record. A new reference. */
json_t *qn__tuning_to_json(const qn_tuning *tuning);
/* Adds entries. An entry that cannot be one makes it QN_BAD_DATA, and nothing is added. */
qn_status qn__tuning_from_json(qn_tuning *tuning, const json_t *entries,
                               const char *origin) QN_MUST_USE;

/* Where the entries of this device are kept; NULL when there is no cache folder. Free it. */
char *qn__tuning_path(const qn_caps *caps);
/* Entries of a file; a missing file has none, one that is damaged is passed over with a warning. */
void qn__tuning_load(qn_tuning *tuning, const char *path);
/* Write what is new into the file, beside what other processes wrote since. */
qn_status qn__tuning_keep(qn_tuning *tuning, const char *path, const qn_caps *caps) QN_MUST_USE;

/* The entries of an open device, loaded when first asked for. *fresh: just now. NULL: no memory. */
qn_tuning *qn__device_tuning(qn_device *device, bool *fresh);

#endif
