/* libFuzzer: any bytes as a grammar in GBNF, and what follows a NUL as a text. Either refused with
 * a place, or a matcher that judges the text alike in one piece and byte by byte.
 * Built and run as CMakeLists.txt says. */
#include "heap.h"
#include "infer/grammar.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    size_t bytes = end ? (size_t)(end - data) : size, left = size - bytes;
    const char *text = (const char *)data + bytes;
    qn_grammar *grammar;
    qn_grammar_matcher *one, *other;
    bool fits = false, piece = true, whole_text = false;
    heap_watch();
    qn_status status = qn_grammar_create((const char *)data, bytes, "fuzz", &grammar);
    size_t elements = 32 * bytes; /* a class of one character has about as many ranges of bytes */
    if (grammar)
        elements = (size_t)grammar->code_count + grammar->rule_count + grammar->node_count +
                   grammar->arc_count;
    heap_judge(bytes, elements, 64, 8192);
    if (status != QN_OK) {
        if (grammar || (status == QN_BAD_DATA && !strstr(qn_last_error(), "line "))) abort();
        return 0;
    }
    if (left > 0) text++, left--;
    if (qn_grammar_matcher_create(grammar, NULL, &one) == QN_OK) {
        if (qn_grammar_matcher_create(grammar, NULL, &other) != QN_OK) abort();
        status = qn_grammar_matcher_bytes(one, text, left, &fits);
        whole_text = status == QN_OK;
        for (size_t i = 0; status == QN_OK && piece && i < left; i++)
            status = qn_grammar_matcher_bytes(other, text + i, 1, &piece);
        if (whole_text && status == QN_OK && fits != piece) abort();
        if (whole_text && fits &&
            qn_grammar_matcher_whole(one, NULL) != qn_grammar_matcher_whole(other, NULL))
            abort();
        qn_grammar_matcher_destroy(&one);
        qn_grammar_matcher_destroy(&other);
    }
    qn_grammar_destroy(&grammar);
    return 0;
}
