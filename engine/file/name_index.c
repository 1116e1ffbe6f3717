#include "file/name_index.h"

#include "base/check.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Open addressing, linear probing, at most half full. The hash is seeded per table from the
 * system's random numbers, so that a file cannot be made whose names all collide. */

static size_t slot_of(const qn_name_index *index, const char *name, size_t bytes)
{
    size_t mask = index->capacity - 1;
    size_t at = (size_t)qn__hash_seeded(name, bytes, index->seed) & mask;
    while (index->slots[at].name) {
        const qn_name_slot *slot = &index->slots[at];
        if (slot->bytes == bytes && memcmp(slot->name, name, bytes) == 0) break;
        at = (at + 1) & mask;
    }
    return at;
}

static qn_status grow(qn_name_index *index)
{
    qn_name_index larger = {.capacity = index->capacity ? index->capacity * 2 : 16,
                            .count = index->count,
                            .seed = index->seed};
    if (!index->capacity && getrandom(&larger.seed, sizeof larger.seed, GRND_NONBLOCK) < 0)
        larger.seed = (uint64_t)(uintptr_t)index; /* early boot: address randomisation must do */
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return qn__fail(QN_OS_ERROR, "no memory for an index of %zu names", larger.capacity);
    for (size_t i = 0; i < index->capacity; i++) {
        const qn_name_slot *slot = &index->slots[i];
        if (slot->name) larger.slots[slot_of(&larger, slot->name, slot->bytes)] = *slot;
    }
    free(index->slots);
    *index = larger;
    return QN_OK;
}

qn_status qn__name_index_add(qn_name_index *index, const char *name, size_t bytes, uint32_t value,
                             int64_t *earlier)
{
    *earlier = QN_NAME_ABSENT;
    QN_CHECK(bytes <= UINT32_MAX, "a name of %zu bytes", bytes);
    if ((index->count + 1) * 2 > index->capacity) QN_TRY(grow(index));
    qn_name_slot *slot = &index->slots[slot_of(index, name, bytes)];
    if (slot->name) {
        *earlier = slot->value;
        return QN_OK;
    }
    *slot = (qn_name_slot){.name = name, .bytes = (uint32_t)bytes, .value = value};
    index->count++;
    return QN_OK;
}

int64_t qn__name_index_find(const qn_name_index *index, const char *name, size_t bytes)
{
    if (!index->capacity || bytes > UINT32_MAX) return QN_NAME_ABSENT;
    const qn_name_slot *slot = &index->slots[slot_of(index, name, bytes)];
    return slot->name ? (int64_t)slot->value : QN_NAME_ABSENT;
}

void qn__name_index_free(qn_name_index *index)
{
    free(index->slots);
    *index = (qn_name_index){0};
}

bool qn__name_is_plain(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > 255 || name[0] == '.' || strstr(name, "..")) return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/') return false;
    return true;
}
