/* Training data from files: which tokens, which are learned, where documents end, what is kept for
 * validation; and the cache of tokens: hit, miss, damage, a full disk. */
#include "file_support.h"

#include "base/fs.h"
#include "file/writer.h"
#include "text/tokenizer.h"
#include "train/data.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { EOS = 256 }; /* of the bytes tokenizer */

static char *root; /* a folder for files and the cache */

static const char *put_file(const char *name, const char *text)
{
    const char *path = path_in(root, name);
    file_write(path, text, strlen(text));
    return path;
}

typedef struct key {
    const char *name, *value;
} key;

/* Keys until a NULL; bytes, a context of 8. */
static qn_status open_data(qn_data *data, qn_work_fn fn, const key *keys)
{
    qn_train_options *o;
    assert_ok(qn_train_options_create(&o));
    assert_ok(qn_train_options_set(o, "tokenizer", "bytes"));
    assert_ok(qn_train_options_set(o, "context", "8"));
    for (; keys->name; keys++) assert_ok(qn_train_options_set(o, keys->name, keys->value));
    qn_status status = qn__data_open(o, fn, NULL, data);
    qn_train_options_destroy(&o);
    return status;
}

#define KEYS(...)                                                                                  \
    (const key[])                                                                                  \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* Tokens as text: EOS as $, the read-only ones in (), a document's end as a line feed. */
static void assert_tokens(const qn_tokens *tokens, const char *want)
{
    bytes text = {0};
    uint64_t document = 0;
    for (uint64_t i = 0; i < tokens->count; i++) {
        int32_t token, before = 0, after = 0;
        assert_ok(qn__tokens_read(tokens, i, 1, &token));
        if (i > 0) assert_ok(qn__tokens_read(tokens, i - 1, 1, &before));
        if (i + 1 < tokens->count) assert_ok(qn__tokens_read(tokens, i + 1, 1, &after));
        char letter = qn__token_id(token) == EOS ? '$' : (char)qn__token_id(token);
        bool begins = i == 0 || (document && qn__document_end(tokens, document - 1) == i);
        if (token < 0 && (before >= 0 || begins)) put_text(&text, "(");
        put(&text, &letter, 1);
        bool ends = document < tokens->documents && qn__document_end(tokens, document) == i + 1;
        if (token < 0 && (after >= 0 || ends)) put_text(&text, ")");
        if (ends) put_text(&text, "\n");
        document += ends;
    }
    put(&text, "", 1);
    assert_string_equal((char *)text.data, want);
    assert_int_equal(document, tokens->documents);
    free(text.data);
}

/* ---- what the tokens are ---- */

static void plain(void **state)
{
    (void)state;
    qn_data data;
    const char *path = put_file("plain.txt", "0123456789abcdef\xC3\xA9xy");
    assert_ok(open_data(&data, NULL, KEYS({"text", path}, {"val_fraction", "0.15"})));
    assert_false(data.train.samples.how.documents);
    assert_false(data.train.samples.how.permutation);
    assert_tokens(&data.train.tokens, "0123456789abcdef\n"); /* not inside a character */
    assert_tokens(&data.val.tokens, "\xC3\xA9xy\n");
    qn__data_close(&data);
    path = put_file("marked.txt", "one<|endoftext|>two<|endoftext|>three");
    assert_ok(open_data(&data, NULL,
                        KEYS({"data", path}, {"val_fraction", "0"}, {"packing", "documents"})));
    assert_tokens(&data.train.tokens, "one$\ntwo$\nthree\n");
    assert_true(data.val.samples.count == 0 && data.train.samples.count == 2);
    qn__data_close(&data);
    assert_ok(open_data(&data, NULL, KEYS({"data", path}, {"val_text", path})));
    assert_tokens(&data.val.tokens, "one$\ntwo$\nthree\n");
    qn__data_close(&data);
}

