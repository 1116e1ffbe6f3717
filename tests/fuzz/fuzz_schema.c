/* libFuzzer: any bytes as a JSON schema. Either refused, or a grammar in GBNF, which may only be
 * refused for what it means (rules that never end, left recursion by $ref, too many repeats), never
 * for how it is written. Built and run as CMakeLists.txt says. */
#include "heap.h"

#include <quernel/grammar.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const meanings[] = {"never ends", "left recursion", "may be empty"};
    char *text;
    qn_grammar *grammar;
    heap_watch();
    qn_status status = qn_schema_to_grammar((const char *)data, size, "fuzz", &text);
    size_t made = text ? strlen(text) : 0; /* what is refused may have come as far */
    heap_judge(size + 3 * made, heap_json_elements(data, size), text ? 256 : 16384, 16384);
    if (status != QN_OK) {
        if (text) abort();
        return 0;
    }
    if (qn_grammar_create(text, strlen(text), "made", &grammar) != QN_OK) {
        bool known = false;
        for (int i = 0; i < 3; i++) known |= strstr(qn_last_error(), meanings[i]) != NULL;
        if (!known) abort();
    }
    qn_grammar_destroy(&grammar);
    free(text);
    return 0;
}
