/* Ctrl-C or SIGTERM once: finish the step, save, stop. Twice: die now. SIGUSR1: save and go on. */
#include "shell.h"

#include <signal.h>

static volatile sig_atomic_t stop, save;

static void note_stop(int number)
{
    (void)number;
    stop = 1;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

static void note_save(int number)
{
    (void)number;
    save = 1;
}

static void on(int number, void (*handler)(int number))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void qn__signals_catch(void)
{
    on(SIGUSR1, note_save);
    if (stop) return; /* the second one kills */
    on(SIGINT, note_stop);
    on(SIGTERM, note_stop);
}

bool qn__stop_asked(void)
{
    return stop != 0;
}

bool qn__save_asked(void)
{
    bool asked = save != 0;
    save = 0;
    return asked;
}
