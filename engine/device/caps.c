#include "device/caps.h"

#include "base/check.h"
#include "base/hash.h"

#include <quernel/version.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {"cpu", "gpu", "accelerator"};
static const char *const verdict_names[] = {"unknown", "proven", "refuted"};

static const char *const probe_names[] = {
#define QN_PROBE(name, NAME, what) #name,
#include "device/probes.def"
#undef QN_PROBE
};

static const char *const quirk_names[] = {
#define QN_QUIRK(name, NAME, what) #name,
#include "device/quirk_list.def"
#undef QN_QUIRK
};

const char *qn__device_type_name(qn_device_type type)
{
    return type_names[type];
}

uint64_t qn__caps_key(const qn_caps *caps)
{
    char text[1024];
    int length = snprintf(text, sizeof text, "%d|%s|%s|%s|%s|%s|%d", QN_VERSION, caps->platform,
                          caps->platform_version, caps->name, caps->driver, caps->version,
                          caps->compute_units);
    size_t bytes = length < (int)sizeof text ? (size_t)length : sizeof text - 1;
    return qn__hash(text, bytes);
}

/* The record's plain fields, once, for writing and for reading. */
#define STRINGS(F)                                                                                 \
    F(name) F(vendor) F(driver) F(version) F(c_version) F(platform) F(platform_version)
#define SIZES(F) F(global_bytes) F(max_alloc_bytes) F(local_bytes) F(max_group) F(base_align_bytes)
#define FLAGS(F)                                                                                   \
    F(software_rasteriser) F(local_is_dedicated) F(fma) F(fp16) F(fp64) F(unified_memory)

json_t *qn__caps_to_json(const qn_caps *caps)
{
    json_t *record = json_object();
    if (!record) return NULL;
#define F(field) json_object_set_new(record, #field, json_string(caps->field));
    STRINGS(F)
#undef F
    json_object_set_new(record, "type", json_string(type_names[caps->type]));
    json_object_set_new(record, "compute_units", json_integer(caps->compute_units));
    json_object_set_new(record, "clock_mhz", json_integer(caps->clock_mhz));
#define F(field) json_object_set_new(record, #field, json_integer((json_int_t)caps->field));
    SIZES(F)
#undef F
#define F(field) json_object_set_new(record, #field, json_boolean(caps->field));
    FLAGS(F)
#undef F
    json_t *quirks = json_array();
    for (int i = 0; i < QN_QUIRK_COUNT; i++)
        if (qn__quirk(caps, (qn_quirk_id)i))
            json_array_append_new(quirks, json_string(quirk_names[i]));
    json_object_set_new(record, "quirks", quirks);
    json_t *probes = json_object();
    for (int i = 0; i < QN_PROBE_COUNT; i++)
        json_object_set_new(probes, probe_names[i], json_string(verdict_names[caps->probe[i]]));
    json_object_set_new(record, "probes", probes);
    json_object_set_new(record, "peak_gflops_f32", json_real(caps->peak_gflops));
    json_object_set_new(record, "peak_gbytes_per_s", json_real(caps->peak_gbytes));
    json_object_set_new(record, "peak_gflops_bf16_matrix", json_real(caps->peak_matrix_gflops));
    json_object_set_new(record, "peak_gops_int8", json_real(caps->peak_int8_gops));
    return record;
}

static int find_word(const char *word, const char *const *list, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0) return i;
    return -1;
}

static qn_status read_string(const json_t *record, const char *origin, const char *key, char *text,
                             size_t bytes)
{
    const char *value = "";
    QN_TRY(qn__json_string(record, origin, key, true, &value));
    snprintf(text, bytes, "%s", value);
    return QN_OK;
}

static qn_status read_size(const json_t *record, const char *origin, const char *key,
                           uint64_t *value)
{
    int64_t got = 0;
    QN_TRY(qn__json_i64(record, origin, key, true, 0, INT64_MAX / 4, &got));
    *value = (uint64_t)got;
    return QN_OK;
}

static qn_status read_lists(const json_t *record, const char *origin, qn_caps *caps)
{
    size_t index;
    const json_t *value;
    const char *word;
    json_array_foreach(json_object_get(record, "quirks"), index, value)
    {
        const char *name = json_string_value(value);
        int quirk = name ? find_word(name, quirk_names, QN_QUIRK_COUNT) : -1;
        if (quirk >= 0) caps->quirks |= 1u << quirk;
    }
    const json_t *probes = json_object_get(record, "probes");
    for (int i = 0; i < QN_PROBE_COUNT; i++) {
        word = "unknown";
        QN_TRY(qn__json_string(probes, origin, probe_names[i], false, &word));
        int verdict = find_word(word, verdict_names, 3);
        if (verdict < 0)
            return qn__fail(QN_BAD_DATA,
                            "%s: probe \"%s\" is \"%s\"; it must be unknown, proven "
                            "or refuted",
                            origin, probe_names[i], word);
        caps->probe[i] = (qn_verdict)verdict;
    }
    return QN_OK;
}

qn_status qn__caps_from_json(const json_t *record, const char *origin, qn_caps *caps)
{
    *caps = (qn_caps){0};
    if (!json_is_object(record))
        return qn__fail(QN_BAD_DATA,
                        "%s: a capability record is a JSON object; write one with "
                        "`quernel devices --json`",
                        origin);
#define F(field) QN_TRY(read_string(record, origin, #field, caps->field, sizeof caps->field));
    STRINGS(F)
#undef F
#define F(field) QN_TRY(read_size(record, origin, #field, &caps->field));
    SIZES(F)
#undef F
#define F(field) QN_TRY(qn__json_bool(record, origin, #field, true, &caps->field));
    FLAGS(F)
#undef F
    const char *word = "";
    QN_TRY(qn__json_string(record, origin, "type", true, &word));
    int type = find_word(word, type_names, 3);
    if (type < 0)
        return qn__fail(QN_BAD_DATA, "%s: type \"%s\" is not cpu, gpu or accelerator", origin,
                        word);
    caps->type = (qn_device_type)type;
    int64_t units = 0, clock = 0;
    QN_TRY(qn__json_i64(record, origin, "compute_units", true, 1, 1 << 20, &units));
    QN_TRY(qn__json_i64(record, origin, "clock_mhz", true, 0, 1 << 20, &clock));
    caps->compute_units = (int)units;
    caps->clock_mhz = (int)clock;
    QN_TRY(qn__json_f64(record, origin, "peak_gflops_f32", false, &caps->peak_gflops));
    QN_TRY(qn__json_f64(record, origin, "peak_gbytes_per_s", false, &caps->peak_gbytes));
    QN_TRY(
        qn__json_f64(record, origin, "peak_gflops_bf16_matrix", false, &caps->peak_matrix_gflops));
    QN_TRY(qn__json_f64(record, origin, "peak_gops_int8", false, &caps->peak_int8_gops));
    return read_lists(record, origin, caps);
}
