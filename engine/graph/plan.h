/* Inside a plan: the nodes that remain, where each tensor lies, and the calls made ready. */
#ifndef QN_GRAPH_PLAN_H
#define QN_GRAPH_PLAN_H

#include "graph/graph.h"
#include "ops/choice.h"
#include "ops/exec.h"

/* Life and place of a root tensor in the step arena. */
typedef struct qn_place {
    bool used;
    int first, last; /* node indices */
    int held;        /* last node of whatever shares this place */
    int merged;      /* shares the place of this root; -1: its own */
    int arena;
    uint64_t offset, bytes;
} qn_place;

typedef struct qn_step {
    qn_node node;
    qn_call call;   /* with buffers, for the current slot and rows */
    qn_exec exec;   /* kernels found */
    bool tuned;     /* the choice follows an entry */
    int planned;    /* the setting when all rows are there: its workspace is enough for fewer */
    double seconds; /* profile */
    int64_t runs;
    int after;            /* step whose transfer the launch waits for, or one of the below */
    qn_transfer transfer; /* of a fetch */
} qn_step;

enum { QN_AFTER_NONE = -1, QN_AFTER_ALL = -2 };

struct qn_plan {
    qn_graph *graph;
    qn_store *store;
    qn_step *steps;
    int step_count;
    int first_backward; /* step index; step_count when there is none */
    qn_place *places;   /* by tensor id */
    qn_desc *descs;     /* by tensor id, with the current number of rows */
    qn_arenas arenas;   /* sizes of the step arenas of one slot */
    uint64_t scratch_bytes;
    int slots;
    qn_plan_facts facts;
    char **programs; /* "file options", each once */
    int program_count, program_capacity;
    bool prepared;
    uint64_t generation; /* of the store, when the calls were made ready */
    int64_t rows;        /* as the calls are now */
    int slot;
    qn_comm *comm;  /* for collectives; borrowed */
    float *staging; /* host side of a collective */
    uint64_t staging_bytes;
    bool transfers; /* has fetches or sends */
    int tag_base;   /* profile: tags of this plan's steps start here */
    qn_status (*after_step)(void *user, int step); /* see qn__plan_watch; NULL */
    void *after_user;
    char *variant; /* forced; NULL */
    qn_tune_mode tune;
    double tune_seconds; /* that tune "on" may take */
};

/* "gelu : x=f32[5,7]" or "all_reduce : x=f32[5]"; returns text. */
const char *qn__step_text(const qn_step *step, char *text, size_t bytes);
/* Run a collective: drain the queue, reduce on the host in chunks, give it back. */
qn_status qn__step_communicate(qn_plan *plan, const qn_step *step) QN_MUST_USE;
/* Who waits for which transfer; after the steps are there. */
void qn__plan_link_transfers(qn_plan *plan);
/* Enqueue a fetch or send; let the compute queue wait for what a launch reads. */
qn_status qn__step_transfer(qn_plan *plan, qn_step *step) QN_MUST_USE;
qn_status qn__step_wait(qn_plan *plan, const qn_step *step) QN_MUST_USE;
/* While it runs, be called after each step's launches are enqueued; NULL: no more. */
void qn__plan_watch(qn_plan *plan, qn_status (*after_step)(void *user, int step), void *user);
/* Whose collectives the plan uses; before it runs. A plan without collectives needs none. */
void qn__plan_set_comm(qn_plan *plan, qn_comm *comm);
qn_status qn__plan_place(qn_plan *plan) QN_MUST_USE;
/* Descs of all tensors for this many rows. */
qn_status qn__plan_set_rows(qn_plan *plan, int64_t rows) QN_MUST_USE;
/* A step's call with the descs of the rows that were set, without memory. */
void qn__plan_call(const qn_plan *plan, const qn_step *step, qn_call *call);
/* Choose what runs each step, by the entries that there are now, and count programs, workspace and
 * time again. Touches no device. */
qn_status qn__plan_choose(qn_plan *plan) QN_MUST_USE;
/* The entries this plan follows; NULL: none. */
const qn_tuning *qn__plan_entries(const qn_plan *plan);
/* Settings for this many rows, which are set; those timed, at the power of two that is next. */
qn_status qn__plan_reset_settings(qn_plan *plan, int64_t rows) QN_MUST_USE;
/* Tune "on": time what has no entry, within the plan's budget. */
qn_status qn__plan_tune_missing(qn_plan *plan) QN_MUST_USE;

#endif
