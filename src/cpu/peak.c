/* peak.c - what this machine does at most, measured: a matrix product by oneDNN, a loop that stays in registers, memory. */
#include <omp.h>
#include <string.h>

#include "cpu/dnnl.h"

#if defined __x86_64__
#include <immintrin.h>
#endif

enum { ROUNDS = 7 };
static const double ROUND_SECONDS = 0.03;

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* ---- registers alone: chains enough to hide the latency, of numbers that stay finite ---- */

enum { TURNS = 1 << 16 };

/* Returns the arithmetic of one call. */
typedef double (*register_loop)(float *sink);

#define REGISTER_LOOP(NAME, TARGET, VECTOR, CHAINS, FLOP, ZERO, STEP)                                                  \
    __attribute__((target(TARGET))) static double NAME(float *sink)                                                    \
    {                                                                                                                  \
        VECTOR sum[CHAINS];                                                                                            \
        for (int i = 0; i < (CHAINS); i++)                                                                             \
            sum[i] = ZERO;                                                                                             \
        for (int turn = 0; turn < TURNS; turn++) {                                                                     \
            for (int i = 0; i < (CHAINS); i++)                                                                         \
                sum[i] = STEP;                                                                                         \
            for (int i = 0; i < (CHAINS); i++)                                                                         \
                __asm__ volatile("" : "+v"(sum[i]));                                                                   \
        }                                                                                                              \
        float all[sizeof(VECTOR) / sizeof(float)];                                                                     \
        for (int i = 0; i < (CHAINS); i++) {                                                                           \
            memcpy(all, &sum[i], sizeof all);                                                                          \
            *sink += all[0];                                                                                           \
        }                                                                                                              \
        return (double)TURNS * (CHAINS) * (FLOP);                                                                      \
    }

#if defined __x86_64__
/* clang-format off */
REGISTER_LOOP(loop_sse2, "sse2", __m128, 12, 8, _mm_setzero_ps(),
              _mm_add_ps(_mm_mul_ps(sum[i], _mm_set1_ps(0.5f)), _mm_set1_ps(1)))
REGISTER_LOOP(loop_avx2, "avx2,fma", __m256, 12, 16, _mm256_setzero_ps(),
              _mm256_fmadd_ps(sum[i], _mm256_set1_ps(0.5f), _mm256_set1_ps(1)))
REGISTER_LOOP(loop_avx512, "avx512f", __m512, 16, 32, _mm512_setzero_ps(),
              _mm512_fmadd_ps(sum[i], _mm512_set1_ps(0.5f), _mm512_set1_ps(1)))
REGISTER_LOOP(loop_bf16, "avx512bf16", __m512, 16, 64, _mm512_setzero_ps(),
              _mm512_dpbf16_ps(sum[i], (__m512bh)_mm512_setzero_si512(), (__m512bh)_mm512_setzero_si512()))
/* clang-format on */

static register_loop fp32_loop(void)
{
    return __builtin_cpu_supports("avx512f")                                 ? loop_avx512
           : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? loop_avx2
                                                                             : loop_sse2;
}

static register_loop bf16_loop(void)
{
    return __builtin_cpu_supports("avx512bf16") ? loop_bf16 : NULL;
}
#else
static register_loop fp32_loop(void)
{
    return NULL;
}

static register_loop bf16_loop(void)
{
    return NULL;
}
#endif

double bcam_cpu_peak_loop(bool bf16, int threads)
{
    register_loop loop = bf16 ? bf16_loop() : fp32_loop();
    double best = 0;
    for (int r = 0; r < ROUNDS && loop; r++) {
        double flop = 0, begin = bcam_clock_seconds();
        float sink = 0;
#pragma omp parallel num_threads(threads) reduction(+ : flop, sink)
        while (bcam_clock_seconds() - begin < ROUND_SECONDS)
            flop += loop(&sink);
        best = larger(best, flop / (bcam_clock_seconds() - begin));
    }
    return best;
}

/* ---- oneDNN's product ---- */

typedef struct product {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    void *data[3];
    dnnl_memory_t memory[3];
} product;

enum { SIZE = 1024 };

