#include "train/leaves.h"

#include "base/check.h"
#include "base/sum_tree.h"
#include "graph/graph.h"
#include "train/reduce.h"

/* What leaf l does: `older` sums lie in copies 0.. before it, `merges` of them are added to it, the
 * first `joined` by its own products. */
typedef struct turn {
    int older, merges, joined;
} turn;

/* Whether a gradient's product, which sums over a leaf's rows, does well to add to older sums. */
static bool products_join(const qn_training *t)
{
    enum { TRANS_A = 0 };
    const qn_desc rows = {.dtype = t->type, .shape = {.rank = 2, .dim = {t->rows, 1}}};
    qn_call call = {.op = qn__op(QN_OP_MATMUL), .caps = &t->store->caps};
    call.attr[TRANS_A].i = 1;
    call.in[0] = call.in[1] = (qn_operand){.there = true, .desc = rows};
    return qn__product_joins(&call);
}

/* leaf: among this rank's. */
static turn turn_of(const qn_training *t, bool joins, int64_t leaf)
{
    int64_t from = t->first_leaf;
    turn of = {.older = qn__tree_cover(t->all_leaves, from, from + leaf, NULL)};
    of.merges = of.older + 1 - qn__tree_cover(t->all_leaves, from, from + leaf + 1, NULL);
    if (joins) of.joined = of.merges < QN_JOINS ? of.merges : QN_JOINS;
    return of;
}

int64_t qn__leaves_joined(const qn_training *t, int joined)
{
    bool joins = products_join(t);
    int64_t count = 0;
    if (t->chain) return joined == 0 ? 1 : joined == 1 ? t->leaves - 1 : 0;
    for (int64_t leaf = 0; leaf < t->leaves; leaf++)
        count += turn_of(t, joins, leaf).joined == joined;
    return count;
}

qn_status qn__leaves_declare(qn_training *t)
{
    bool joins = products_join(t);
    int matrices = 1, vectors = 1;
    for (int64_t leaf = 0; leaf < t->leaves && !t->chain; leaf++) {
        turn now = turn_of(t, joins, leaf);
        if (now.older - now.joined + 1 > matrices) matrices = now.older - now.joined + 1;
        if (now.older + 1 > vectors) vectors = now.older + 1;
    }
    QN_TRY(qn__store_set_copies(t->store, QN_GRAD, matrices));
    return qn__store_set_copies(t->store, QN_GRAD_VECTORS, vectors);
}

/* The last leaf's gradients are on their way to the other ranks while it runs. */
static qn_status run_leaf(qn_training *t, int64_t leaf, qn_plan *plan, bool whole)
{
    if (!t->reduce || leaf < t->leaves - 1) return qn_plan_run(plan, QN_ALL, 0, 0);
    return qn__reduce_leaf(t->reduce, plan, whole);
}

static qn_status run_tree(qn_training *t)
{
    qn_store *store = t->store;
    bool joins = products_join(t);
    for (int64_t leaf = 0; leaf < t->leaves; leaf++) {
        turn now = turn_of(t, joins, leaf);
        QN_TRY(qn__store_select(store, "leaf", (int)leaf));
        QN_TRY(qn__store_select(store, QN_GRAD, now.older - now.joined));
        QN_TRY(qn__store_select(store, QN_GRAD_VECTORS, now.older));
        qn_plan *plan = now.joined ? t->more_plan[now.joined - 1] : t->step_plan;
        QN_TRY(run_leaf(t, leaf, plan, now.merges == now.joined));
        for (int i = 0; i < now.merges; i++) {
            int into = now.older - 1 - i;
            QN_TRY(qn__store_merge(store, QN_GRAD_VECTORS, into, into + 1));
            if (i >= now.joined) QN_TRY(qn__store_merge(store, QN_GRAD, into, into + 1));
        }
    }
    QN_TRY(qn__store_select(store, QN_GRAD, 0));
    return qn__store_select(store, QN_GRAD_VECTORS, 0);
}

static qn_status run_chain(qn_training *t)
{
    for (int64_t leaf = 0; leaf < t->leaves; leaf++) {
        QN_TRY(qn__store_select(t->store, "leaf", (int)leaf));
        QN_TRY(run_leaf(t, leaf, leaf > 0 ? t->more_plan[0] : t->step_plan, true));
    }
    return QN_OK;
}

qn_status qn__leaves_run(qn_training *t)
{
    if (t->reduce) qn__reduce_begin(t->reduce);
    QN_TRY(t->chain ? run_chain(t) : run_tree(t));
    return t->reduce ? qn__reduce_finish(t->reduce) : QN_OK;
}

qn_status qn__leaves_alone(qn_training *t)
{
    for (int64_t leaf = 0; leaf < t->leaves; leaf++) {
        QN_TRY(qn__store_select(t->store, "leaf", (int)leaf));
        QN_TRY(qn_plan_run(t->step_plan, QN_ALL, 0, 0));
    }
    return QN_OK;
}
