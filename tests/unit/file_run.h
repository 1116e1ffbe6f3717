/* A toy run for the tests of checkpoints: saving a step, and loading the newest with every value
 * compared. */
#ifndef FILE_RUN_H
#define FILE_RUN_H

#include "file_support.h"

#include "file/checkpoint.h"

enum { ELEMENTS = 24 };

/* The weights of (step, version): every byte depends on both. */
static inline void fill(float *values, int64_t step, int version)
{
    for (int i = 0; i < ELEMENTS; i++) values[i] = (float)(step * 1000 + version * 100 + i);
}

static inline qn_status write_payload(qn_checkpoint_writer *writer, const char *name, int64_t step,
                                      int version)
{
    qn_safetensors_writer *payload;
    float values[ELEMENTS];
    qn_shape shape = qn_shape_make(2, 4, ELEMENTS / 4), half = qn_shape_make(1, ELEMENTS / 2);
    fill(values, step, version);
    qn_status status = qn__checkpoint_payload(writer, name, &payload);
    if (status != QN_OK) return status;
    status = qn__safetensors_writer_declare(payload, "w", QN_F32, &shape);
    if (status == QN_OK) status = qn__safetensors_writer_declare(payload, "b", QN_F32, &half);
    if (status == QN_OK) status = qn__safetensors_writer_add(payload, "w", values, sizeof values);
    if (status == QN_OK)
        status = qn__safetensors_writer_add(payload, "b", values, sizeof values / 2);
    if (status == QN_OK) return qn__checkpoint_payload_end(writer, &payload);
    qn__safetensors_writer_destroy(&payload);
    return status;
}

static inline qn_status save(const char *run, int64_t step, int version)
{
    qn_checkpoint_writer *writer;
    qn_status status = qn__checkpoint_begin(run, step, &writer);
    if (status != QN_OK) return status;
    status = write_payload(writer, "weights.safetensors", step, version);
    if (status == QN_OK) status = write_payload(writer, "optimizer.safetensors", step, version);
    json_t *state = json_pack("{s:I, s:i, s:f}", "step", (json_int_t)step, "version", version,
                              "loss", 1.0 / 3);
    if (status == QN_OK) status = qn__checkpoint_commit(&writer, state);
    else qn__checkpoint_abort(&writer);
    json_decref(state);
    return status;
}

/* Step and version of what loads, every value compared; -1 if there is nothing. */
static inline int64_t load(const char *run, bool verify, int *version)
{
    qn_checkpoint *checkpoint;
    float values[ELEMENTS];
    assert_ok(qn__checkpoint_open_newest(run, verify, &checkpoint));
    if (!checkpoint) return -1;
    int64_t step = qn__checkpoint_step(checkpoint);
    const json_t *state = qn__checkpoint_state(checkpoint);
    *version = (int)json_integer_value(json_object_get(state, "version"));
    assert_true(json_integer_value(json_object_get(state, "step")) == step);
    assert_true(json_real_value(json_object_get(state, "loss")) == 1.0 / 3);
    assert_int_equal(qn__checkpoint_file_count(checkpoint), 2);
    fill(values, step, *version);
    for (size_t i = 0; i < 2; i++) {
        const qn_range *w = qn__safetensors_find(qn__checkpoint_file_at(checkpoint, i), "w");
        const qn_range *b = qn__safetensors_find(qn__checkpoint_file_at(checkpoint, i), "b");
        assert_true(w && b && w->bytes == sizeof values && b->bytes == sizeof values / 2);
        assert_memory_equal(w->data, values, w->bytes);
        assert_memory_equal(b->data, values, b->bytes);
    }
    assert_non_null(qn__checkpoint_file(checkpoint, "weights.safetensors"));
    assert_null(qn__checkpoint_file(checkpoint, "other.safetensors"));
    qn__checkpoint_close(&checkpoint);
    return step;
}

#endif
