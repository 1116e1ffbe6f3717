#include "runner.h"

static bool fill(test *t, int in)
{
    static const double hyper[] = {1e-2, 0.9, 0.95, 1e-8, 0.1, 1 / (1 - 0.729), 1 / (1 - 0.857375),
                                   0.5};
    if (in == 4) return fill_values(t, in, hyper, 8);
    if (in == 3) return fill_uniform(t, in, 1e-4, 1);
    return false;
}

const op_cases cases_adamw = {
    .tiny =
        (const char *const[]){
            "adamw : p=f32[19] g=f32[19] m=f32[19] v=f32[19] hyper=f32[8]",
            NULL,
        },
    .device =
        (const char *const[]){
            "adamw : p=f32[{n:1,61,4097}] g=f32[{n}] m=f32[{n}] v=f32[{n}] hyper=f32[8] "
            "copy={f16,bf16}[{n}]",
            "adamw stream=3 first={0,5,4294967290} : p={f32,bf16}[{n:61,4097}] g=f32[{n}] "
            "m=bf16[{n}] v=bf16[{n}] hyper=f32[8] rng=i32[4]",
            "adamw stream=3 : p=bf16[{n:61,4097}] g=f32[{n}] m=f32[{n}] v=f32[{n}] hyper=f32[8] "
            "g2=f32[{n}] rng=i32[4]",
            "adamw decay={0,1} : p=f32[{n:0,1,61,4095,4096,4097}] g=f32[{n}] m=f32[{n}]"
            " v=f32[{n}] hyper=f32[8]",
            "adamw : p=f32[{n:0,1,61,4096,4097}] g=f32[{n}] m=f32[{n}] v=f32[{n}] hyper=f32[8]"
            " g2=f32[{n}]",
            NULL,
        },
    .sizes =
        (const char *const[]){
            "adamw decay={0,1} : p=f32[{n:15,16,17,31,33,64,65,257,8209}] g=f32[{n}] m=f32[{n}]"
            " v=f32[{n}] hyper=f32[8] g2=f32[{n}]",
            "adamw : p=f32[3,5] g=f32[3,5] m=f32[3,5] v=f32[3,5] hyper=f32[8]",
            "adamw : p=f32[{n:15,16,17,65,8209,70001}] g=f32[{n}] m=f32[{n}] v=f32[{n}] "
            "hyper=f32[8]",
            NULL,
        },
    .refused =
        (const char *const[]){
            "adamw : p=f32[4] g=f32[5] m=f32[4] v=f32[4] hyper=f32[8]",
            "adamw : p=f32[4] g=f32[4] m=f32[4] v=f32[4] hyper=f32[7]",
            "adamw : p=f32[4] g=f32[4] m=f32[4] v=f32[4]",
            "adamw : p=bf16[4] g=f32[4] m=f32[4] v=f32[4] hyper=f32[8]",
            "adamw : p=f16[4] g=f32[4] m=f32[4] v=f32[4] hyper=f32[8] rng=i32[4]",
            "adamw : p=f32[4] g=f32[4] m=bf16[4] v=f32[4] hyper=f32[8] rng=i32[4]",
            "adamw : p=f32[4] g=f32[4] m=f32[4] v=f32[4] hyper=f32[8] copy=f32[4]",
            "adamw : p=f32[4] g=f32[4] m=f32[4] v=f32[4] hyper=f32[8] copy=bf16[5]",
            NULL,
        },
    .fwd = {.each = 1e-6, .absolute = 3e-7},
    .why = "a dozen roundings; a moment may cancel to near 0 beside terms within 1",
    .fill = fill,
};