static void lines(void **state)
{
    (void)state;
    qn_data data;
    const char *path = put_file(
        "mixed.jsonl", "{\"text\":\"a<|endoftext|>b\"}\n{\"text\":\"\"}\n"
                       "{\"prompt\":\"p:\",\"completion\":\"c\"}\n{\"text\":\"e<|endoftext|>\"}\n"
                       "{\"messages\":[{\"role\":\"user\",\"content\":\"q<|endoftext|>\"},"
                       "{\"role\":\"assistant\",\"content\":\"yes\"}]}\n");
    assert_ok(open_data(&data, NULL, KEYS({"data", path}, {"val_fraction", "0"})));
    assert_true(data.train.samples.how.documents && data.train.samples.how.permutation);
    assert_tokens(&data.train.tokens, "a$\nb$\n(p:)c$\ne$\n"
                                      "(<|im_start|>user\nq<|endoftext|>$\n"
                                      "<|im_start|>assistant\n)yes$\n");
    assert_int_equal(data.files[0].head.empty, 1);
    assert_int_equal(data.files[0].head.learned, 2 + 2 + 2 + 2 + 4);
    qn__data_close(&data);
    path = put_file("bad.jsonl", "{\"text\":\"good\"}\n{\"text\":7}\n");
    assert_bad(open_data(&data, NULL, KEYS({"data", path})), "bad.jsonl:2", "not a string");
    path = put_file("char.jsonl", "{\"text\":\"ab\"}\n{\"text\":\"\\u00e9a\"}\n");
    assert_ok(open_data(&data, NULL, KEYS({"data", path}, {"tokenizer", "char"})));
    assert_int_equal(qn_tokenizer_vocab_size(data.tokenizer), 3);
    assert_int_equal(data.train.tokens.documents + data.val.tokens.documents, 2);
    qn__data_close(&data);
    /* A validation text with a character that the training data lacks. */
    const char *val = put_file("val.jsonl", "{\"text\":\"ab\"}\n{\"text\":\"abc\"}\n");
    assert_bad(
        open_data(&data, NULL, KEYS({"data", path}, {"val_data", val}, {"tokenizer", "char"})),
        "val.jsonl:2", "lacks \"c\"");
}

static void folders(void **state)
{
    (void)state;
    qn_data data;
    assert_int_equal(mkdir(path_in(root, "many"), 0777), 0);
    for (int i = 0; i < 10; i++) {
        char name[32], text[] = "0 zero-";
        snprintf(name, sizeof name, "many/%d.txt", i);
        text[0] = (char)('0' + i);
        put_file(name, text);
    }
    const char *path = path_in(root, "many");
    assert_ok(open_data(&data, NULL, KEYS({"data", path}, {"val_fraction", "0.15"})));
    assert_tokens(&data.val.tokens, "8 zero-$\n9 zero-$\n"); /* whole documents */
    assert_int_equal(data.train.tokens.documents, 8);
    assert_int_equal(data.train.samples.count, 8);
    assert_true(data.val.samples.count == 2 && !data.val.tokens.masked);
    qn__data_close(&data);
    assert_ok(open_data(&data, NULL, KEYS({"data", path}, {"val_fraction", "0.9"})));
    assert_tokens(&data.train.tokens, "0 zero-$\n"); /* one is left to learn from */
    qn__data_close(&data);
    assert_ok(open_data(&data, NULL,
                        KEYS({"data", path}, {"packing", "stream"}, {"shuffle", "permutation"})));
    assert_int_equal(data.train.samples.count, (9 * 8 - 2) / 8 + 1);
    qn__data_close(&data);
}

