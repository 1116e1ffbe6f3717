/* Pre-tokenizers: cutting a text into the pieces that byte-pair merging never crosses. */
#ifndef QN_TEXT_SPLIT_H
#define QN_TEXT_SPLIT_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QN__SPLIT_STAGES = 8 };

/* Stages run one after another; each cuts every piece so far at the start and end of each match of
 * its pattern, and what no match covers stays a piece. No stage: the text is one piece. */
typedef struct qn__splitter {
    char *pattern[QN__SPLIT_STAGES]; /* owned; PCRE2 syntax */
    void *code[QN__SPLIT_STAGES];    /* compiled; safe to use from many threads */
    size_t stages;
} qn__splitter;

/* GPT-2's own pattern. */
extern const char *const qn__split_gpt2;

qn_status qn__splitter_add(qn__splitter *splitter, const char *pattern) QN_MUST_USE;
/* All stages of a GGUF tokenizer.ggml.pre name; QN_UNSUPPORTED names `origin`, the file, and lists
 * the names that exist. */
qn_status qn__splitter_add_named(qn__splitter *splitter, const char *origin, const char *name,
                                 size_t name_bytes, bool *ignores_merges) QN_MUST_USE;
/* The name in tokenizer.ggml.pre of what cuts like this; NULL where there is none. */
const char *qn__splitter_name(const qn__splitter *splitter, bool ignores_merges);
void qn__splitter_free(qn__splitter *splitter);

/* Where pieces end, ascending; the last end is the length of the text. */
typedef struct qn__ends {
    uint32_t *data;
    size_t count, capacity;
} qn__ends;

/* ends and spare are reused from call to call; the result is in `ends`. bytes < 2^31. Invalid UTF-8
 * is cut off first and not looked at by any pattern. */
qn_status qn__split(const qn__splitter *splitter, const uint8_t *text, size_t bytes, qn__ends *ends,
                    qn__ends *spare) QN_MUST_USE;
void qn__ends_free(qn__ends *ends);

#endif
