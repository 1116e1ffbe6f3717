#include "train/tokens.h"

#include "base/check.h"

#include <inttypes.h>
#include <string.h>

static void read_narrow(const qn_tokens *tokens, uint64_t first, size_t count, int32_t *out)
{
    const uint8_t *from = tokens->words + first * 2;
    for (size_t i = 0; i < count; i++) {
        uint16_t word;
        memcpy(&word, from + i * 2, sizeof word);
        out[i] = tokens->masked && word >> 15 ? ~(int32_t)(word & INT16_MAX) : (int32_t)word;
    }
}

static void read_wide(const qn_tokens *tokens, uint64_t first, size_t count, int32_t *out)
{
    const uint8_t *from = tokens->words + first * 4;
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, from + i * 4, sizeof word);
        out[i] = word >> 31 ? ~(int32_t)(word & INT32_MAX) : (int32_t)word;
    }
}

qn_status qn__tokens_read(const qn_tokens *tokens, uint64_t first, size_t count, int32_t *out)
{
    QN_CHECK(first <= tokens->count && count <= tokens->count - first,
             "tokens %" PRIu64 " and the %zu after it, of %" PRIu64, first, count, tokens->count);
    if (tokens->shards) QN_TRY(qn__shards_read(tokens->shards, first, count, out));
    else if (tokens->word_bytes == 2) read_narrow(tokens, first, count, out);
    else read_wide(tokens, first, count, out);
    for (size_t i = 0; i < count; i++)
        if (qn__token_id(out[i]) >= tokens->vocab)
            return qn__fail(QN_BAD_DATA,
                            "%s: token %" PRIu64 " is %d, but the vocabulary has %d tokens: give "
                            "the tokenizer that made these tokens with --tokenizer",
                            tokens->name, first + i, qn__token_id(out[i]), tokens->vocab);
    return QN_OK;
}
