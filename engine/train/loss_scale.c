#include "train/loss_scale.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

enum { GROWTH_STEPS = 2000 };
static const double first_scale = 65536, largest_scale = 0x1p64;

qn_status qn__precision(const char *text, qn_dtype *type)
{
    static const qn_dtype types[] = {QN_F32, QN_F16, QN_BF16};
    for (int i = 0; i < 3; i++) {
        *type = types[i];
        if (strcmp(text, qn_dtype_name(types[i])) == 0) return QN_OK;
    }
    *type = QN_F32;
    return qn__fail(QN_BAD_ARGUMENT, "precision: \"%s\" is not f32, bf16 or f16", text);
}

qn_status qn__moments(const char *text, qn_dtype *type)
{
    *type = strcmp(text, "bf16") == 0 ? QN_BF16 : QN_F32;
    QN_CHECK(*type == QN_BF16 || strcmp(text, "f32") == 0, "moments: \"%s\" is not f32 or bf16",
             text);
    return QN_OK;
}

qn_status qn__master(const char *text, qn_dtype precision, bool frozen, bool *no_master)
{
    *no_master = strcmp(text, "none") == 0;
    QN_CHECK(*no_master || strcmp(text, "f32") == 0, "master: \"%s\" is not f32 or none", text);
    QN_CHECK(!*no_master || precision == QN_BF16 || (precision == QN_F16 && frozen),
             "master none: weights that are trained in %s need their f32 masters: add --precision "
             "bf16, or leave --master out",
             qn_dtype_name(precision));
    return QN_OK;
}

qn_loss_scale qn__loss_scale_start(qn_dtype type, double fixed)
{
    qn_loss_scale scale = {.scale = 1, .dynamic = type == QN_F16 && fixed <= 0};
    if (scale.dynamic) scale.scale = first_scale;
    else if (fixed > 0) scale.scale = exp2(round(log2(fixed)));
    return scale;
}

void qn__loss_scale_update(qn_loss_scale *scale, bool overflow)
{
    if (!scale->dynamic) return;
    scale->clean++;
    if (overflow) {
        scale->scale = scale->scale > 2 ? scale->scale / 2 : 1;
        scale->clean = 0;
    } else if (scale->clean >= GROWTH_STEPS) {
        if (scale->scale < largest_scale) scale->scale *= 2;
        scale->clean = 0;
    }
}

bool qn__loss_scale_can_fall(const qn_loss_scale *scale)
{
    return scale->dynamic && scale->scale > 1;
}

json_t *qn__loss_scale_to_json(const qn_loss_scale *scale)
{
    return json_pack("{s:f,s:I}", "scale", scale->scale, "clean", (json_int_t)scale->clean);
}

qn_status qn__loss_scale_from_json(qn_loss_scale *scale, const json_t *state, const char *origin)
{
    const json_t *saved = json_object_get(state, "loss_scale");
    double value = scale->scale;
    int64_t clean = 0;
    int power;
    if (!saved || !scale->dynamic) return QN_OK;
    QN_TRY(qn__json_f64(saved, origin, "scale", true, &value));
    QN_TRY(qn__json_i64(saved, origin, "clean", true, 0, GROWTH_STEPS, &clean));
    if (!(value >= 1 && value <= 2 * largest_scale) || frexp(value, &power) != 0.5)
        return qn__fail(QN_BAD_DATA, "%s: a loss scale of %g is not a power of two from 1 on",
                        origin, value);
    scale->scale = value;
    scale->clean = clean;
    return QN_OK;
}