static void shards(void **state)
{
    (void)state;
    qn_data data;
    qn_shard_writer *w;
    const int32_t ids[] = {EOS, 'a', 'b', EOS, 'c', 'd', 'e', EOS, 'f'}, large[] = {1, 2, 257};
    assert_ok(qn__shard_writer_create(path_in(root, "s.bin"), QN_SHARD_U16, &w));
    assert_ok(qn__shard_writer_add(w, ids, 9));
    assert_ok(qn__shard_writer_finish(&w));
    const char *path = path_in(root, "s.bin");
    assert_ok(open_data(&data, NULL, KEYS({"data", path}, {"packing", "documents"})));
    assert_tokens(&data.train.tokens, "$\nab$\ncde$\nf\n");
    qn__data_close(&data);
    assert_ok(open_data(&data, NULL, KEYS({"shards", path})));
    assert_false(data.train.samples.how.documents);
    qn__data_close(&data);
    assert_ok(qn__shard_writer_create(path_in(root, "l.bin"), QN_SHARD_U16, &w));
    assert_ok(qn__shard_writer_add(w, large, 3));
    assert_ok(qn__shard_writer_finish(&w));
    path = path_in(root, "l.bin");
    assert_bad(open_data(&data, NULL, KEYS({"data", path}, {"packing", "documents"})), "l.bin",
               "vocabulary");
}

static void wrong_options(void **state)
{
    (void)state;
    qn_data data;
    const char *path = put_file("w.txt", "some text of more than a few words");
    static const struct {
        key keys[3];
        const char *says;
    } table[] = {{{{"data", ""}}, "--data"},
                 {{{"data", "x"}, {"text", "y"}}, "choose one"},
                 {{{"data", "x"}, {"val_data", "a"}, {"val_text", "b"}}, "choose one"},
                 {{{"packing", "tight"}}, "tight"},
                 {{{"shuffle", "well"}}, "well"},
                 {{{"context", "64"}}, "--context"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        key keys[5] = {{"data", path}};
        memcpy(keys + 1, table[i].keys, sizeof table[i].keys);
        assert_int_equal(open_data(&data, NULL, keys), QN_BAD_ARGUMENT);
        if (!strstr(qn_last_error(), table[i].says)) fail_msg("%s", qn_last_error());
    }
    assert_int_equal(open_data(&data, NULL, KEYS({"data", path_in(root, "gone")})), QN_OS_ERROR);
    path = put_file("ones.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n");
    assert_bad(open_data(&data, NULL, KEYS({"data", path}, {"tokenizer", "char"})), "ones.jsonl",
               "no document has a token to predict");
    /* Of a long prompt only the last piece learns something. */
    path = put_file("long-prompt.jsonl", "{\"prompt\":\"a prompt of several pieces\","
                                         "\"completion\":\"it\"}\n");
    assert_ok(open_data(&data, NULL, KEYS({"data", path})));
    assert_true(data.train.samples.count == 1 && data.train.samples.packing.cut == 1);
    qn__data_close(&data);
}

/* ---- the cache ---- */

static const char *cache(void)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/cache/tokens", root);
    return path;
}

/* The files in a folder of the cache; *newest is the last of them. */
static int files_of(const char *folder, char *newest, size_t room)
{
    int count = 0;
    char path[4200];
    snprintf(path, sizeof path, "%s/cache/%s", root, folder);
    DIR *list = opendir(path);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        if (entry->d_name[0] == '.') continue;
        if (newest) snprintf(newest, room, "%.4100s/%.200s", path, entry->d_name);
        count++;
    }
    if (list) closedir(list);
    return count;
}

static int cached_files(char *newest, size_t room)
{
    return files_of("tokens", newest, room);
}

static int learning;

static bool count_learning(void *user, const char *what, int64_t done, int64_t total)
{
    (void)user;
    (void)done;
    (void)total;
    learning += strcmp(what, "learning the tokenizer") == 0;
    return true;
}

static void empty_cache(void)
{
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", cache());
    assert_int_equal(system(command), 0);
}

static void assert_cached(bool cached, const key *keys, const char *want)
{
    qn_data data;
    assert_ok(open_data(&data, NULL, keys));
    if (data.cached != cached) fail_msg("%s", cached ? "not from the cache" : "from the cache");
    assert_tokens(&data.train.tokens, want);
    qn__data_close(&data);
}

