/* device.h - what every kernel needs: types, 16-byte loads and stores, warp sums, launching. box.h beside it walks over
 * strided tensors.
 *
 * The same sources are compiled by nvcc and, for tests, by the host compiler on tests/emu/cuda_emu.h. What the host
 * compiler cannot take as CUDA has it stands here: shared memory (a bare __shared__ would be a static there, and hide
 * overruns) and launching.
 */
#ifndef BCAM_DEVICE_H
#define BCAM_DEVICE_H

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#else
#include "cuda_emu.h"
#endif

#include <math.h>

#include "kernels.h"

namespace bcam {

/* ---- shared memory, launching ---- */

#ifdef __CUDACC__
#define BCAM_SHARED(T, name, n) __shared__ T name[n]
#define BCAM_DYNAMIC_SHARED(T, name)                                                                                   \
    extern __shared__ __align__(16) unsigned char bcam_dynamic_shared[];                                               \
    T *name = reinterpret_cast<T *>(bcam_dynamic_shared)
template <auto Kernel, typename Args>
cudaError_t launch(int64_t blocks, int threads, size_t shared, cudaStream_t stream, Args args)
{
    void *list[] = {&args};
    return cudaLaunchKernel(reinterpret_cast<const void *>(Kernel), dim3((unsigned)blocks), dim3((unsigned)threads),
                            list, shared, stream);
}
#else
#define BCAM_SHARED(T, name, n)                                                                                        \
    static char name##_key;                                                                                            \
    T(&name)[n] = *static_cast<T(*)[n]>(cuemu::shared_memory(&name##_key, sizeof(T[n])))
#define BCAM_DYNAMIC_SHARED(T, name) T *name = static_cast<T *>(cuemu::dynamic_shared_memory())
template <auto Kernel, typename Args>
cudaError_t launch(int64_t blocks, int threads, size_t shared, cudaStream_t stream, Args args)
{
    return cuemu::Enrolled<Kernel>::launch(dim3((unsigned)blocks), dim3((unsigned)threads), shared, stream, args);
}
#endif

constexpr int threads_of_block = 256, warp = 32;

/** Room for 80 registers a thread. Without a number of blocks the compiler aims at more threads, and spills for it. */
#define BCAM_BOUNDS __launch_bounds__(threads_of_block, 3)

constexpr unsigned all_lanes = 0xffffffffu;

/** Blocks for `count` threads that go round a grid-stride loop: enough to fill any card several times over, or `most`.
 * */
inline int64_t blocks_for(int64_t count, int64_t most = 16384)
{
    int64_t blocks = (count + threads_of_block - 1) / threads_of_block;
#ifndef __CUDACC__
    if (cuemu::grid_limit())
        most = cuemu::grid_limit();
#endif
    return blocks < most ? blocks : most;
}

__device__ inline int64_t first_of_grid()
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ inline int64_t stride_of_grid()
{
    return (int64_t)gridDim.x * blockDim.x;
}

/* ---- element types: stored as T, computed in float ---- */

using half = __half;
using bf16 = __nv_bfloat16;

__host__ __device__ inline float to_float(float v)
{
    return v;
}
__host__ __device__ inline float to_float(half v)
{
    return __half2float(v);
}
__host__ __device__ inline float to_float(bf16 v)
{
    return __bfloat162float(v);
}

template <typename T> __host__ __device__ T from_float(float v);
template <> __host__ __device__ inline float from_float<float>(float v)
{
    return v;
}
template <> __host__ __device__ inline half from_float<half>(float v)
{
    return __float2half_rn(v);
}
template <> __host__ __device__ inline bf16 from_float<bf16>(float v)
{
    return __float2bfloat16_rn(v);
}

template <typename T> struct Type {
    using type = T;
};

/** Calls f(Type<T>()) for the stored type; cudaErrorNotSupported for one that is not real. */
template <typename F> cudaError_t by_type(bcam_dtype dtype, F f)
{
    switch (dtype) {
    case BCAM_F32:
        return f(Type<float>());
    case BCAM_F16:
        return f(Type<half>());
    case BCAM_BF16:
        return f(Type<bf16>());
    default:
        return cudaErrorNotSupported;
    }
}

/* ---- V elements at once: 16 bytes where V is 16 / sizeof(T) ---- */

template <typename T> constexpr int wide = 16 / sizeof(T);

template <typename T, int V> struct alignas(sizeof(T) * V) Pack {
    T item[V];
};

template <int V> struct Floats {
    float at[V];
};

/** Words of 4, 8 or 16 bytes. */
template <size_t Bytes> struct Word;
template <> struct Word<4> {
    using type = unsigned;
};
template <> struct Word<8> {
    using type = uint2;
};
template <> struct Word<16> {
    using type = uint4;
};

/** A pack as it lies in memory. Several of them loaded before the first is unpacked are several loads in flight. */
template <typename T, int V> struct Raw {
    typename Word<sizeof(T) * V>::type word;
};
template <typename T> struct Raw<T, 1> {
    T word;
};

/** p is aligned to the pack, which is 16 bytes at most. */
template <typename T, int V> __device__ __forceinline__ Raw<T, V> load_raw(const T *p)
{
    if constexpr (V > 1)
        return {__ldg(reinterpret_cast<const typename Word<sizeof(T) * V>::type *>(p))};
    else
        return {*p};
}

template <typename T, int V> __device__ __forceinline__ Floats<V> unpack(const Raw<T, V> &raw)
{
    const T *items = reinterpret_cast<const T *>(&raw.word);
    Floats<V> f;
#pragma unroll
    for (int i = 0; i < V; i++)
        f.at[i] = to_float(items[i]);
    return f;
}

/** A pack, or one element in all its places. Nothing is unpacked behind a branch, where it would be waited for. */
template <typename T, int V> __device__ __forceinline__ Raw<T, V> load_raw_or_repeat(const T *p, bool moves)
{
    if (moves)
        return load_raw<T, V>(p);
    Raw<T, V> raw;
    T one = *p, *items = reinterpret_cast<T *>(&raw.word);
#pragma unroll
    for (int i = 0; i < V; i++)
        items[i] = one;
    return raw;
}

/** p is aligned to the pack, or to 16 bytes where that is larger. */
template <typename T, int V> __device__ __forceinline__ Floats<V> load(const T *p)
{
    if constexpr (sizeof(T) * V <= 16 || V == 1) {
        return unpack(load_raw<T, V>(p));
    } else {
        constexpr int part = wide<T>;
        Floats<V> f;
#pragma unroll
        for (int i = 0; i < V / part; i++) {
            const Floats<part> g = load<T, part>(p + i * part);
#pragma unroll
            for (int j = 0; j < part; j++)
                f.at[i * part + j] = g.at[j];
        }
        return f;
    }
}

template <typename T, int V> __device__ __forceinline__ void store(T *p, const Floats<V> &f)
{
    if constexpr (V > 1) {
        Pack<T, V> pack;
#pragma unroll
        for (int i = 0; i < V; i++)
            pack.item[i] = from_float<T>(f.at[i]);
        *reinterpret_cast<Pack<T, V> *>(p) = pack;
    } else {
        *p = from_float<T>(f.at[0]);
    }
}

template <int V> __device__ __forceinline__ Floats<V> all_of(float v)
{
    Floats<V> f;
#pragma unroll
    for (int i = 0; i < V; i++)
        f.at[i] = v;
    return f;
}

/** One element of a tensor whose type is known only at run time: constants may be float32 beside half activations. */
__device__ __forceinline__ float load_any(const void *p, bcam_dtype dtype, int64_t at)
{
    return dtype == BCAM_F32   ? static_cast<const float *>(p)[at]
           : dtype == BCAM_F16 ? to_float(static_cast<const half *>(p)[at])
                               : to_float(static_cast<const bf16 *>(p)[at]);
}

/* ---- sums and extremes over lanes, always in the same order ---- */

__device__ __forceinline__ float sum_of_lanes(float v, int lanes = warp)
{
    for (int d = lanes / 2; d > 0; d >>= 1)
        v += __shfl_xor_sync(all_lanes, v, d);
    return v;
}

/** The larger; NaN wins. */
__device__ __forceinline__ float larger(float a, float b)
{
    return a > b || a != a ? a : b;
}

__device__ __forceinline__ float smaller(float a, float b)
{
    return a < b || a != a ? a : b;
}

__device__ __forceinline__ float max_of_lanes(float v)
{
    for (int d = warp / 2; d > 0; d >>= 1)
        v = larger(v, __shfl_xor_sync(all_lanes, v, d));
    return v;
}

__device__ __forceinline__ float min_of_lanes(float v)
{
    for (int d = warp / 2; d > 0; d >>= 1)
        v = smaller(v, __shfl_xor_sync(all_lanes, v, d));
    return v;
}

/** Of the whole block, to every thread. `part` has a place for every warp and may be used again after the next
 * __syncthreads. */
__device__ inline float sum_of_block(float v, float *part)
{
    const int lane = threadIdx.x % warp, mine = threadIdx.x / warp, warps = blockDim.x / warp;
    v = sum_of_lanes(v);
    if (lane == 0)
        part[mine] = v;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < warps; i++)
        sum += part[i];
    return sum;
}

} // namespace bcam

/* One launcher per verb; table.c has them in a row. */
extern "C" {
#define VERB(NAME, member, in, out) cudaError_t bcam_kernel_##NAME(const bcam_kernel_call *call, cudaStream_t stream);
#include "dev/verbs.def"
#undef VERB
}
#endif
