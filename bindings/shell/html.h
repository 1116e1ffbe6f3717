/* Parts of a report as HTML. All text that comes from a file is escaped. */
#ifndef QN_SHELL_HTML_H
#define QN_SHELL_HTML_H

#include "chart.h"

/* What a report is made from; what is not there is NULL. */
typedef struct qn_report {
    const char *folder;
    const qn_history *history;
    json_t *keys; /* train.json */
    json_t *run;  /* run.json */
} qn_report;

void qn__html_begin(FILE *out, const qn_report *report);
void qn__html_figures(FILE *out, const qn_report *report);
void qn__html_curves(FILE *out, const qn_report *report);
void qn__html_samples(FILE *out, const qn_report *report);
void qn__html_skipped(FILE *out, const qn_report *report);
void qn__html_checkpoints(FILE *out, const qn_report *report);
void qn__html_configuration(FILE *out, const qn_report *report);
void qn__html_machine(FILE *out, const qn_report *report);
void qn__html_end(FILE *out);

#endif
