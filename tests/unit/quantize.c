/* Quantized files: which type each tensor gets, threads, importance matrices, what is left behind
 * when it fails. */
#include "file_support.h"

#include "compress/importance.h"
#include "compress/recipe.h"
#include "compress/rows.h"
#include "file/gguf_write.h"

#include <dirent.h>
#include <math.h>
#include <quernel/quantize.h>

static int files_in(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* ---- recipes ---- */

static qn_dtype type_of(const char *file, qn_recipe_facts facts, const char *name, int64_t columns)
{
    qn_recipe recipe = {.facts = facts};
    const int64_t ne[] = {columns, 512, 1, 1};
    bool fallback;
    assert_ok(qn__recipe_find(file, &recipe.row));
    return qn__recipe_type(&recipe, name, 2, ne, &fallback);
}

/* Of 32 layers: the first four and the last four, and every third between, from the seventh. */
static void layers_with_more_bits(void **state)
{
    (void)state;
    const qn_recipe_facts facts = {.layers = 32, .group = 4};
    for (int layer = 0; layer < 32; layer++) {
        char name[64];
        bool more = layer < 4 || layer >= 28 || layer % 3 == 0;
        snprintf(name, sizeof name, "blk.%d.ffn_down.weight", layer);
        assert_int_equal(type_of("Q4_K_M", facts, name, 256), more ? QN_Q6_K : QN_Q4_K);
        assert_int_equal(type_of("Q4_K_S", facts, name, 256), layer < 4 ? QN_Q5_K : QN_Q4_K);
        assert_int_equal(type_of("q3_k_m", facts, name, 256), layer < 2 ? QN_Q5_K : QN_Q4_K);
        snprintf(name, sizeof name, "blk.%d.attn_v.weight", layer);
        assert_int_equal(type_of("Q5_K_M", facts, name, 256), more ? QN_Q6_K : QN_Q5_K);
        snprintf(name, sizeof name, "blk.%d.attn_q.weight", layer);
        assert_int_equal(type_of("Q4_K_M", facts, name, 256), QN_Q4_K);
    }
}

static void heads_experts_and_short_rows(void **state)
{
    (void)state;
    const qn_recipe_facts plain = {.layers = 8, .group = 1}, tied = {.layers = 8, .tied = true},
                          mixtral = {.layers = 32, .group = 4, .experts = 8},
                          large = {.layers = 80, .group = 8}, pure = {.layers = 8, .pure = true},
                          weighed = {.layers = 32, .weighed = true};
    assert_int_equal(type_of("Q4_0", plain, "output.weight", 256), QN_Q6_K);
    assert_int_equal(type_of("Q8_0", plain, "output.weight", 256), QN_Q8_0);
    assert_int_equal(type_of("Q4_K_M", plain, "output.weight", 96), QN_Q8_0);
    assert_int_equal(type_of("Q4_K_M", plain, "output.weight", 40), QN_F16);
    assert_int_equal(type_of("Q4_K_M", plain, "token_embd.weight", 256), QN_Q4_K);
    assert_int_equal(type_of("Q4_K_M", tied, "token_embd.weight", 256), QN_Q6_K);
    assert_int_equal(type_of("Q4_K_M", pure, "output.weight", 256), QN_Q4_K);
    assert_int_equal(type_of("F16", plain, "output.weight", 256), QN_F16);
    assert_int_equal(type_of("Q4_K_M", mixtral, "blk.9.attn_v.weight", 256), QN_Q8_0);
    assert_int_equal(type_of("Q4_K_M", mixtral, "blk.9.attn_k.weight", 256), QN_Q8_0);
    assert_int_equal(type_of("Q4_K_M", mixtral, "blk.9.attn_output.weight", 256), QN_Q5_K);
    assert_int_equal(type_of("Q3_K_S", large, "blk.40.attn_v.weight", 256), QN_Q5_K);
    assert_int_equal(type_of("Q2_K", plain, "blk.0.attn_v.weight", 256), QN_Q3_K);
    assert_int_equal(type_of("Q2_K", mixtral, "blk.0.ffn_down_exps.weight", 256), QN_Q3_K);
    assert_int_equal(type_of("Q2_K", plain, "blk.0.attn_q.weight", 96), QN_IQ4_NL);
    assert_int_equal(type_of("Q4_0", weighed, "blk.0.ffn_down.weight", 96), QN_Q4_1);
    assert_int_equal(type_of("IQ4_XS", weighed, "blk.0.ffn_down.weight", 256), QN_IQ4_XS);
    static const qn_dtype replaced[][2] = {
        {QN_Q4_K, QN_Q5_0}, {QN_Q5_K, QN_Q5_1}, {QN_Q6_K, QN_Q8_0}, {QN_IQ4_XS, QN_IQ4_NL}};
    static const char *const files[] = {"Q4_K_S", "Q5_K_S", "Q6_K", "IQ4_XS"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(type_of(files[i], pure, "blk.5.attn_q.weight", 256), replaced[i][0]);
        assert_int_equal(type_of(files[i], pure, "blk.5.attn_q.weight", 288), replaced[i][1]);
        assert_int_equal(type_of(files[i], pure, "blk.5.attn_q.weight", 20), QN_F16);
    }
    int row;
    assert_int_equal(qn__recipe_find("Q9", &row), QN_BAD_ARGUMENT);
    assert_non_null(strstr(qn_last_error(), "Q4_K_M"));
}

static void what_stays(void **state)
{
    (void)state;
    const int64_t matrix[] = {64, 64, 1, 1}, vector[] = {64, 1, 1, 1}, experts[] = {64, 64, 8, 1};
    assert_true(qn__recipe_converts("blk.0.attn_q.weight", 2, matrix));
    assert_true(qn__recipe_converts("blk.0.ffn_up_exps.weight", 3, experts));
    assert_false(qn__recipe_converts("blk.0.attn_q.bias", 2, matrix));
    assert_false(qn__recipe_converts("blk.0.attn_norm.weight", 1, vector));
    assert_false(qn__recipe_converts("blk.0.attn_q.weight", 2, vector));
    assert_false(qn__recipe_converts("blk.0.ffn_gate_inp.weight", 2, matrix));
    assert_false(qn__recipe_converts("position_embd.weight", 2, matrix));
    assert_false(qn__recipe_converts("blk.0.attn_q_norm.weight", 2, matrix));
    assert_false(qn__recipe_converts("weigh", 2, matrix));
}

/* ---- rows ---- */

static void threads_change_nothing(void **state)
{
    (void)state;
    enum { ROW = 256, ROWS = 700 };
    float *x = malloc(ROW * ROWS * sizeof *x), importance[2 * ROW];
    for (int i = 0; i < ROW * ROWS; i++) x[i] = sinf((float)i * 0.7f) * (float)(1 + i % 5);
    for (int i = 0; i < 2 * ROW; i++) importance[i] = (float)(1 + i % 7);
    qn_rows rows = {QN_F32, QN_Q4_K, (uint8_t *)x, ROW, ROWS / 2, importance, 1};
    const size_t size = qn__row_bytes(QN_Q4_K, ROW) * ROWS;
    uint8_t *one = malloc(size), *many = malloc(size);
    qn_row_sums a = {0, 0}, b = {0, 0};
    assert_ok(qn__rows_convert(&rows, 0, ROWS, one, &a));
    rows.threads = 5;
    assert_ok(qn__rows_convert(&rows, 0, 300, many, &b));
    assert_ok(qn__rows_convert(&rows, 300, ROWS - 300, many + size / ROWS * 300, &b));
    assert_memory_equal(one, many, size);
    assert_true(a.error == b.error && a.power == b.power && a.error > 0);
    /* The first row that fails is the one that is named, whichever thread met it. */
    for (int try = 0; try < 20; try++) {
        x[ROW * 400 + 3] = NAN;
        x[ROW * 650] = INFINITY;
        assert_int_equal(qn__rows_convert(&rows, 0, ROWS, many, &b), QN_NON_FINITE);
        assert_non_null(strstr(qn_last_error(), "row 400: element 3"));
    }
    rows.to = QN_F16;
    x[ROW * 400 + 3] = 1e6f;
    x[ROW * 650] = 0;
    uint8_t *halves = malloc(ROW * ROWS * 2);
    assert_int_equal(qn__rows_convert(&rows, 0, ROWS, halves, &b), QN_UNSUPPORTED);
    free(halves);
    free(one);
    free(many);
    free(x);
}

/* ---- importance ---- */

static void add_entry(bytes *to, const char *name, int32_t calls, int32_t count, float value)
{
    put_u32(to, (uint32_t)strlen(name));
    put_text(to, name);
    put_u32(to, (uint32_t)calls);
    put_u32(to, (uint32_t)count);
    for (int32_t i = 0; i < count; i++) put(to, &value, sizeof value);
}

static void importance_dat(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "m.dat");
    bytes f = {0};
    put_u32(&f, 2);
    add_entry(&f, "blk.0.attn_q.weight", 4, 8, 12);
    add_entry(&f, "output.weight", 0, 3, -1);
    put_u32(&f, 17); /* the last chunk, which is not read */
    file_write(path, f.data, f.count);
    qn_importance *m;
    const float *values;
    assert_ok(qn__importance_open(path, &m));
    assert_int_equal(qn__importance_count(m), 2);
    assert_ok(qn__importance_find(m, "blk.0.attn_q.weight", 8, 1, &values));
    assert_true(values && values[0] == 3 && values[7] == 3);
    assert_ok(qn__importance_find(m, "blk.1.attn_q.weight", 8, 1, &values));
    assert_null(values);
    assert_int_equal(qn__importance_find(m, "blk.0.attn_q.weight", 9, 1, &values), QN_BAD_DATA);
    assert_int_equal(qn__importance_find(m, "output.weight", 3, 1, &values), QN_BAD_DATA);
    assert_int_equal(qn__importance_find(m, "output.weight", INT64_MAX / 2, 1 << 20, &values),
                     QN_BAD_DATA);
    qn__importance_close(&m);
    /* Cut anywhere, and every length wrong: a message or what is whole, never more than the file.
     */
    for (size_t cut = 0; cut + 4 < f.count; cut++) {
        file_write(path, f.data, cut);
        assert_int_equal(qn__importance_open(path, &m), QN_BAD_DATA);
        assert_null(m);
    }
    for (size_t at = 0; at + 4 <= f.count; at++) {
        static const uint32_t lies[] = {0, UINT32_MAX, 0x7FFFFFFFu, 0x40000000u, 64};
        for (int k = 0; k < 5; k++) {
            uint8_t was[4];
            memcpy(was, f.data + at, 4);
            memcpy(f.data + at, &lies[k], 4);
            file_write(path, f.data, f.count);
            if (qn__importance_open(path, &m) == QN_OK) qn__importance_close(&m);
            memcpy(f.data + at, was, 4);
        }
    }
    free(f.data);
    folder_drop(folder);
}

