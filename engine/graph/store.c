#include "graph/store.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/hash.h"
#include "ops/exec.h"

#include <stdlib.h>
#include <string.h>

qn_status qn__store_create(qn_device *device, const qn_caps *caps, qn_store **store)
{
    *store = calloc(1, sizeof **store);
    if (!*store) return qn__fail(QN_OS_ERROR, "out of memory");
    (*store)->device = device;
    (*store)->caps = *caps;
    return QN_OK;
}

qn_status qn_store_create(qn_device *device, qn_store **store)
{
    return qn__store_create(device, qn__device_caps(device), store);
}

static void free_arenas(qn_arenas *arenas)
{
    for (int i = 0; i < arenas->count; i++) {
        qn__buffer_destroy(&arenas->buffer[i]);
        qn__host_destroy(&arenas->host[i]);
    }
}

static void free_shared(qn_store *store)
{
    for (int i = 0; store->step && i < store->slots * 64; i++) qn__buffer_destroy(&store->step[i]);
    free(store->step);
    store->step = NULL;
    qn__buffer_destroy(&store->scratch);
}

void qn_store_destroy(qn_store **store)
{
    qn_store *s = *store;
    if (!s) return;
    if (s->device) (void)!qn__device_finish(s->device);
    free_shared(s);
    for (int g = 0; g < s->group_count; g++)
        for (int c = 0; c < s->groups[g].copies; c++) free_arenas(&s->groups[g].arenas[c]);
    for (int g = 0; g < s->group_count; g++) free(s->groups[g].arenas);
    for (int i = 0; i < s->tensor_count; i++) {
        free(s->tensors[i].name);
        free(s->tensors[i].packer);
    }
    free(s->groups);
    free(s->tensors);
    free(s->names);
    free(s);
    *store = NULL;
}

/* ---- names ---- */

static int *name_slot(const qn_store *store, const char *name)
{
    uint64_t at = qn__hash(name, strlen(name));
    for (;; at++) {
        int *slot = &store->names[at % (uint64_t)store->name_capacity];
        if (*slot == 0 || strcmp(store->tensors[*slot - 1].name, name) == 0) return slot;
    }
}

int qn__store_index(const qn_store *store, const char *name)
{
    return store->name_capacity ? *name_slot(store, name) - 1 : -1;
}

static qn_status grow(qn_store *store)
{
    if (store->tensor_count < store->tensor_capacity) return QN_OK;
    int capacity = store->tensor_capacity ? store->tensor_capacity * 2 : 64;
    qn_store_tensor *tensors = realloc(store->tensors, (size_t)capacity * sizeof *tensors);
    int *names = calloc((size_t)capacity * 4, sizeof *names);
    if (tensors) store->tensors = tensors;
    if (!tensors || !names) {
        free(names);
        return qn__fail(QN_OS_ERROR, "out of memory");
    }
    free(store->names);
    store->names = names;
    store->name_capacity = capacity * 4;
    store->tensor_capacity = capacity;
    for (int i = 0; i < store->tensor_count; i++) *name_slot(store, tensors[i].name) = i + 1;
    return QN_OK;
}

static qn_status find_group(qn_store *store, const char *name, int *index)
{
    for (*index = 0; *index < store->group_count; ++*index)
        if (strcmp(store->groups[*index].name, name) == 0) return QN_OK;
    QN_CHECK(strlen(name) < sizeof store->groups[0].name, "group name \"%s\" is too long", name);
    qn_store_group *more = realloc(store->groups, (size_t)(store->group_count + 1) * sizeof *more);
    if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
    store->groups = more;
    more[store->group_count] =
        (qn_store_group){.copies = 1, .arenas = calloc(1, sizeof(qn_arenas))};
    if (!more[store->group_count].arenas) return qn__fail(QN_OS_ERROR, "out of memory");
    strcpy(more[store->group_count].name, name);
    *index = store->group_count++;
    return QN_OK;
}

