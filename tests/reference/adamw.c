/* hyper [8] = (lr, beta1, beta2, eps, weight decay, c1, c2, gradient scale), c = 1/(1-beta^t):
 * g' = scale (g + g2); m' = m + (1-beta1)(g' - m); v' = v + (1-beta2)(g'^2 - v);
 * p' = p - lr (m' c1 / (sqrt(v' c2) + eps) + decay weight_decay p). (Loshchilov and Hutter 2019) */
#include "helpers.h"

void ref_adamw_fwd(const ref_call *call)
{
    const ref_tensor *p = call->in[0], *g = call->in[1], *m = call->in[2], *v = call->in[3];
    const ref_tensor *g2 = call->in[5];
    const double *hyper = call->in[4]->d;
    double lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2], eps = hyper[3];
    double weight_decay = call->attr[0] * hyper[4], c1 = hyper[5], c2 = hyper[6], scale = hyper[7];
    for (int64_t i = 0; i < ref_count(p); i++) {
        double grad = scale * (g->d[i] + (g2 ? g2->d[i] : 0));
        double m_next = m->d[i] + (1 - beta1) * (grad - m->d[i]);
        double v_next = v->d[i] + (1 - beta2) * (grad * grad - v->d[i]);
        double step = m_next * c1 / (sqrt(v_next * c2) + eps) + weight_decay * p->d[i];
        if (call->out[0]) call->out[0]->d[i] = p->d[i] - lr * step;
        if (call->out[1]) call->out[1]->d[i] = m_next;
        if (call->out[2]) call->out[2]->d[i] = v_next;
        if (call->out[3]) call->out[3]->d[i] = p->d[i] - lr * step;
    }
}