/* ---- whole files ---- */

enum { COLUMNS = 64, MATRIX_ROWS = 96 };

/* One layer's worth of names, of an architecture that we do not run. */
static void write_model(const char *path, float odd)
{
    static const char *const names[] = {"token_embd.weight", "blk.0.attn_v.weight",
                                        "blk.0.ffn_gate_inp.weight"};
    const int64_t ne[] = {COLUMNS, MATRIX_ROWS}, three[] = {3};
    const float norm[3] = {1, 2, 3};
    float *x = malloc(COLUMNS * MATRIX_ROWS * sizeof *x);
    for (int i = 0; i < COLUMNS * MATRIX_ROWS; i++) x[i] = sinf((float)i);
    qn_gguf_writer *w;
    assert_ok(qn__gguf_writer_create(path, 0, &w));
    assert_ok(qn__gguf_writer_text(w, "general.architecture", "unknown"));
    assert_ok(qn__gguf_writer_u32(w, "general.file_type", 0));
    assert_ok(qn__gguf_writer_u32(w, "unknown.block_count", 1));
    assert_ok(qn__gguf_writer_text(w, "note", "kept"));
    for (int i = 0; i < 3; i++) assert_ok(qn__gguf_writer_tensor(w, names[i], QN_GGML_F32, 2, ne));
    assert_ok(qn__gguf_writer_tensor(w, "blk.0.attn_norm.weight", QN_GGML_F32, 1, three));
    for (int i = 0; i < 3; i++) {
        x[5] = i == 1 ? odd : 0;
        assert_ok(qn__gguf_writer_add(w, names[i], x, COLUMNS * MATRIX_ROWS * sizeof *x));
    }
    assert_ok(qn__gguf_writer_add(w, "blk.0.attn_norm.weight", norm, sizeof norm));
    assert_ok(qn__gguf_writer_finish(&w));
    free(x);
}

