/* libFuzzer: any bytes as a line of JSON Lines. Either refused with a message that names the line,
 * or a document whose spans lie in the line's strings and become tokens, each marked.
 *
 *   clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Iengine \
 *     -Iengine/include tests/fuzz/fuzz_jsonl.c engine/{text,file,base,numeric}/?*.c \
 *     -ljansson -lxxhash -lpcre2-8 -lm -o fuzz_jsonl
 *   ./fuzz_jsonl -max_len=2048 -malloc_limit_mb=64 -dict=tests/fuzz/jsonl.dict corpus/ */
#include "base/json.h"
#include "text/document.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const qn_tokenizer *tokenizer, const qn__document *document)
{
    qn__marked marked = {0};
    size_t learned = 0, bytes = 0;
    for (size_t i = 0; i < document->count; i++) {
        size_t at = 0;
        do
            if (qn__document_encode(document, i, &at, tokenizer, &marked) != QN_OK) abort();
        while (at < document->span[i].bytes);
        bytes += document->span[i].turn_end ? 1 : document->span[i].bytes;
    }
    for (size_t i = 0; i < marked.ids.count; i++) {
        if (marked.ids.data[i] < 0 || marked.ids.data[i] > 256) abort();
        learned += marked.learned[i];
    }
    if (marked.ids.count > bytes || learned > marked.ids.count) abort();
    if (bytes > 0 && !document->plain && learned == 0) abort(); /* nothing to learn: refused */
    qn__marked_free(&marked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static qn_tokenizer *tokenizer;
    json_t *root;
    qn__document document = {0};
    if (!tokenizer && qn_tokenizer_create_bytes(&tokenizer) != QN_OK) abort();
    qn_status status = qn__json_parse_line((const char *)data, size, "file.jsonl", 7, &root);
    if (status == QN_OK) {
        status = qn__document_json(&document, root, "file.jsonl", 7);
        if (status == QN_OK) encode(tokenizer, &document);
        json_decref(root);
    }
    if (status != QN_OK && (status != QN_BAD_DATA || !strstr(qn_last_error(), "file.jsonl:7")))
        abort();
    qn__document_free(&document);
    return 0;
}
