/* The table of rotary angles, and the rules that stretch them to longer contexts. */
#include "base/check.h"
#include "model/network.h"

#include <math.h>
#include <stdlib.h>

static const double pi = 3.14159265358979323846;

/* Llama 3.1: waves that fit `high` times and more into the original context stay, those that fit
 * `low` times and less are stretched by factor, between the frequency is a mixture. */
static double llama3(const qn_rope_rule *rule, double frequency)
{
    double turns = frequency * rule->original / (2 * pi);
    double low = (double)rule->low, high = (double)rule->high, factor = (double)rule->factor;
    if (turns > high) return frequency;
    if (turns < low) return frequency / factor;
    double kept = (turns - low) / (high - low);
    return (1 - kept) * frequency / factor + kept * frequency;
}

/* The pair whose angle turns `turns` times in the original context: of theta^(-2 e / D), solved for
 * e. */
static double yarn_pair(const qn_model_config *c, double turns)
{
    return qn__head_size(c) * log(c->rope.original / (turns * 2 * pi)) /
           (2 * log((double)c->rope_theta));
}

/* Peng et al. 2023, section 3.2: as llama3, but the ramp is linear in the pair's number. */
static double yarn(const qn_model_config *c, int pair, double frequency)
{
    double first = yarn_pair(c, (double)c->rope.high), last = yarn_pair(c, (double)c->rope.low);
    if (c->rope.whole_pairs) {
        first = floor(first);
        last = ceil(last);
    }
    first = fmax(first, 0);
    last = fmin(last, qn__head_size(c) - 1);
    if (first == last) last += 0.001;
    double stretched = fmin(fmax((pair - first) / (last - first), 0), 1);
    return stretched * frequency / (double)c->rope.factor + (1 - stretched) * frequency;
}

double qn__rope_frequency(const qn_model_config *c, int pair)
{
    double frequency = pow((double)c->rope_theta, -2.0 * pair / qn__head_size(c));
    switch (c->rope.scaling) {
    case QN_ROPE_LINEAR: return frequency / (double)c->rope.factor;
    case QN_ROPE_LLAMA3: return llama3(&c->rope, frequency);
    case QN_ROPE_YARN: return yarn(c, pair, frequency);
    case QN_ROPE_FACTORS:
        return frequency / (double)c->rope.factors[c->context > c->rope.original][pair];
    default: return frequency;
    }
}

qn_status qn__rope_fill(qn_store *store, const qn_model_config *config)
{
    if (qn__arch(config->arch)->learned_positions) return QN_OK;
    size_t pairs = (size_t)qn__head_size(config) / 2, positions = (size_t)config->context;
    size_t bytes = positions * pairs * 2 * sizeof(float);
    float *table = malloc(bytes);
    if (!table) return qn__fail(QN_OS_ERROR, "no memory for %zu bytes", bytes);
    bool sized = config->rope.scaling == QN_ROPE_YARN || config->rope.scaling == QN_ROPE_FACTORS;
    double size = sized ? (double)config->rope.attention : 1;
    for (size_t e = 0; e < pairs; e++) {
        double frequency = qn__rope_frequency(config, (int)e);
        for (size_t p = 0; p < positions; p++) {
            float *entry = table + (p * pairs + e) * 2;
            entry[0] = (float)(size * cos((double)p * frequency));
            entry[1] = (float)(size * sin((double)p * frequency));
        }
    }
    qn_status status = qn_store_write(store, "rope", table, bytes);
    free(table);
    return status;
}
