/* fake_cublas.c - the stand-in for cuBLAS: matrix products in plain C, queued on the handle's stream.
 *
 * Matrices are column-major. Sums are made in float; with float factors, TF32 mode (the handle's or the call's) rounds them as tensor cores do.
 */
#include <cublas_v2.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"
#include "fake_numbers.h"

struct cublasContext {
    cudaStream_t stream;
    cublasMath_t math;
    void *workspace;
};

#define BEGIN(usual)                                                                                                   \
    do {                                                                                                               \
        int begin_ = bcam_fake_enter(__func__, (int)(usual));                                                          \
        if (begin_ != 0)                                                                                               \
            return (cublasStatus_t)begin_;                                                                             \
    } while (0)

/* ---- handles ---- */

cublasStatus_t cublasCreate_v2(cublasHandle_t *out)
{
    BEGIN(CUBLAS_STATUS_NOT_INITIALIZED);
    *out = calloc(1, sizeof **out);
    bcam_fake_count(BCAM_FAKE_CUBLAS_HANDLE, 1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    int planned = bcam_fake_enter(__func__, CUBLAS_STATUS_INTERNAL_ERROR);
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    free(handle);
    bcam_fake_count(BCAM_FAKE_CUBLAS_HANDLE, -1);
    return (cublasStatus_t)planned;
}

/* As the real one does: a new stream takes away the workspace that was given. */
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream)
{
    BEGIN(CUBLAS_STATUS_INTERNAL_ERROR);
    handle->stream = stream;
    handle->workspace = NULL;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes)
{
    BEGIN(CUBLAS_STATUS_INTERNAL_ERROR);
    if (bytes && ((uintptr_t)workspace % 256 || !bcam_fake_is_device(workspace, bytes)))
        return CUBLAS_STATUS_INVALID_VALUE;
    handle->workspace = workspace;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode)
{
    BEGIN(CUBLAS_STATUS_INTERNAL_ERROR);
    handle->math = mode;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- products ---- */

typedef struct matrix {
    const char *data;
    bcam_fake_type type;
    int64_t ld, stride; /* stride: from one of a batch to the next */
    bool transposed;
} matrix;

typedef struct product {
    matrix a, b, c;
    int64_t m, n, k, batch;
    float alpha, beta;
    bool tf32;
} product;

static float element(const matrix *x, int64_t batch, int64_t row, int64_t column, bool tf32)
{
    int64_t at = x->transposed ? column + row * x->ld : row + column * x->ld;
    float value = bcam_fake_load(x->data, (size_t)(batch * x->stride + at), x->type);
    return tf32 ? bcam_fake_tf32(value) : value;
}

/* op(A) rows and op(B) columns, each dense, so that the sums run over contiguous memory. */
static void multiply(const product *p, int64_t batch, float *rows, float *columns)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t l = 0; l < p->k; l++)
            rows[i * p->k + l] = element(&p->a, batch, i, l, p->tf32);
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t l = 0; l < p->k; l++)
            columns[j * p->k + l] = element(&p->b, batch, l, j, p->tf32);
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t i = 0; i < p->m; i++) {
            size_t at = (size_t)(batch * p->c.stride + i + j * p->c.ld);
            float sum = p->alpha * bcam_fake_dot(rows + i * p->k, columns + j * p->k, (size_t)p->k);
            if (p->beta != 0)
                sum += p->beta * bcam_fake_load(p->c.data, at, p->c.type);
            bcam_fake_store((void *)(uintptr_t)p->c.data, at, p->c.type, sum);
        }
}

static cudaError_t run_product(void *arg)
{
    const product *p = arg;
    float *rows = malloc((size_t)(p->m * p->k) * sizeof *rows),
          *columns = malloc((size_t)(p->n * p->k) * sizeof *columns);
    for (int64_t i = 0; i < p->batch; i++)
        multiply(p, i, rows, columns);
    free(rows);
    free(columns);
    return cudaSuccess;
}

static bool set_type(cudaDataType type, bcam_fake_type *out)
{
    *out = type == CUDA_R_32F    ? BCAM_FAKE_F32
           : type == CUDA_R_16F  ? BCAM_FAKE_F16
           : type == CUDA_R_16BF ? BCAM_FAKE_BF16
                                 : BCAM_FAKE_OTHER;
    return *out != BCAM_FAKE_OTHER;
}

/* A matrix stored with `rows` rows and `columns` columns must lie in one block of device memory. */
static bool lies_well(const matrix *x, int64_t rows, int64_t columns, int64_t batch)
{
    if (x->ld < rows || x->ld < 1)
        return false;
    int64_t last = (batch - 1) * x->stride + (columns - 1) * x->ld + rows - 1;
    return bcam_fake_is_device(x->data, (size_t)(last + 1) * bcam_fake_size(x->type));
}

