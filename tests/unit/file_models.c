/* llama2.c, llm.c, Hugging Face folders, and telling them apart. */
#include "file_support.h"

#include "base/json.h"
#include "file/model_file.h"

#include <math.h>
#include <sys/stat.h>

/* A llama2.c file: dim 4, hidden 6, 2 layers, 2 heads, 1 kv head, vocab 5, 3 positions. */
static bytes llama2c_file(bool tied)
{
    const int32_t h[7] = {4, 6, 2, 2, 1, tied ? 5 : -5, 3};
    const int floats =
        5 * 4 + 2 * (4 + 16 + 8 + 8 + 16 + 4 + 24 + 24 + 24) + 4 + 3 * 2 + (tied ? 0 : 20);
    bytes f = {0};
    put(&f, h, sizeof h);
    for (int i = 0; i < floats; i++) {
        float value = (float)i;
        put(&f, &value, sizeof value);
    }
    return f;
}

static float first(const qn_range *range)
{
    float value;
    assert_non_null(range);
    memcpy(&value, range->data, sizeof value);
    return value;
}

static void llama2c_layout(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "m.bin");
    for (int tied = 0; tied < 2; tied++) {
        qn_llama2c *m;
        bytes f = llama2c_file(tied != 0);
        file_write(path, f.data, f.count);
        assert_ok(qn__llama2c_open(path, &m));
        assert_true(qn__llama2c_config(m)->tied == (tied != 0));
        assert_true(qn__llama2c_config(m)->rope_interleaved);
        assert_int_equal(qn__llama2c_config(m)->vocab, 5);
        assert_int_equal(qn__llama2c_count(m), tied ? 20 : 21);
        assert_true(first(qn__llama2c_find(m, "model.embed_tokens.weight")) == 0);
        assert_true(first(qn__llama2c_find(m, "model.layers.1.input_layernorm.weight")) == 24);
        assert_true(first(qn__llama2c_find(m, "model.layers.1.self_attn.q_proj.weight")) == 44);
        const qn_range *k = qn__llama2c_find(m, "model.layers.0.self_attn.k_proj.weight");
        assert_true(first(k) == 60 && k->dim[0] == 2 && k->dim[1] == 4 && k->rank == 2);
        const qn_range *down = qn__llama2c_find(m, "model.layers.1.mlp.down_proj.weight");
        assert_true(first(down) == 20 + 8 + 32 + 16 + 16 + 32 + 8 + 48 + 24);
        assert_true(down->dim[0] == 4 && down->dim[1] == 6);
        assert_true(first(qn__llama2c_find(m, "model.norm.weight")) == 276);
        const qn_range *head = qn__llama2c_find(m, "lm_head.weight");
        if (tied) assert_null(head);
        else assert_true(first(head) == 286);
        qn__llama2c_close(&m);
        free(f.data);
    }
    folder_drop(folder);
}

static void llama2c_lies(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "m.bin");
    bytes f = llama2c_file(true);
    qn_llama2c *m;
    static const int32_t values[] = {0, -1, 3, INT32_MAX, INT32_MIN, 1 << 20, 1 << 30, 7};
    for (size_t i = 0; i < 7; i++)
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            int32_t h[7];
            memcpy(h, f.data, sizeof h);
            if (h[i] == values[v]) continue;
            bytes lie = {0};
            put(&lie, f.data, f.count);
            memcpy(lie.data + 4 * i, &values[v], 4);
            file_write(path, lie.data, lie.count);
            assert_bad(qn__llama2c_open(path, &m), path, "");
            assert_null(m);
            free(lie.data);
        }
    for (size_t count = 0; count < f.count; count++) {
        file_write(path, f.data, count);
        assert_bad(qn__llama2c_open(path, &m), path, "");
    }
    put_zeros(&f, 1);
    file_write(path, f.data, f.count);
    assert_bad(qn__llama2c_open(path, &m), path, "the file has");
    free(f.data);
    folder_drop(folder);
}

