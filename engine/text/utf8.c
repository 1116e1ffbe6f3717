#include "text/utf8.h"

/* The legal range of the second byte depends on the first; all later ones are 80..BF.
 * Unicode 15, table 3-7. Returns the length the first byte announces, 0 if it cannot be first. */
static size_t announce(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    if (first < 0xE0) return 2;
    if (first == 0xE0) *low = 0xA0;
    if (first == 0xED) *high = 0x9F;
    if (first < 0xF0) return 3;
    if (first == 0xF0) *low = 0x90;
    if (first == 0xF4) *high = 0x8F;
    return 4;
}

/* How many bytes fit the character that the first byte announces (at least 1). */
static size_t fitting(const uint8_t *text, size_t bytes, size_t *announced)
{
    uint8_t low, high;
    size_t length = announce(text[0], &low, &high), fit = 1;
    *announced = length;
    while (fit < length && fit < bytes && text[fit] >= low && text[fit] <= high) {
        low = 0x80;
        high = 0xBF;
        fit++;
    }
    return fit;
}

size_t qn__utf8_decode(const uint8_t *text, size_t bytes, uint32_t *code)
{
    if (text[0] < 0x80) {
        if (code) *code = text[0];
        return 1;
    }
    size_t length;
    if (fitting(text, bytes, &length) != length) return 0;
    uint32_t value = text[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) value = value << 6 | (text[i] & 0x3Fu);
    if (code) *code = value;
    return length;
}

size_t qn__utf8_bad(const uint8_t *text, size_t bytes, bool *cut)
{
    size_t length, fit = fitting(text, bytes, &length);
    if (cut) *cut = length > fit && fit == bytes;
    return fit;
}

size_t qn__utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00u >> length & 0xFFu) | code);
    return length;
}

size_t qn__utf8_run(const uint8_t *text, size_t bytes, bool *valid)
{
    size_t at = 0, length;
    *valid = qn__utf8_decode(text, bytes, NULL) > 0;
    while (at < bytes) {
        length = qn__utf8_decode(text + at, bytes - at, NULL);
        if ((length > 0) != *valid) break;
        at += length ? length : 1;
    }
    return at;
}

/* The bytes without a printable character of their own are 0..32, 127..160 and 173; in this order
 * they are written as U+0100, U+0101, ... */
uint32_t qn__byte_to_code(uint8_t byte)
{
    if (byte <= 32) return 256u + byte;
    if (byte >= 127 && byte <= 160) return 256u + 33u + (byte - 127u);
    if (byte == 173) return 256u + 33u + 34u;
    return byte;
}

int qn__code_to_byte(uint32_t code)
{
    if (code < 256) return qn__byte_to_code((uint8_t)code) == code ? (int)code : -1;
    if (code <= 288) return (int)code - 256;
    if (code <= 322) return (int)code - 289 + 127;
    return code == 323 ? 173 : -1;
}