qn_status qn__arenas_place(qn_arenas *arenas, uint64_t bytes, uint64_t limit, int *arena,
                           uint64_t *offset)
{
    uint64_t padded = qn__round_up(bytes ? bytes : 1, QN_ALIGN);
    if (padded > limit)
        return qn__fail(QN_OUT_OF_DEVICE_MEMORY,
                        "a tensor of %.1f MB is larger than the %.1f MB the device gives "
                        "at once",
                        (double)bytes / 1e6, (double)limit / 1e6);
    int last = arenas->count - 1;
    if (last < 0 || arenas->bytes[last] + padded > limit || arenas->buffer[last] ||
        arenas->host[last]) {
        if (arenas->count == 64)
            return qn__fail(QN_OUT_OF_DEVICE_MEMORY, "more than 64 arenas are needed");
        last = arenas->count++;
        arenas->bytes[last] = 0;
        arenas->buffer[last] = NULL;
        arenas->host[last] = NULL;
    }
    *arena = last;
    *offset = arenas->bytes[last];
    arenas->bytes[last] += padded;
    return QN_OK;
}

qn_status qn__store_add_desc(qn_store *store, const char *group, const char *name,
                             const qn_desc *desc)
{
    int index;
    QN_CHECK(qn__store_index(store, name) < 0, "the store already has a tensor \"%s\"", name);
    QN_TRY(grow(store));
    QN_TRY(find_group(store, group, &index));
    qn_store_tensor tensor = {.desc = *desc, .group = index, .source = -1, .version = 1};
    QN_TRY(qn__arenas_place(&store->groups[index].arenas[0], qn__desc_bytes(desc),
                            store->caps.max_alloc_bytes, &tensor.arena, &tensor.offset));
    tensor.name = strdup(name);
    if (!tensor.name) return qn__fail(QN_OS_ERROR, "out of memory");
    store->tensors[store->tensor_count] = tensor;
    store->tensor_count++;
    *name_slot(store, name) = store->tensor_count;
    return QN_OK;
}

qn_status qn_store_add(qn_store *store, const char *group, const char *name, qn_dtype dtype,
                       const qn_shape *shape)
{
    QN_TRY(qn__shape_check(shape, dtype));
    qn_desc desc = {.dtype = dtype, .layout = QN_ROWS, .shape = *shape};
    return qn__store_add_desc(store, group, name, &desc);
}

