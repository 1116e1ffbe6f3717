/* What the library shows to those who link it, and attributes that help callers. */
#ifndef QUERNEL_EXPORT_H
#define QUERNEL_EXPORT_H

#define QN_API __attribute__((visibility("default")))
#define QN_MUST_USE __attribute__((warn_unused_result))
#define QN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#endif