static void hits_and_misses(void **state)
{
    (void)state;
    const char *path = put_file("h.jsonl", "{\"text\":\"hello\"}\n{\"text\":\"world\"}\n");
    static const char both[] = "hello$\nworld$\n";
    empty_cache();
    assert_cached(false, KEYS({"data", path}, {"val_fraction", "0"}), both);
    assert_cached(true, KEYS({"data", path}, {"val_fraction", "0"}), both);
    /* How the tokens are used does not matter to what they are. */
    assert_cached(true, KEYS({"data", path}, {"val_fraction", "0.4"}), "hello$\n");
    assert_cached(true, KEYS({"data", path}, {"val_fraction", "0"}, {"packing", "stream"}), both);
    assert_int_equal(cached_files(NULL, 0), 1);
    /* Another tokenizer; another text of the same size; the first one again at another time. */
    qn_data data;
    assert_ok(open_data(&data, NULL, KEYS({"data", path}, {"tokenizer", "char"})));
    assert_false(data.cached);
    qn__data_close(&data);
    usleep(20000);
    put_file("h.jsonl", "{\"text\":\"HELLO\"}\n{\"text\":\"world\"}\n");
    assert_cached(false, KEYS({"data", path}, {"val_fraction", "0"}), "HELLO$\nworld$\n");
    usleep(20000);
    put_file("h.jsonl", "{\"text\":\"hello\"}\n{\"text\":\"world\"}\n");
    assert_cached(false, KEYS({"data", path}, {"val_fraction", "0"}), both);
    /* Of a plain text the split is part of what the tokens are. */
    path = put_file("h.txt", "hello world, hello");
    assert_cached(false, KEYS({"data", path}, {"val_fraction", "0"}), "hello world, hello\n");
    assert_cached(false, KEYS({"data", path}, {"val_fraction", "0.3"}), "hello world,\n");
    assert_cached(true, KEYS({"data", path}, {"val_fraction", "0"}), "hello world, hello\n");
}

static void damage(void **state)
{
    (void)state;
    char file[4400];
    const char *path = put_file("d.jsonl", "{\"prompt\":\"a\",\"completion\":\"bcd\"}\n"
                                           "{\"text\":\"e\"}\n");
    const key *keys = KEYS({"data", path}, {"val_fraction", "0"});
    static const char want[] = "(a)bcd$\ne$\n";
    empty_cache();
    assert_cached(false, keys, want);
    assert_int_equal(cached_files(file, sizeof file), 1);
    bytes good = file_bytes(file);
    assert_int_equal(good.count, 128 + 16 + 16);
    for (size_t i = 0; i < good.count; i++) { /* every byte */
        good.data[i] ^= 0x41;
        file_write(file, good.data, good.count);
        good.data[i] ^= 0x41;
        assert_cached(false, keys, want);
        if (i % 40 == 0) assert_cached(true, keys, want); /* it was made again */
    }
    for (size_t size = 0; size < good.count; size += 9) {
        file_write(file, good.data, size);
        assert_cached(false, keys, want);
    }
    /* What a killed run left is removed, what a living one writes is not. */
    char left[4420], own[4420];
    snprintf(left, sizeof left, "%s.tmp-999999999", file);
    snprintf(own, sizeof own, "%s.tmp-%ld", file, (long)getppid());
    file_write(left, "x", 1);
    file_write(own, "x", 1);
    put_text(&good, "more");
    file_write(file, good.data, good.count);
    assert_cached(false, keys, want);
    assert_true(access(left, F_OK) != 0 && access(own, F_OK) == 0);
    assert_int_equal(unlink(own), 0);
    bytes again = file_bytes(file);
    assert_int_equal(again.count, good.count - 4);
    assert_memory_equal(again.data, good.data, again.count);
    assert_int_equal(cached_files(file, sizeof file), 1);
    free(good.data);
    free(again.data);
}

