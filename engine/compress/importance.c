#include "compress/importance.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/fs.h"
#include "file/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    char name[QN_GGUF_NAME];
    float *values; /* owned */
    uint64_t count;
} entry;

struct qn_importance {
    char *path;
    entry *entries;
    size_t count;
};

static qn_status no_memory(const qn_importance *of)
{
    return qn__fail(QN_OS_ERROR, "%s: out of memory", of->path);
}

/* An entry of `count` zeros; its name has been checked. */
static qn_status add(qn_importance *to, const char *name, size_t bytes, uint64_t count,
                     entry **made)
{
    entry *entries = realloc(to->entries, (to->count + 1) * sizeof *entries);
    if (!entries) return no_memory(to);
    to->entries = entries;
    *made = &entries[to->count];
    memset(*made, 0, sizeof **made);
    memcpy((*made)->name, name, bytes);
    (*made)->values = calloc(count ? (size_t)count : 1, sizeof(float));
    if (!(*made)->values) return no_memory(to);
    (*made)->count = count;
    to->count++;
    return QN_OK;
}

/* ---- GGUF: "NAME.in_sum2" [columns, matrices] beside "NAME.counts" [1, matrices] ---- */

static qn_status add_sums(qn_importance *to, const qn_gguf *gguf, const qn_gguf_tensor *sums)
{
    static const char ending[] = ".in_sum2";
    const size_t bytes = strlen(sums->name) - (sizeof ending - 1);
    char name[QN_GGUF_NAME + 8];
    entry *made;
    memcpy(name, sums->name, bytes);
    strcpy(name + bytes, ".counts");
    const qn_gguf_tensor *counts = qn__gguf_tensor(gguf, name);
    const int64_t columns = sums->ne[0], matrices = sums->ne[1];
    if (sums->type != QN_GGML_F32 || !counts || counts->type != QN_GGML_F32 ||
        sums->ne[2] * sums->ne[3] != 1 || counts->bytes != (uint64_t)matrices * sizeof(float))
        return qn__fail(QN_BAD_DATA, "%s: tensor %s wants %s beside it, f32, one count a matrix",
                        to->path, sums->name, name);
    QN_TRY(add(to, sums->name, bytes, (uint64_t)(columns * matrices), &made));
    for (int64_t i = 0; i < columns * matrices; i++) {
        float sum, met;
        memcpy(&sum, sums->data + 4 * i, 4);
        memcpy(&met, counts->data + 4 * (i / columns), 4);
        made->values[i] = met > 0 ? sum / met : 1; /* an expert that met nothing: no opinion */
    }
    return QN_OK;
}

static qn_status read_gguf(qn_importance *to)
{
    static const char ending[] = ".in_sum2";
    qn_gguf *gguf;
    QN_TRY(qn__gguf_open(to->path, &gguf));
    qn_status status = QN_OK;
    for (size_t i = 0; i < qn__gguf_tensor_count(gguf) && status == QN_OK; i++) {
        const qn_gguf_tensor *tensor = qn__gguf_tensor_at(gguf, i);
        const size_t length = strlen(tensor->name);
        if (length < sizeof ending || strcmp(tensor->name + length - 8, ending) != 0) continue;
        status = add_sums(to, gguf, tensor);
    }
    qn__gguf_close(&gguf);
    if (status == QN_OK && to->count == 0)
        return qn__fail(QN_BAD_DATA,
                        "%s is a GGUF file without a tensor \"....in_sum2\": no importance matrix",
                        to->path);
    return status;
}

/* ---- .dat: i32 entries; each i32 bytes, name, i32 calls, i32 count, f32 sums[count] ---- */

typedef struct cursor {
    const uint8_t *at, *end;
} cursor;

static bool take(cursor *from, void *to, size_t bytes)
{
    if ((size_t)(from->end - from->at) < bytes) return false;
    memcpy(to, from->at, bytes);
    from->at += bytes;
    return true;
}

