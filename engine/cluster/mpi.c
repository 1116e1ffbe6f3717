/* The wire over MPI: the only file that knows it. */
#include "base/check.h"
#include "cluster/wire.h"

#include <stdlib.h>

/* What Open MPI, PMIx (Slurm) and PMI (others) leave in the environment of a process they start. */
static bool launched(void)
{
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};
    for (int i = 0; i < 3; i++)
        if (getenv(sizes[i])) return true;
    return false;
}

#if QN_HAVE_MPI

#include <mpi.h>
#include <sched.h>
#include <time.h>

/* Counts are of int: larger messages go in pieces, which both sides cut alike. */
enum { PIECE = 64 << 20, TAG = 1, SPINS = 200 };

typedef struct mpi_wire {
    qn_wire wire; /* first */
} mpi_wire;

static qn_status translate(int code, const char *call)
{
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int length = 0;
    if (code == MPI_SUCCESS) return QN_OK;
    MPI_Error_string(code, text, &length);
    return qn__fail(QN_COMM_ERROR, "%s: %s", call, text);
}

#define QN_MPI(call) QN_TRY(translate((call), #call))

/* Until all are through. Waiting ranks leave their core to those that compute: a CPU device may
 * have the same one. */
static qn_status finish(MPI_Request *requests, int count)
{
    const struct timespec nap = {.tv_nsec = 20000};
    for (int64_t turn = 0;; turn++) {
        int done = 0;
        QN_MPI(MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE));
        if (done) return QN_OK;
        if (turn < SPINS) sched_yield();
        else nanosleep(&nap, NULL);
    }
}

static uint64_t piece(uint64_t bytes, uint64_t from)
{
    return bytes - from < PIECE ? bytes - from : PIECE;
}

static qn_status exchange(qn_wire *wire, const void *send, uint64_t send_bytes, int to,
                          void *receive, uint64_t receive_bytes, int from)
{
    for (uint64_t at = 0; at < send_bytes || at < receive_bytes; at += PIECE) {
        MPI_Request requests[2];
        int count = 0;
        if (at < receive_bytes)
            QN_MPI(MPI_Irecv((char *)receive + at, (int)piece(receive_bytes, at), MPI_BYTE, from,
                             TAG, MPI_COMM_WORLD, &requests[count++]));
        if (at < send_bytes)
            QN_MPI(MPI_Isend((const char *)send + at, (int)piece(send_bytes, at), MPI_BYTE, to, TAG,
                             MPI_COMM_WORLD, &requests[count++]));
        QN_TRY(finish(requests, count));
    }
    wire->sent_bytes += send_bytes;
    return QN_OK;
}

static qn_status gather(qn_wire *wire, const void *mine, uint64_t bytes, void *all)
{
    MPI_Request request;
    QN_CHECK(bytes <= PIECE, "%llu bytes of each of %d ranks are too many at once",
             (unsigned long long)bytes, wire->size);
    QN_MPI(MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD,
                          &request));
    return finish(&request, 1);
}

static qn_status broadcast(qn_wire *wire, void *data, uint64_t bytes, int root)
{
    (void)wire;
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        MPI_Request request;
        QN_MPI(MPI_Ibcast((char *)data + at, (int)piece(bytes, at), MPI_BYTE, root, MPI_COMM_WORLD,
                          &request));
        QN_TRY(finish(&request, 1));
    }
    return QN_OK;
}

static void stop(qn_wire *wire)
{
    MPI_Finalize();
    free(wire);
}

static qn_status find_place(qn_wire *wire)
{
    MPI_Comm local;
    QN_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &wire->rank));
    QN_MPI(MPI_Comm_size(MPI_COMM_WORLD, &wire->size));
    QN_MPI(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local));
    QN_MPI(MPI_Comm_rank(local, &wire->local_rank));
    QN_MPI(MPI_Comm_size(local, &wire->local_size));
    wire->node = wire->rank;
    QN_MPI(MPI_Bcast(&wire->node, 1, MPI_INT, 0, local));
    QN_MPI(MPI_Comm_free(&local));
    return QN_OK;
}

qn_status qn__wire_mpi(qn_wire **wire)
{
    int provided = MPI_THREAD_SINGLE;
    *wire = NULL;
    if (!launched()) return QN_OK;
    mpi_wire *made = calloc(1, sizeof *made);
    if (!made) return qn__fail(QN_OS_ERROR, "out of memory");
    made->wire =
        (qn_wire){.exchange = exchange, .gather = gather, .broadcast = broadcast, .stop = stop};
    qn_status status =
        translate(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    if (status == QN_OK)
        status = translate(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN),
                           "MPI_Comm_set_errhandler");
    made->wire.threads = provided >= MPI_THREAD_SERIALIZED;
    if (status == QN_OK) status = find_place(&made->wire);
    if (status == QN_OK) *wire = &made->wire;
    else free(made);
    return status;
}

#else

qn_status qn__wire_mpi(qn_wire **wire)
{
    *wire = NULL;
    if (!launched()) return QN_OK;
    return qn__fail(QN_UNSUPPORTED,
                    "a launcher started this process as one of several ranks, but Quernel was "
                    "built without MPI: install libopenmpi-dev and build with -DQN_MPI=ON");
}

#endif