/* Merges are learned once; a damaged tokenizer is learned again. */
static void learned_tokenizers(void **state)
{
    (void)state;
    char file[4400], hash[4400];
    qn_data data;
    uint64_t numbers[6];
    const char *path = put_file("t.jsonl", "{\"text\":\"the cat and the hat\"}\n"
                                           "{\"text\":\"the cat in the hat\"}\n");
    const key *keys = KEYS({"data", path}, {"tokenizer", "bpe:262"});
    snprintf(hash, sizeof hash, "rm -rf '%s/cache/tokenizers'", root);
    assert_int_equal(system(hash), 0);
    for (int i = 0; i < 6; i++) {
        learning = 0;
        assert_ok(open_data(&data, count_learning, keys));
        numbers[i] = qn__tokenizer_hash(data.tokenizer);
        assert_true(numbers[i] == numbers[0]);
        if ((learning > 0) != (i != 1 && i != 5)) fail_msg("run %d: learned %d", i, learning);
        qn__data_close(&data);
        files_of("tokenizers", file, sizeof file);
        file[strlen(file) - strlen(".json")] = 0; /* or .hash */
        snprintf(hash, sizeof hash, "%.4300s.hash", file);
        strcat(file, ".json");
        if (i == 1) file_write(hash, "0123456789abcdef", 16);
        if (i == 2) file_write(file, "{", 1);
        if (i == 3) assert_int_equal(unlink(hash), 0);
    }
}

/* ---- when the cache cannot be written ---- */

static long no_space(void *user, int fd, const void *from, size_t count, uint64_t offset)
{
    (void)user;
    if (offset + count <= 200) return pwrite(fd, from, count, (off_t)offset);
    errno = ENOSPC;
    return -1;
}

static void full_disk(void **state)
{
    (void)state;
#define TEXT                                                                                       \
    "a text that is kept in memory, since no file can be made for its tokens; long enough for "    \
    "the "                                                                                         \
    "disk to fill up"
    const char *path = put_file("f.txt", TEXT);
    qn_file_ops ops = *qn__file_ops();
    qn_data data, again;
    ops.write = no_space;
    empty_cache();
    qn__file_ops_set(&ops);
    assert_ok(open_data(&data, NULL, KEYS({"data", path})));
    qn__file_ops_set(NULL);
    assert_true(!data.cached && !data.files[0].map.data);
    assert_int_equal(cached_files(NULL, 0), 0); /* nothing half-written */
    assert_ok(open_data(&again, NULL, KEYS({"data", path})));
    assert_true(!again.cached && again.files[0].map.data);
    assert_int_equal(data.train.tokens.count, again.train.tokens.count);
    assert_memory_equal(data.train.tokens.words, again.train.tokens.words,
                        again.train.tokens.count * 2);
    assert_memory_equal(data.files[0].ends, again.files[0].ends, 16);
    qn__data_close(&data);
    qn__data_close(&again);
    char *before = strdup(getenv("QN_CACHE_DIR"));
    setenv("QN_CACHE_DIR", path_in(path, "no-folder"), 1);
    assert_cached(false, KEYS({"data", path}, {"val_fraction", "0"}), TEXT "\n");
    setenv("QN_CACHE_DIR", before, 1);
    free(before);
}

static int calls;

static bool stop_at_third(void *user, const char *what, int64_t done, int64_t total)
{
    (void)user;
    assert_string_equal(what, "tokenizing");
    assert_true(done > 0 && done <= total);
    return ++calls < 3;
}

static void progress(void **state)
{
    (void)state;
    bytes text = {0};
    qn_data data;
    for (int i = 0; i < 40000; i++)
        put_text(&text, "{\"text\":\"a line of text and more of it\"}\n");
    file_write(path_in(root, "long.jsonl"), text.data, text.count);
    free(text.data);
    empty_cache();
    calls = 0;
    assert_int_equal(open_data(&data, stop_at_third, KEYS({"data", path_in(root, "long.jsonl")})),
                     QN_INTERRUPTED);
    assert_int_equal(calls, 3);
    assert_int_equal(cached_files(NULL, 0), 0);
}

