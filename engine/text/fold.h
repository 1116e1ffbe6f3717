/* BERT's way from a text to words: cleaned, lower case, without accents, cut at white space and
 * round punctuation. */
#ifndef QN_TEXT_FOLD_H
#define QN_TEXT_FOLD_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QN__FOLD_CLEAN = 1,   /* drop NUL, U+FFFD, control, format and private-use characters */
    QN__FOLD_CHINESE = 2, /* each Chinese character is a word */
    QN__FOLD_MARKS = 4,   /* decompose (NFD) and drop nonspacing marks */
    QN__FOLD_LOWER = 8
};

typedef qn_status (*qn__fold_fn)(void *context, const uint8_t *word, size_t bytes);

/* Bytes of `out` that a text of this many bytes may take. */
#define QN__FOLD_BYTES(bytes) (4 * (bytes) + 2)

/* Call `fn` for each word, written into `out` with a space before it; the words stay there. *used
 * is how much of `out` is taken, before and after. Invalid UTF-8 counts as U+FFFD. */
qn_status qn__fold_words(const uint8_t *text, size_t bytes, unsigned flags, uint8_t *out,
                         size_t *used, qn__fold_fn fn, void *context) QN_MUST_USE;

/* Unicode's White_Space. */
bool qn__is_space(uint32_t code);

#endif
