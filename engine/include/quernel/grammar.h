/* Output held to a grammar in GBNF, llama.cpp's notation.
 *
 *   QN_TRY(qn_grammar_create(text, strlen(text), "the grammar", &grammar));
 *   QN_TRY(qn_grammar_matcher_create(grammar, tokenizer, &matcher));
 *   QN_TRY(qn_grammar_matcher_allowed(matcher, &allowed));
 *   QN_TRY(qn_sampler_choose(sampler, logits, allowed, &token));
 *   QN_TRY(qn_grammar_matcher_accept(matcher, token));
 *
 * A grammar is rules NAME ::= ALTERNATIVES, the text being what "root" derives:
 *
 *   "text"  [a-zA-Z_]  [^"\\]  .  name  ( ... )     x | y   x* x+ x? x{n} x{m,} x{m,n}   # comment
 *
 * Escapes: \n \r \t \\ \" \[ \] \- \^ \/ \xHH \uHHHH \UHHHHHHHH. */
#ifndef QUERNEL_GRAMMAR_H
#define QUERNEL_GRAMMAR_H

#include <quernel/text.h>

/* Never changes after it was made; any number of threads and matchers may use it. */
typedef struct qn_grammar qn_grammar;

/* `origin` (a path) is for messages, which say line and column. QN_BAD_DATA: an error in the text,
 * a rule that is not defined, defined twice, begins with itself (left recursion) or never ends.
 * Time and memory are in proportion to the text. */
QN_API qn_status qn_grammar_create(const char *text, size_t bytes, const char *origin,
                                   qn_grammar **grammar) QN_MUST_USE;
QN_API void qn_grammar_destroy(qn_grammar **grammar);

/* GBNF for JSON texts that are valid under a JSON schema: type, properties, required,
 * additionalProperties (a schema alone, or false), items, minItems, maxItems, minLength, maxLength,
 * pattern, minimum and maximum (exclusive, too; whole numbers), format date, time, date-time and
 * uuid, enum, const, allOf, anyOf, oneOf (taken as anyOf), local $ref, also beside one another.
 * Properties come in the order of the schema, only those that it names; a space follows each : and
 * comma. Free *text with qn_free. QN_UNSUPPORTED names a keyword that is not done; QN_BAD_DATA: no
 * schema. */
QN_API qn_status qn_schema_to_grammar(const char *schema, size_t bytes, const char *origin,
                                      char **text) QN_MUST_USE;
/* GBNF of any JSON object. */
QN_API const char *qn_grammar_json_object(void);

/* Where a text stands in a grammar, for tokens or for bytes. One thread at a time. Memory: states
 * that were met are remembered, up to about 64 MiB. */
typedef struct qn_grammar_matcher qn_grammar_matcher;

/* tokenizer NULL: bytes only. Grammar and tokenizer must outlive the matcher. */
QN_API qn_status qn_grammar_matcher_create(const qn_grammar *grammar, const qn_tokenizer *tokenizer,
                                           qn_grammar_matcher **matcher) QN_MUST_USE;
QN_API void qn_grammar_matcher_destroy(qn_grammar_matcher **matcher);
/* Back to the beginning of the text. */
QN_API qn_status qn_grammar_matcher_reset(qn_grammar_matcher *matcher) QN_MUST_USE;
/* Go on with bytes, cut anywhere. *fits: the text so far begins a text of the grammar; if not, the
 * matcher stays where it was. */
QN_API qn_status qn_grammar_matcher_bytes(qn_grammar_matcher *matcher, const char *text,
                                          size_t bytes, bool *fits) QN_MUST_USE;
/* Is the text so far whole? *ends (may be NULL): nothing can follow it. */
QN_API bool qn_grammar_matcher_whole(const qn_grammar_matcher *matcher, bool *ends);
/* A bit a token: bit i % 32 of word i / 32. Tokens that end a text are allowed when it is whole;
 * control tokens never. Borrowed until the next call. */
QN_API qn_status qn_grammar_matcher_allowed(qn_grammar_matcher *matcher,
                                            const uint32_t **allowed) QN_MUST_USE;
/* Words of such a mask. */
QN_API size_t qn_grammar_matcher_words(const qn_grammar_matcher *matcher);
/* Go on with a token; QN_BAD_ARGUMENT when it is not allowed. */
QN_API qn_status qn_grammar_matcher_accept(qn_grammar_matcher *matcher, int32_t token) QN_MUST_USE;

#endif