static void llama2c_real(void **state)
{
    (void)state;
    const char *path = real_data("stories260K.bin");
    if (!path) skip();
    qn_llama2c *m;
    assert_ok(qn__llama2c_open(path, &m));
    const qn_llama2c_config *c = qn__llama2c_config(m);
    assert_true(c->dim == 64 && c->layers == 5 && c->heads == 8 && c->kv_heads == 4);
    assert_true(c->vocab == 512 && c->max_tokens == 512 && c->tied);
    assert_int_equal(qn__llama2c_count(m), 5 * 9 + 2);
    for (size_t i = 0; i < qn__llama2c_count(m); i++) { /* trained weights are small numbers */
        const qn_range *range = qn__llama2c_at(m, i);
        for (uint64_t at = 0; at < range->bytes; at += 4) {
            float value;
            memcpy(&value, range->data + at, 4);
            assert_true(fabsf(value) < 16);
        }
    }
    qn__llama2c_close(&m);
}

static const qn_llmc_config small = {.max_tokens = 6,
                                     .vocab = 5,
                                     .padded_vocab = 8,
                                     .layers = 2,
                                     .heads = 2,
                                     .channels = 4,
                                     .dtype = QN_F32};

static qn_status write_llmc(const char *path, uint64_t missing)
{
    qn_llmc_writer *w;
    qn_status status = qn__llmc_writer_create(path, &small, &w);
    float next = 0, values[1024];
    for (int i = 0; i < QN_LLMC_TENSORS && status == QN_OK; i++) {
        uint64_t count = qn__llmc_tensor_elements(&small, i);
        assert_true(count <= 1024);
        for (uint64_t k = 0; k < count; k++) values[k] = next++;
        if (i == QN_LLMC_TENSORS - 1) count -= missing;
        status = qn__llmc_writer_add(w, values, count);
    }
    if (status == QN_OK) return qn__llmc_writer_finish(&w);
    qn__llmc_writer_destroy(&w);
    return status;
}

static void llmc_round_trip(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "gpt2.bin");
    qn_llmc *m;
    assert_int_equal(write_llmc(path, 1), QN_BAD_ARGUMENT);
    assert_int_equal(access(path, F_OK), -1);
    assert_ok(write_llmc(path, 0));
    assert_ok(qn__llmc_open(path, &m));
    assert_memory_equal(qn__llmc_config(m), &small, sizeof small);
    assert_int_equal(qn__llmc_count(m), 16 + 2 * 12);
    assert_true(first(qn__llmc_find(m, "wte")) == 0);
    assert_true(first(qn__llmc_find(m, "wpe")) == 32);
    assert_true(first(qn__llmc_find(m, "ln1w.1")) == 60);
    const qn_range *qkv = qn__llmc_find(m, "qkvw"), *qkv1 = qn__llmc_find(m, "qkvw.1");
    assert_true(qkv->rank == 3 && qkv->dim[0] == 2 && qkv->dim[1] == 12 && qkv->dim[2] == 4);
    assert_true(first(qkv) == 72 && first(qkv1) == 120);
    assert_true(qkv1->rank == 2 && qkv1->dim[0] == 12 && qkv1->dim[1] == 4);
    assert_true(qn__llmc_find(m, "fcprojw.0")->dim[1] == 16);
    const qn_range *last = qn__llmc_find(m, "lnfb");
    assert_true(last->rank == 1 && last->dim[0] == 4);
    float end;
    memcpy(&end, last->data + last->bytes - 4, 4);
    assert_true(end == 32 + 24 + 2 * (4 * 2 + 48 + 12 + 16 + 4 + 8 + 64 + 16 + 64 + 4) + 8 - 1);
    assert_null(qn__llmc_find(m, "qkvw.2"));
    qn__llmc_close(&m);
    folder_drop(folder);
}

