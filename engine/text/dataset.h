/* Files to learn from, and the documents in them. */
#ifndef QN_TEXT_DATASET_H
#define QN_TEXT_DATASET_H

#include "text/document.h"

typedef enum qn__source_kind {
    QN__SOURCE_TEXT, /* one document */
    QN__SOURCE_LINES /* JSON Lines: a document on each line */
} qn__source_kind;

typedef struct qn__source {
    char *path;
    qn__source_kind kind;
    uint64_t bytes;
    uint64_t identity[6]; /* device, inode, time of change of content and of the inode */
} qn__source;

typedef struct qn__dataset {
    qn__source *source;
    size_t count, capacity;
    uint64_t bytes; /* of all */
    bool plain;     /* one text file, named itself: text, not documents */
    bool lines;     /* some source is JSON Lines */
    const struct qn__chat_family *family; /* how conversations are written; NULL: as ChatML */
} qn__dataset;

/* `paths`: a text file, a JSON Lines file (.jsonl, .ndjson), a folder, or several with commas
 * between. Of a folder: every .txt, .md, .jsonl and .ndjson file below it, in the order of the
 * bytes of their paths; names that begin with a dot are passed over, links to folders are not
 * followed. */
qn_status qn__dataset_open(const char *paths, qn__dataset *dataset) QN_MUST_USE;
void qn__dataset_close(qn__dataset *dataset);
/* Would it be plain? Looks at the kind of file only. */
bool qn__dataset_is_plain(const char *paths);
/* QN_BAD_DATA: a file is not the one it was at _open. */
qn_status qn__dataset_check_same(const qn__dataset *dataset) QN_MUST_USE;

/* `done` counts the bytes of all files up to this document's end. */
typedef qn_status (*qn__document_fn)(void *user, const qn__document *document, const char *path,
                                     uint64_t done);
/* Every document in order; stops at the first failure. Files are mapped one at a time. QN_BAD_DATA
 * names the file, the line and what is wrong. */
qn_status qn__dataset_each(const qn__dataset *dataset, qn__document_fn fn, void *user) QN_MUST_USE;

#endif
