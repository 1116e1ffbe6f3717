/* Opening and closing; the records of all devices. */
#include "device/opencl.h"
#include "device/tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

qn_status qn__device_open_found(const qn_found *found, bool profile, qn_device **device)
{
    cl_int code;
    *device = NULL;
    qn_device *d = calloc(1, sizeof *d);
    if (!d) return qn__fail(QN_OS_ERROR, "out of memory");
    d->id = found->id;
    d->caps = found->caps;
    d->profile = profile;
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                          (cl_context_properties)found->platform, 0};
    d->context = clCreateContext(properties, 1, &d->id, NULL, NULL, &code);
    if (code != CL_SUCCESS) {
        free(d);
        return qn__cl_fail(code, "clCreateContext", found->caps.name);
    }
    qn_status status = qn__queue_create(d, profile, &d->queue);
    if (status == QN_OK) status = qn__buffer_create(d, 256, "placeholder", &d->nothing);
    if (status != QN_OK) {
        qn_device_close(&d);
        return status;
    }
    d->bytes_now = d->bytes_peak = 0; /* the report is of what was asked for */
    *device = d;
    return QN_OK;
}

qn_status qn_device_open(const qn_device_options *options, qn_device **device)
{
    static const qn_device_options defaults = {.size = sizeof defaults};
    qn_found *found;
    int count, index;
    char why[128];
    *device = NULL;
    if (!options) options = &defaults;
    QN_CHECK(options->size == sizeof *options,
             "qn_device_options.size is %u, this library's is %zu", options->size, sizeof *options);
    QN_TRY(qn__discover(&found, &count));
    qn_status status = qn__select(found, count, options->selector, &index, why, sizeof why);
    if (status == QN_OK && options->local_size > 1)
        status = qn__share_devices(found, count, options, &index);
    if (status == QN_OK) status = qn__probe_all(&found[index].caps, index);
    if (status == QN_OK) {
        qn__peaks_cached(&found[index].caps);
        status = qn__device_open_found(&found[index], options->profile, device);
    }
    free(found);
    return status;
}

void qn_device_close(qn_device **device)
{
    qn_device *d = *device;
    if (!d) return;
    if (d->queue) clFinish(d->queue);
    if (d->transfers) clFinish(d->transfers);
    for (int i = 0; i < d->launch_count; i++) clReleaseEvent(d->launches[i].event);
    free(d->launches);
    qn__programs_free(d);
    qn__tuning_destroy(&d->tuning);
    qn__buffer_destroy(&d->nothing);
    if (d->transfers) clReleaseCommandQueue(d->transfers);
    if (d->queue) clReleaseCommandQueue(d->queue);
    if (d->context) clReleaseContext(d->context);
    free(d);
    *device = NULL;
}

const char *qn_device_name(const qn_device *device)
{
    return device->caps.name;
}

const qn_caps *qn__device_caps(const qn_device *device)
{
    return &device->caps;
}

qn_buffer *qn__device_nothing(qn_device *device)
{
    return device->nothing;
}

void qn_device_memory(const qn_device *device, uint64_t *now, uint64_t *peak)
{
    if (now) *now = device->bytes_now;
    if (peak) *peak = device->bytes_peak;
}

void qn_free(void *pointer)
{
    free(pointer);
}

static qn_status dump(json_t *value, char **json)
{
    *json = value ? json_dumps(value, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(value);
    return *json ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
}

/* What was timed on this device, so that a plan made elsewhere chooses as one made here. */
static void add_tuning(json_t *record, const qn_caps *caps)
{
    qn_tuning *tuning;
    char *path = qn__tuning_path(caps);
    if (path && qn__tuning_create(&tuning) == QN_OK) {
        qn__tuning_load(tuning, path);
        json_object_set_new(record, "tuning", qn__tuning_to_json(tuning));
        qn__tuning_destroy(&tuning);
    }
    free(path);
}

qn_status qn_device_record(qn_device *device, char **json)
{
    *json = NULL;
    if (device->caps.peak_gflops <= 0) {
        qn_peaks peaks;
        QN_TRY(qn_device_measure(device, &peaks));
    }
    json_t *record = qn__caps_to_json(&device->caps);
    add_tuning(record, &device->caps);
    return dump(record, json);
}

/* Whether plans made here follow them, as the environment has it. */
static const char *tune_word(void)
{
    qn_tune_mode mode;
    return qn__tune_mode(NULL, &mode) == QN_OK ? qn__tune_mode_name(mode) : qn_last_error();
}

static void add_record(json_t *list, const qn_found *found, int index, bool measure)
{
    qn_found row = *found;
    const char *problem = NULL;
    qn_device *device = NULL;
    qn_peaks peaks;
    if (qn__probe_all(&row.caps, index) != QN_OK) problem = qn_last_error();
    if (!qn__peaks_cached(&row.caps) && measure && !row.caps.software_rasteriser) {
        if (qn__device_open_found(&row, false, &device) == QN_OK &&
            qn_device_measure(device, &peaks) == QN_OK)
            row.caps = device->caps;
        else problem = qn_last_error();
        qn_device_close(&device);
    }
    json_t *record = qn__caps_to_json(&row.caps);
    json_object_set_new(record, "index", json_integer(index));
    add_tuning(record, &row.caps);
    if (problem) json_object_set_new(record, "problem", json_string(problem));
    json_array_append_new(list, record);
}

qn_status qn_devices_json(bool measure, char **json)
{
    qn_found *found;
    int count, index = -1;
    char why[512];
    *json = NULL;
    QN_TRY(qn__discover(&found, &count));
    json_t *root = json_object(), *list = json_array(), *advice = json_array();
    for (int i = 0; i < count; i++) add_record(list, &found[i], i, measure);
    if (qn__select(found, count, NULL, &index, why, sizeof why) != QN_OK)
        snprintf(why, sizeof why, "%s", qn_last_error());
    qn__advice(advice, count);
    free(found);
    json_object_set_new(root, "devices", list);
    json_object_set_new(root, "default", index >= 0 ? json_integer(index) : json_null());
    json_object_set_new(root, "why", json_string(why));
    json_object_set_new(root, "advice", advice);
    json_object_set_new(root, "tune", json_string(tune_word()));
    return dump(root, json);
}