static qn_status add_entry(qn_importance *to, cursor *from, int32_t number)
{
    int32_t bytes, calls, count;
    char name[QN_GGUF_NAME] = "";
    entry *made;
    if (!take(from, &bytes, 4) || bytes < 1 || bytes >= QN_GGUF_NAME ||
        !take(from, name, (size_t)bytes) || memchr(name, 0, (size_t)bytes))
        return qn__fail(QN_BAD_DATA, "%s: entry %d has no name of 1 to %d bytes", to->path, number,
                        QN_GGUF_NAME - 1);
    if (!take(from, &calls, 4) || !take(from, &count, 4) || calls < 0 || count < 1 ||
        (size_t)(from->end - from->at) / sizeof(float) < (size_t)count)
        return qn__fail(QN_BAD_DATA, "%s: entry %d, %s, is longer than the file", to->path, number,
                        name);
    QN_TRY(add(to, name, (size_t)bytes, (uint64_t)count, &made));
    if (!take(from, made->values, (size_t)count * sizeof(float)))
        return qn__fail(QN_INTERNAL, "%s: entry %d", to->path, number);
    for (int32_t i = 0; i < count && calls > 0; i++) made->values[i] /= (float)calls;
    return QN_OK;
}

static qn_status read_dat(qn_importance *to)
{
    char *text = NULL;
    size_t bytes = 0;
    int32_t entries = 0;
    QN_TRY(qn__file_read(to->path, &text, &bytes));
    cursor from = {(const uint8_t *)text, (const uint8_t *)text + bytes};
    qn_status status = QN_OK;
    if (!take(&from, &entries, 4) || entries < 1)
        status = qn__fail(QN_BAD_DATA,
                          "%s is neither GGUF nor an importance matrix in .dat: it "
                          "says that it has %d entries",
                          to->path, entries);
    for (int32_t i = 0; i < entries && status == QN_OK; i++) status = add_entry(to, &from, i);
    free(text);
    return status;
}

/* ---- the door ---- */

static qn_status is_gguf(const char *path, bool *yes)
{
    qn_map map;
    QN_TRY(qn__map_open(path, &map));
    *yes = map.bytes >= 4 && memcmp(map.data, "GGUF", 4) == 0;
    qn__map_close(&map);
    return QN_OK;
}

qn_status qn__importance_open(const char *path, qn_importance **importance)
{
    bool gguf;
    *importance = NULL;
    QN_TRY(is_gguf(path, &gguf));
    qn_importance *made = calloc(1, sizeof *made);
    if (made) made->path = strdup(path);
    qn_status status = made && made->path ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) status = gguf ? read_gguf(made) : read_dat(made);
    if (status == QN_OK) *importance = made;
    else qn__importance_close(&made);
    return status;
}

void qn__importance_close(qn_importance **importance)
{
    qn_importance *old = *importance;
    *importance = NULL;
    if (!old) return;
    for (size_t i = 0; i < old->count; i++) free(old->entries[i].values);
    free(old->entries);
    free(old->path);
    free(old);
}

size_t qn__importance_count(const qn_importance *importance)
{
    return importance->count;
}

qn_status qn__importance_find(const qn_importance *importance, const char *name, int64_t columns,
                              int64_t matrices, const float **values)
{
    const entry *found = NULL;
    *values = NULL;
    for (size_t i = 0; i < importance->count && !found; i++)
        if (strcmp(importance->entries[i].name, name) == 0) found = &importance->entries[i];
    if (!found) return QN_OK;
    int64_t want;
    if (!qn__mul_i64(columns, matrices, &want) || (uint64_t)want != found->count)
        return qn__fail(QN_BAD_DATA, "%s: %s has %llu columns here and %lld in the model",
                        importance->path, name, (unsigned long long)found->count,
                        (long long)(columns * matrices));
    for (uint64_t i = 0; i < found->count; i++)
        if (!isfinite(found->values[i]) || found->values[i] < 0)
            return qn__fail(QN_BAD_DATA, "%s: column %llu of %s is %g; a mean square is wanted",
                            importance->path, (unsigned long long)i, name,
                            (double)found->values[i]);
    *values = found->values;
    return QN_OK;
}
