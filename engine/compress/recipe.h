/* Which type each tensor of a quantized file gets: llama.cpp's mixes, a table row a type of file.
 * Source: llama.cpp, src/llama-quant.cpp; layers and sizes as it counts them. */
#ifndef QN_COMPRESS_RECIPE_H
#define QN_COMPRESS_RECIPE_H

#include "numeric/tensor.h"

/* What the rules ask about a model. */
typedef struct qn_recipe_facts {
    int64_t layers, experts; /* experts: 0 or 1 for none */
    int64_t group;           /* query heads a kv head */
    bool tied;               /* the head is the token embedding */
    bool weighed;            /* there is an importance matrix */
    bool pure;               /* no mix */
} qn_recipe_facts;

typedef struct qn_recipe {
    int row; /* of the table */
    qn_recipe_facts facts;
} qn_recipe;

/* "Q4_K_M", case does not matter; QN_BAD_ARGUMENT lists what there is. */
qn_status qn__recipe_find(const char *name, int *row) QN_MUST_USE;
const char *qn__recipe_name(int row);
const char *qn__recipe_help(int row);
/* general.file_type. */
uint32_t qn__recipe_file_type(int row);

/* Is a tensor of that name and shape converted at all? Vectors, norms, routers of experts,
 * positions and the small tensors of other architectures stay as they are. ne[0] is contiguous. */
bool qn__recipe_converts(const char *name, int rank, const int64_t *ne);
/* The type of one that is; *fallback: its rows are no whole blocks of the type it should have. */
qn_dtype qn__recipe_type(const qn_recipe *recipe, const char *name, int rank, const int64_t *ne,
                         bool *fallback);

#endif
