/* A tiny run for the tests of the trainer: a text of a few words, a folder of its own, and the
 * whole state (weights and moments, losses) compared bit for bit. */
#ifndef TRAINER_RUN_H
#define TRAINER_RUN_H

#include "unit/file_support.h"

#include "train/trainer.h"

#include <math.h>

enum { MAX_KEYS = 24 };

typedef struct keys {
    const char *row[MAX_KEYS][2]; /* ended by NULL */
} keys;

typedef struct tiny_run {
    qn_device *device;
    char *root; /* text.txt, and the folder of the run: out */
} tiny_run;

static inline tiny_run run_make(void)
{
    static const char *const words[] = {"mill ",  "grain ", "stone ", "wheel ",
                                        "flour ", "water ", "wind ",  "bread "};
    tiny_run run = {.root = folder_make()};
    bytes text = {0};
    uint32_t at = 1;
    for (int i = 0; i < 1500; i++) {
        at = at * 1664525u + 1013904223u;
        put_text(&text, words[at >> 29]);
    }
    file_write(path_in(run.root, "text.txt"), text.data, text.count);
    free(text.data);
    assert_ok(qn_device_open(NULL, &run.device));
    return run;
}

static inline void run_drop(tiny_run *run)
{
    qn_device_close(&run->device);
    folder_drop(run->root);
}

/* A GPT-2 of two blocks with dropout, in leaves; `own` keys come on top. */
static inline qn_trainer *trainer_make(const tiny_run *run, const char *out, const keys *own)
{
    static const char *const usual[][2] = {
        {"tokenizer", "char"}, {"layers", "2"},     {"heads", "2"},       {"embed", "32"},
        {"context", "16"},     {"batch", "8"},      {"micro_batch", "2"}, {"dropout", "0.1"},
        {"steps", "100000"},   {"save_every", "0"}, {"lr", "3e-3"},       {"sample_tokens", "0"}};
    qn_train_options *o;
    qn_trainer *t;
    assert_ok(qn_train_options_create(&o));
    assert_ok(qn_train_options_set(o, "text", path_in(run->root, "text.txt")));
    assert_ok(qn_train_options_set(o, "out", path_in(run->root, out)));
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        assert_ok(qn_train_options_set(o, usual[i][0], usual[i][1]));
    for (int i = 0; own && own->row[i][0]; i++)
        assert_ok(qn_train_options_set(o, own->row[i][0], own->row[i][1]));
    assert_ok(qn_trainer_create(o, run->device, NULL, NULL, &t));
    qn_train_options_destroy(&o);
    return t;
}

static inline void read_tensor(const qn_trainer *t, const char *prefix, const char *name, bytes *to)
{
    char full[160];
    qn_shape shape;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    qn_dtype dtype;
    assert_ok(qn_store_find(t->training->store, full, &dtype, &shape));
    size_t count = (size_t)qn_shape_elements(&shape) * (size_t)qn_dtype_bytes(dtype);
    void *values = malloc(count + 1);
    assert_ok(qn_store_read(t->training->store, full, values, count));
    put(to, values, count);
    free(values);
}

/* All that is trained, or with moments true all moments. */
static inline bytes state_bytes(const qn_trainer *t, bool moments)
{
    bytes all = {0};
    qn_weight weight;
    const qn_training *training = t->training;
    for (int cursor = 0;
         qn__trainable_next(&training->config, &training->lora, &cursor, &weight);) {
        if (!moments) read_tensor(t, "", weight.name, &all);
        if (moments) read_tensor(t, "m.", weight.name, &all);
        if (moments) read_tensor(t, "v.", weight.name, &all);
    }
    return all;
}

static inline void assert_same_bytes(bytes a, bytes b, const char *what)
{
    if (a.count != b.count || memcmp(a.data, b.data, a.count) != 0) fail_msg("%s differ", what);
    free(a.data);
    free(b.data);
}

static inline void assert_same_state(const qn_trainer *a, const qn_trainer *b)
{
    assert_same_bytes(state_bytes(a, false), state_bytes(b, false), "weights");
    assert_same_bytes(state_bytes(a, true), state_bytes(b, true), "moments");
}

#endif