qn_status qn__store_derive(qn_store *store, const char *name, const char *source,
                           const char *packer)
{
    qn_call call = {.caps = &store->caps};
    qn_op_id id;
    int from = qn__store_index(store, source);
    QN_CHECK(from >= 0, "the store has no tensor \"%s\" to derive \"%s\" from", source, name);
    QN_TRY(qn__op_parse(packer, &id, call.attr, NULL));
    call.op = qn__op(id);
    call.in[0] = (qn_operand){.there = true, .desc = store->tensors[from].desc};
    QN_TRY(qn__call_shape(&call));
    QN_TRY(qn__store_add_desc(store, store->groups[store->tensors[from].group].name, name,
                              &call.out[0].desc));
    qn_store_tensor *tensor = &store->tensors[store->tensor_count - 1];
    tensor->source = from;
    tensor->packer = strdup(packer);
    return tensor->packer ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

/* ---- memory ---- */

qn_status qn__store_set_copies(qn_store *store, const char *group, int copies)
{
    int index;
    QN_CHECK(copies >= 1 && copies <= QN_MAX_COPIES, "%d copies of \"%s\"; at most %d", copies,
             group, QN_MAX_COPIES);
    QN_TRY(find_group(store, group, &index));
    qn_store_group *found = &store->groups[index];
    QN_CHECK(copies >= found->copies, "group \"%s\" already has %d copies", group, found->copies);
    qn_arenas *more = realloc(found->arenas, (size_t)copies * sizeof *more);
    if (!more) return qn__fail(QN_OS_ERROR, "out of memory");
    memset(more + found->copies, 0, (size_t)(copies - found->copies) * sizeof *more);
    found->arenas = more;
    found->copies = copies;
    return QN_OK;
}

qn_status qn_store_allocate(qn_store *store)
{
    if (!store->device) return QN_OK;
    for (int g = 0; g < store->group_count; g++) {
        qn_store_group *group = &store->groups[g];
        for (int c = 0; c < group->copies; c++) {
            qn_arenas *arenas = &group->arenas[c];
            arenas->count = group->arenas[0].count;
            for (int a = 0; a < arenas->count; a++) {
                arenas->bytes[a] = group->arenas[0].bytes[a];
                if (arenas->buffer[a] || arenas->host[a]) continue;
                QN_TRY(group->host
                           ? qn__host_create(store->device, arenas->bytes[a], &arenas->host[a])
                           : qn__buffer_create(store->device, arenas->bytes[a], group->name,
                                               &arenas->buffer[a]));
            }
        }
    }
    store->generation++;
    return QN_OK;
}

qn_status qn__store_set_host(qn_store *store, const char *group)
{
    int index;
    QN_TRY(find_group(store, group, &index));
    QN_CHECK(!store->groups[index].arenas[0].buffer[0], "group \"%s\" is on the device already",
             group);
    store->groups[index].host = true;
    return QN_OK;
}

bool qn__store_is_host(const qn_store *store, int index)
{
    return store->groups[store->tensors[index].group].host;
}

void *qn__store_host_data(const qn_store *store, int index)
{
    const qn_store_tensor *tensor = &store->tensors[index];
    const qn_store_group *group = &store->groups[tensor->group];
    const qn_host *host = group->arenas[group->current].host[tensor->arena];
    return host ? (char *)qn__host_data(host) + tensor->offset : NULL;
}

static uint64_t group_bytes(const qn_store *store, bool host)
{
    uint64_t bytes = 0;
    for (int g = 0; g < store->group_count; g++)
        for (int a = 0; store->groups[g].host == host && a < store->groups[g].arenas[0].count; a++)
            bytes += store->groups[g].arenas[0].bytes[a] * (uint64_t)store->groups[g].copies;
    return bytes;
}

uint64_t qn__store_bytes(const qn_store *store)
{
    return group_bytes(store, false);
}

uint64_t qn__store_host_bytes(const qn_store *store)
{
    return group_bytes(store, true);
}

qn_status qn__store_select(qn_store *store, const char *group, int copy)
{
    int index;
    QN_TRY(find_group(store, group, &index));
    QN_CHECK(copy >= 0 && copy < store->groups[index].copies, "group \"%s\" has no copy %d", group,
             copy);
    if (store->groups[index].current != copy) store->generation++;
    store->groups[index].current = copy;
    return QN_OK;
}

qn_status qn__store_merge(qn_store *store, const char *group, int into, int from)
{
    int index;
    QN_TRY(find_group(store, group, &index));
    const qn_arenas *to = &store->groups[index].arenas[into],
                    *other = &store->groups[index].arenas[from];
    for (int a = 0; a < to->count; a++) {
        qn_shape shape = {.rank = 1, .dim = {(int64_t)(to->bytes[a] / 4)}};
        qn_call call = {.op = qn__op(QN_OP_ADD), .caps = &store->caps};
        call.in[0] = (qn_operand){
            .there = true, .desc = {.dtype = QN_F32, .shape = shape}, .buffer = to->buffer[a]};
        call.in[1] = call.in[0];
        call.in[1].buffer = other->buffer[a];
        QN_TRY(qn__call_shape(&call));
        call.out[0] = call.in[0];
        QN_TRY(qn__call_run(store->device, &call));
    }
    return QN_OK;
}

qn_buffer *qn__store_buffer_at(const qn_store *store, const qn_store_tensor *tensor, int copy)
{
    const qn_store_group *group = &store->groups[tensor->group];
    if (group->current + copy >= group->copies) return NULL;
    return group->arenas[group->current + copy].buffer[tensor->arena];
}

qn_buffer *qn__store_buffer(const qn_store *store, const qn_store_tensor *tensor)
{
    return qn__store_buffer_at(store, tensor, 0);
}

qn_status qn__store_share(qn_store *store)
{
    bool grown = store->scratch_need > (store->scratch ? qn__buffer_bytes(store->scratch) : 0) ||
                 !store->step;
    for (int i = 0; store->step && i < store->step_arenas; i++)
        grown |= !store->step[i] || qn__buffer_bytes(store->step[i]) < store->step_need[i];
    if (!grown) return QN_OK;
    free_shared(store);
    if (store->slots < 1) store->slots = 1;
    store->step = calloc((size_t)store->slots * 64, sizeof *store->step);
    if (!store->step) return qn__fail(QN_OS_ERROR, "out of memory");
    for (int s = 0; s < store->slots; s++)
        for (int a = 0; a < store->step_arenas; a++)
            if (store->step_need[a] > 0)
                QN_TRY(qn__buffer_create(store->device, store->step_need[a], "activations",
                                         &store->step[s * 64 + a]));
    if (store->scratch_need > 0)
        QN_TRY(qn__buffer_create(store->device, store->scratch_need, "workspace", &store->scratch));
    store->generation++;
    return QN_OK;
}

/* ---- contents ---- */

qn_status qn_store_find(const qn_store *store, const char *name, qn_dtype *dtype, qn_shape *shape)
{
    int index = qn__store_index(store, name);
    QN_CHECK(index >= 0, "the store has no tensor \"%s\"", name);
    if (dtype) *dtype = store->tensors[index].desc.dtype;
    if (shape) *shape = store->tensors[index].desc.shape;
    return QN_OK;
}

static qn_status check_part(const qn_store *store, int index, uint64_t offset, uint64_t bytes)
{
    const qn_store_tensor *tensor = &store->tensors[index];
    uint64_t all = qn__desc_bytes(&tensor->desc);
    QN_CHECK(offset <= all && bytes <= all - offset,
             "tensor \"%s\" has %llu bytes; %llu at %llu were asked", tensor->name,
             (unsigned long long)all, (unsigned long long)bytes, (unsigned long long)offset);
    QN_CHECK(qn__store_buffer(store, tensor) || qn__store_host_data(store, index),
             "tensor \"%s\" has no memory: call qn_store_allocate first", tensor->name);
    return QN_OK;
}

qn_status qn__store_write_part(qn_store *store, int index, uint64_t offset, const void *data,
                               uint64_t bytes)
{
    QN_TRY(check_part(store, index, offset, bytes));
    qn_store_tensor *tensor = &store->tensors[index];
    tensor->version++;
    if (qn__store_is_host(store, index)) {
        QN_TRY(qn__device_finish(store->device)); /* it may be on its way in or out */
        memcpy((char *)qn__store_host_data(store, index) + offset, data, bytes);
        return QN_OK;
    }
    return qn__buffer_write(qn__store_buffer(store, tensor), tensor->offset + offset, data, bytes);
}

qn_status qn__store_read_part(qn_store *store, int index, uint64_t offset, void *data,
                              uint64_t bytes)
{
    QN_TRY(check_part(store, index, offset, bytes));
    const qn_store_tensor *tensor = &store->tensors[index];
    if (qn__store_is_host(store, index)) {
        QN_TRY(qn__device_finish(store->device));
        memcpy(data, (const char *)qn__store_host_data(store, index) + offset, bytes);
        return QN_OK;
    }
    return qn__buffer_read(qn__store_buffer(store, tensor), tensor->offset + offset, data, bytes);
}

static qn_status check_whole(const qn_store *store, const char *name, size_t bytes, int *index)
{
    *index = qn__store_index(store, name);
    QN_CHECK(*index >= 0, "the store has no tensor \"%s\"", name);
    uint64_t all = qn__desc_bytes(&store->tensors[*index].desc);
    QN_CHECK(bytes == all, "tensor \"%s\" has %llu bytes, not %zu", name, (unsigned long long)all,
             bytes);
    return QN_OK;
}

qn_status qn_store_write(qn_store *store, const char *name, const void *data, size_t bytes)
{
    int index;
    QN_TRY(check_whole(store, name, bytes, &index));
    return qn__store_write_part(store, index, 0, data, bytes);
}

qn_status qn_store_read(qn_store *store, const char *name, void *data, size_t bytes)
{
    int index;
    QN_TRY(check_whole(store, name, bytes, &index));
    return qn__store_read_part(store, index, 0, data, bytes);
}

qn_status qn__store_write_later(qn_store *store, int index, const void *data, uint64_t bytes)
{
    if (qn__store_is_host(store, index)) return qn__store_write_part(store, index, 0, data, bytes);
    QN_TRY(check_part(store, index, 0, bytes));
    qn_store_tensor *tensor = &store->tensors[index];
    tensor->version++;
    return qn__buffer_write_later(qn__store_buffer(store, tensor), tensor->offset, data, bytes);
}

qn_status qn__store_read_group(qn_store *store, const char *group, int arena, void *data)
{
    int index;
    QN_TRY(find_group(store, group, &index));
    const qn_arenas *arenas = &store->groups[index].arenas[store->groups[index].current];
    return qn__buffer_read(arenas->buffer[arena], 0, data, arenas->bytes[arena]);
}
