/* cam.cu - CAM: from activations and gradients to maps, for the whole batch and all classes of a layer in one launch.
 *
 *   cam   one block a photo and class. Pooled: w[c] = mean of g over the map, kept in shared memory; then the sum over
 *         c of w[c] A. Elementwise: the sum over c of g A. Constant: w[c] from a table, g is not there. Then the range
 *         of the map and ReLU. Reads A and g once (pooled, elementwise) or A alone (constant), writes the map, two
 *         numbers and, if wanted, the weights: (2 C h w) sizeof(T) + 4 h w bytes a photo and class; nothing in between
 *         goes to device memory.
 *
 * Channels are read 16 bytes at a time, four loads in flight in every thread. The order of every sum follows from C, h
 * and w alone.
 */
#include "box.h"

namespace bcam {

/* ---- cam ---- */

constexpr int cam_threads = 512, cam_warps = cam_threads / warp;

/* Pixels that a thread works at: four loads in flight either way. */
template <bool Elementwise> constexpr int at_once = Elementwise ? 2 : 4;

/* Strides within a photo, whose elements an int can count (checked before the launch). */
struct Plane {
    int channel, row, column;
};

struct CamArgs {
    const void *a, *g; /* (N,C,h,w); (K*N,C,h,w), or a table (M,C) */
    const int *ids;    /* (K,N) */
    float *map, *range, *weights,
        *alpha; /* alpha: the weights of all blocks where shared memory is too small, else NULL */
    Plane a_plane, g_plane, map_plane;
    int64_t a_photo, g_photo, id_stride[2], map_stride[2], range_stride[3], weight_stride[3];
    int64_t classes, photos, k;
    int channels;
    int count; /* pixels of a map */
    Divider columns;
    bool table_is_float, constant, need_weights, keep_sign;
    int lanes;       /* that share a pixel: a power of two, 32 at most */
    int group_lanes; /* threads side by side over packs of channels while pooling */
};

/* The place of a pixel in a tensor. */
__device__ __forceinline__ int pixel_at(const CamArgs &a, const Plane &plane, int pixel)
{
    const int row = (int)a.columns.narrow((unsigned)pixel);
    return row * plane.row + (pixel - row * (int)a.columns.d) * plane.column;
}

/* The sum of g over the pixels first, first + step, …: four loads at a time, none of them behind a branch. */
template <typename T, int V>
__device__ __forceinline__ Floats<V> sum_of_pixels(const CamArgs &a, const T *g, int first, int step, int pixels)
{
    Floats<V> sum = all_of<V>(0);
#pragma unroll 1
    for (int p = first; p < pixels; p += step * 4) {
        Raw<T, V> raw[4];
        Floats<V> v[4];
#pragma unroll
        for (int u = 0; u < 4; u++)
            raw[u] = load_raw<T, V>(g + pixel_at(a, a.g_plane, min(p + u * step, pixels - 1)));
#pragma unroll
        for (int u = 0; u < 4; u++) {
            v[u] = unpack(raw[u]);
#pragma unroll
            for (int i = 0; i < V; i++)
                v[u].at[i] = p + u * step < pixels ? v[u].at[i] : 0;
        }
#pragma unroll
        for (int i = 0; i < V; i++)
            sum.at[i] += (v[0].at[i] + v[1].at[i]) + (v[2].at[i] + v[3].at[i]);
    }
    return sum;
}

/* alpha[c] = mean of g over the pixels. `part` has a place for every thread and element of a pack. */
template <typename T, int V> __device__ void pool_gradient(const CamArgs &a, const T *g, float *alpha, float *part)
{
    const int groups = a.channels / V, pixels = a.count, side = a.group_lanes, rows = cam_threads / side;
    const int mine = threadIdx.x % side, row = threadIdx.x / side;
    for (int first = 0; first < groups; first += side) {
        const int group = first + mine;
        Floats<V> sum = all_of<V>(0);
        if (group < groups && row < rows)
            sum = sum_of_pixels<T, V>(a, g + group * V * a.g_plane.channel, row, rows, pixels);
#pragma unroll
        for (int i = 0; i < V; i++)
            part[i * cam_threads + threadIdx.x] = sum.at[i];
        __syncthreads();
        if (row == 0 && group < groups)
            for (int i = 0; i < V; i++) {
                float all = 0;
                for (int r = 0; r < rows; r++)
                    all += part[i * cam_threads + r * side + mine];
                alpha[group * V + i] = all / (float)pixels;
            }
        __syncthreads();
    }
}

/* A row of the table, four loads at a time. */
template <typename W> __device__ __forceinline__ void read_row(const CamArgs &a, const W *row, float *alpha)
{
#pragma unroll 1
    for (int c = threadIdx.x; c < a.channels; c += 4 * cam_threads) {
        W w[4];
#pragma unroll
        for (int u = 0; u < 4; u++)
            w[u] = row[(int64_t)min(c + u * cam_threads, a.channels - 1) * a.g_plane.channel];
#pragma unroll
        for (int u = 0; u < 4; u++)
            if (c + u * cam_threads < a.channels)
                alpha[c + u * cam_threads] = to_float(w[u]);
    }
}

template <typename T> __device__ __forceinline__ void read_weights(const CamArgs &a, int64_t id, float *alpha)
{
    if (id < 0)
        for (int c = threadIdx.x; c < a.channels; c += cam_threads)
            alpha[c] = 0;
    else if (a.table_is_float)
        read_row(a, static_cast<const float *>(a.g) + id * a.g_photo, alpha);
    else
        read_row(a, static_cast<const T *>(a.g) + id * a.g_photo, alpha);
    __syncthreads();
}

/* From shared or device memory, written by this kernel: never through the read-only cache. */
template <int V> __device__ __forceinline__ Floats<V> load_weights(const float *p)
{
    Floats<V> f;
    if constexpr (V > 1) {
#pragma unroll
        for (int i = 0; i < V; i += 4) {
            const float4 q = *reinterpret_cast<const float4 *>(p + i);
            f.at[i] = q.x;
            f.at[i + 1] = q.y;
            f.at[i + 2] = q.z;
            f.at[i + 3] = q.w;
        }
    } else {
        f.at[0] = *p;
    }
    return f;
}

/* A few pixels at once: the lanes that share a pixel go over the channels, and all have the sums in the end. */
template <typename T, int V, bool Elementwise>
__device__ __forceinline__ void pixel_sums(const CamArgs &a, const T *act, const T *g, const float *alpha,
                                           const int (&at)[at_once<Elementwise>],
                                           const int (&g_at)[at_once<Elementwise>], float (&sum)[at_once<Elementwise>])
{
    constexpr int many = at_once<Elementwise>;
    const int lane = threadIdx.x % a.lanes;
#pragma unroll
    for (int u = 0; u < many; u++)
        sum[u] = 0;
#pragma unroll 1 /* four loads are in flight; more would spill */
    for (int c = lane * V; c < a.channels; c += a.lanes * V) {
        Floats<V> v[many], w[Elementwise ? many : 1];
        if constexpr (!Elementwise)
            w[0] = load_weights<V>(alpha + c);
#pragma unroll
        for (int u = 0; u < many; u++) {
            v[u] = load<T, V>(act + (at[u] + c * a.a_plane.channel));
            if constexpr (Elementwise)
                w[u] = load<T, V>(g + (g_at[u] + c * a.g_plane.channel));
        }
#pragma unroll
        for (int u = 0; u < many; u++)
#pragma unroll
            for (int i = 0; i < V; i++)
                sum[u] = fmaf(v[u].at[i], w[Elementwise ? u : 0].at[i], sum[u]);
    }
#pragma unroll
    for (int u = 0; u < many; u++)
        sum[u] = sum_of_lanes(sum[u], a.lanes);
}

/* The least and the largest of the block to its first thread, which writes them. */
__device__ inline void write_range(float low, float high, float *range, int64_t step)
{
    BCAM_SHARED(float, lows, cam_warps);
    BCAM_SHARED(float, highs, cam_warps);
    const int lane = threadIdx.x % warp, mine = threadIdx.x / warp;
    low = min_of_lanes(low);
    high = max_of_lanes(high);
    if (lane == 0) {
        lows[mine] = low;
        highs[mine] = high;
    }
#ifndef BCAM_PLANT_NO_BARRIER
    __syncthreads();
#endif
    if (mine > 0)
        return;
#ifdef BCAM_PLANT_SHARED_OVERRUN
    low = min_of_lanes(lows[lane]);
#else
    low = min_of_lanes(lane < cam_warps ? lows[lane] : INFINITY);
#endif
    high = max_of_lanes(lane < cam_warps ? highs[lane] : -INFINITY);
    if (lane == 0) {
        range[0] = low;
        range[step] = high;
    }
}

template <typename T, int V, bool Elementwise> __global__ void __launch_bounds__(cam_threads, 2) cam(CamArgs a)
{
    constexpr int many = at_once<Elementwise>;
    BCAM_DYNAMIC_SHARED(float, shared); /* part (V x threads), then alpha (C) */
    const int64_t block = blockIdx.x, n = block / a.k,
                  k = block - n * a.k; /* classes side by side: A stays in the cache */
    int64_t id = a.ids[k * a.id_stride[0] + n * a.id_stride[1]];
    if (id >= a.classes)
        id = -1;
    float *alpha = a.alpha ? a.alpha + block * a.channels : shared + V * cam_threads;
    const T *act = static_cast<const T *>(a.a) + n * a.a_photo;
    const T *g = a.constant ? nullptr : static_cast<const T *>(a.g) + (k * a.photos + n) * a.g_photo;
    if (a.need_weights) {
        if (a.constant || id < 0)
            read_weights<T>(a, id, alpha);
        else
            pool_gradient<T, V>(a, g, alpha, shared);
        float *weights = a.weights + k * a.weight_stride[0] + n * a.weight_stride[1];
        for (int c = threadIdx.x; a.weights && c < a.channels; c += cam_threads)
            weights[c * a.weight_stride[2]] = alpha[c];
    }

    float *map = a.map + k * a.map_stride[0] + n * a.map_stride[1], low = INFINITY, high = -INFINITY;
    const int together = cam_threads / a.lanes, mine = threadIdx.x / a.lanes, lane = threadIdx.x % a.lanes;
#pragma unroll 1
    for (int first = 0; first < a.count; first += together * many) {
        int at[many], g_at[many] = {}, pixel[many];
        float sum[many] = {};
#pragma unroll
        for (int u = 0; u < many; u++) { /* past the end: the last one again */
            pixel[u] = first + u * together + mine;
            const int p = pixel[u] < a.count ? pixel[u] : a.count - 1;
            at[u] = pixel_at(a, a.a_plane, p);
            if constexpr (Elementwise)
                g_at[u] = pixel_at(a, a.g_plane, p);
        }
        if (id >= 0)
            pixel_sums<T, V, Elementwise>(a, act, g, alpha, at, g_at, sum);
#pragma unroll
        for (int u = 0; u < many; u++) {
            if (pixel[u] >= a.count)
                continue;
            low = smaller(sum[u], low);
            high = larger(sum[u], high);
            if (lane == 0)
                map[pixel_at(a, a.map_plane, pixel[u])] = sum[u] < 0 && !a.keep_sign ? 0 : sum[u];
        }
    }
    write_range(low, high, a.range + k * a.range_stride[0] + n * a.range_stride[1], a.range_stride[2]);
#ifdef BCAM_PLANT_GLOBAL_OVERRUN
    if (threadIdx.x == 0)
        a.map[(int64_t)a.count * a.photos * a.k] = 1;
#endif
#ifdef BCAM_PLANT_BLOCK_RACE
    if (threadIdx.x == 0)
        a.range[0] = low;
#endif
}

/* ---- launchers ---- */

/* Whether an int counts the elements between the first and the last of a photo, with room for a step more. */
static bool fits_int(const bcam_tensor *t)
{
    int64_t last = 0;
    for (int i = 1; i < 4; i++)
        last += (t->dim[i] - 1) * t->stride[i];
    return last < (int64_t)1 << 30 && t->dim[1] < (int64_t)1 << 30;
}

/* Weights that shared memory cannot hold beside the partial sums. */
constexpr int64_t most_shared_channels = (48 * 1024 - 1024) / (int64_t)sizeof(float) - 8 * cam_threads;

static int power_of_two_up_to(int64_t n, int most)
{
    int p = 1;
    while (p < most && p < n)
        p *= 2;
    return p;
}

template <typename T, int V> static cudaError_t launch_cam(CamArgs args, bool elementwise, cudaStream_t stream)
{
    int groups = args.channels / V;
    args.lanes = power_of_two_up_to(groups, warp);
    args.group_lanes = groups < cam_threads ? groups : cam_threads;
    size_t shared =
        sizeof(float) * (size_t)(V * cam_threads + (args.alpha || !args.need_weights ? 0 : (int64_t)args.channels));
    return elementwise ? launch<cam<T, V, true>>(args.photos * args.k, cam_threads, shared, stream, args)
                       : launch<cam<T, V, false>>(args.photos * args.k, cam_threads, shared, stream, args);
}

static CamArgs cam_args(const bcam_kernel_call *call)
{
    const bcam_cam_attr *attr = &call->step->u.cam;
    const bcam_tensor *a = &call->in[0], *g = &call->in[1], *ids = &call->in[2];
    const bcam_tensor *map = &call->out[0], *range = &call->out[1], *weights = &call->out[2];
    CamArgs args = {};
    args.a = a->data;
    args.g = g->data;
    args.ids = static_cast<const int *>(ids->data);
    args.map = static_cast<float *>(map->data);
    args.range = static_cast<float *>(range->data);
    args.weights = static_cast<float *>(weights->data);
    args.a_photo = a->stride[0];
    args.g_photo = g->stride[0];
    args.a_plane = {(int)a->stride[1], (int)a->stride[2], (int)a->stride[3]};
    args.g_plane = {(int)g->stride[1], (int)g->stride[2], (int)g->stride[3]}; /* of a table the first alone */
    args.map_plane = {0, (int)map->stride[2], (int)map->stride[3]};
    take_strides(args.id_stride, ids);
    take_strides(args.map_stride, map);
    take_strides(args.range_stride, range);
    take_strides(args.weight_stride, weights);
    args.channels = (int)a->dim[1];
    args.count = (int)(a->dim[2] * a->dim[3]);
    args.columns = Divider::by(a->dim[3]);
    args.k = map->dim[0];
    args.photos = map->dim[1];
    args.constant = attr->constant;
    args.classes = attr->constant ? g->dim[0] : INT32_MAX;
    args.table_is_float = g->dtype == BCAM_F32;
    args.keep_sign = attr->signed_map;
    args.need_weights = attr->constant || attr->kind == BCAM_CAM_POOLED || weights->data;
    args.alpha = args.need_weights && args.channels > most_shared_channels ? call->scratch : nullptr;
    return args;
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_CAM(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *a = &call->in[0], *g = &call->in[1];
    const bool constant = call->step->u.cam.constant,
               elementwise = !constant && call->step->u.cam.kind == BCAM_CAM_ELEMENTWISE;
    CamArgs args = cam_args(call);
    if (!fits_int(a) || (!constant && !fits_int(g)) || !fits_int(&call->out[0]) ||
        args.photos * args.k >= (int64_t)1 << 31)
        return cudaErrorInvalidValue;
    return by_type(a->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        bool pack = takes_packs(a, wide<T>) && (constant || takes_packs(g, wide<T>));
        return pack ? launch_cam<T, wide<T>>(args, elementwise, stream) : launch_cam<T, 1>(args, elementwise, stream);
    });
}

extern "C" size_t bcam_kernel_scratch_cam(const bcam_kernel_call *call)
{
    int64_t channels = call->in[0].dim[1];
    return channels > most_shared_channels
               ? (size_t)(call->out[0].dim[0] * call->out[0].dim[1] * channels) * sizeof(float)
               : 0;
}
