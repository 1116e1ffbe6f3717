/* Version of the interface you compile against, and of the library you run with. */
#ifndef QUERNEL_VERSION_H
#define QUERNEL_VERSION_H

#include <quernel/export.h>

#define QN_VERSION_MAJOR 0
#define QN_VERSION_MINOR 1
#define QN_VERSION_PATCH 0
#define QN_VERSION (QN_VERSION_MAJOR * 1000000 + QN_VERSION_MINOR * 1000 + QN_VERSION_PATCH)

/* QN_VERSION of the loaded library. The major number changes when old programs may break. */
QN_API int qn_version(void);

/* "0.1.0", static storage. */
QN_API const char *qn_version_string(void);

#endif
