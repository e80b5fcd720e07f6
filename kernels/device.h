/* device.h - the only header that a kernel needs: types, 16-byte loads and stores, walks over strided tensors, warp sums, launching.
 *
 * The same sources are compiled by nvcc and, for tests, by the host compiler on tests/emu/cuda_emu.h. What the host compiler cannot take as
 * CUDA has it stands here: shared memory (a bare __shared__ would be a static there, and hide overruns) and launching.
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

/** Blocks for `count` threads that go round a grid-stride loop: enough to fill any card several times over. */
inline int64_t blocks_for(int64_t count)
{
    int64_t most = 16384, blocks = (count + threads_of_block - 1) / threads_of_block;
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

/** p is aligned to the pack, or to 16 bytes where that is larger. */
template <typename T, int V> __device__ __forceinline__ Floats<V> load(const T *p)
{
    Floats<V> f;
    if constexpr (sizeof(T) * V <= 16 && V > 1) {
        static_assert(sizeof(T) * V == 16 || sizeof(T) * V == 8 || sizeof(T) * V == 4, "loads are of 4, 8 or 16 bytes");
        using Word =
            typename std::conditional<sizeof(T) * V == 16, uint4,
                                      typename std::conditional<sizeof(T) * V == 8, uint2, unsigned>::type>::type;
        const Word raw = __ldg(reinterpret_cast<const Word *>(p));
        const T *items = reinterpret_cast<const T *>(&raw);
#pragma unroll
        for (int i = 0; i < V; i++)
            f.at[i] = to_float(items[i]);
    } else if constexpr (V > 1) {
        constexpr int part = wide<T>;
#pragma unroll
        for (int i = 0; i < V / part; i++) {
            const Floats<part> g = load<T, part>(p + i * part);
#pragma unroll
            for (int j = 0; j < part; j++)
                f.at[i * part + j] = g.at[j];
        }
    } else {
        f.at[0] = to_float(*p);
    }
    return f;
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

/* ---- division by what is known before the launch ---- */

/** n / d: one multiplication for n < 2^31, else the machine's own division, which is some seventy instructions. */
struct Divider {
    int64_t d;
    unsigned multiplier, shift;

    __host__ static Divider by(int64_t d)
    {
        Divider v = {d, 0, 0};
        while (d < (int64_t)1 << 31 && (int64_t)1 << v.shift < d)
            v.shift++;
        if (d < (int64_t)1 << 31)
            v.multiplier =
                (unsigned)((((uint64_t)1 << 32) * (((uint64_t)1 << v.shift) - (uint64_t)d)) / (uint64_t)d + 1);
        return v;
    }
    __device__ __forceinline__ unsigned narrow(unsigned n) const
    {
        return ((unsigned)((uint64_t)n * multiplier >> 32) + n) >> shift;
    }
    __device__ __forceinline__ int64_t of(int64_t n, bool small) const
    {
        return small ? (int64_t)narrow((unsigned)n) : n / d;
    }
};

/* ---- walking over a box of indices with several tensors ---- */

/** Axes that lie end to end in all tensors are one. The last axis moves fastest; its index counts packs of V elements. */
template <int Ops> struct Box {
    int rank;
    bool small; /* count < 2^31 */
    int64_t count;
    Divider dim[BCAM_MAX_RANK];
    int64_t stride[Ops][BCAM_MAX_RANK]; /* in elements, a pack a step along the last axis */

    /** The offsets of the index-th element (or pack) of the box. */
    __device__ __forceinline__ void locate(int64_t index, int64_t (&at)[Ops]) const
    {
#pragma unroll
        for (int i = 0; i < Ops; i++)
            at[i] = 0;
        for (int a = rank - 1; a > 0; a--) {
            int64_t next = dim[a].of(index, small), here = index - next * dim[a].d;
            index = next;
#pragma unroll
            for (int i = 0; i < Ops; i++)
                at[i] += here * stride[i][a];
        }
#pragma unroll
        for (int i = 0; i < Ops; i++)
            at[i] += index * stride[i][0];
    }
};

/** How a tensor is seen by a box: strides, 0 along axes where it is repeated. */
struct View {
    const void *data;
    size_t element; /* bytes */
    int64_t stride[BCAM_MAX_RANK];
};

inline size_t bytes_of(bcam_dtype dtype)
{
    return dtype == BCAM_U8                          ? 1
           : dtype == BCAM_F16 || dtype == BCAM_BF16 ? 2
           : dtype == BCAM_F64 || dtype == BCAM_I64  ? 8
                                                     : 4;
}

inline View view_of(const bcam_tensor *t)
{
    View v = {t->data, bytes_of(t->dtype), {}};
    for (int a = 0; a < t->rank; a++)
        v.stride[a] = t->stride[a];
    return v;
}

/** Under numpy's broadcasting: aligned at the last axis. */
inline View view_broadcast(const bcam_tensor *t, int rank, const int64_t *dim)
{
    View v = {t->data, bytes_of(t->dtype), {}};
    for (int a = 0; a < rank; a++) {
        int own = a - (rank - t->rank);
        v.stride[a] = own < 0 || t->dim[own] != dim[a] ? 0 : t->stride[own];
    }
    return v;
}

/** A vector (C) along axis 1. */
inline View view_of_channels(const bcam_tensor *t)
{
    View v = {t->data, bytes_of(t->dtype), {}};
    v.stride[1] = t->data ? t->stride[0] : 0;
    return v;
}

/** Sorts axes by the strides of the first view that moves along them (unless they must stay in row-major order), merges them. The box counts
 *  single elements. */
template <int Ops> Box<Ops> box_of(int rank, const int64_t *dim, const View (&views)[Ops], bool in_order = false)
{
    Box<Ops> box = {};
    int order[BCAM_MAX_RANK], used = 0;
    auto slower = [&](int a, int b) { /* a stands before b */
                                      for (int i = 0; i < Ops; i++) {
                                          int64_t x = views[i].stride[a] < 0 ? -views[i].stride[a] : views[i].stride[a];
                                          int64_t y = views[i].stride[b] < 0 ? -views[i].stride[b] : views[i].stride[b];
                                          if (x != y && x != 0 && y != 0)
                                              return x > y;
                                      }
                                      return a < b;
    };
    for (int a = 0; a < rank; a++)
        if (dim[a] != 1) {
            int at = used++;
            for (; at > 0 && !in_order && slower(a, order[at - 1]); at--)
                order[at] = order[at - 1];
            order[at] = a;
        }
    int64_t size[BCAM_MAX_RANK];
    for (int n = 0; n < used; n++) {
        int a = order[n], last = box.rank - 1;
        bool joins = box.rank > 0;
        for (int i = 0; i < Ops && joins; i++)
            joins = box.stride[i][last] == views[i].stride[a] * dim[a];
        if (joins)
            size[last] *= dim[a];
        else
            size[last = box.rank++] = dim[a];
        for (int i = 0; i < Ops; i++)
            box.stride[i][last] = views[i].stride[a];
    }
    if (box.rank == 0)
        size[box.rank++] = 1;
    box.count = 1;
    for (int a = 0; a < box.rank; a++) {
        box.dim[a] = Divider::by(size[a]);
        box.count *= size[a];
    }
    box.small = box.count < (int64_t)1 << 31;
    return box;
}

/** Whether the last axis can go in packs of v elements: contiguous or repeated in every view, contiguous in view `first`, every pack aligned. */
template <int Ops> bool packs(const Box<Ops> &box, const View (&views)[Ops], int v, int first = 0)
{
    int last = box.rank - 1;
    if (v == 1 || box.dim[last].d % v || box.stride[first][last] != 1)
        return false;
    for (int i = 0; i < Ops; i++) {
        int64_t s = box.stride[i][last];
        size_t bytes = views[i].element * (size_t)v < 16 ? views[i].element * (size_t)v : 16;
        if (s != 0 && s != 1)
            return false;
        if (s == 0)
            continue;
        if ((uintptr_t)views[i].data % bytes)
            return false;
        for (int a = 0; a < last; a++)
            if (box.stride[i][a] % v)
                return false;
    }
    return true;
}

/** Makes the last axis count packs of v elements. */
template <int Ops> void pack_box(Box<Ops> *box, int v)
{
    int last = box->rank - 1;
    box->dim[last] = Divider::by(box->dim[last].d / v);
    box->count /= v;
    box->small = box->count < (int64_t)1 << 31;
    for (int i = 0; i < Ops; i++)
        box->stride[i][last] *= v;
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

/** Of the whole block, to every thread. `part` has a place for every warp and may be used again after the next __syncthreads. */
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

/* ---- between the files ---- */

/** reduce.cu: out = sum of x over the axes of a box along which `out` is repeated. Both are of the real type `dtype`. */
cudaError_t fold_sum(int rank, const int64_t *dim, const View &out, const View &x, bcam_dtype dtype,
                     cudaStream_t stream);

} // namespace bcam

/* One launcher per verb; table.c has them in a row. */
extern "C" {
#define VERB(NAME, member, in, out) cudaError_t bcam_kernel_##NAME(const bcam_kernel_call *call, cudaStream_t stream);
#include "dev/verbs.def"
#undef VERB
}
#endif
