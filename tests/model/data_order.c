/* The order of the data: a run over packed documents, stopped anywhere, goes on with the samples it
 * would have had, bit for bit; another order is refused, other data warned of; and a step's loss
 * and gradient weigh tokens, not leaves. */
#include "model/trainer_run.h"

#include <quernel/log.h>

enum { TALKS = 60 };

/* Conversations of very different lengths: the assistant says one word, or fifty. */
static const char *write_talks(const tiny_run *run, int odd)
{
    bytes text = {0};
    for (int i = 0; i < TALKS; i++) {
        char line[128];
        snprintf(line, sizeof line,
                 "{\"messages\":[{\"role\":\"user\",\"content\":\"count to %d\"},"
                 "{\"role\":\"assistant\",\"content\":\"",
                 i * 7 % 23);
        put_text(&text, line);
        for (int n = 0; n <= i * i * 7 % (i % 3 ? 5 : 61); n++) {
            snprintf(line, sizeof line, "%s%d", n ? " " : "", i == 3 ? n + odd : n);
            put_text(&text, line);
        }
        put_text(&text, "\"}]}\n");
    }
    const char *path = path_in(run->root, "talks.jsonl");
    file_write(path, text.data, text.count);
    free(text.data);
    return path;
}

static qn_trainer *talks_trainer(const tiny_run *run, const char *out, const char *resume,
                                 const char *micro)
{
    const keys own = {.row = {{"text", ""},
                              {"data", path_in(run->root, "talks.jsonl")},
                              {"tokenizer", "bytes"},
                              {"context", "64"},
                              {"arch", "llama"},
                              {"micro_batch", micro},
                              {"resume", resume}}};
    return trainer_make(run, out, &own);
}

static void steps_to(qn_trainer *t, int64_t step, double *losses)
{
    qn_step_info info = {.size = sizeof info};
    while (t->step < step) {
        assert_ok(qn_trainer_step(t, &info));
        if (losses) losses[t->step] = info.loss;
    }
}

/* Stops on both sides of the end of an epoch. */
static void resumes(void **state)
{
    (void)state;
    tiny_run run = run_make();
    double alone_losses[64], losses[64], val, again;
    write_talks(&run, 0);
    qn_trainer *alone = talks_trainer(&run, "alone", "false", "2"),
               *t = talks_trainer(&run, "pieces", "false", "2");
    int64_t epoch = (int64_t)alone->data.train.samples.count / 8;
    assert_in_range(epoch, 3, 20);
    const int64_t stops[] = {1, epoch, epoch + 1, epoch + 3, 2 * epoch + 2};
    const int count = sizeof stops / sizeof stops[0];
    assert_true(alone->data.train.samples.how.documents && alone->training->packed);
    steps_to(alone, stops[count - 1], alone_losses);
    for (int i = 0; i < count; i++) {
        steps_to(t, stops[i], losses);
        assert_ok(qn_trainer_save(t));
        qn_trainer_destroy(&t);
        t = talks_trainer(&run, "pieces", "true", "2");
        assert_int_equal(t->step, stops[i]);
        assert_true(t->data.cached);
    }
    assert_memory_equal(losses + 1, alone_losses + 1, (size_t)stops[count - 1] * sizeof losses[0]);
    assert_same_state(alone, t);
    assert_ok(qn_trainer_validate(alone, &val));
    assert_ok(qn_trainer_validate(t, &again));
    assert_true(val == again && val > 0);
    qn_trainer_destroy(&alone);
    qn_trainer_destroy(&t);
    run_drop(&run);
}

/* ---- another order ---- */

static char warning[1024];

static void note_warning(void *user, qn_log_level level, const char *line)
{
    (void)user;
    if (level == QN_LOG_WARN) snprintf(warning, sizeof warning, "%s", line);
}

