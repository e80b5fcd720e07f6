/* cublas.c - matrix products. cuBLAS counts columns first: what is row-major (N,M) here is (M,N) there, so every product is asked for turned. */
#include <cublas_v2.h>

#include "cuda/cuda.h"

struct bcam_cublas {
    cublasHandle_t handle;
};

static bcam_status check(cublasStatus_t code, const char *call, bcam_error *err)
{
    if (code == CUBLAS_STATUS_SUCCESS)
        return BCAM_OK;
    bcam_status status = code == CUBLAS_STATUS_ALLOC_FAILED ? BCAM_E_MEMORY : BCAM_E_DEVICE;
    return bcam_fail(err, status, "%s failed with %s", call, cublasGetStatusString(code));
}

bcam_status bcam_cublas_open(cudaStream_t stream, bcam_precision precision, bcam_cublas **out, bcam_error *err)
{
    /* Half products are summed in float all the way; float ones take tensor cores for tf32 only. */
    cublasMath_t math = precision == BCAM_PRECISION_TF32   ? CUBLAS_TF32_TENSOR_OP_MATH
                        : precision == BCAM_PRECISION_FP32 ? CUBLAS_PEDANTIC_MATH
                                                           : CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    *out = NULL;
    bcam_cublas *blas = bcam_alloc(1, sizeof *blas);
    if (!blas)
        return bcam_fail_memory(err, sizeof *blas, "cuBLAS");
    bcam_status status = check(cublasCreate(&blas->handle), "cublasCreate", err);
    if (!status)
        status = check(cublasSetStream(blas->handle, stream), "cublasSetStream", err);
    if (!status)
        status = check(cublasSetMathMode(blas->handle, math), "cublasSetMathMode", err);
    if (status)
        bcam_cublas_close(&blas);
    *out = blas;
    return status;
}

void bcam_cublas_close(bcam_cublas **blas)
{
    if (!*blas)
        return;
    if ((*blas)->handle)
        cublasDestroy((*blas)->handle);
    bcam_free(*blas);
    *blas = NULL;
}

size_t bcam_cublas_workspace(const bcam_cublas *blas)
{
    (void)blas;
    return (size_t)32 << 20; /* what its manual advises for Hopper; more than the older cards need */
}

bcam_status bcam_cublas_set_workspace(bcam_cublas *blas, void *workspace, size_t bytes, bcam_error *err)
{
    return check(cublasSetWorkspace(blas->handle, workspace, bytes), "cublasSetWorkspace", err);
}

static cudaDataType data_type(bcam_dtype dtype)
{
    return dtype == BCAM_F16 ? CUDA_R_16F : dtype == BCAM_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

bcam_status bcam_cublas_gemm(bcam_cublas *blas, const bcam_kernel_call *call, bcam_error *err)
{
    /* GEMM: y (N,M) = x (N,K) w (M,K)^T. GEMM_BWD: dx (N,K) = dy (N,M) w (M,K). */
    bool forward = call->step->verb == BCAM_VERB_GEMM;
    const bcam_tensor *from = &call->in[0], *w = &call->in[1], *to = &call->out[0];
    const float one = 1, zero = 0;
    int rows = (int)from->dim[0], inner = (int)from->dim[1], columns = (int)to->dim[1];
    cublasStatus_t code =
        cublasGemmEx(blas->handle, forward ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_OP_N, columns, rows, inner, &one,
                     w->data, data_type(w->dtype), (int)w->dim[1], from->data, data_type(from->dtype), inner, &zero,
                     to->data, data_type(to->dtype), columns, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    return check(code, "cublasGemmEx", err);
}
