/* Tokenizers: text to token ids and back.
 *
 *   qn_tokenizer *tokenizer = NULL;
 *   QN_TRY(qn_tokenizer_load("model/tokenizer.json", &tokenizer));
 *   QN_TRY(qn_tokenizer_encode(tokenizer, text, bytes, QN_ENCODE_BOS, &ids, &count));
 *   QN_TRY(qn_tokenizer_decode(tokenizer, ids, count, &again, &again_bytes));
 *   free(ids), free(again);
 *   qn_tokenizer_destroy(&tokenizer);
 *
 * Texts are bytes with an explicit length: NUL bytes and invalid UTF-8 are allowed unless a call
 * says otherwise. A tokenizer never changes after it was made and may be used from many threads. */
#ifndef QUERNEL_TEXT_H
#define QUERNEL_TEXT_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qn_tokenizer qn_tokenizer;

typedef enum qn_tokenizer_kind {
    QN_TOKENIZER_CHARS, /* one token a Unicode character */
    QN_TOKENIZER_BYTES, /* one token a byte */
    QN_TOKENIZER_BPE,   /* byte-level byte-pair encoding: GPT-2, Llama 3, Qwen */
    QN_TOKENIZER_PIECES, /* SentencePiece-like merging of characters: Llama 2, llama2.c */
    QN_TOKENIZER_WORDS  /* WordPiece: BERT. Decoding gives a space between any two words */
} qn_tokenizer_kind;

/* Called now and then; false stops the work, which then returns QN_INTERRUPTED. */
typedef bool (*qn_tokenizer_progress_fn)(void *user, int64_t done, int64_t total);

/* One token for each different character of `text`, ids in the order of their code points. Encoding
 * a character that was not there fails. QN_BAD_DATA if the text is empty, is not valid UTF-8 or
 * contains U+0000: the bytes tokenizer takes such texts. No special tokens. */
QN_API qn_status qn_tokenizer_create_chars(const char *text, size_t bytes,
                                           qn_tokenizer **tokenizer) QN_MUST_USE;

/* Ids 0..255 are the bytes, 256 is <|endoftext|> (begin and end of text). */
QN_API qn_status qn_tokenizer_create_bytes(qn_tokenizer **tokenizer) QN_MUST_USE;

/* Byte-pair encoding learned from `text`, over the pieces GPT-2 cuts text into; "<|endoftext|>" in
 * the text separates documents. Ids 0..255 are the bytes, then merges in the order learned, last
 * <|endoftext|> (begin and end of text). vocab_size >= 257 counts all of them; the result has fewer
 * tokens if no pair is left that occurs twice. Equal counts: the pair with the smaller ids first,
 * so the same text gives the same tokenizer everywhere. `progress` may be NULL.
 * Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units",
 * ACL 2016; Radford et al., "Language models are unsupervised multitask learners", 2019. */
QN_API qn_status qn_tokenizer_train_bpe(const char *text, size_t bytes, int32_t vocab_size,
                                        qn_tokenizer_progress_fn progress, void *user,
                                        qn_tokenizer **tokenizer) QN_MUST_USE;

/* Recognised by content: a Hugging Face tokenizer.json or a folder with one (tokenizer_config.json
 * beside it is read for the special tokens), a GGUF file, a llama2.c tokenizer.bin.
 * QN_BAD_DATA: the file contradicts itself. QN_UNSUPPORTED: valid, but of a kind we do not do. */
QN_API qn_status qn_tokenizer_load(const char *path, qn_tokenizer **tokenizer) QN_MUST_USE;

/* Write a Hugging Face tokenizer.json. If `path` is a folder, write tokenizer.json and
 * tokenizer_config.json in it. The `tokenizers` package and qn_tokenizer_load give the same ids;
 * but pieces that join by score (GGUF "llama", llama2.c) become ranked merges, the nearest thing
 * that the format has, and U+2581 in a text then means a space. */
QN_API qn_status qn_tokenizer_save(const qn_tokenizer *tokenizer, const char *path) QN_MUST_USE;

/* Takes the address, accepts NULL, leaves NULL. */
QN_API void qn_tokenizer_destroy(qn_tokenizer **tokenizer);

QN_API qn_tokenizer_kind qn_tokenizer_get_kind(const qn_tokenizer *tokenizer);
/* Ids are in [0, vocab_size). */
QN_API int32_t qn_tokenizer_vocab_size(const qn_tokenizer *tokenizer);
/* -1 when there is none. */
QN_API int32_t qn_tokenizer_bos(const qn_tokenizer *tokenizer);
QN_API int32_t qn_tokenizer_eos(const qn_tokenizer *tokenizer);
/* Was the model trained with BOS before every text? Then encode prompts with QN_ENCODE_BOS. */
QN_API bool qn_tokenizer_wants_bos(const qn_tokenizer *tokenizer);
/* Does generation stop at this token: end of text, of turn, of message? */
QN_API bool qn_tokenizer_is_end(const qn_tokenizer *tokenizer, int32_t id);
/* Control tokens (BOS, EOS, turn marks) stand for no text and decode to nothing. */
QN_API bool qn_tokenizer_is_control(const qn_tokenizer *tokenizer, int32_t id);
/* The text of one token, not NUL-terminated, owned by the tokenizer; a control token has its name.
 * An id outside the vocabulary gives NULL and 0 bytes. */
QN_API const char *qn_tokenizer_token_bytes(const qn_tokenizer *tokenizer, int32_t id,
                                            size_t *bytes);
/* The token that is exactly this text (a control token by its name); -1 when there is none. */
QN_API int32_t qn_tokenizer_find(const qn_tokenizer *tokenizer, const char *text, size_t bytes);