static qn_status resume_with(const tiny_run *run, const char *key, const char *value)
{
    qn_train_options *o;
    qn_trainer *t = NULL;
    const char *const usual[][2] = {{"data", path_in(run->root, "talks.jsonl")},
                                    {"out", path_in(run->root, "out")},
                                    {"tokenizer", "bytes"},
                                    {"layers", "2"},
                                    {"heads", "2"},
                                    {"embed", "32"},
                                    {"context", "64"},
                                    {"batch", "8"},
                                    {"micro_batch", "2"},
                                    {"dropout", "0.1"},
                                    {"arch", "llama"},
                                    {"resume", "true"},
                                    {"sample_tokens", "0"}};
    assert_ok(qn_train_options_create(&o));
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        assert_ok(qn_train_options_set(o, usual[i][0], usual[i][1]));
    if (key) assert_ok(qn_train_options_set(o, key, value));
    qn_status status = qn_trainer_create(o, run->device, NULL, NULL, &t);
    qn_trainer_destroy(&t);
    qn_train_options_destroy(&o);
    return status;
}

static void other_order(void **state)
{
    (void)state;
    tiny_run run = run_make();
    write_talks(&run, 0);
    qn_trainer *t = talks_trainer(&run, "out", "false", "2");
    steps_to(t, 1, NULL);
    assert_ok(qn_trainer_save(t));
    qn_trainer_destroy(&t);
    qn_log_set(note_warning, NULL, QN_LOG_WARN);
    assert_ok(resume_with(&run, NULL, NULL));
    assert_ok(resume_with(&run, "packing", "documents")); /* what auto was */
    assert_string_equal(warning, "");
    assert_int_equal(resume_with(&run, "packing", "stream"), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "--packing documents"));
    assert_int_equal(resume_with(&run, "shuffle", "random"), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "--shuffle permutation"));
    assert_int_equal(resume_with(&run, "seed", "3"), QN_BAD_ARGUMENT);
    write_talks(&run, 1); /* one number of one answer */
    assert_ok(resume_with(&run, NULL, NULL));
    assert_non_null(strstr(warning, "data changed"));
    qn_log_set(NULL, NULL, QN_LOG_WARN);
    run_drop(&run);
}

/* ---- weights ---- */

/* Leaves of one sequence have from a few to sixty learned tokens; as one leaf or as eight, a step
 * has the same loss and the same gradient. A mean of the leaves' means would not. */
static void tokens_weigh_the_same(void **state)
{
    (void)state;
    tiny_run run = run_make();
    qn_step_info whole = {.size = sizeof whole}, parts = {.size = sizeof parts};
    double mean = 0;
    int64_t least = INT64_MAX, most = 0, all = 0, rows = 0;
    write_talks(&run, 0);
    const char *const micros[] = {"8", "1"};
    qn_step_info *infos[] = {&whole, &parts};
    for (int i = 0; i < 2; i++) {
        const keys own = {.row = {{"text", ""},
                                  {"data", path_in(run.root, "talks.jsonl")},
                                  {"tokenizer", "bytes"},
                                  {"context", "64"},
                                  {"dropout", "0"},
                                  {"micro_batch", micros[i]}}};
        qn_trainer *t = trainer_make(&run, micros[i], &own);
        assert_ok(qn_trainer_step(t, infos[i]));
        for (int64_t leaf = 0; i == 1 && leaf < 8; leaf++) {
            float losses[64];
            double sum = 0;
            int64_t learned = 0;
            assert_ok(qn__samples_of_step(&t->data.train.samples, 0, 8, leaf, t->ids, t->targets,
                                          t->positions));
            assert_ok(qn__store_select(t->training->store, "leaf", (int)leaf));
            assert_ok(qn_store_read(t->training->store, "train.loss", losses, sizeof losses));
            for (int r = 0; r < 64; r++) {
                sum += (double)losses[r];
                learned += t->targets[r] >= 0;
            }
            if (learned > 0) mean += sum / (double)learned / 8;
            if (learned < least) least = learned;
            if (learned > most) most = learned;
            all += learned;
            rows += 64;
        }
        qn_trainer_destroy(&t);
    }
    assert_true(least * 2 < most && all * 10 < rows * 9); /* there is something to weigh */
    if (fabs(whole.loss - parts.loss) > 1e-6 * whole.loss ||
        fabs(whole.grad_norm - parts.grad_norm) > 1e-5 * whole.grad_norm)
        fail_msg("loss %.9f and %.9f, norm %.9f and %.9f", whole.loss, parts.loss, whole.grad_norm,
                 parts.grad_norm);
    assert_true(fabs(mean - parts.loss) > 1e-5 * parts.loss);
    run_drop(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resumes), cmocka_unit_test(other_order),
                                       cmocka_unit_test(tokens_weigh_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
