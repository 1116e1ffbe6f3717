/* quernel plan: what a run will use, before it runs. */
#include "shell.h"

#include <stdlib.h>
#include <string.h>

int qn__plan(const qn_command *self, int argc, char **argv);

static const qn_flag own_flags[] = {
    {"config", "FILE", "keys from a JSON file; flags override it"},
    {"device-record", "FILE",
     "plan for that device: what `quernel devices --json` wrote there (default: this "
     "machine's default device)"},
    QN_FLAG_JSON,
    {0},
};

enum { LARGEST = 12 };

static double bytes_of(const json_t *row)
{
    return qn__get_number(row, "bytes") *
           (json_object_get(row, "copies") ? qn__get_number(row, "copies") : 1.0);
}

static int by_bytes(const void *a, const void *b)
{
    double x = bytes_of(*(const json_t *const *)a), y = bytes_of(*(const json_t *const *)b);
    return (x < y) - (x > y);
}

static void print_tensors(const json_t *tensors)
{
    size_t count = json_array_size(tensors);
    const json_t **rows = calloc(count + 1, sizeof *rows);
    if (!rows || count == 0) {
        free(rows);
        return;
    }
    for (size_t i = 0; i < count; i++) rows[i] = json_array_get(tensors, i);
    qsort(rows, count, sizeof *rows, by_bytes);
    printf("\nlargest of %zu tensors\n", count);
    for (size_t i = 0; i < count && i < LARGEST; i++) {
        const char *type = qn__get_text(rows[i], "type"),
                   *made_by = qn__get_text(rows[i], "made_by");
        printf("  %12s  %-8s %-24s %s%s%.60s\n", qn__text_bytes(bytes_of(rows[i])),
               qn__get_text(rows[i], "arena"), type, qn__get_text(rows[i], "name"),
               *made_by ? " = " : "", made_by);
    }
    free(rows);
}

static void print_arenas(const json_t *arenas)
{
    size_t index;
    const json_t *row;
    json_array_foreach(arenas, index, row)
    {
        const char *name = qn__get_text(row, "name");
        double copies = qn__get_number(row, "copies");
        printf("  %12s  %s%s", qn__text_bytes(bytes_of(row)), *name ? name : "(unnamed)",
               json_is_true(json_object_get(row, "host")) ? ", in host memory, not counted" : "");
        if (copies > 1)
            printf(" (%.0f x %s)", copies, qn__text_bytes(qn__get_number(row, "bytes")));
        printf("\n");
    }
}

static void print_plan(const json_t *plan)
{
    const json_t *programs = json_object_get(plan, "programs");
    double count =
        json_is_array(programs) ? (double)json_array_size(programs) : json_number_value(programs);
    if (json_object_get(plan, "device"))
        printf("device          %s\n", qn__get_text(plan, "device"));
    if (json_object_get(plan, "parameters"))
        printf("parameters      %s\n", qn__text_count(qn__get_number(plan, "parameters")));
    if (json_object_get(plan, "micro_batch"))
        printf("micro-batch     %s sequences\n",
               qn__text_count(qn__get_number(plan, "micro_batch")));
    if (json_object_get(plan, "ranks"))
        printf("ranks           %.0f; each step the first sends %s\n",
               qn__get_number(plan, "ranks"), qn__text_bytes(qn__get_number(plan, "sent_bytes")));
    printf("programs        %.0f to build\n", count);
    printf("tuning          %.0f calls follow entries, of %.0f there are (tune: %s)\n",
           qn__get_number(plan, "tuned_nodes"), qn__get_number(plan, "tuning_entries"),
           qn__get_text(plan, "tune"));
    printf("predicted step  %s\n",
           qn__text_seconds(qn__get_number(plan, "predicted_step_seconds")));
    printf("device memory   %s\n", qn__text_bytes(qn__get_number(plan, "total_bytes")));
    print_arenas(json_object_get(plan, "arenas"));
    print_tensors(json_object_get(plan, "tensors"));
}

int qn__plan(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    qn_train_options *options = NULL;
    char *text = NULL;
    int code = qn__args_parse(&args, self, qn__train_flags(own_flags), 0, argc, argv);
    if (code == QN_GO_ON) code = qn__train_options(&args, &options);
    if (code != QN_GO_ON) return code;
    qn_status status = qn_train_plan(options, qn__arg(&args, "device-record"), &text);
    qn_train_options_destroy(&options);
    if (status != QN_OK) return qn__say_status(status);
    json_t *plan = qn__take_json(text);
    if (!plan) return 70;
    if (qn__arg(&args, "json")) return qn__print_json(plan);
    print_plan(plan);
    json_decref(plan);
    return QN_EXIT_OK;
}
