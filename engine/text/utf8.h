/* UTF-8 one character at a time, and GPT-2's way of writing bytes as visible characters. */
#ifndef QN_TEXT_UTF8_H
#define QN_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `text` (1..4), 0 if it is not valid UTF-8: overlong, surrogate, above
 * U+10FFFF, cut short. *code (may be NULL) gets the code point. bytes > 0. */
size_t qn__utf8_decode(const uint8_t *text, size_t bytes, uint32_t *code);

/* How many bytes at an invalid place belong together (1..3): the longest prefix of a valid
 * character, as Unicode recommends for U+FFFD. *cut (may be NULL): the text ended within it. */
size_t qn__utf8_bad(const uint8_t *text, size_t bytes, bool *cut);

/* Returns 1..4. `code` is a valid code point. */
size_t qn__utf8_encode(uint32_t code, char out[4]);

/* Length of the valid, or of the invalid, run at the start; bytes > 0. */
size_t qn__utf8_run(const uint8_t *text, size_t bytes, bool *valid);

/* GPT-2 writes each byte as one character: printable Latin-1 as itself, the rest as U+0100... */
uint32_t qn__byte_to_code(uint8_t byte);
/* -1 if no byte is written so. */
int qn__code_to_byte(uint32_t code);

#endif
