#include "train/packing.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdlib.h>

/* Sequences that have room, by how much: lists of equal room, and a bit for each that is not empty.
 */
typedef struct rooms {
    uint64_t *bits;
    uint64_t *newest; /* of a list: sequence + 1; 0: none. [context + 1] */
    uint64_t *older;  /* the one before it in its list, [sequences] */
    int64_t context;
} rooms;

static void rooms_put(rooms *r, uint64_t sequence, int64_t room)
{
    if (room == 0) return;
    r->older[sequence] = r->newest[room];
    r->newest[room] = sequence + 1;
    r->bits[room / 64] |= UINT64_C(1) << room % 64;
}

/* The least room that is enough, 0 if there is none. */
static int64_t rooms_find(const rooms *r, int64_t least)
{
    int64_t word = least / 64;
    uint64_t bits = r->bits[word] & ~UINT64_C(0) << least % 64;
    while (bits == 0 && ++word <= r->context / 64) bits = r->bits[word];
    return bits ? word * 64 + __builtin_ctzll(bits) : 0;
}

static uint64_t rooms_take(rooms *r, int64_t room)
{
    uint64_t sequence = r->newest[room] - 1;
    r->newest[room] = r->older[sequence];
    if (!r->newest[room]) r->bits[room / 64] &= ~(UINT64_C(1) << room % 64);
    return sequence;
}

static uint64_t count_pieces(const qn_tokens *tokens, uint64_t context)
{
    uint64_t pieces = 0;
    for (uint64_t d = 0, at = 0; d < tokens->documents; at = qn__document_end(tokens, d++))
        pieces += (qn__document_end(tokens, d) - at + context - 1) / context;
    return pieces;
}

/* Does a row of the piece predict a token that is learned? */
static qn_status learns(const qn_tokens *tokens, const qn_piece *piece, bool *yes)
{
    enum { LOOK = 256 };
    int32_t ids[LOOK];
    uint64_t count = (uint64_t)piece->tokens - 1 + piece->goes_on, first = piece->first + 1;
    *yes = count > 0 && !tokens->masked;
    for (uint64_t at = 0; at < count && !*yes; at += LOOK) {
        size_t here = count - at < LOOK ? (size_t)(count - at) : LOOK;
        QN_TRY(qn__tokens_read(tokens, first + at, here, ids));
        for (size_t i = 0; i < here; i++) *yes |= ids[i] >= 0;
    }
    return QN_OK;
}

/* The pieces that learn something; *count of them. */
static qn_status cut(const qn_tokens *tokens, uint64_t context, qn_piece *pieces, uint64_t *count)
{
    *count = 0;
    for (uint64_t d = 0, at = 0; d < tokens->documents; d++)
        for (uint64_t end = qn__document_end(tokens, d); at < end;) {
            uint64_t here = end - at < context ? end - at : context;
            bool yes;
            pieces[*count] = (qn_piece){at, (uint32_t)here, at + here < end};
            QN_TRY(learns(tokens, &pieces[*count], &yes));
            *count += yes;
            at += here;
        }
    return QN_OK;
}

static uint64_t count_cut(const qn_tokens *tokens, uint64_t context)
{
    uint64_t longer = 0;
    for (uint64_t d = 0, at = 0; d < tokens->documents; at = qn__document_end(tokens, d++))
        longer += qn__document_end(tokens, d) - at > context;
    return longer;
}

/* order = indices of the pieces, the longest first, equals as they come. */
static qn_status sort(const qn_piece *pieces, uint64_t count, int64_t context, uint64_t *order)
{
    uint64_t *place = calloc((size_t)context + 2, sizeof *place);
    if (!place) return qn__fail(QN_OS_ERROR, "out of memory");
    for (uint64_t i = 0; i < count; i++) place[context - (int64_t)pieces[i].tokens + 1]++;
    for (int64_t l = 1; l <= context; l++) place[l] += place[l - 1];
    for (uint64_t i = 0; i < count; i++) order[place[context - (int64_t)pieces[i].tokens]++] = i;
    free(place);
    return QN_OK;
}

/* where[i] = sequence of piece i; returns how many there are. */
static uint64_t place_all(const qn_piece *pieces, uint64_t count, const uint64_t *order, rooms *r,
                          uint64_t *where)
{
    uint64_t sequences = 0;
    for (uint64_t i = 0; i < count; i++) {
        int64_t need = pieces[order[i]].tokens, room = rooms_find(r, need);
        uint64_t sequence = room ? rooms_take(r, room) : sequences++;
        where[order[i]] = sequence;
        rooms_put(r, sequence, (room ? room : r->context) - need);
    }
    return sequences;
}

/* Pieces by sequence, in a sequence as they stand in the text. */
static qn_status gather(const qn_piece *pieces, uint64_t count, const uint64_t *where,
                        qn_packing *packing)
{
    packing->pieces = calloc(count + 1, sizeof *packing->pieces);
    packing->sequences = calloc(packing->count + 2, sizeof *packing->sequences);
    if (!packing->pieces || !packing->sequences) return qn__fail(QN_OS_ERROR, "out of memory");
    uint64_t *place = packing->sequences + 1;
    for (uint64_t i = 0; i < count; i++)
        if (where[i] + 1 < packing->count) place[where[i] + 1]++;
    for (uint64_t s = 1; s < packing->count; s++) place[s] += place[s - 1];
    for (uint64_t i = 0; i < count; i++) packing->pieces[place[where[i]]++] = pieces[i];
    return QN_OK;
}

static qn_status pack(const qn_tokens *tokens, int64_t context, uint64_t count, qn_packing *packing)
{
    rooms r = {.context = context,
               .bits = calloc((size_t)context / 64 + 1, sizeof *r.bits),
               .newest = calloc((size_t)context + 1, sizeof *r.newest),
               .older = calloc(count + 1, sizeof *r.older)};
    qn_piece *pieces = calloc(count + 1, sizeof *pieces);
    uint64_t *order = calloc(count + 1, sizeof *order), *where = calloc(count + 1, sizeof *where);
    bool good = r.bits && r.newest && r.older && pieces && order && where;
    qn_status status =
        good ? QN_OK : qn__fail(QN_OS_ERROR, "no memory to pack %" PRIu64 " pieces", count);
    if (good) status = cut(tokens, (uint64_t)context, pieces, &count);
    if (status == QN_OK) status = sort(pieces, count, context, order);
    if (status == QN_OK) packing->count = place_all(pieces, count, order, &r, where);
    if (status == QN_OK) status = gather(pieces, count, where, packing);
    free(r.bits);
    free(r.newest);
    free(r.older);
    free(pieces);
    free(order);
    free(where);
    return status;
}

qn_status qn__packing_create(const qn_tokens *tokens, int64_t context, qn_packing *packing)
{
    *packing = (qn_packing){0};
    QN_CHECK(context >= 1 && context <= INT32_MAX / 2, "a context of %lld", (long long)context);
    QN_CHECK(tokens->ends || tokens->documents == 0, "%s: where documents end is not known",
             tokens->name);
    packing->cut = count_cut(tokens, (uint64_t)context);
    qn_status status = pack(tokens, context, count_pieces(tokens, (uint64_t)context), packing);
    if (status != QN_OK) qn__packing_free(packing);
    return status;
}

void qn__packing_free(qn_packing *packing)
{
    free(packing->pieces);
    free(packing->sequences);
    *packing = (qn_packing){0};
}
