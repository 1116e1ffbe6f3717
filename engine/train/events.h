/* TensorBoard event files: OUT/events.out.tfevents.TIME.HOST.PID, read by `tensorboard --logdir`.
 *
 * A file is records: u64 length, u32 masked CRC-32C of these 8 bytes, the bytes, u32 masked CRC-32C
 * of the bytes; all little-endian. A record is a protocol buffer tensorflow.Event. Sources:
 * TensorFlow's tensorflow/core/lib/io/record_writer.h, util/event.proto, framework/summary.proto.
 */
#ifndef QN_TRAIN_EVENTS_H
#define QN_TRAIN_EVENTS_H

#include <quernel/status.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qn_events qn_events;

/* Begin a new file, named to sort after those that are there. Its first events say that the session
 * starts after step `done`: readers forget what older files say of later steps. */
qn_status qn__events_open(const char *folder, int64_t done, qn_events **events) QN_MUST_USE;
void qn__events_close(qn_events **events);
/* One event: begin, add figures, and write it in one piece. */
void qn__events_begin(qn_events *events, int64_t step);
void qn__events_scalar(qn_events *events, const char *tag, double value);
/* Shown under "Text", as Markdown. UTF-8. */
void qn__events_text(qn_events *events, const char *tag, const char *markdown);
qn_status qn__events_write(qn_events *events) QN_MUST_USE;

/* CRC-32C (Castagnoli), reflected polynomial 0x82F63B78. */
uint32_t qn__crc32c(const void *bytes, size_t count);

#endif
