/* test_fake_cublas.c - the stand-in's matrix products against sums in double, over transposes, types, leading dimensions and batches. */
#include <criterion/criterion.h>
#include <cublas_v2.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "fake_numbers.h"

enum { M = 5, N = 7, K = 33, GAP = 3, BATCH = 2, MOST = 4096 };

#define OK(call) cr_assert_eq((int)(call), 0, "%s", #call)

static unsigned seed = 20240607;

static float draw(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

/* A matrix in device memory, and the numbers that it holds. */
static void *make(float *values, bcam_fake_type type)
{
    char *host = malloc(MOST * 4);
    void *device;
    for (size_t i = 0; i < MOST; i++) {
        bcam_fake_store(host, i, type, draw());
        values[i] = bcam_fake_load(host, i, type);
    }
    OK(cudaMalloc(&device, MOST * bcam_fake_size(type)));
    OK(cudaMemcpy(device, host, MOST * bcam_fake_size(type), cudaMemcpyHostToDevice));
    free(host);
    return device;
}

static float va[MOST], vb[MOST], vc[MOST];

static double expected(int turn_a, int turn_b, int batch, int i, int j)
{
    const float *a = va + batch * 1000, *b = vb + batch * 1000;
    int lda = (turn_a ? K : M) + GAP, ldb = (turn_b ? N : K) + GAP;
    double sum = 0;
    for (int l = 0; l < K; l++)
        sum += (double)a[turn_a ? l + i * lda : i + l * lda] * (double)b[turn_b ? j + l * ldb : l + j * ldb];
    return 2 * sum + 0.5 * (double)vc[batch * 1000 + i + j * (M + GAP)];
}

/* The largest error over all products. */
static double worst(bcam_fake_type type, cudaDataType code, cublasMath_t math, int turn_a, int turn_b)
{
    cublasHandle_t handle;
    cudaStream_t stream;
    float two = 2, half = 0.5f, *host = malloc(MOST * 4);
    double largest = 0;
    void *a = make(va, type), *b = make(vb, type), *c = make(vc, type);
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    OK(cublasCreate(&handle));
    OK(cublasSetStream(handle, stream));
    OK(cublasSetMathMode(handle, math));
    OK(cublasGemmStridedBatchedEx(handle, turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, turn_b ? CUBLAS_OP_T : CUBLAS_OP_N, M, N,
                                  K, &two, a, code, (turn_a ? K : M) + GAP, 1000, b, code, (turn_b ? N : K) + GAP, 1000,
                                  &half, c, code, M + GAP, 1000, BATCH, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    OK(cudaMemcpyAsync(host, c, MOST * bcam_fake_size(type), cudaMemcpyDeviceToHost, stream));
    for (int batch = 0; batch < BATCH; batch++)
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) {
                double got = (double)bcam_fake_load(host, (size_t)(batch * 1000 + i + j * (M + GAP)), type);
                largest = fmax(largest, fabs(got - expected(turn_a, turn_b, batch, i, j)));
            }
    cr_expect_eq(bcam_fake_load(host, M, type), vc[M], "the gap between columns was written");
    OK(cublasDestroy(handle));
    OK(cudaStreamDestroy(stream));
    OK(cudaFree(a));
    OK(cudaFree(b));
    OK(cudaFree(c));
    free(host);
    return largest;
}

Test(cublas, products_in_every_type_and_turn)
{
    static const struct {
        bcam_fake_type type;
        cudaDataType code;
        double bound;
    } rows[] = {
        {BCAM_FAKE_F32, CUDA_R_32F, 1e-5}, {BCAM_FAKE_F16, CUDA_R_16F, 2e-2}, {BCAM_FAKE_BF16, CUDA_R_16BF, 2e-1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int turn = 0; turn < 4; turn++) {
            double error = worst(rows[i].type, rows[i].code, CUBLAS_DEFAULT_MATH, turn & 1, turn >> 1);
            cr_expect(error < rows[i].bound && (i == 0 || error > 1e-5), "type %zu, turn %d: %g (seed 20240607)", i,
                      turn, error);
        }
    char text[256];
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%s", text);
}

Test(cublas, tf32_shows)
{
    double plain = worst(BCAM_FAKE_F32, CUDA_R_32F, CUBLAS_PEDANTIC_MATH, 1, 0);
    double tf32 = worst(BCAM_FAKE_F32, CUDA_R_32F, CUBLAS_TF32_TENSOR_OP_MATH, 1, 0);
    cr_assert(plain < 1e-5 && tf32 > 1e-4 && tf32 < 1e-2, "%g and %g", plain, tf32);
}

Test(cublas, refuses_and_fails)
{
    cublasHandle_t handle;
    float one = 1, host[64] = {0};
    void *p;
    OK(cudaMalloc(&p, sizeof host));
    OK(cublasCreate(&handle));
    cr_assert_neq((int)cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 4, &one, host, CUDA_R_32F, 4, p, CUDA_R_32F,
                                    4, &one, p, CUDA_R_32F, 4, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                  0, "a matrix in host memory");
    cr_assert_neq((int)cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 17, 4, &one, p, CUDA_R_32F, 4, p, CUDA_R_32F,
                                    4, &one, p, CUDA_R_32F, 4, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                  0, "a matrix longer than its block");
    cr_assert_neq((int)cublasSetWorkspace(handle, p, sizeof host + 1), 0);
    bcam_fake_fail("cublasGemmEx", 1, 0, false);
    cublasStatus_t status =
        cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 4, &one, p, CUDA_R_32F, 4, p, CUDA_R_32F, 4, &one, p,
                     CUDA_R_32F, 4, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    cr_assert_str_eq(cublasGetStatusString(status), "CUBLAS_STATUS_EXECUTION_FAILED");
    OK(cublasDestroy(handle));
    OK(cudaFree(p));
}
