/* hyper [4] = (lr, momentum, weight decay, gradient scale): g' = scale g + decay weight_decay p;
 * m' = momentum m + g'; p' = p - lr m'. */
#include "helpers.h"

void ref_sgd_fwd(const ref_call *call)
{
    const ref_tensor *p = call->in[0], *g = call->in[1], *m = call->in[2];
    const double *hyper = call->in[3]->d;
    double lr = hyper[0], momentum = hyper[1], scale = hyper[3];
    double weight_decay = call->attr[0] * hyper[2];
    for (int64_t i = 0; i < ref_count(p); i++) {
        double m_next = momentum * m->d[i] + scale * g->d[i] + weight_decay * p->d[i];
        if (call->out[0]) call->out[0]->d[i] = p->d[i] - lr * m_next;
        if (call->out[1]) call->out[1]->d[i] = m_next;
    }
}
