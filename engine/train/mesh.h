/* How a run's ranks are arranged: --mesh dp=D,tp=T,pp=P. */
#ifndef QN_TRAIN_MESH_H
#define QN_TRAIN_MESH_H

#include <quernel/status.h>
#include <quernel/export.h>

typedef struct qn_mesh {
    int dp; /* ranks with leaves of their own, of the same weights */
    int tp; /* that share the matrices of a layer */
    int pp; /* that share the layers */
} qn_mesh;

/* Axes that are not named are 1; "auto": all ranks have leaves of their own. ranks 0: as many as
 * the mesh says. */
qn_status qn__mesh_parse(const char *text, int ranks, qn_mesh *mesh) QN_MUST_USE;

#endif