/* A text and its tokens that no limit on memory would let in: both are mapped, not read. */
static void larger_than_memory(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: the address sanitizer needs all the memory\n");
#else
    enum { TIMES = 100, LINE = 64 };
    struct rlimit before, limit;
    qn_data data;
    FILE *file = fopen(path_in(root, "large.txt"), "wb");
    char *text = malloc(1 << 20);
    assert_true(file && text);
    for (int i = 0; i < 1 << 20; i++) text[i] = i % LINE == LINE - 1 ? '\n' : (char)('a' + i % 23);
    for (int i = 0; i < TIMES; i++) assert_int_equal(fwrite(text, 1, 1 << 20, file), 1 << 20);
    assert_int_equal(fclose(file), 0);
    free(text);
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    limit = before;
    limit.rlim_cur = 128 << 20; /* the text has 100 MiB, its tokens 200 */
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    char *whole = malloc(140 << 20);
    assert_null(whole); /* the limit holds */
    for (int i = 0; i < 2; i++) {
        assert_ok(open_data(&data, NULL, KEYS({"data", path_in(root, "large.txt")})));
        assert_true(data.cached == (i == 1));
        assert_int_equal(data.train.tokens.count + data.val.tokens.count, TIMES << 20);
        qn__data_close(&data);
    }
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    empty_cache();
#endif
}

/* Words of every width, masked and not; a masked token where none may be is our mistake. */
static void words(void **state)
{
    (void)state;
    static const struct {
        int32_t vocab;
        bool masked;
        int bytes;
    } table[] = {{32768, true, 2}, {32769, true, 4}, {65536, false, 2}, {65537, false, 4}};
    enum { COUNT = 20000 };
    static int32_t ids[COUNT], got[COUNT];
    static uint8_t learned[COUNT];
    for (size_t i = 0; i < 4; i++)
        for (int in_memory = 0; in_memory < 2; in_memory++) {
            qn_token_sink *sink;
            qn_token_file file;
            for (int t = 0; t < COUNT; t++) {
                ids[t] = t % 7 ? (int32_t)((uint32_t)t * 2654435761u % (uint32_t)table[i].vocab)
                               : table[i].vocab - 1;
                learned[t] = !table[i].masked || t % 3 != 0;
            }
            assert_ok(qn__token_sink_create(in_memory ? NULL : path_in(root, "words"), 42,
                                            table[i].vocab, table[i].masked, &sink));
            assert_ok(qn__token_sink_add(sink, ids, learned, 9999));
            assert_ok(qn__token_sink_end_document(sink));
            assert_ok(qn__token_sink_end_document(sink)); /* has none to end */
            assert_ok(qn__token_sink_add(sink, ids + 9999, learned + 9999, COUNT - 9999));
            assert_int_equal(qn__token_sink_add(sink, &table[i].vocab, NULL, 1), QN_BAD_ARGUMENT);
            assert_ok(qn__token_sink_finish(&sink, 1, 0, &file));
            assert_int_equal(file.head.word_bytes, table[i].bytes);
            assert_int_equal(file.head.documents, 2);
            const qn_tokens tokens = {.words = file.words,
                                      .count = COUNT,
                                      .word_bytes = table[i].bytes,
                                      .masked = table[i].masked,
                                      .vocab = table[i].vocab,
                                      .name = "words"};
            assert_ok(qn__tokens_read(&tokens, 0, COUNT, got));
            for (int t = 0; t < COUNT; t++) assert_int_equal(got[t], learned[t] ? ids[t] : ~ids[t]);
            qn__token_file_close(&file);
        }
    qn_token_file file;
    assert_bad(qn__token_file_open(path_in(root, "words"), 43, NULL, NULL, &file), "words",
               "other data");
    assert_ok(qn__token_file_open(path_in(root, "words"), 42, NULL, NULL, &file));
    qn__token_file_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain),
                                       cmocka_unit_test(lines),
                                       cmocka_unit_test(folders),
                                       cmocka_unit_test(shards),
                                       cmocka_unit_test(wrong_options),
                                       cmocka_unit_test(words),
                                       cmocka_unit_test(hits_and_misses),
                                       cmocka_unit_test(damage),
                                       cmocka_unit_test(full_disk),
                                       cmocka_unit_test(progress),
                                       cmocka_unit_test(learned_tokenizers),
                                       cmocka_unit_test(larger_than_memory)};
    root = folder_make();
    setenv("QN_CACHE_DIR", path_in(root, "cache"), 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_drop(root);
    return failed;
}
