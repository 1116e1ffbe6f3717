/* ECMA-262 regular expressions, as JSON schemas have them, to GBNF. */
#ifndef QN_INFER_PATTERN_H
#define QN_INFER_PATTERN_H

#include "base/str.h"

#include <quernel/status.h>

/* Appends the JSON strings, with their quotes, whose characters the pattern finds something in.
 *
 * Done are characters, ., classes, \d \w \s and their opposites, escapes of characters, groups
 * (also
 * (?:...) and (?<name>...)), |, * + ? {m} {m,} {m,n} (lazy ones mean the same), and ^ and $ at the
 * ends of the whole pattern or of its alternatives. QN_UNSUPPORTED: what a grammar cannot say or is
 * not done (looking ahead or behind, references, \b, \p, anchors within); QN_BAD_DATA: no pattern.
 * Control characters are written where JSON has a letter for them (\n), never otherwise. */
qn_status qn__pattern_add(qn_str *out, const char *pattern) QN_MUST_USE;

#endif