/* False where oneDNN has it only as its plain reference, or not at all. */
static bool product_make(product *p, dnnl_data_type_t type)
{
    const dnnl_dims_t dims = {SIZE, SIZE};
    dnnl_memory_desc_t have, any, sum;
    dnnl_matmul_desc_t operation;
    const char *how = "ref";
    if (dnnl_engine_create(&p->engine, dnnl_cpu, 0) || dnnl_stream_create(&p->stream, p->engine, 0) ||
        dnnl_memory_desc_init_by_tag(&have, 2, dims, type, dnnl_ab) ||
        dnnl_memory_desc_init_by_tag(&any, 2, dims, type, dnnl_format_tag_any) ||
        dnnl_memory_desc_init_by_tag(&sum, 2, dims, dnnl_f32, dnnl_ab) ||
        dnnl_matmul_desc_init(&operation, &have, &any, NULL, &sum) ||
        dnnl_primitive_desc_create(&p->desc, &operation, NULL, p->engine, NULL) ||
        dnnl_primitive_desc_query(p->desc, dnnl_query_impl_info_str, 0, &how) || strstr(how, "ref") ||
        dnnl_primitive_create(&p->primitive, p->desc))
        return false;
    const dnnl_memory_desc_t *md[3] = {&have, dnnl_primitive_desc_query_md(p->desc, dnnl_query_weights_md, 0), &sum};
    for (int i = 0; i < 3; i++) {
        size_t bytes = dnnl_memory_desc_get_size(md[i]);
        if (!(p->data[i] = bcam_alloc_aligned(bytes)))
            return false;
        for (size_t at = 0; at + 2 <= bytes; at += 2) /* the upper half of a float near 1, or a bf16 */
            memcpy((char *)p->data[i] + at, &(uint16_t){(uint16_t)(0x3f80 + at % 61)}, 2);
        if (dnnl_memory_create(&p->memory[i], md[i], p->engine, p->data[i]))
            return false;
    }
    return true;
}

static void product_free(product *p)
{
    for (int i = 0; i < 3; i++) {
        dnnl_memory_destroy(p->memory[i]);
        bcam_free(p->data[i]);
    }
    dnnl_primitive_destroy(p->primitive);
    dnnl_primitive_desc_destroy(p->desc);
    dnnl_stream_destroy(p->stream);
    dnnl_engine_destroy(p->engine);
}

double bcam_cpu_peak_product(bool bf16, int threads)
{
    product p = {0};
    double best = 0;
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    bool made = product_make(&p, bf16 ? dnnl_bf16 : dnnl_f32);
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, p.memory[0]}, {DNNL_ARG_WEIGHTS, p.memory[1]}, {DNNL_ARG_DST, p.memory[2]}};
    for (int r = 0; r < ROUNDS && made; r++) {
        double runs = 0, begin = bcam_clock_seconds(), took;
        do {
            dnnl_primitive_execute(p.primitive, p.stream, 3, args);
            dnnl_stream_wait(p.stream);
            runs++;
            took = bcam_clock_seconds() - begin;
        } while (took < ROUND_SECONDS);
        best = larger(best, runs * 2.0 * SIZE * SIZE * SIZE / took);
    }
    product_free(&p);
    omp_set_num_threads(before);
    return best;
}

/* ---- memory ---- */

enum { LANES = 16 };

static uint64_t sum_of(const uint64_t *from, size_t count)
{
    uint64_t lane[LANES] = {0}, sum = 0;
    for (size_t i = 0; i + LANES <= count; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] ^= from[i + j];
    for (size_t j = 0; j < LANES; j++)
        sum ^= lane[j];
    return sum;
}

bcam_status bcam_cpu_peak_memory(int threads, double *read, double *copy, bcam_error *err)
{
    const size_t memory = (size_t)256 << 20; /* larger than caches are */
    size_t part = memory / sizeof(uint64_t) / (size_t)threads / LANES * LANES;
    uint64_t *from = bcam_alloc_aligned(memory), *to = bcam_alloc_aligned(memory), sum = 0;
    bcam_status status = from && to ? BCAM_OK : bcam_fail_memory(err, 2 * memory, "measuring memory");
    *read = *copy = 0;
    for (int r = -1; r < ROUNDS && !status; r++) { /* the first touches every page */
        if (r < 0) {
            memset(from, 1, memory);
            memset(to, 1, memory);
        }
        double begin = bcam_clock_seconds();
#pragma omp parallel for num_threads(threads) schedule(static) reduction(^ : sum)
        for (int t = 0; t < threads; t++)
            sum ^= sum_of(from + (size_t)t * part, part);
        double middle = bcam_clock_seconds();
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++)
            memcpy(to + (size_t)t * part, from + (size_t)t * part, part * sizeof *to);
        double end = bcam_clock_seconds(), bytes = (double)(part * sizeof *to) * threads;
        *read = larger(*read, bytes / (middle - begin));
        *copy = larger(*copy, 2 * bytes / (end - middle));
    }
    volatile uint64_t kept = sum; /* what is not used is not computed */
    (void)kept;
    bcam_free(from);
    bcam_free(to);
    return status;
}
