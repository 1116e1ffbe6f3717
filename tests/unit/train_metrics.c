/* What a run records, without a device: metrics.jsonl after kills, TensorBoard's framing, the count
 * of flops, and step infos of other sizes. */
#include "file_support.h"

#include "base/fs.h"
#include "train/events.h"
#include "train/metrics.h"

#include <dirent.h>
#include <math.h>
#include <quernel/model.h>

static qn_step_info info_of(int64_t step)
{
    return (qn_step_info){.size = sizeof(qn_step_info),
                          .step = step,
                          .steps = 9,
                          .loss = 1.0 / (double)step,
                          .grad_norm = NAN,
                          .val_loss = step % 2 ? NAN : 0.5,
                          .skipped = step == 3 ? "an outlier" : NULL,
                          .device_bytes = UINT64_C(1) << 40,
                          .mfu = 0.25,
                          .loss_scale = NAN};
}

static void add_steps(const char *folder, int64_t done, int64_t last)
{
    qn_metrics *metrics;
    assert_ok(qn__metrics_open(folder, done, &metrics));
    for (int64_t step = done + 1; step <= last; step++) {
        const qn_step_info info = info_of(step);
        assert_ok(qn__metrics_add(metrics, &info));
    }
    assert_ok(qn__metrics_sync(metrics));
    qn__metrics_close(&metrics);
    assert_null(metrics);
}

static void append(const char *folder, const char *text, size_t count)
{
    FILE *file = fopen(path_in(folder, "metrics.jsonl"), "ab");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* Lines 1 ... last, each once, each whole. */
static void check_steps(const char *folder, int64_t last)
{
    bytes all = file_bytes(path_in(folder, "metrics.jsonl"));
    int64_t step = 0;
    put(&all, "", 1);
    for (char *at = (char *)all.data, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        assert_non_null(end);
        json_t *line = json_loadb(at, (size_t)(end - at), 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(line, "step")), ++step);
        assert_true(json_number_value(json_object_get(line, "loss")) == 1.0 / (double)step);
        assert_int_equal(json_object_get(line, "val_loss") != NULL, step % 2 == 0);
        assert_true(json_is_null(json_object_get(line, "grad_norm")));
        assert_int_equal(json_object_get(line, "skipped") != NULL, step == 3);
        assert_null(json_object_get(line, "loss_scale"));
        json_decref(line);
    }
    assert_int_equal(step, last);
    free(all.data);
}

static void test_resume(void **state)
{
    (void)state;
    char *folder = folder_make();
    add_steps(folder, 0, 5);
    check_steps(folder, 5);
    add_steps(folder, 5, 7);
    check_steps(folder, 7);
    add_steps(folder, 3, 6); /* back to a checkpoint: 4 to 7 are taken off and made again */
    check_steps(folder, 6);
    static const char *const tails[] = {
        "{\"step\":7,\"lo", "{",    "no JSON\n",          "{\"step\":\"7\"}\n",
        "{\"step\":-7}\n",  "\n\n", "[]\n{\"step\":8}\n", "5\n"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        append(folder, tails[i], strlen(tails[i]));
        add_steps(folder, 6, 6);
        check_steps(folder, 6);
    }
    char zeros[300] = {0}; /* what a power cut leaves behind a file that was made longer */
    append(folder, zeros, sizeof zeros);
    add_steps(folder, 6, 9);
    check_steps(folder, 9);
    add_steps(folder, 0, 2); /* another run in the same folder */
    check_steps(folder, 2);
    folder_drop(folder);
}

/* Whatever byte a kill came at, resuming after step 2 leaves steps 1 and 2. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    char *folder = folder_make();
    add_steps(folder, 0, 2);
    bytes two = file_bytes(path_in(folder, "metrics.jsonl"));
    add_steps(folder, 2, 4);
    bytes four = file_bytes(path_in(folder, "metrics.jsonl"));
    for (size_t cut = two.count; cut <= four.count; cut++) {
        file_write(path_in(folder, "metrics.jsonl"), four.data, cut);
        add_steps(folder, 2, 2);
        bytes now = file_bytes(path_in(folder, "metrics.jsonl"));
        assert_int_equal(now.count, two.count);
        assert_memory_equal(now.data, two.data, two.count);
        free(now.data);
    }
    free(two.data);
    free(four.data);
    folder_drop(folder);
}

static void test_crc(void **state)
{
    (void)state;
    uint8_t data[32] = {0};
    assert_int_equal(qn__crc32c("123456789", 9), 0xE3069283u); /* the check value of CRC-32C */
    assert_int_equal(qn__crc32c(data, 32), 0x8A9136AAu);       /* RFC 3720, B.4 */
    memset(data, 0xFF, sizeof data);
    assert_int_equal(qn__crc32c(data, 32), 0x62A8AB43u);
    for (int i = 0; i < 32; i++) data[i] = (uint8_t)i;
    assert_int_equal(qn__crc32c(data, 32), 0x46DD794Eu);
    assert_int_equal(qn__crc32c("", 0), 0);
}

