/* SGEMM through CLBlast: for GPUs without a better kernel, and as a cross-check. */
#include "device/opencl.h"

#ifdef QN_HAVE_CLBLAST

#include <clblast_c.h>

const char *qn__clblast_refuse(void)
{
    return NULL;
}

static CLBlastTranspose transpose(bool yes)
{
    return yes ? CLBlastTransposeYes : CLBlastTransposeNo;
}

static bool fits_int(const qn_gemm *gemm)
{
    /* CLBlast casts offsets and leading dimensions to int. */
    const uint64_t limit = 1u << 31;
    return gemm->a_offset < limit && gemm->b_offset < limit && gemm->c_offset < limit &&
           (uint64_t)gemm->m * (uint64_t)gemm->k < limit &&
           (uint64_t)gemm->k * (uint64_t)gemm->n < limit &&
           (uint64_t)gemm->m * (uint64_t)gemm->n < limit;
}

static qn_status check(const qn_device *device, CLBlastStatusCode code, const char *call)
{
    if (code == CLBlastSuccess) return QN_OK;
    return qn__fail(QN_INTERNAL, "%s: %s failed with CLBlast code %d", device->caps.name, call,
                    (int)code);
}

qn_status qn__clblast_workspace(qn_device *device, const qn_gemm *gemm, uint64_t *bytes)
{
    size_t need = 0;
    QN_TRY(check(device,
                 CLBlastSGemmTempBufferSize(
                     CLBlastLayoutRowMajor, transpose(gemm->trans_a), transpose(gemm->trans_b),
                     (size_t)gemm->m, (size_t)gemm->n, (size_t)gemm->k, gemm->a_offset,
                     (size_t)gemm->lda, gemm->b_offset, (size_t)gemm->ldb, gemm->c_offset,
                     (size_t)gemm->ldc, &device->queue, &need),
                 "CLBlastSGemmTempBufferSize"));
    *bytes = need;
    return QN_OK;
}

qn_status qn__clblast_sgemm(qn_device *device, const qn_gemm *gemm)
{
    if (!fits_int(gemm))
        return qn__fail(QN_UNSUPPORTED,
                        "a matrix of 2^31 elements or more is too large for CLBlast");
    return check(device,
                 CLBlastSgemmWithTempBuffer(
                     CLBlastLayoutRowMajor, transpose(gemm->trans_a), transpose(gemm->trans_b),
                     (size_t)gemm->m, (size_t)gemm->n, (size_t)gemm->k, 1.0f, gemm->a->memory,
                     gemm->a_offset, (size_t)gemm->lda, gemm->b->memory, gemm->b_offset,
                     (size_t)gemm->ldb, gemm->beta, gemm->c->memory, gemm->c_offset,
                     (size_t)gemm->ldc, &device->queue, NULL,
                     gemm->workspace ? gemm->workspace->memory : NULL),
                 "CLBlastSgemmWithTempBuffer");
}

#else

const char *qn__clblast_refuse(void)
{
    return "this build has no CLBlast";
}

qn_status qn__clblast_workspace(qn_device *device, const qn_gemm *gemm, uint64_t *bytes)
{
    (void)device, (void)gemm, (void)bytes;
    return qn__fail(QN_UNSUPPORTED, "this build has no CLBlast");
}

qn_status qn__clblast_sgemm(qn_device *device, const qn_gemm *gemm)
{
    (void)device, (void)gemm;
    return qn__fail(QN_UNSUPPORTED, "this build has no CLBlast");
}

#endif
