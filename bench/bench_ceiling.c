/* bench_ceiling.c - what a card can do at most, measured: copying, matrix products, pinned copies, starting a kernel. One JSON object.
 *
 *   bench_ceiling [--small]       --small: sizes for trying it where nothing is fast
 */
#include <cublas_v2.h>
#include <stdlib.h>
#include <string.h>

#include "bench_cuda.h"
#include "kernels/kernels.h"

static void check_blas(cublasStatus_t code, const char *what)
{
    if (code == CUBLAS_STATUS_SUCCESS)
        return;
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "error", what);
    bench_json_text(&json, "why", cublasGetStatusString(code));
    bench_json_end(&json);
    exit(1);
}

/* ---- matrix products ---- */

typedef struct product {
    cublasHandle_t blas;
    cudaDataType type;
    int n;
    void *a, *b, *c;
} product;

static cudaError_t multiply(void *data, bench_card *card, int turn)
{
    product *p = data;
    const float one = 1, zero = 0;
    (void)card, (void)turn;
    check_blas(cublasGemmEx(p->blas, CUBLAS_OP_T, CUBLAS_OP_N, p->n, p->n, p->n, &one, p->a, p->type, p->n, p->b,
                            p->type, p->n, &zero, p->c, p->type, p->n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
               "a matrix product");
    return cudaSuccess;
}

static double product_tflops(bench_card *card, cublasHandle_t blas, bcam_dtype dtype, cublasMath_t math, int n)
{
    cudaDataType type = dtype == BCAM_F16 ? CUDA_R_16F : dtype == BCAM_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    product p = {.blas = blas, .type = type, .n = n};
    size_t count = (size_t)n * (size_t)n, bytes = count * (type == CUDA_R_32F ? 4 : 2);
    p.a = bench_device_memory(bytes, "a matrix");
    p.b = bench_device_memory(bytes, "a matrix");
    p.c = bench_device_memory(bytes, "a matrix");
    bench_device_random(card, p.a, count, dtype);
    bench_device_random(card, p.b, count, dtype);
    check_blas(cublasSetMathMode(blas, math), "choosing arithmetic");
    double seconds = bench_card_time(card, multiply, &p, 5, 9);
    cudaFree(p.a);
    cudaFree(p.b);
    cudaFree(p.c);
    return 2 * (double)n * (double)n * (double)n / seconds * 1e-12;
}

static void measure_products(bench_card *card, bench_json *json, int n)
{
    static const struct {
        const char *name;
        bcam_dtype dtype;
        cublasMath_t math;
    } kinds[] = {{"fp16_tflops", BCAM_F16, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION},
                 {"bf16_tflops", BCAM_BF16, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION},
                 {"tf32_tflops", BCAM_F32, CUBLAS_TF32_TENSOR_OP_MATH},
                 {"fp32_tflops", BCAM_F32, CUBLAS_PEDANTIC_MATH}};
    const size_t workspace_bytes = (size_t)32 << 20;
    void *workspace = bench_device_memory(workspace_bytes, "a workspace");
    cublasHandle_t blas = NULL;
    check_blas(cublasCreate(&blas), "opening cuBLAS");
    check_blas(cublasSetStream(blas, card->stream), "opening cuBLAS");
    check_blas(cublasSetWorkspace(blas, workspace, workspace_bytes), "opening cuBLAS");
    for (size_t i = 0; i < BENCH_COUNT(kinds); i++)
        bench_json_real(json, kinds[i].name, product_tflops(card, blas, kinds[i].dtype, kinds[i].math, n));
    cublasDestroy(blas);
    cudaFree(workspace);
}

/* ---- pinned copies, starting ---- */

typedef struct transfer {
    void *host, *device;
    size_t bytes;
    bool out;
} transfer;

static cudaError_t move(void *data, bench_card *card, int turn)
{
    transfer *t = data;
    (void)turn;
    return t->out ? cudaMemcpyAsync(t->host, t->device, t->bytes, cudaMemcpyDeviceToHost, card->stream)
                  : cudaMemcpyAsync(t->device, t->host, t->bytes, cudaMemcpyHostToDevice, card->stream);
}

static void measure_transfers(bench_card *card, bench_json *json, size_t bytes)
{
    transfer t = {.bytes = bytes};
    uint64_t state = 77;
    bench_cuda_check(cudaHostAlloc(&t.host, bytes, 0), "pinned memory");
    bench_random_bytes(t.host, bytes, &state);
    t.device = bench_device_memory(bytes, "memory for copying");
    bench_json_real(json, "host_to_device_gbps", (double)bytes / bench_card_time(card, move, &t, 4, 9) * 1e-9);
    t.out = true;
    bench_json_real(json, "device_to_host_gbps", (double)bytes / bench_card_time(card, move, &t, 4, 9) * 1e-9);
    cudaFree(t.device);
    cudaFreeHost(t.host);
}

static cudaError_t tiny(void *data, bench_card *card, int turn)
{
    const bcam_tensor *t = data;
    (void)turn;
    return bcam_kernel_convert(&t[0], &t[1], card->stream);
}

static void measure_start(bench_card *card, bench_json *json)
{
    float *memory = bench_device_memory(256, "a few numbers");
    bench_device_random(card, memory, 64, BCAM_F32);
    bcam_tensor t[2] = {{.data = memory, .dtype = BCAM_F32, .rank = 1, .dim = {1}, .stride = {1}},
                        {.data = memory + 32, .dtype = BCAM_F32, .rank = 1, .dim = {1}, .stride = {1}}};
    bench_json_real(json, "kernel_start_us", bench_card_time(card, tiny, t, 200, 15) * 1e6);
    cudaFree(memory);
}

int main(int argc, char **argv)
{
    bool small = argc > 1 && strcmp(argv[1], "--small") == 0;
    size_t block = (size_t)(small ? 1 : 512) << 20;
    bench_card card;
    bench_json json;
    int driver = 0, runtime = 0;
    bench_card_open(&card);
    if (small)
        card.l2_bytes = (size_t)1 << 20;
    bench_cuda_check(cudaDriverGetVersion(&driver), "asking for versions");
    bench_cuda_check(cudaRuntimeGetVersion(&runtime), "asking for versions");
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "card", card.name);
    bench_json_real(&json, "driver", driver);
    bench_json_real(&json, "run_time", runtime);
    bench_json_real(&json, "l2_bytes", (double)card.l2_bytes);
    bench_json_real(&json, "free_bytes", (double)card.free_bytes);
    bench_json_real(&json, "copy_tbps", bench_copy_rate(&card, block) * 1e-12);
    measure_products(&card, &json, small ? 64 : 8192);
    measure_transfers(&card, &json, small ? (size_t)1 << 20 : (size_t)256 << 20);
    measure_start(&card, &json);
    bench_json_end(&json);
    return 0;
}
