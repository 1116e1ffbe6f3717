/* Files: read whole, map, replace atomically; folders. */
#ifndef QN_BASE_FS_H
#define QN_BASE_FS_H

#include <quernel/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whole file, NUL added after the last byte (not counted). The caller frees *text. */
qn_status qn__file_read(const char *path, char **text, size_t *bytes) QN_MUST_USE;

/* Write to a temporary name in the same folder, fsync, rename over `path`, fsync the folder. On any
 * failure the old file is whole and the temporary one is gone. */
qn_status qn__file_replace(const char *path, const void *bytes, size_t count) QN_MUST_USE;

/* Remove what writers that were killed have left in a folder: files named "*.tmp-<process>" of
 * processes that are no more. What cannot be removed stays. */
void qn__folder_sweep(const char *folder);

/* A read-only map of a file. An empty file maps to data == NULL, bytes == 0. */
typedef struct qn_map {
    const uint8_t *data;
    size_t bytes;
    char *path; /* owned copy, for messages */
} qn_map;

qn_status qn__map_open(const char *path, qn_map *map) QN_MUST_USE;
void qn__map_close(qn_map *map);
/* Let go of the pages that lie whole in part of a map; read again, they come from the file. Only
 * for maps: other memory would be lost. */
void qn__map_release(const void *data, size_t bytes);

bool qn__is_folder(const char *path);
bool qn__is_file(const char *path);
/* mkdir -p. */
qn_status qn__make_folders(const char *path) QN_MUST_USE;
/* Make a rename or a new file in `folder` survive a power cut. */
qn_status qn__sync_folder(const char *folder) QN_MUST_USE;
/* "a/b": the caller frees; NULL when out of memory. */
char *qn__path_join(const char *folder, const char *name);

/* $QN_CACHE_DIR, else $XDG_CACHE_HOME/quernel, else ~/.cache/quernel; made if missing.
 * The caller frees *path. */
qn_status qn__cache_folder(char **path) QN_MUST_USE;
/* A file in it, "programs/0f.bin", its folders made. NULL when it cannot be had: caches are then
 * not used. The caller frees. */
char *qn__cache_path(const char *format, ...) QN_PRINTF(1, 2);

#endif
