#include "train/replicas.h"

#include "base/check.h"
#include "base/hash.h"
#include "model/adapter.h"

#include <stdlib.h>

int qn__replicas_odd(const uint64_t *hashes, int ranks, int tensors, int *tensor)
{
    for (int i = 0; i < tensors; i++) {
        int most = 0, usual = 0;
        for (int r = 0; r < ranks; r++) {
            int same = 0;
            for (int s = 0; s < ranks; s++)
                same += hashes[s * tensors + i] == hashes[r * tensors + i];
            if (same > most) most = same, usual = r;
        }
        for (int r = 0; r < ranks && most < ranks; r++) {
            if (hashes[r * tensors + i] == hashes[usual * tensors + i]) continue;
            *tensor = i;
            return r;
        }
    }
    return -1;
}

/* Of every weight that is trained, in their order; names[i] may be NULL. */
static qn_status hash_weights(const qn_training *t, uint64_t *hashes, const char **names)
{
    qn_weight weight;
    void *bytes = NULL;
    uint64_t capacity = 0;
    qn_status status = QN_OK;
    int i = 0;
    for (int cursor = 0;
         status == QN_OK && qn__trainable_next(&t->config, &t->lora, &cursor, &weight); i++) {
        int index = qn__store_index(t->store, weight.name);
        uint64_t size = qn__desc_bytes(&t->store->tensors[index].desc);
        if (size > capacity) {
            free(bytes);
            bytes = malloc(size);
            capacity = bytes ? size : 0;
        }
        names[i] = t->store->tensors[index].name;
        status = bytes ? qn__store_read_part(t->store, index, 0, bytes, size)
                       : qn__fail(QN_OS_ERROR, "no memory for %llu bytes of %s",
                                  (unsigned long long)size, weight.name);
        if (status == QN_OK) hashes[i] = qn__hash(bytes, size);
    }
    free(bytes);
    return status;
}

static qn_status judge(const uint64_t *hashes, const char *const *names, int ranks, int tensors,
                       int64_t step)
{
    int tensor = 0, odd = qn__replicas_odd(hashes, ranks, tensors, &tensor);
    if (odd < 0) return QN_OK;
    return qn__fail(QN_COMM_ERROR,
                    "step %lld: rank %d does not have the weights of the other ranks (%s first): "
                    "its memory or device is at fault, or of another kind than theirs; leave that "
                    "machine out and go on from the last checkpoint with --resume",
                    (long long)step, odd, names[tensor]);
}

qn_status qn__replicas_check(const qn_training *t, qn_comm *comm, int64_t step)
{
    qn_weight weight;
    int tensors = 0, ticket = 0;
    for (int cursor = 0; qn__trainable_next(&t->config, &t->lora, &cursor, &weight);) tensors++;
    const size_t row = (size_t)tensors * sizeof(uint64_t);
    uint64_t *mine = malloc(row + 1), *all = malloc(row * (size_t)comm->size + 1);
    const char **names = malloc((size_t)tensors * sizeof *names + 1);
    qn_status status = mine && all && names ? hash_weights(t, mine, names)
                                            : qn__fail(QN_OS_ERROR, "out of memory");
    status = comm->agree(comm, status);
    if (status == QN_OK) status = comm->all_gather(comm, mine, row, all, &ticket);
    if (status == QN_OK) status = comm->wait(comm, ticket, 0, row * (size_t)comm->size);
    if (status == QN_OK) status = judge(all, names, comm->size, tensors, step);
    free(mine);
    free(all);
    free(names);
    return status;
}
