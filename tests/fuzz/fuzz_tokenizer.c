/* libFuzzer: any bytes as a tokenizer, a tokenizer.json or a GGUF file (its header is put before
 * the input), and any bytes as a text for it. Either refused, or ids within the vocabulary come
 * out, every one decodes, streaming gives what decoding at once gives, and a conversation has no
 * control tokens but those of its template. Build as CMakeLists.txt says.
 *
 * The first byte chooses: 0 JSON; else GGUF of so many keys. What is behind the last 0xFE is the
 * text. */
#include "file/gguf.h"
#include "heap.h"
#include "text/hf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static qn_status load_gguf(const uint8_t *data, size_t size, unsigned keys, qn_tokenizer **t)
{
    uint64_t head[3] = {0, 0, keys}; /* magic and version, tensors, keys */
    uint8_t *file = malloc(size + sizeof head);
    qn_gguf *gguf = NULL;
    if (!file) abort();
    memcpy(head, "GGUF\3\0\0\0", 8);
    memcpy(file, head, sizeof head);
    memcpy(file + sizeof head, data, size);
    qn_status status = qn__gguf_parse(file, size + sizeof head, "fuzz", &gguf);
    if (status == QN_OK) status = qn__tokenizer_from_gguf(gguf, t);
    qn__gguf_close(&gguf);
    free(file);
    return status;
}

static qn_status load_json(const uint8_t *data, size_t size, qn_tokenizer **t)
{
    json_t *root = NULL;
    qn_status status = qn__json_parse((const char *)data, size, "/nowhere/fuzz", &root);
    if (status == QN_OK) status = qn__tokenizer_from_json(root, "/nowhere/fuzz", t);
    json_decref(root);
    return status;
}

/* Decoded at once and as they come: the same valid UTF-8 where the bytes are valid. */
static void check_ids(const qn_tokenizer *t, const int32_t *ids, size_t count)
{
    qn_decoder *decoder = NULL;
    char *whole;
    const char *part;
    size_t bytes, length, streamed = 0;
    if (qn_tokenizer_decode(t, ids, count, &whole, &bytes) != QN_OK) abort();
    if (qn_decoder_create(t, true, &decoder) != QN_OK) abort();
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= qn_tokenizer_vocab_size(t)) abort();
        if (qn_decoder_push(decoder, ids[i], &part, &length) != QN_OK) abort();
        if (length && (part[0] & 0xC0) == 0x80) abort();
        streamed += length;
    }
    if (qn_decoder_finish(decoder, &part, &length) != QN_OK) abort();
    if (streamed + length < bytes) abort(); /* what is no UTF-8 only grows */
    qn_decoder_destroy(&decoder);
    free(whole);
}

static size_t controls(const qn_tokenizer *t, const char *text, size_t bytes, bool *good)
{
    const qn_message message = {"user", text, bytes};
    int32_t *ids = NULL;
    size_t count = 0, found = 0;
    *good = qn_chat_encode(t, NULL, &message, 1, &ids, NULL, &count) == QN_OK;
    for (size_t i = 0; i < count; i++) found += qn_tokenizer_is_control(t, ids[i]);
    free(ids);
    return found;
}

static void exercise(const qn_tokenizer *t, const char *text, size_t bytes)
{
    for (unsigned flags = 0; flags < 8; flags++) {
        int32_t *ids = NULL;
        size_t count = 0;
        if (qn_tokenizer_encode(t, text, bytes, flags, &ids, &count) == QN_OK)
            check_ids(t, ids, count);
        free(ids);
    }
    bool good, empty_good;
    size_t with = controls(t, text, bytes, &good), without = controls(t, "", 0, &empty_good);
    int32_t *ids = NULL;
    size_t count = 0, own = 0; /* unknown characters may be a control token */
    if (qn_tokenizer_encode(t, text, bytes, QN_ENCODE_GOES_ON, &ids, &count) == QN_OK)
        for (size_t i = 0; i < count; i++) own += qn_tokenizer_is_control(t, ids[i]);
    free(ids);
    if (good && empty_good && own == 0 && with > without + bytes) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    qn_tokenizer *t = NULL;
    if (size == 0) return 0;
    size_t end = size;
    for (size_t i = 1; i < size; i++)
        if (data[i] == 0xFE) end = i;
    heap_watch();
    qn_status status =
        data[0] ? load_gguf(data + 1, end - 1, data[0], &t) : load_json(data + 1, end - 1, &t);
    heap_judge(size, data[0] ? end / 8 : heap_json_elements(data, end), 512, 65536);
    if (status != QN_OK) {
        if (t) abort();
        return 0;
    }
    exercise(t, (const char *)data + end + (end < size), size - end - (end < size));
    qn_tokenizer_destroy(&t);
    return 0;
}