static void llmc_lies(void **state)
{
    (void)state;
    char *folder = folder_make();
    const char *path = path_in(folder, "gpt2.bin");
    qn_llmc *m;
    assert_ok(write_llmc(path, 0));
    bytes f = file_bytes(path);
    static const int32_t values[] = {0, -1, 3, INT32_MAX, INT32_MIN, 1 << 20, 1 << 30};
    for (size_t i = 0; i < 8; i++)
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            int32_t was, same_size = i == 3 && values[v] == 3; /* a smaller vocabulary is legal */
            memcpy(&was, f.data + 4 * i, 4);
            if (was == values[v] || same_size) continue;
            memcpy(f.data + 4 * i, &values[v], 4);
            file_write(path, f.data, f.count);
            assert_bad(qn__llmc_open(path, &m), path, "");
            memcpy(f.data + 4 * i, &was, 4);
        }
    for (size_t count = 0; count < f.count; count += count < 1024 ? 31 : 1) {
        file_write(path, f.data, count);
        assert_bad(qn__llmc_open(path, &m), path, "");
    }
    /* the same numbers in half the bytes, version 5, are bf16 */
    int32_t five = 5;
    memcpy(f.data + 4, &five, 4);
    file_write(path, f.data, 1024 + (f.count - 1024) / 2);
    assert_ok(qn__llmc_open(path, &m));
    assert_int_equal(qn__llmc_at(m, 0)->dtype, QN_BF16);
    assert_int_equal(qn__llmc_at(m, 0)->bytes, 64);
    qn__llmc_close(&m);
    free(f.data);
    folder_drop(folder);
}

static void write_tensors(const char *path, const char *const *names, size_t count)
{
    qn_safetensors_writer *w;
    qn_shape shape = qn_shape_make(1, 1);
    assert_ok(qn__safetensors_writer_create(path, &w));
    for (size_t i = 0; i < count; i++)
        assert_ok(qn__safetensors_writer_declare(w, names[i], QN_F32, &shape));
    for (size_t i = 0; i < count; i++) {
        float value = (float)names[i][0];
        assert_ok(qn__safetensors_writer_add(w, names[i], &value, sizeof value));
    }
    assert_ok(qn__safetensors_writer_finish(&w));
}

static void put_file(const char *folder, const char *name, const char *text)
{
    file_write(path_in(folder, name), text, strlen(text));
}

static void hf_whole(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn_hf_folder *hf;
    int64_t hidden = 0;
    assert_bad(qn__hf_folder_open(folder, &hf), folder, "no config.json");
    put_file(folder, "config.json", "[]");
    assert_bad(qn__hf_folder_open(folder, &hf), "config.json", "not a JSON object");
    put_file(folder, "config.json", "{\"hidden_size\": 64}");
    assert_bad(qn__hf_folder_open(folder, &hf), folder, "neither model.safetensors");
    write_tensors(path_in(folder, "model.safetensors"), (const char *const[]){"a", "b"}, 2);
    assert_ok(qn__hf_folder_open(folder, &hf));
    assert_int_equal(qn__hf_folder_count(hf), 2);
    assert_true(first(qn__hf_folder_find(hf, "b")) == 'b');
    assert_null(qn__hf_folder_find(hf, "c"));
    assert_ok(qn__json_i64(qn__hf_folder_config(hf), qn__hf_folder_config_path(hf), "hidden_size",
                           true, 1, 100, &hidden));
    assert_int_equal(hidden, 64);
    qn__hf_folder_close(&hf);
    folder_drop(folder);
}

