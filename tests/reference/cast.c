/* y = x rounded to nearest even in the format `to`, denormals kept, overflow to infinity.
 * dx = dy. */
#include "helpers.h"

#include <string.h>

struct format {
    int digits;  /* of the significand, the leading one included */
    int lowest;  /* exponent of the smallest normal number */
    int highest; /* exponent of the largest number */
};

static const struct format formats[] = {{24, -126, 127}, {11, -14, 15}, {8, -126, 127}};

double ref_rounded(double x, int type)
{
    const struct format format = formats[type];
    if (x == 0 || !isfinite(x)) return x;
    int exponent; /* x = f 2^exponent, f in [0.5, 1): the leading one is worth 2^(exponent - 1) */
    frexp(x, &exponent);
    int leading = exponent - 1 < format.lowest ? format.lowest : exponent - 1;
    int last = leading - (format.digits - 1);
    double y = ldexp(nearbyint(ldexp(x, -last)), last);
    return fabs(y) >= ldexp(1, format.highest + 1) ? copysign(INFINITY, x) : y;
}

int ref_float_type(const char *name)
{
    return strcmp(name, "f16") == 0 ? 1 : strcmp(name, "bf16") == 0 ? 2 : 0;
}

void ref_cast_fwd(const ref_call *call)
{
    const ref_tensor *x = call->in[0];
    for (int64_t i = 0; i < ref_count(x); i++)
        call->out[0]->d[i] = ref_rounded(x->d[i], (int)call->attr[0]);
}

void ref_cast_bwd(const ref_call *call)
{
    ref_tensor *dx = call->din[0];
    for (int64_t i = 0; dx && i < ref_count(dx); i++)
        dx->d[i] = call->dout[0] ? call->dout[0]->d[i] : 0;
}