static uint64_t little(const uint8_t *at, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static uint32_t mask(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

/* How many event files there are, and the name of the last. */
static int event_files(const char *folder, char *last)
{
    struct dirent **list;
    int count = 0, entries = scandir(folder, &list, NULL, alphasort);
    for (int i = 0; i < entries; i++) {
        if (strstr(list[i]->d_name, "tfevents")) {
            strcpy(last, list[i]->d_name);
            count++;
        }
        free(list[i]);
    }
    free(list);
    return count;
}

static void test_events(void **state)
{
    (void)state;
    char *folder = folder_make(), first[256], second[256];
    qn_events *events;
    assert_ok(qn__events_open(folder, 0, &events));
    qn__events_begin(events, 300);
    qn__events_scalar(events, "loss", 0.5);
    qn__events_text(events, "sample", "once");
    assert_ok(qn__events_write(events));
    qn__events_begin(events, 301);
    assert_ok(qn__events_write(events)); /* nothing in it: nothing is written */
    qn__events_close(&events);
    assert_int_equal(event_files(folder, first), 1);
    bytes all = file_bytes(path_in(folder, first));
    size_t at = 0, records = 0;
    for (; at < all.count; records++) {
        uint64_t length = little(all.data + at, 8);
        assert_true(at + 16 + length <= all.count);
        assert_int_equal(little(all.data + at + 8, 4), mask(qn__crc32c(all.data + at, 8)));
        assert_int_equal(little(all.data + at + 12 + length, 4),
                         mask(qn__crc32c(all.data + at + 12, length)));
        at += 16 + length;
    }
    assert_int_equal(records, 3); /* version, start of the session, one step */
    assert_int_equal(at, all.count);
    free(all.data);
    /* The next file sorts after it, though it is made in the same second. */
    assert_ok(qn__events_open(folder, 300, &events));
    qn__events_close(&events);
    assert_int_equal(event_files(folder, second), 2);
    assert_true(strcmp(second, first) > 0);
    folder_drop(folder);
}

static void test_sizes(void **state)
{
    (void)state;
    struct {
        qn_step_info info;
        double later; /* a member of the future */
    } longer = {.info = info_of(2), .later = 1};
    qn_step_info info = info_of(2), got;
    longer.info.size = sizeof longer;
    assert_ok(qn__step_info_take(&longer.info, &got));
    assert_true(got.size == sizeof got && got.mfu == 0.25);
    info.size = offsetof(qn_step_info, mfu);
    assert_ok(qn__step_info_take(&info, &got));
    assert_true(isnan(got.mfu) && got.loss == 0.5 && got.sample == NULL);
    info.size = 0;
    assert_int_equal(qn__step_info_take(&info, &got), QN_BAD_ARGUMENT);
    char *json;
    assert_int_equal(qn_step_info_json(&info, &json), QN_BAD_ARGUMENT);
}

/* By hand. GPT-2 124M: a layer has matrices of 4 C C + 8 C C = 12 x 768^2 = 7,077,888 elements,
 * twelve of them and the output 50257 x 768 make N = 123,532,032; attention 6 x 12 x 768 x 1025 =
 * 56,678,400. The Llama: q and o 64 x 64, k and v 32 x 64, gate, up and down 64 x 96: 30,720 a
 * layer, 3 layers, and an output of its own 100 x 64, while the embedding is only looked up: N =
 * 98,560; attention 6 x 3 x 64 x 17 = 19,584. */
static void test_flops(void **state)
{
    (void)state;
    qn_model_config c;
    assert_ok(qn_model_config_named(QN_GPT2, "124M", &c));
    assert_true(qn_model_flops_per_token(&c) == 6.0 * 123532032 + 56678400);
    assert_ok(qn_model_config_named(QN_LLAMA, NULL, &c));
    c.vocab = 100;
    c.layers = 3;
    c.heads = 4;
    c.kv_heads = 2;
    c.embed = 64;
    c.ffn = 96;
    c.context = 16;
    c.tied = false;
    assert_true(qn_model_flops_per_token(&c) == 6.0 * 98560 + 19584);
    qn_lora lora = {.rank = 4, .alpha = 8}; /* A and B of q 2 x 256, of v 256 + 128: 896 a layer */
    assert_ok(qn__lora_targets(&c, "q_proj,v_proj", &lora));
    assert_true(qn__run_flops_per_token(&c, &lora, 16) == 4.0 * 98560 + 6 * 2688 + 19584);
    assert_true(qn__run_flops_per_token(&c, &lora, 8) == 4.0 * 98560 + 6 * 2688 + 6 * 3 * 64 * 9);
    assert_true(qn__run_flops_per_token(&c, NULL, 16) == qn_model_flops_per_token(&c));
    c.arch = QN_MISTRAL; /* a window of 4: 1 + 2 + 3 + 13 x 4 = 58 keys for 16 tokens */
    c.window = 4;
    assert_true(qn_model_flops_per_token(&c) == 6.0 * 98560 + 3 * 12.0 * 64 * 58 / 16);
    c.window = 0;
    c.tied = true; /* one matrix, looked up and multiplied by: the same work */
    assert_true(qn_model_flops_per_token(&c) == 6.0 * 98560 + 19584);
}

static void test_peaks(void **state)
{
    (void)state;
    qn_caps caps = {.peak_gflops = 100};
    assert_true(qn__run_peak_gflops(&caps, QN_F32) == 100);
    assert_true(qn__run_peak_gflops(&caps, QN_BF16) == 100); /* computed as f32 */
    caps.peak_matrix_gflops = 200;
    assert_true(qn__run_peak_gflops(&caps, QN_F32) == 100);
    assert_true(qn__run_peak_gflops(&caps, QN_BF16) == 200);
    assert_true(qn__run_peak_gflops(&caps, QN_F16) ==
                100); /* a CPU multiplies pairs of bf16 only */
    caps.type = QN_GPU;
    assert_true(qn__run_peak_gflops(&caps, QN_F16) == 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peaks),        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_crc),
        cmocka_unit_test(test_events),       cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_flops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
