/* Tensors on the device, each in a buffer of its own between two guards. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 1024 };

/* In every float format this repeats a NaN, so that what nobody wrote shows wherever it is used. */
static const unsigned char pattern[2] = {0xA5, 0xFF};

static void paint(unsigned char *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) bytes[i] = pattern[i % 2];
}

place *place_make(places *p, const char *name, const qn_desc *desc, const void *raw, int shift)
{
    if (p->count == PLACE_LIMIT) {
        qn__fail(QN_INTERNAL, "more than %d tensors in one case", PLACE_LIMIT);
        return NULL;
    }
    place *one = &p->item[p->count];
    uint64_t bytes = qn__desc_bytes(desc);
    *one = (place){.name = name, .operand = {.there = true, .desc = *desc}, .written = !raw};
    one->operand.offset = GUARD + (uint64_t)shift * (uint64_t)qn_dtype_bytes(desc->dtype);
    one->total = one->operand.offset + bytes + GUARD;
    one->image = malloc(one->total);
    if (!one->image ||
        qn__buffer_create(p->device, one->total, name, &one->operand.buffer) != QN_OK) {
        free(one->image);
        return NULL;
    }
    paint(one->image, one->total);
    if (raw) memcpy(one->image + one->operand.offset, raw, bytes);
    p->count++;
    if (qn__buffer_write(one->operand.buffer, 0, one->image, one->total) != QN_OK) return NULL;
    return one;
}

qn_status place_reset(places *p)
{
    for (int i = 0; i < p->count; i++)
        QN_TRY(qn__buffer_write(p->item[i].operand.buffer, 0, p->item[i].image, p->item[i].total));
    return QN_OK;
}

static bool check_one(test *t, const place *one, const unsigned char *now)
{
    uint64_t from = one->operand.offset, to = one->total - GUARD;
    for (uint64_t i = 0; i < one->total; i++) {
        if (now[i] == one->image[i] || (one->written && i >= from && i < to)) continue;
        long long at = (long long)i - (long long)(i < from ? from : i < to ? from : to);
        test_fail(t, "%s: byte %lld %s it was overwritten", one->name, at,
                  i < from ? "before"
                  : i < to ? "of"
                           : "behind");
        return false;
    }
    return true;
}

bool place_check(test *t, places *p)
{
    bool good = true;
    for (int i = 0; good && i < p->count; i++) {
        unsigned char *now = malloc(p->item[i].total);
        if (!now || qn__buffer_read(p->item[i].operand.buffer, 0, now, p->item[i].total) != QN_OK) {
            test_fail(t, "reading %s: %s", p->item[i].name, qn_last_error());
            good = false;
        } else {
            good = check_one(t, &p->item[i], now);
        }
        free(now);
    }
    return good;
}

qn_status place_read(const place *one, const qn_desc *desc, host *h)
{
    host_make(h, desc);
    QN_TRY(qn__buffer_read(one->operand.buffer, one->operand.offset, h->raw, h->bytes));
    host_decode(h);
    return QN_OK;
}

void place_free(places *p)
{
    for (int i = 0; i < p->count; i++) {
        qn__buffer_destroy(&p->item[i].operand.buffer);
        free(p->item[i].image);
    }
    p->count = 0;
}