static bool stop_soon(void *user, int64_t done, int64_t total)
{
    assert_true(done > 0 && done <= total);
    assert_int_equal(total, 3 * COLUMNS * MATRIX_ROWS + 3);
    return --*(int *)user > 0;
}

static void any_architecture(void **state)
{
    (void)state;
    char *folder = folder_make();
    char in[4096], out[4096], again[4096];
    snprintf(in, sizeof in, "%s/in.gguf", folder);
    snprintf(out, sizeof out, "%s/out.gguf", folder);
    snprintf(again, sizeof again, "%s/again.gguf", folder);
    write_model(in, 0.5f);
    qn_quantize_options options = {.size = sizeof options, .type = "Q4_K_M", .threads = 2};
    qn_quantize_report report = {.size = sizeof report};
    assert_ok(qn_model_quantize(in, out, &options, NULL, NULL, &report));
    /* Rows of 64: q8_0 for the embedding that is the head, q5_0 for q4_K. */
    assert_int_equal(report.types[QN_Q8_0].tensors, 2);
    assert_int_equal(report.types[QN_F32].tensors, 2);
    assert_int_equal(report.total.elements, 3 * COLUMNS * MATRIX_ROWS + 3);
    assert_int_equal(report.fallbacks, 1);
    assert_true(report.total.error > 0 && report.total.error < 1e-4);
    qn_gguf *gguf;
    int64_t number = 0;
    assert_ok(qn__gguf_open(out, &gguf));
    assert_int_equal(qn__gguf_tensor(gguf, "token_embd.weight")->type, QN_GGML_Q8_0);
    assert_int_equal(qn__gguf_tensor(gguf, "blk.0.ffn_gate_inp.weight")->type, QN_GGML_F32);
    assert_ok(qn__gguf_i64(gguf, "general.file_type", true, 0, 99, &number));
    assert_int_equal(number, 15);
    assert_non_null(qn__gguf_find(gguf, "note"));
    qn__gguf_close(&gguf);
    /* Quantized once more to the same: every byte of its tensors. */
    assert_ok(qn_model_quantize(out, again, &options, NULL, NULL, &report));
    assert_true(report.total.error == 0);
    bytes a = file_bytes(out), b = file_bytes(again);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.data, b.data, a.count);
    free(a.data);
    free(b.data);
    folder_drop(folder);
}

