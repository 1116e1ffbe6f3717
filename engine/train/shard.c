#include "train/shard.h"

#include "base/check.h"
#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>

/* Runs begin where a vector of any kernel may. */
enum { UNIT = 64 };

struct qn_shard {
    qn_training *training;
    int *first; /* [ranks + 1] */
    qn_comm_part *parts;
    struct place {
        int index; /* of the weight in the store */
        uint64_t offset;
    } *places; /* of each part */
    int count;
    qn_transfer mark;
    void *mapped[64]; /* arenas of the weights, while they are given away */
    qn_host *staged;  /* where memory is not unified: all of them, one after the other */
};

/* ---- who has what ---- */

static int tensors_of(const qn_training *t)
{
    qn_weight weight;
    int count = 0;
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight);) count++;
    return count;
}

qn_status qn__shard_declare(qn_training *t)
{
    qn_weight weight;
    int number = 0;
    t->starts = calloc((size_t)tensors_of(t) + 1, sizeof *t->starts);
    if (!t->starts) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight); number++)
        t->starts[number + 1] = t->starts[number] + qn_shape_elements(&weight.shape);
    t->tensors = number;
    return QN_OK;
}

/* Where rank `rank` begins, inside of a tensor on a multiple of UNIT. */
static int64_t cut(const qn_training *t, int number, int rank)
{
    int64_t all = t->starts[t->tensors], from = t->starts[number], to = t->starts[number + 1];
    int64_t at = all / t->ranks * rank + all % t->ranks * rank / t->ranks;
    if (rank == t->ranks || at >= to) return to - from;
    return at <= from ? 0 : (at - from) / UNIT * UNIT;
}

void qn__shard_range(const qn_training *t, int number, int rank, int64_t *from, int64_t *to)
{
    *from = t->zero ? cut(t, number, rank) : 0;
    *to = t->zero ? cut(t, number, rank + 1) : t->starts[number + 1] - t->starts[number];
}

/* ---- weights ---- */

static const qn_store_tensor *tensor_of(const qn_shard *s, int part)
{
    return &s->training->store->tensors[s->places[part].index];
}

static void list_parts(qn_shard *s)
{
    qn_training *t = s->training;
    qn_weight weight;
    for (int r = 0; r < t->ranks; r++) {
        int number = 0;
        s->first[r] = s->count;
        for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight); number++) {
            int64_t from, to;
            qn__shard_range(t, number, r, &from, &to);
            if (from == to) continue;
            int index = qn__store_index(t->store, weight.name);
            uint64_t bytes = (uint64_t)qn_dtype_bytes(t->store->tensors[index].desc.dtype);
            s->places[s->count].index = index;
            s->places[s->count].offset = (uint64_t)from * bytes;
            s->parts[s->count++].bytes = (uint64_t)(to - from) * bytes;
        }
    }
    s->first[t->ranks] = s->count;
}

qn_status qn__shard_create(qn_training *t, qn_shard **shard)
{
    uint64_t bytes = 0;
    *shard = NULL;
    qn_shard *s = calloc(1, sizeof *s);
    if (!s) return qn__fail(QN_OS_ERROR, "out of memory");
    size_t most = (size_t)t->tensors + (size_t)t->ranks; /* each cut makes one part more */
    s->training = t;
    s->first = calloc((size_t)t->ranks + 1, sizeof *s->first);
    s->parts = calloc(most, sizeof *s->parts);
    s->places = calloc(most, sizeof *s->places);
    qn_status status =
        s->first && s->parts && s->places ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) list_parts(s);
    for (int i = 0; i < s->count; i++) bytes += s->parts[i].bytes;
    if (status == QN_OK) status = qn__marks_prepare(t->store->device);
    if (status == QN_OK && !t->store->caps.unified_memory)
        status = qn__host_create(t->store->device, bytes, &s->staged);
    if (status != QN_OK) qn__shard_destroy(&s);
    *shard = s;
    return status;
}

void qn__shard_destroy(qn_shard **shard)
{
    qn_shard *s = *shard;
    if (!s) return;
    qn__transfer_forget(&s->mark);
    qn__host_destroy(&s->staged);
    free(s->first);
    free(s->parts);
    free(s->places);
    free(s);
    *shard = NULL;
}

uint64_t qn__shard_traffic(const qn_training *t, int rank)
{
    uint64_t bytes = 0;
    qn_weight weight;
    int number = 0;
    if (!t->zero) return 0;
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight); number++) {
        int64_t from, to;
        int index = qn__store_index(t->store, weight.name);
        qn__shard_range(t, number, rank, &from, &to);
        bytes +=
            (uint64_t)(to - from) * (uint64_t)qn_dtype_bytes(t->store->tensors[index].desc.dtype);
    }
    return bytes * (uint64_t)(t->ranks - 1);
}

