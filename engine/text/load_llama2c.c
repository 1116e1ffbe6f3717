/* llama2.c's tokenizer.bin: i32 longest, then for each token f32 score, i32 length, bytes. The file
 * does not say how many tokens there are. Source: karpathy/llama2.c, tokenizer.py and run.c. */
#include "text/tokenizer.h"

#include "base/check.h"
#include "base/fs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1 << 16, UNKNOWN = 0, BOS = 1, EOS = 2, FIRST_BYTE = 3 };

static int32_t read_i32(const uint8_t *at)
{
    uint32_t value = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                     (uint32_t)at[3] << 24;
    return (int32_t)value;
}

static float read_f32(const uint8_t *at)
{
    int32_t bits = read_i32(at);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The first three tokens are <unk>, <s>, </s> (the last two with line ends round the name), the
 * next 256 the bytes; all else is text. */
static qn_status add_token(qn_tokenizer *t, const char *text, size_t bytes, float score)
{
    size_t id = t->vocab.count;
    int byte = id >= FIRST_BYTE ? qn__token_byte(text, bytes) : -1;
    qn__token_type type = QN__TOKEN_NORMAL;
    if (id == UNKNOWN) type = QN__TOKEN_UNKNOWN;
    if (id == BOS || id == EOS) {
        type = QN__TOKEN_CONTROL;
        for (; bytes && text[0] == '\n'; bytes--) text++;
        while (bytes && text[bytes - 1] == '\n') bytes--;
    }
    if (byte >= 0 && id - FIRST_BYTE == (size_t)byte) {
        char single = (char)byte;
        QN_TRY(qn__vocab_add(&t->vocab, &single, 1, QN__TOKEN_BYTE));
    } else {
        QN_TRY(qn__vocab_add(&t->vocab, text, bytes, type));
    }
    t->vocab.token[id].score = score;
    return QN_OK;
}

static qn_status read_tokens(const qn_map *map, qn_tokenizer *t)
{
    if (map->bytes < 4)
        return qn__fail(QN_BAD_DATA, "%s: not a tokenizer (%zu bytes)", map->path, map->bytes);
    int32_t longest = read_i32(map->data);
    if (longest < 1 || longest > LONGEST)
        return qn__fail(QN_BAD_DATA, "%s: not a tokenizer: neither GGUF, nor JSON, nor llama2.c's "
                        "(longest token %d)", map->path, (int)longest);
    for (size_t at = 4; at < map->bytes;) {
        if (map->bytes - at < 8)
            return qn__fail(QN_BAD_DATA, "%s: ends within token %zu", map->path, t->vocab.count);
        float score = read_f32(map->data + at);
        int32_t length = read_i32(map->data + at + 4);
        at += 8;
        if (length < 0 || length > longest || (size_t)length > map->bytes - at || !isfinite(score))
            return qn__fail(QN_BAD_DATA, "%s: token %zu has length %d (longest %d, %zu bytes left) "
                            "and score %g", map->path, t->vocab.count, (int)length, (int)longest,
                            map->bytes - at, (double)score);
        QN_TRY(add_token(t, (const char *)map->data + at, (size_t)length, score));
        at += (size_t)length;
    }
    if (t->vocab.count <= EOS)
        return qn__fail(QN_BAD_DATA, "%s: only %zu tokens", map->path, t->vocab.count);
    return QN_OK;
}

static qn_status fill(const qn_map *map, qn_tokenizer *t)
{
    QN_TRY(read_tokens(map, t));
    QN_TRY(qn__vocab_rank(&t->vocab));
    t->unknown = UNKNOWN;
    t->bos = BOS;
    t->eos = EOS;
    t->by_score = true;
    t->wants_bos = true;
    t->prefix = QN__PREFIX_EACH;
    t->drops_space = true;
    QN_TRY(qn__tokenizer_index(t));
    qn__tokenizer_mark_ends(t);
    return QN_OK;
}

qn_status qn__tokenizer_load_llama2c(const char *path, qn_tokenizer **tokenizer)
{
    qn_map map;
    QN_TRY(qn__map_open(path, &map));
    qn_status status = qn__tokenizer_create(QN_TOKENIZER_PIECES, tokenizer);
    if (status == QN_OK) status = fill(&map, *tokenizer);
    if (status != QN_OK) qn_tokenizer_destroy(tokenizer);
    qn__map_close(&map);
    return status;
}
