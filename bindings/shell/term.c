/* The progress line, notes and log lines: all on standard error. */
#include "shell.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 512 };
static const double terminal_gap = 0.1,
                    file_gap = 5.0; /* seconds between two versions of the line */

static struct {
    char line[LINE_BYTES];
    double shown_at;
    bool open; /* on a terminal: the cursor stands behind a progress line */
    bool held; /* the newest line was not shown yet */
} state;

double qn__now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool on_terminal(void)
{
    static int answer = -1;
    const char *term = getenv("TERM");
    if (answer < 0) answer = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    return answer == 1;
}

int qn__term_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
    return 80;
}

/* Cut after so many characters, never inside one. */
static int bytes_of(const char *text, int characters)
{
    int bytes = 0;
    for (; text[bytes]; bytes++)
        if ((text[bytes] & 0xC0) != 0x80 && characters-- == 0) break;
    return bytes;
}

static void show(void)
{
    if (on_terminal())
        fprintf(stderr, "\r%.*s\033[K", bytes_of(state.line, qn__term_columns() - 1), state.line);
    else fprintf(stderr, "%s\n", state.line);
    state.open = on_terminal();
    state.held = false;
    state.shown_at = qn__now_seconds();
}

void qn__progress(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(state.line, sizeof state.line, format, args);
    va_end(args);
    state.held = true;
    double gap = on_terminal() ? terminal_gap : file_gap;
    if (state.shown_at == 0 || qn__now_seconds() - state.shown_at >= gap) show();
}

void qn__progress_end(bool last)
{
    if (last && state.held && state.line[0]) show();
    if (state.open) fputc('\n', stderr);
    state.open = state.held = false;
    state.shown_at = 0;
}

void qn__note(const char *format, ...)
{
    va_list args;
    if (state.open) fputs("\r\033[K", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    if (state.open) show();
}

static void print_log(void *user, qn_log_level level, const char *line)
{
    (void)user;
    qn__note("quernel: %s%s", level == QN_LOG_WARN ? "warning: " : "", line);
}

void qn__log_start(bool verbose)
{
    qn_log_set(print_log, NULL, verbose ? QN_LOG_VERBOSE : QN_LOG_WARN);
}

void qn__log_errors(void)
{
    qn_log_set(print_log, NULL, QN_LOG_ERROR);
}

bool qn__work(void *user, const char *what, int64_t done, int64_t total)
{
    (void)user;
    if (total > 0) qn__progress("%s  %.0f %%", what, 100.0 * (double)done / (double)total);
    else qn__progress("%s", what);
    return !qn__stop_asked();
}