static void nothing_is_left(void **state)
{
    (void)state;
    char *folder = folder_make();
    char in[4096], out[4096];
    snprintf(in, sizeof in, "%s/in.gguf", folder);
    snprintf(out, sizeof out, "%s/out.gguf", folder);
    write_model(in, 0.5f);
    qn_quantize_options options = {.size = sizeof options, .type = "Q8_0"};
    for (int calls = 1; calls < 4; calls++) {
        int left = calls;
        assert_int_equal(qn_model_quantize(in, out, &options, stop_soon, &left, NULL),
                         QN_INTERRUPTED);
        assert_int_equal(files_in(folder), 1);
    }
    write_model(in, NAN);
    assert_int_equal(qn_model_quantize(in, out, &options, NULL, NULL, NULL), QN_NON_FINITE);
    assert_non_null(strstr(qn_last_error(), "blk.0.attn_v.weight"));
    assert_int_equal(files_in(folder), 1);
    assert_int_equal(qn_model_quantize(in, in, &options, NULL, NULL, NULL), QN_BAD_ARGUMENT);
    options.type = "Q4";
    assert_int_equal(qn_model_quantize(in, out, &options, NULL, NULL, NULL), QN_BAD_ARGUMENT);
    options.type = "F16";
    options.importance = in;
    assert_int_equal(qn_model_quantize(in, out, &options, NULL, NULL, NULL), QN_BAD_DATA);
    assert_int_equal(files_in(folder), 1);
    folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_with_more_bits),
        cmocka_unit_test(heads_experts_and_short_rows),
        cmocka_unit_test(what_stays),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(importance_dat),
        cmocka_unit_test(any_architecture),
        cmocka_unit_test(nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
