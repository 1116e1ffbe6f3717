/* Ctrl-C once: finish the step, save, stop. Twice: die now. */
#include "shell.h"

#include <signal.h>

static volatile sig_atomic_t asked;

static void note_signal(int number)
{
    (void)number;
    asked = 1;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

void qn__signals_catch(void)
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool qn__stop_asked(void)
{
    return asked != 0;
}