static void hf_sharded(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn_hf_folder *hf;
    put_file(folder, "config.json", "{}");
    write_tensors(path_in(folder, "m-1.safetensors"), (const char *const[]){"a", "b"}, 2);
    write_tensors(path_in(folder, "m-2.safetensors"), (const char *const[]){"c"}, 1);
    put_file(folder, "model.safetensors.index.json",
             "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"a\":\"m-1.safetensors\","
             "\"c\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\"}}");
    assert_ok(qn__hf_folder_open(folder, &hf));
    assert_int_equal(qn__hf_folder_count(hf), 3);
    assert_true(first(qn__hf_folder_find(hf, "c")) == 'c');
    assert_true(first(qn__hf_folder_at(hf, 2)) == 'b');
    qn__hf_folder_close(&hf);
    static const struct {
        const char *text, *part;
    } lies[] = {
        {"{}", "weight_map"},
        {"{\"weight_map\":[]}", "weight_map"},
        {"{\"weight_map\":{\"a\":1}}", "not in a file"},
        {"{\"weight_map\":{\"c\":\"m-1.safetensors\"}}", "should be in m-1.safetensors"},
        {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", "not the plain name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "not the plain name"},
        {"{\"weight_map\":{\"a\":\"sub/m-1.safetensors\"}}", "not the plain name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "not the plain name"},
        {"{\"weight_map\":{\"a\":\"\"}}", "not the plain name"},
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"a\":\"m-2.safetensors\"}}", "duplicate"},
        {"{\"weight_map\":{\"a\":\"m\\n1\"}}", "not the plain name"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        put_file(folder, "model.safetensors.index.json", lies[i].text);
        assert_bad(qn__hf_folder_open(folder, &hf), "model.safetensors.index.json", lies[i].part);
    }
    put_file(folder, "model.safetensors.index.json",
             "{\"weight_map\":{\"a\":\"gone.safetensors\"}}");
    assert_int_equal(qn__hf_folder_open(folder, &hf), QN_OS_ERROR);
    folder_drop(folder);
}

static void expect_kind(const char *path, qn_model_file_kind kind)
{
    qn_model_file file;
    assert_ok(qn__model_file_open(path, &file));
    assert_int_equal(file.kind, kind);
    assert_true((file.hf_folder != NULL) == (kind == QN_MODEL_FILE_HF_FOLDER));
    assert_true((file.safetensors != NULL) == (kind == QN_MODEL_FILE_SAFETENSORS));
    assert_true((file.gguf != NULL) == (kind == QN_MODEL_FILE_GGUF));
    assert_true((file.llama2c != NULL) == (kind == QN_MODEL_FILE_LLAMA2C));
    assert_true((file.llmc != NULL) == (kind == QN_MODEL_FILE_LLMC));
    qn__model_file_close(&file);
}

static void recognition(void **state)
{
    (void)state;
    char *folder = folder_make();
    qn_model_file file;
    bytes llama = llama2c_file(false);
    file_write(path_in(folder, "one"), llama.data, llama.count);
    expect_kind(path_in(folder, "one"), QN_MODEL_FILE_LLAMA2C);
    assert_ok(write_llmc(path_in(folder, "two"), 0));
    expect_kind(path_in(folder, "two"), QN_MODEL_FILE_LLMC);
    write_tensors(path_in(folder, "model.safetensors"), (const char *const[]){"a"}, 1);
    expect_kind(path_in(folder, "model.safetensors"), QN_MODEL_FILE_SAFETENSORS);
    file_write(path_in(folder, "three"), "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    expect_kind(path_in(folder, "three"), QN_MODEL_FILE_GGUF);
    assert_bad(qn__model_file_open(folder, &file), folder, "is not a model: the folder has no");
    put_file(folder, "config.json", "{}");
    expect_kind(folder, QN_MODEL_FILE_HF_FOLDER);
    put_file(folder, "text", "Once upon a time there was a file that was not a model.");
    assert_bad(qn__model_file_open(path_in(folder, "text"), &file), "text",
               "give a folder with config.json");
    put_file(folder, "empty", "");
    assert_bad(qn__model_file_open(path_in(folder, "empty"), &file), "empty", "the file is empty");
    put_file(folder, "bad.gguf", "GGUF");
    assert_bad(qn__model_file_open(path_in(folder, "bad.gguf"), &file), "bad.gguf", "the version");
    assert_int_equal(qn__model_file_open("/nonexistent", &file), QN_OS_ERROR);
    assert_string_equal(qn__model_file_kind_name(QN_MODEL_FILE_GGUF), "GGUF");
    free(llama.data);
    folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama2c_layout), cmocka_unit_test(llama2c_lies),
        cmocka_unit_test(llama2c_real),   cmocka_unit_test(llmc_round_trip),
        cmocka_unit_test(llmc_lies),      cmocka_unit_test(hf_whole),
        cmocka_unit_test(hf_sharded),     cmocka_unit_test(recognition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
