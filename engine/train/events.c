#include "train/events.h"

#include "base/check.h"
#include "base/fs.h"
#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char name_begin[] = "events.out.tfevents.";

struct qn_events {
    char *path;
    int fd;
    off_t bytes; /* whole records */
    int64_t step;
    qn_str summary, record;
};

/* ---- records ---- */

uint32_t qn__crc32c(const void *bytes, size_t count)
{
    static const uint32_t half_bytes[16] = {0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1,
                                            0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
                                            0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
                                            0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75};
    const uint8_t *at = bytes;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ half_bytes[crc & 15];
        crc = crc >> 4 ^ half_bytes[crc & 15];
    }
    return ~crc;
}

static void add_little(qn_str *to, uint64_t value, int bytes)
{
    uint8_t out[8];
    for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> 8 * i);
    qn__str_add_bytes(to, out, (size_t)bytes);
}

/* A checksum over data that itself has checksums in it is weak, so these are turned and shifted. */
static uint32_t masked_crc(const void *bytes, size_t count)
{
    uint32_t crc = qn__crc32c(bytes, count);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static void add_record(qn_str *to, const qn_str *data)
{
    size_t begin = to->length;
    add_little(to, data->length, 8);
    if (!to->failed) add_little(to, masked_crc(to->data + begin, 8), 4);
    qn__str_add_bytes(to, data->data, data->length);
    add_little(to, masked_crc(data->data, data->length), 4);
}

/* ---- protocol buffers ---- */

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void add_varint(qn_str *to, uint64_t value)
{
    for (; value >= 128; value >>= 7) add_little(to, (value & 127) | 128, 1);
    add_little(to, value, 1);
}

static void add_key(qn_str *to, int field, int type)
{
    add_varint(to, (uint64_t)field << 3 | (uint64_t)type);
}

static void add_number(qn_str *to, int field, uint64_t value)
{
    add_key(to, field, VARINT);
    add_varint(to, value);
}

static void add_bytes(qn_str *to, int field, const void *bytes, size_t count)
{
    add_key(to, field, BYTES);
    add_varint(to, count);
    qn__str_add_bytes(to, bytes, count);
}

static void add_text(qn_str *to, int field, const char *text)
{
    add_bytes(to, field, text, strlen(text));
}

/* Takes what is in `message`, and frees it. */
static void add_message(qn_str *to, int field, qn_str *message)
{
    to->failed |= message->failed;
    add_bytes(to, field, message->data, message->length);
    qn__str_free(message);
}

static void add_double(qn_str *to, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_key(to, field, FIXED64);
    add_little(to, bits, 8);
}

static void add_float(qn_str *to, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_key(to, field, FIXED32);
    add_little(to, bits, 4);
}

/* ---- events ---- */

/* Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7. */
static void add_event(qn_events *events, int64_t step, int field, const qn_str *body)
{
    qn_str event = {0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    add_double(&event, 1, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    if (step) add_number(&event, 2, (uint64_t)step);
    add_bytes(&event, field, body->data, body->length);
    event.failed |= body->failed;
    events->record.failed |= event.failed;
    if (!event.failed) add_record(&events->record, &event);
    qn__str_free(&event);
}

static qn_status write_records(qn_events *events)
{
    qn_str *record = &events->record;
    size_t done = 0;
    bool good = !record->failed;
    int problem = good ? 0 : ENOMEM;
    while (good && done < record->length) {
        ssize_t wrote = write(events->fd, record->data + done, record->length - done);
        if (wrote < 0 && errno == EINTR) continue;
        good = wrote > 0;
        if (good) done += (size_t)wrote;
        else problem = errno;
    }
    if (good) events->bytes += (off_t)done;
    record->length = 0;
    record->failed = false;
    if (good) return QN_OK;
    (void)!ftruncate(events->fd, events->bytes); /* readers skip half a record, too */
    return qn__fail(QN_OS_ERROR, "%s: cannot write: %s", events->path, strerror(problem));
}

void qn__events_begin(qn_events *events, int64_t step)
{
    events->step = step;
    events->summary.length = 0;
    events->summary.failed = false;
}

/* Summary: value = 1. Value: tag = 1, simple_value = 2, tensor = 8, metadata = 9. */
void qn__events_scalar(qn_events *events, const char *tag, double value)
{
    qn_str one = {0};
    add_text(&one, 1, tag);
    add_float(&one, 2, (float)value);
    add_message(&events->summary, 1, &one);
}

/* SummaryMetadata: plugin_data = 1 {plugin_name = 1}. TensorProto: dtype = 1 (DT_STRING 7),
 * tensor_shape = 2 (no dimension: one text), string_val = 8. */
void qn__events_text(qn_events *events, const char *tag, const char *markdown)
{
    qn_str one = {0}, plugin = {0}, metadata = {0}, tensor = {0}, shape = {0};
    add_text(&plugin, 1, "text");
    add_message(&metadata, 1, &plugin);
    add_number(&tensor, 1, 7);
    add_message(&tensor, 2, &shape);
    add_text(&tensor, 8, markdown);
    add_text(&one, 1, tag);
    add_message(&one, 8, &tensor);
    add_message(&one, 9, &metadata);
    add_message(&events->summary, 1, &one);
}

qn_status qn__events_write(qn_events *events)
{
    if (events->summary.length == 0 && !events->summary.failed) return QN_OK;
    add_event(events, events->step, 5, &events->summary);
    return write_records(events);
}

/* ---- the file ---- */

/* Later than every file that is there, even if the clock was set back or has not moved on: readers
 * take files in the order of their names. */
static long long time_for_name(const char *folder)
{
    long long best = (long long)time(NULL);
    DIR *list = opendir(folder);
    const struct dirent *entry;
    while (list && (entry = readdir(list))) {
        if (strncmp(entry->d_name, name_begin, strlen(name_begin)) != 0) continue;
        char *end;
        long long at = strtoll(entry->d_name + strlen(name_begin), &end, 10);
        if (*end == '.' && at >= best && at < 9999999999LL) best = at + 1;
    }
    if (list) closedir(list);
    return best;
}

static char *path_of(const char *folder)
{
    char host[128] = "", name[256];
    if (gethostname(host, sizeof host - 1) != 0 || !*host) strcpy(host, "host");
    for (char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.') *c = '_';
    snprintf(name, sizeof name, "%s%010lld.%s.%ld", name_begin, time_for_name(folder), host,
             (long)getpid());
    return qn__path_join(folder, name);
}

/* SessionLog: status = 1 (START 1). What older files say of steps from the event's on is void. */
static qn_status write_start(qn_events *events, int64_t done)
{
    qn_str version = {0}, session = {0};
    qn__str_add(&version, "brain.Event:2");
    add_number(&session, 1, 1);
    add_event(events, 0, 3, &version);
    add_event(events, done > 0 ? done + 1 : 0, 7, &session);
    qn__str_free(&version);
    qn__str_free(&session);
    return write_records(events);
}

qn_status qn__events_open(const char *folder, int64_t done, qn_events **events)
{
    *events = NULL;
    qn_events *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
    made->fd = -1;
    made->path = path_of(folder);
    qn_status status = made->path ? QN_OK : qn__fail(QN_OS_ERROR, "out of memory");
    if (status == QN_OK) {
        made->fd = open(made->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (made->fd < 0)
            status = qn__fail(QN_OS_ERROR, "%s: cannot write: %s", made->path, strerror(errno));
    }
    if (status == QN_OK) status = write_start(made, done);
    if (status != QN_OK) qn__events_close(&made);
    *events = made;
    return status;
}

void qn__events_close(qn_events **events)
{
    qn_events *old = *events;
    if (!old) return;
    if (old->fd >= 0) close(old->fd);
    qn__str_free(&old->summary);
    qn__str_free(&old->record);
    free(old->path);
    free(old);
    *events = NULL;
}
