/* Commands that mpirun or srun starts several times: one run, and one of them speaks. */
#include "shell.h"

#include <stdlib.h>
#include <unistd.h>

/* By a thread of the library, which has said why. */
static void on_hang(void *user)
{
    (void)user;
    (void)qn__say_error(QN_EXIT_RETRY,
                        "rank %d ends the run: the same command with --resume goes on from the "
                        "last checkpoint",
                        qn_cluster_rank());
    fflush(NULL);
    _exit(QN_EXIT_RETRY);
}

qn_status qn__ranks_join(double watchdog_seconds)
{
    const qn_cluster_options options = {
        .size = sizeof options, .watchdog_seconds = watchdog_seconds, .on_hang = on_hang};
    qn_status status = qn_cluster_join(&options);
    if (status == QN_OK && qn_cluster_rank() > 0) qn__log_errors();
    return status;
}

bool qn__ranks_speaks(void)
{
    return qn_cluster_rank() == 0;
}

int qn__ranks_say(qn_status status)
{
    if (qn__ranks_speaks() || !qn_cluster_agreed(status)) return qn__say_status(status);
    return qn_status_exit_code(status);
}

int qn__ranks_leave(qn_status status, int code)
{
    if (qn_cluster_leave(status)) return code;
    fflush(NULL);
    _exit(code > 0 ? code : qn_status_exit_code(status)); /* the launcher ends the others */
}
