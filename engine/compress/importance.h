/* Importance matrices as llama.cpp's imatrix writes them: for each matrix the mean square of what
 * meets each of its columns, over some text. GGUF files and the older .dat are read.
 * Sources: llama.cpp, tools/imatrix/README.md, common/imatrix-loader.cpp. */
#ifndef QN_COMPRESS_IMPORTANCE_H
#define QN_COMPRESS_IMPORTANCE_H

#include <quernel/status.h>
#include <stddef.h>
#include <stdint.h>

typedef struct qn_importance qn_importance;

/* QN_BAD_DATA with place and value if the file is not what it says it is. */
qn_status qn__importance_open(const char *path, qn_importance **importance) QN_MUST_USE;
void qn__importance_close(qn_importance **importance);

size_t qn__importance_count(const qn_importance *importance);
/* *values [matrices, columns] of the tensor of that name, borrowed; NULL: the file has none.
 * QN_BAD_DATA when it has another number of them, or one that is negative or no number. */
qn_status qn__importance_find(const qn_importance *importance, const char *name, int64_t columns,
                              int64_t matrices, const float **values) QN_MUST_USE;

#endif