static bool is_mine(const qn_shard *s, int part)
{
    int rank = s->training->rank;
    return part >= s->first[rank] && part < s->first[rank + 1];
}

static qn_status open_staged(qn_shard *s)
{
    char *at = qn__host_data(s->staged);
    for (int i = 0; i < s->count; at += s->parts[i++].bytes) {
        const qn_store_tensor *tensor = tensor_of(s, i);
        s->parts[i].data = at;
        if (is_mine(s, i))
            QN_TRY(qn__buffer_fetch(qn__store_buffer(s->training->store, tensor),
                                    tensor->offset + s->places[i].offset, at, s->parts[i].bytes,
                                    &s->mark));
    }
    return QN_OK;
}

static qn_status open_weights(void *user)
{
    qn_shard *s = user;
    qn_store *store = s->training->store;
    if (s->staged) return open_staged(s);
    memset(s->mapped, 0, sizeof s->mapped);
    for (int i = 0; i < s->count; i++) {
        const qn_store_tensor *tensor = tensor_of(s, i);
        qn_buffer *buffer = qn__store_buffer(store, tensor);
        void **arena = &s->mapped[tensor->arena];
        if (!*arena) QN_TRY(qn__buffer_map(buffer, 0, qn__buffer_bytes(buffer), &s->mark, arena));
        s->parts[i].data = (char *)*arena + tensor->offset + s->places[i].offset;
    }
    return QN_OK;
}

static qn_status close_weights(void *user)
{
    qn_shard *s = user;
    qn_store *store = s->training->store;
    for (int i = 0; i < s->count; i++) {
        const qn_store_tensor *tensor = tensor_of(s, i);
        qn_buffer *buffer = qn__store_buffer(store, tensor);
        if (s->staged && !is_mine(s, i))
            QN_TRY(qn__transfer_in(buffer, tensor->offset + s->places[i].offset, s->parts[i].data,
                                   s->parts[i].bytes, &s->mark));
        if (!s->staged && s->mapped[tensor->arena])
            QN_TRY(qn__buffer_unmap(buffer, s->mapped[tensor->arena]));
        s->mapped[tensor->arena] = NULL;
    }
    return QN_OK;
}

qn_status qn__shard_spread(qn_shard *s)
{
    qn_training *t = s->training;
    const qn_comm_share share = {s->first, s->parts, open_weights, close_weights, s};
    int ticket;
    QN_TRY(qn__mark(t->store->device, &s->mark));
    QN_TRY(t->comm->share(t->comm, &share, &ticket));
    QN_TRY(t->comm->wait(t->comm, ticket, 0, 0));
    for (int i = 0; i < s->count; i++) /* what is derived from them is of the last step */
        t->store->tensors[s->places[i].index].version++;
    return qn__compute_after_transfers(t->store->device);
}

/* ---- moments ---- */

static qn_status nothing(void *user)
{
    (void)user;
    return QN_OK;
}

qn_status qn__shard_read(qn_shard *s, const char *name, int number, void *whole)
{
    qn_training *t = s->training;
    uint64_t bytes = (uint64_t)qn_dtype_bytes(t->moments);
    int64_t from, to;
    int ticket;
    size_t ranks = (size_t)t->ranks;
    qn_comm_part *parts = calloc(ranks, sizeof *parts);
    int *first = calloc(ranks + 1, sizeof *first);
    qn_status status = parts && first ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    for (int r = 0; r < t->ranks && status == QN_OK; r++) {
        qn__shard_range(t, number, r, &from, &to);
        first[r + 1] = r + 1;
        parts[r] =
            (qn_comm_part){(char *)whole + (uint64_t)from * bytes, (uint64_t)(to - from) * bytes};
    }
    if (status == QN_OK && parts[t->rank].bytes > 0)
        status = qn_store_read(t->store, name, parts[t->rank].data, parts[t->rank].bytes);
    const qn_comm_share share = {first, parts, nothing, nothing, NULL};
    if (status == QN_OK) status = t->comm->share(t->comm, &share, &ticket);
    if (status == QN_OK) status = t->comm->wait(t->comm, ticket, 0, 0);
    free(parts);
    free(first);
    return status;
}

qn_status qn__shard_write(qn_shard *s, const char *name, int number, const void *whole)
{
    const qn_training *t = s->training;
    uint64_t bytes = (uint64_t)qn_dtype_bytes(t->moments);
    int64_t from, to;
    qn__shard_range(t, number, t->rank, &from, &to);
    if (from == to) return QN_OK;
    return qn_store_write(t->store, name, (const char *)whole + (uint64_t)from * bytes,
                          (uint64_t)(to - from) * bytes);
}