enum {
    QN_ENCODE_BOS = 1,    /* begin with BOS, if there is one */
    QN_ENCODE_SPECIAL = 2, /* names of control tokens in the text become these tokens; without it
                              they are ordinary text, as is right for text you do not trust */
    QN_ENCODE_GOES_ON = 4  /* the text continues another one: no space is put before it, as some
                              tokenizers do at the start of a text */
};

/* The caller frees *ids (NULL when *count is 0). At most 2^31 - 2 bytes a call; time grows as
 * n log n at worst. QN_BAD_ARGUMENT if the vocabulary has no token for some of the text. */
QN_API qn_status qn_tokenizer_encode(const qn_tokenizer *tokenizer, const char *text, size_t bytes,
                                     unsigned flags, int32_t **ids, size_t *count) QN_MUST_USE;

/* The exact bytes that the ids stand for, a NUL added after the last (not counted); the caller
 * frees *text. Any byte sequence may come out; qn_decoder gives valid UTF-8 only. */
QN_API qn_status qn_tokenizer_decode(const qn_tokenizer *tokenizer, const int32_t *ids,
                                     size_t count, char **text, size_t *bytes) QN_MUST_USE;

/* ---- conversations ---- */

typedef struct qn_message {
    const char *role;    /* "system", "user", "assistant" or "tool" */
    const char *content; /* need not end in NUL; names of control tokens in it are ordinary text */
    size_t bytes;
} qn_message;

typedef struct qn_chat_options {
    uint32_t size;             /* sizeof(qn_chat_options) */
    const char *template_name; /* NULL: the tokenizer's own, else "chatml" */
    bool reply;   /* go on with what opens the assistant's turn, so that the model answers */
    bool follows; /* the messages come after an assistant's turn whose end is in the context */
} qn_chat_options;

/* A conversation as tokens, in one of the families of templates that qn_chat_template_at lists;
 * "chatml", which is also that of training data:
 *
 *   <|im_start|>ROLE\nCONTENT<|im_end|>
 *
 * for each message, with one line feed between two. Marks such as <|im_start|> are the control
 * tokens of these names where the tokenizer has them, otherwise ordinary text; what ends a turn is
 * its mark, else the end-of-text token, else its name as text. Contents are always ordinary text.
 * Begins with BOS where the tokenizer wants it (not with `follows`). Where a family has no place
 * for the system's message it stands in the user's first turn.
 * *learned (may be NULL) is 1 for tokens of the assistant's contents and the ends of its turns.
 * options may be NULL. The caller frees both. QN_BAD_ARGUMENT: another role, or one that the family
 * lacks; another name. */
QN_API qn_status qn_chat_encode(const qn_tokenizer *tokenizer, const qn_chat_options *options,
                                const qn_message *messages, size_t count, int32_t **ids,
                                uint8_t **learned, size_t *tokens) QN_MUST_USE;

/* The name of family i; NULL past the last. */
QN_API const char *qn_chat_template_at(size_t i);
/* Which family is this template, written in Jinja? It is data, never executed. NULL: none. */
QN_API const char *qn_chat_template_recognise(const char *jinja, size_t bytes);
/* The family of the template that came with the tokenizer; NULL: none, or none that is known. */
QN_API const char *qn_tokenizer_chat_template(const qn_tokenizer *tokenizer);
/* Text that begins the user's next turn where the family has no token for it: a model that goes on
 * past its turn writes this. NULL: no need, or no such family. */
QN_API const char *qn_chat_template_stop(const char *name);

/* ---- stop strings ---- */

/* Text passes through until one of some strings has come, wherever its bytes were cut; what may
 * become one is held back. */
typedef struct qn_stops qn_stops;

/* count strings, copied; QN_BAD_ARGUMENT if one is empty or longer than 4096 bytes. */
QN_API qn_status qn_stops_create(const char *const *strings, size_t count,
                                 qn_stops **stops) QN_MUST_USE;
/* What may go out now, without the string that ends it; *found stays true from then on, and nothing
 * more comes out. *out is owned by the stops, NUL-terminated, valid until its next call. */
QN_API qn_status qn_stops_push(qn_stops *stops, const char *text, size_t bytes, const char **out,
                               size_t *out_bytes, bool *found) QN_MUST_USE;
/* What is still held back, at the end of a text. Afterwards a new text may begin. */
QN_API qn_status qn_stops_finish(qn_stops *stops, const char **out,
                                 size_t *out_bytes) QN_MUST_USE;
QN_API void qn_stops_destroy(qn_stops **stops);

/* ---- decoding as tokens come ---- */

/* Decoding as tokens arrive. What comes out is always whole, valid UTF-8: a character cut between
 * tokens waits for its rest, bytes that can never become a character come out as U+FFFD. */
typedef struct qn_decoder qn_decoder;

/* at_start: the first token begins a text, so the space that some tokenizers put before a text is
 * dropped. false: the tokens continue a text that was decoded elsewhere (a prompt). The tokenizer
 * must outlive the decoder. */
QN_API qn_status qn_decoder_create(const qn_tokenizer *tokenizer, bool at_start,
                                   qn_decoder **decoder) QN_MUST_USE;
/* *text may be empty; it is NUL-terminated, owned by the decoder, valid until its next call. */
QN_API qn_status qn_decoder_push(qn_decoder *decoder, int32_t id, const char **text,
                                 size_t *bytes) QN_MUST_USE;
/* What still waits, as U+FFFD; afterwards the decoder continues the same text. */
QN_API qn_status qn_decoder_finish(qn_decoder *decoder, const char **text,
                                   size_t *bytes) QN_MUST_USE;
QN_API void qn_decoder_destroy(qn_decoder **decoder);

#endif
