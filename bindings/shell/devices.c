/* quernel devices: what is here, what it can do, and what is missing. */
#include "shell.h"

#include <string.h>

int qn__devices(const qn_command *self, int argc, char **argv);

static const qn_flag flags[] = {
    {"no-measure", NULL,
     "do not measure peaks that were not measured before (a few seconds a device)"},
    QN_FLAG_JSON,
    {0},
};

static void print_verdicts(const json_t *probes, const char *verdict)
{
    const char *name;
    json_t *value;
    int shown = 0;
    json_object_foreach((json_t *)probes, name, value)
    {
        if (strcmp(json_string_value(value) ? json_string_value(value) : "", verdict) != 0)
            continue;
        if (shown++ == 0) printf("   %-9s", verdict);
        printf(" %s", name);
    }
    if (shown) printf("\n");
}

static void print_features(const json_t *record)
{
    static const char *const names[] = {"fma", "fp16", "fp64", "unified_memory",
                                        "local_is_dedicated"};
    printf("   has      ");
    for (int i = 0; i < 5; i++)
        if (json_is_true(json_object_get(record, names[i]))) printf(" %s", names[i]);
    printf("\n   lacks    ");
    for (int i = 0; i < 5; i++)
        if (!json_is_true(json_object_get(record, names[i]))) printf(" %s", names[i]);
    printf("\n");
}

static void print_device(const json_t *record, bool is_default, const char *tune)
{
    double gflops = qn__get_number(record, "peak_gflops_f32"),
           gbytes = qn__get_number(record, "peak_gbytes_per_s");
    size_t index;
    const json_t *quirk;
    printf("%.0f  %s%s\n", qn__get_number(record, "index"), qn__get_text(record, "name"),
           is_default ? "   <- default" : "");
    printf("   %-9s %s%s, %s, driver %s\n", "is", qn__get_text(record, "type"),
           json_is_true(json_object_get(record, "software_rasteriser"))
               ? " (a software rasteriser, never the default)"
               : "",
           qn__get_text(record, "platform"), qn__get_text(record, "driver"));
    printf("   %-9s %s, %s\n", "speaks", qn__get_text(record, "version"),
           qn__get_text(record, "c_version"));
    printf("   %-9s %.0f compute units at %.0f MHz, work-groups of up to %.0f\n", "runs",
           qn__get_number(record, "compute_units"), qn__get_number(record, "clock_mhz"),
           qn__get_number(record, "max_group"));
    printf("   %-9s %s, largest buffer %s, local %s, alignment %.0f bytes\n", "memory",
           qn__text_bytes(qn__get_number(record, "global_bytes")),
           qn__text_bytes(qn__get_number(record, "max_alloc_bytes")),
           qn__text_bytes(qn__get_number(record, "local_bytes")),
           qn__get_number(record, "base_align_bytes"));
    double matrix = qn__get_number(record, "peak_gflops_bf16_matrix"),
           int8 = qn__get_number(record, "peak_gops_int8");
    if (gflops > 0) printf("   %-9s %.0f GFLOP/s in f32, %.1f GB/s\n", "measured", gflops, gbytes);
    if (matrix > 0) printf("   %-9s %.0f GFLOP/s in bf16 on its matrix unit\n", "", matrix);
    if (int8 > 0) printf("   %-9s %.0f GOP/s in int8 dot products\n", "", int8);
    if (gflops <= 0) printf("   %-9s not yet\n", "measured");
    double entries = (double)json_object_size(json_object_get(record, "tuning"));
    if (entries > 0)
        printf("   %-9s %.0f calls timed by `quernel tune`, %s\n", "tuned", entries,
               strcmp(tune, "off") == 0 ? "not used: QN_TUNE is off" : "used by plans");
    print_features(record);
    print_verdicts(json_object_get(record, "probes"), "proven");
    print_verdicts(json_object_get(record, "probes"), "refuted");
    print_verdicts(json_object_get(record, "probes"), "unknown");
    json_array_foreach(json_object_get(record, "quirks"), index, quirk)
        printf("   %-9s %s\n", index ? "" : "quirks", json_string_value(quirk));
    if (json_object_get(record, "problem"))
        printf("   %-9s %s\n", "problem", qn__get_text(record, "problem"));
    printf("\n");
}

static void print_all(const json_t *root)
{
    const json_t *chosen = json_object_get(root, "default");
    size_t index;
    const json_t *row;
    json_array_foreach(json_object_get(root, "devices"), index, row) print_device(
        row, json_is_integer(chosen) && json_integer_value(chosen) == (json_int_t)index,
        qn__get_text(root, "tune"));
    if (json_is_integer(chosen))
        printf("default: %lld, %s\n", (long long)json_integer_value(chosen),
               qn__get_text(root, "why"));
    json_array_foreach(json_object_get(root, "advice"), index, row)
        printf("note: %s\n", json_string_value(row));
}

int qn__devices(const qn_command *self, int argc, char **argv)
{
    qn_args args;
    char *text = NULL;
    int code = qn__args_parse(&args, self, flags, 0, argc, argv);
    if (code != QN_GO_ON) return code;
    qn_status status = qn_devices_json(!qn__arg(&args, "no-measure"), &text);
    if (status != QN_OK) return qn__say_status(status);
    json_t *root = qn__take_json(text);
    if (!root) return 70;
    bool usable = json_is_integer(json_object_get(root, "default"));
    if (!qn__arg(&args, "json")) print_all(root);
    if (!usable)
        code = qn__say_error(qn_status_exit_code(QN_NO_DEVICE), "%s", qn__get_text(root, "why"));
    if (qn__arg(&args, "json")) qn__print_json(json_incref(root));
    json_decref(root);
    return usable ? QN_EXIT_OK : code;
}
