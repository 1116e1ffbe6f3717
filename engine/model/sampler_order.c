/* Partial selection: a histogram of keys finds how far to go, only that part is sorted. */
#include "model/sampler.h"

#include <math.h>
#include <string.h>

/* NEAR: bins in which most choices end; few candidates are in them. */
enum { BINS = 2048, NEAR = 512, DIGIT = 11, DIGITS = 1 << DIGIT, FEW = 24 };

/* Sixty-fourths, up to 32 in all; what is beyond shares the last bin. */
static int bin_of(float key)
{
    return key < (float)(BINS - 1) / 64.0f ? (int)(key * 64.0f) : BINS - 1;
}

static uint32_t order_of(float key)
{
    uint32_t bits;
    key += 0.0f; /* -0 */
    memcpy(&bits, &key, sizeof bits);
    return bits; /* keys are not negative: their bits are in their order */
}

static void sort_few(qn_sort_item *items, int32_t count)
{
    for (int32_t i = 1; i < count; i++) {
        qn_sort_item item = items[i];
        int32_t at = i;
        for (; at > 0 && items[at - 1].order > item.order; at--) items[at] = items[at - 1];
        items[at] = item;
    }
}

/* Stable, three digits of 11 bits; `other` has as much room. Ends in items. */
static void sort_many(qn_sort_item *items, qn_sort_item *other, int32_t count)
{
    for (int pass = 0; pass < 3; pass++) {
        int32_t starts[DIGITS + 1] = {0};
        int shift = pass * DIGIT;
        for (int32_t i = 0; i < count; i++) starts[(items[i].order >> shift & (DIGITS - 1)) + 1]++;
        for (int d = 0; d < DIGITS; d++) starts[d + 1] += starts[d];
        for (int32_t i = 0; i < count; i++)
            other[starts[items[i].order >> shift & (DIGITS - 1)]++] = items[i];
        qn_sort_item *swap = items;
        items = other;
        other = swap;
    }
    memcpy(other, items, (size_t)count * sizeof *items);
}

/* The last bin that is needed, of those below `bins`; BINS when these are not enough. */
static int last_bin(const qn_candidates *list, int bins, int32_t most, double mass)
{
    static _Thread_local int32_t counts[BINS];
    static _Thread_local double masses[BINS];
    float end = bins < BINS ? (float)bins / 64.0f : INFINITY;
    memset(counts, 0, sizeof counts);
    memset(masses, 0, sizeof masses);
    for (int32_t i = 0; i < list->count; i++) {
        if (!(list->key[i] <= end)) continue;
        int bin = bin_of(list->key[i]);
        counts[bin]++;
        masses[bin] += (double)list->weight[i];
    }
    int32_t count = 0;
    double sum = 0;
    for (int bin = 0; bin < bins; bin++) {
        count += counts[bin];
        sum += masses[bin];
        /* Sums in another order differ in the last bits: go on until there is no doubt. */
        if (count >= most || (count > 0 && sum > mass * (1 + 1e-9))) return bin;
    }
    return BINS;
}

void qn__candidates_keep(qn_candidates *list, qn_sort_item *items, int32_t most, double mass)
{
    int last = last_bin(list, NEAR, most, mass);
    if (last == BINS) last = last_bin(list, BINS, most, mass);
    float end = last < BINS - 1 ? (float)(last + 1) / 64.0f : INFINITY;
    int32_t count = 0, kept = 0;
    for (int32_t i = 0; i < list->count; i++)
        if (list->key[i] < end || last >= BINS - 1)
            items[count++] = (qn_sort_item){order_of(list->key[i]), list->id[i], list->logit[i],
                                            list->weight[i]};
    if (count <= FEW) sort_few(items, count);
    else sort_many(items, items + list->count, count);
    double sum = 0;
    while (kept < count && kept < most && (kept == 0 || sum < mass)) {
        sum += (double)items[kept].weight;
        list->id[kept] = items[kept].id;
        list->logit[kept] = items[kept].logit;
        list->weight[kept] = items[kept].weight;
        kept++;
    }
    list->count = kept;
}
