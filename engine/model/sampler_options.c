/* The table of sampling options. */
#include "base/check.h"
#include "base/options.h"
#include "model/sampler.h"

#include <stdlib.h>

static const qn_option_row rows[] = {
#define QN_OPTION(...) QN_OPTION_ROW(qn_sampler_options, __VA_ARGS__)
#include "model/sampler_list.def"
#undef QN_OPTION
};

static const qn_option_table table = {rows, sizeof rows / sizeof rows[0], .command = "generate"};

const qn_option_info *qn_sampler_option(int i)
{
    return qn__option_info(&table, i);
}

static qn_status check_size(const qn_sampler_options *options)
{
    QN_CHECK(options->size == sizeof *options, "qn_sampler_options.size is %u, this library's %zu",
             options->size, sizeof *options);
    return QN_OK;
}

qn_status qn_sampler_options_set(qn_sampler_options *options, const char *key, const char *value)
{
    QN_TRY(check_size(options));
    return qn__options_set(&table, options, key, value);
}

void qn_sampler_options_init(qn_sampler_options *options)
{
    *options = (qn_sampler_options){.size = sizeof *options};
    if (qn__options_defaults(&table, options) != QN_OK) abort(); /* the table is wrong */
}

qn_status qn__sampler_options_check(const qn_sampler_options *options)
{
    QN_TRY(check_size(options));
    QN_TRY(qn__options_check(&table, options));
    QN_CHECK(options->mirostat != 1, "mirostat: 1 is not done; 2 is, and 0 is off");
    return QN_OK;
}
