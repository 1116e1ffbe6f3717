/* Checkpoints that survive a kill, a power cut or a full disk at any instant.
 *
 *   run/step-00000123/weights.safetensors, optimizer.safetensors, ..., MANIFEST.json
 *
 * A checkpoint is written as step-00000123.tmp; its manifest, which has the size and hash of every
 * file and of every tensor, comes last; the folder then gets its name. What has no manifest that
 * fits does not exist. Writing an existing step again moves the old one to step-00000123.old first
 * and removes it last; the loader knows that name too. One process (rank 0) begins and commits; no
 * two runs may share a folder. */
#ifndef QN_FILE_CHECKPOINT_H
#define QN_FILE_CHECKPOINT_H

#include "file/safetensors.h"

typedef struct qn_checkpoint_writer qn_checkpoint_writer;

/* Begin the checkpoint of `step` in `[0, 10^18)` under the folder of a run, which is made if it is
 * missing. Removes what saves that crashed have left. */
qn_status qn__checkpoint_begin(const char *run, int64_t step,
                               qn_checkpoint_writer **writer) QN_MUST_USE;
/* Another rank's way in, once rank 0 has begun: it may add payloads, and then hands its records to
 * rank 0 and calls _leave. */
qn_status qn__checkpoint_join(const char *run, int64_t step,
                              qn_checkpoint_writer **writer) QN_MUST_USE;

/* One payload file, `name` like "weights.safetensors". Declare and add tensors, then hand it to
 * _payload_end, which destroys it, also on failure; several may be open at once. */
qn_status qn__checkpoint_payload(qn_checkpoint_writer *writer, const char *name,
                                 qn_safetensors_writer **payload) QN_MUST_USE;
qn_status qn__checkpoint_payload_end(qn_checkpoint_writer *writer,
                                     qn_safetensors_writer **payload) QN_MUST_USE;

/* A JSON array: what this rank wrote. Borrowed. */
const json_t *qn__checkpoint_records(const qn_checkpoint_writer *writer);
/* Rank 0: what another rank wrote. */
qn_status qn__checkpoint_add_records(qn_checkpoint_writer *writer,
                                     const json_t *records) QN_MUST_USE;

/* Make it exist: `state` is any JSON object (data cursor, RNG keys, layout, options) and comes back
 * on loading. Destroys the writer, also on failure: then the checkpoints that were there are whole,
 * and the unfinished one is gone. */
qn_status qn__checkpoint_commit(qn_checkpoint_writer **writer, const json_t *state) QN_MUST_USE;
/* Give up: removes the unfinished folder. Destroy open payloads first. */
void qn__checkpoint_abort(qn_checkpoint_writer **writer);
/* A rank that joined is done. */
void qn__checkpoint_leave(qn_checkpoint_writer **writer);

/* Remove all but the newest `keep` (>= 1) whole checkpoints, each manifest first. best: a member of
 * their states, like "val_loss"; the one with the lowest such number (the newest of equals) stays
 * too. NULL: none does. Nothing but the manifests says which one that is. */
qn_status qn__checkpoint_trim(const char *run, int keep, const char *best) QN_MUST_USE;

typedef struct qn_checkpoint qn_checkpoint;

/* The newest checkpoint whose manifest and sizes are right and, with `verify`, all hashes too. The
 * log says which newer ones were refused, and why. *checkpoint is NULL with QN_OK when the run has
 * none at all; if it has some and none is right, that is QN_BAD_DATA. */
qn_status qn__checkpoint_open_newest(const char *run, bool verify,
                                     qn_checkpoint **checkpoint) QN_MUST_USE;
/* One checkpoint, by its folder. */
qn_status qn__checkpoint_open(const char *folder, bool verify,
                              qn_checkpoint **checkpoint) QN_MUST_USE;
void qn__checkpoint_close(qn_checkpoint **checkpoint);

int64_t qn__checkpoint_step(const qn_checkpoint *checkpoint);
const char *qn__checkpoint_folder(const qn_checkpoint *checkpoint);
/* What was given to _commit. Borrowed. */
const json_t *qn__checkpoint_state(const qn_checkpoint *checkpoint);
/* Payload files, by number and by name (NULL when absent). Borrowed. */
size_t qn__checkpoint_file_count(const qn_checkpoint *checkpoint);
const qn_safetensors *qn__checkpoint_file_at(const qn_checkpoint *checkpoint, size_t i);
const qn_safetensors *qn__checkpoint_file(const qn_checkpoint *checkpoint, const char *name);
/* Read everything and compare hashes; QN_BAD_DATA names the file and the tensor. */
qn_status qn__checkpoint_verify(const qn_checkpoint *checkpoint) QN_MUST_USE;

#endif