static bool set_compute(product *p, const struct cublasContext *handle, cublasComputeType_t compute)
{
    bool floats = p->a.type == BCAM_FAKE_F32;
    if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_PEDANTIC &&
        compute != CUBLAS_COMPUTE_32F_FAST_TF32)
        return false;
    p->tf32 = floats && (compute == CUBLAS_COMPUTE_32F_FAST_TF32 ||
                         (compute == CUBLAS_COMPUTE_32F && handle->math == CUBLAS_TF32_TENSOR_OP_MATH));
    return p->a.type == p->b.type && (p->c.type == p->a.type || p->c.type == BCAM_FAKE_F32);
}

/* Takes the product's sizes, checks it, queues it. */
static cublasStatus_t queue(cublasHandle_t handle, const product *p, cublasOperation_t opa, cublasOperation_t opb,
                            const char *what)
{
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (p->m < 0 || p->n < 0 || p->k < 0 || p->batch < 0 || opa == CUBLAS_OP_C || opb == CUBLAS_OP_C)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (p->m == 0 || p->n == 0 || p->batch == 0)
        return CUBLAS_STATUS_SUCCESS;
    bool a = lies_well(&p->a, p->a.transposed ? p->k : p->m, p->a.transposed ? p->m : p->k, p->batch);
    bool b = lies_well(&p->b, p->b.transposed ? p->n : p->k, p->b.transposed ? p->k : p->n, p->batch);
    if (!a || !b || !lies_well(&p->c, p->m, p->n, p->batch)) {
        fprintf(
            stderr,
            "stand-ins: %s: a matrix does not lie in one block of device memory, or its leading dimension is too small\n",
            what);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    product *kept = malloc(sizeof *kept);
    *kept = *p;
    return bcam_fake_enqueue(handle->stream, what, run_product, kept, free) ? CUBLAS_STATUS_EXECUTION_FAILED
                                                                            : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t opa, cublasOperation_t opb, int m, int n, int k,
                            const void *alpha, const void *a, cudaDataType atype, int lda, const void *b,
                            cudaDataType btype, int ldb, const void *beta, void *c, cudaDataType ctype, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algo)
{
    BEGIN(CUBLAS_STATUS_EXECUTION_FAILED);
    (void)algo;
    product p = {.a = {.data = a, .ld = lda, .transposed = opa == CUBLAS_OP_T},
                 .b = {.data = b, .ld = ldb, .transposed = opb == CUBLAS_OP_T},
                 .c = {.data = c, .ld = ldc},
                 .m = m,
                 .n = n,
                 .k = k,
                 .batch = 1,
                 .alpha = *(const float *)alpha,
                 .beta = *(const float *)beta};
    if (!handle || !set_type(atype, &p.a.type) || !set_type(btype, &p.b.type) || !set_type(ctype, &p.c.type) ||
        !set_compute(&p, handle, compute))
        return handle ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_NOT_INITIALIZED;
    return queue(handle, &p, opa, opb, "cublasGemmEx");
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t opa, cublasOperation_t opb, int m,
                                          int n, int k, const void *alpha, const void *a, cudaDataType atype, int lda,
                                          long long stride_a, const void *b, cudaDataType btype, int ldb,
                                          long long stride_b, const void *beta, void *c, cudaDataType ctype, int ldc,
                                          long long stride_c, int batch, cublasComputeType_t compute,
                                          cublasGemmAlgo_t algo)
{
    BEGIN(CUBLAS_STATUS_EXECUTION_FAILED);
    (void)algo;
    product p = {.a = {.data = a, .ld = lda, .stride = stride_a, .transposed = opa == CUBLAS_OP_T},
                 .b = {.data = b, .ld = ldb, .stride = stride_b, .transposed = opb == CUBLAS_OP_T},
                 .c = {.data = c, .ld = ldc, .stride = stride_c},
                 .m = m,
                 .n = n,
                 .k = k,
                 .batch = batch,
                 .alpha = *(const float *)alpha,
                 .beta = *(const float *)beta};
    if (!handle || !set_type(atype, &p.a.type) || !set_type(btype, &p.b.type) || !set_type(ctype, &p.c.type) ||
        !set_compute(&p, handle, compute))
        return handle ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_NOT_INITIALIZED;
    return queue(handle, &p, opa, opb, "cublasGemmStridedBatchedEx");
}

/* ---- words ---- */

const char *cublasGetStatusName(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS            ? "CUBLAS_STATUS_SUCCESS"
           : status == CUBLAS_STATUS_NOT_INITIALIZED  ? "CUBLAS_STATUS_NOT_INITIALIZED"
           : status == CUBLAS_STATUS_ALLOC_FAILED     ? "CUBLAS_STATUS_ALLOC_FAILED"
           : status == CUBLAS_STATUS_INVALID_VALUE    ? "CUBLAS_STATUS_INVALID_VALUE"
           : status == CUBLAS_STATUS_EXECUTION_FAILED ? "CUBLAS_STATUS_EXECUTION_FAILED"
           : status == CUBLAS_STATUS_INTERNAL_ERROR   ? "CUBLAS_STATUS_INTERNAL_ERROR"
           : status == CUBLAS_STATUS_NOT_SUPPORTED    ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                                      : "unknown cuBLAS status";
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    return cublasGetStatusName(status);
}
