/* What reading and writing checkpoints share; nobody else includes it. */
#ifndef QN_FILE_CHECKPOINT_INTERNAL_H
#define QN_FILE_CHECKPOINT_INTERNAL_H

#include "file/checkpoint.h"

#define QN_MANIFEST "MANIFEST.json"
#define QN_MANIFEST_FORMAT "quernel-checkpoint"

enum { QN_MANIFEST_VERSION = 1, QN_HASH_TEXT = 17 };

/* In order of preference when several have the same step. */
typedef enum qn_step_kind { QN_STEP_WHOLE, QN_STEP_OLD, QN_STEP_TMP } qn_step_kind;

typedef struct qn_step_folder {
    int64_t step;
    qn_step_kind kind;
} qn_step_folder;

/* The folders of a run, newest first, whole before old before unfinished; the caller frees *steps.
 * Anything whose name is not exactly ours, and links, are passed over. */
qn_status qn__checkpoint_scan(const char *run, qn_step_folder **steps, size_t *count) QN_MUST_USE;
/* "run/step-00000123.tmp": the caller frees *path. */
qn_status qn__checkpoint_path(const char *run, int64_t step, qn_step_kind kind,
                              char **path) QN_MUST_USE;
enum { QN_STEP_ANY = -1 };

/* Are the manifest, its step and the sizes right? Opens no payload. `manifest` may be NULL; else
 * the caller owns *manifest. */
qn_status qn__checkpoint_check(const char *folder, int64_t step, json_t **manifest) QN_MUST_USE;
/* Hash of a manifest without its own "hash" member. */
qn_status qn__checkpoint_manifest_hash(const json_t *manifest,
                                       char text[QN_HASH_TEXT]) QN_MUST_USE;
/* Remove a folder and its files, the manifest first and for good, so that half of it is nothing. */
qn_status qn__checkpoint_remove(const char *folder) QN_MUST_USE;

#endif
