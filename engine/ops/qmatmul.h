/* What ops on quantized matrices share. */
#ifndef QN_OPS_QMATMUL_H
#define QN_OPS_QMATMUL_H

#include "numeric/panels.h"
#include "ops/exec.h"

/* Rows of x at once: of the kernels for few rows, of the one for many; rows a group of the latter
 * keeps (QN_KEPT), items of a tile's group. */
enum { QN_FEW_ROWS = 4, QN_MANY_ROWS = 6, QN_KEPT_ROWS = 128, QN_QTILE_ITEMS = 256 };

/* Is input `in` quantized, in panels? */
qn_status qn__check_panels(const qn_call *call, int in) QN_MUST_USE;
const char *qn__refuse_vnni(const qn_call *call);
/* The option that asks ahead in memory, where matrix `in` is large; otherwise nothing. */
const char *qn__ask_ahead(const qn_call *call, int in);

#define QN_VARIANTS_QMATMUL                                                                        \
    (const qn_variant[])                                                                           \
    {                                                                                              \
        {"matrix", QN_MATRIX, QN_CHAIN, qn__refuse_vnni, NULL},                                    \
            {"wide", QN_WIDE, QN_CHAIN, qn__refuse_wide, NULL},                                    \
            {"tile", QN_TILE, QN_CHAIN, qn__refuse_tile, NULL},                                    \
            {"plain", QN_PLAIN, QN_CHAIN, qn__refuse_never, NULL},                                 \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

#endif
