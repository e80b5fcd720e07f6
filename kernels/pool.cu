/* pool.cu - POOL and POOL_BWD: maximum or average over windows.
 *
 *   pool       a thread takes a pack of channels of one output and reads its window, all of it at once where it is 3x3
 *              at most. Reads x about (kernel/stride)^2 times, from the cache
 *   pool_bwd   a thread takes a pack of channels of one input and visits the windows that hold it, in scan order, so
 *              that nothing is added by two threads at once; for a maximum it finds each window's first maximum anew.
 *              Reads dy and x from the cache, writes dx
 */
#include "box.h"

namespace bcam {

struct Side { /* one of the two tensors (N,C,H,W) */
    int64_t stride[4];
    int size[2]; /* rows, columns */
};

struct PoolArgs {
    Side photo, window;  /* where x and dx lie; where y and dy lie */
    int64_t x_stride[4]; /* backwards, of x beside dx */
    const void *in, *x;
    void *out;
    int kernel[2], stride[2], dilation[2], begin[2], end[2];
    bool max, count_pad;
    int64_t count; /* packs of the output */
    Divider packs, columns, rows;
    bool small;
};

__device__ __forceinline__ int above(int n, int d) /* n / d, rounded up; n >= 0 */
{
    return (n + d - 1) / d;
}

/* The taps of one axis of a window that lie inside the photo: [first, last). */
struct Taps {
    int start, first, last, padded;
};

/* How many taps lie less than `room` from the first; no division where all do. */
__device__ __forceinline__ int taps_before(int room, int kernel, int dilation)
{
    return room > (kernel - 1) * dilation ? kernel : room > 0 ? above(room, dilation) : 0;
}

__device__ __forceinline__ Taps taps_of(const PoolArgs &a, int axis, int out)
{
    Taps t;
    const int kernel = a.kernel[axis], size = a.photo.size[axis], dilation = a.dilation[axis];
    t.start = out * a.stride[axis] - a.begin[axis];
    t.first = t.start < 0 ? above(-t.start, dilation) : 0;
    t.last = taps_before(size - t.start, kernel, dilation);
    t.padded = a.count_pad ? taps_before(size + a.end[axis] - t.start, kernel, dilation) : 0;
    return t;
}

/* What an average is divided by; 0: the window lies outside. */
__device__ __forceinline__ float divisor_of(const PoolArgs &a, const Taps &r, const Taps &s)
{
    if (r.first >= r.last || s.first >= s.last)
        return 0;
    return a.count_pad ? (float)r.padded * (float)s.padded : (float)(r.last - r.first) * (float)(s.last - s.first);
}

/* The output's place that a thread works at. */
struct Place {
    int64_t n, channel;
    int row, column;
};

template <int V> __device__ __forceinline__ Place place_of(const PoolArgs &a, int64_t i)
{
    Place p;
    int64_t column = a.packs.of(i, a.small), row = a.columns.of(column, a.small), n = a.rows.of(row, a.small);
    p.channel = (i - column * a.packs.d) * V;
    p.column = (int)(column - row * a.columns.d);
    p.row = (int)(row - n * a.rows.d);
    p.n = n;
    return p;
}

template <typename T, int V> __device__ __forceinline__ void take(Floats<V> &sum, const Floats<V> &v, bool max)
{
#pragma unroll
    for (int j = 0; j < V; j++)
        sum.at[j] = max ? larger(v.at[j], sum.at[j]) : sum.at[j] + v.at[j];
}

/* The taps of a window one after the other. */
template <typename T, int V>
__device__ __forceinline__ Floats<V> walk_window(const PoolArgs &a, const T *x, const Taps &r, const Taps &s)
{
    Floats<V> sum = all_of<V>(a.max ? -INFINITY : 0);
    for (int h = r.first; h < r.last; h++)
        for (int w = s.first; w < s.last; w++)
            take<T, V>(sum,
                       load<T, V>(x + (r.start + h * a.dilation[0]) * a.photo.stride[2] +
                                  (s.start + w * a.dilation[1]) * a.photo.stride[3]),
                       a.max);
    return sum;
}

/* A window of 3x3 taps at most: all are loaded before the first is looked at. Those outside are 0 in a sum, and the
 * nearest one inside, which changes no maximum. At least one is inside. */
template <typename T, int V>
__device__ __forceinline__ Floats<V> take_window(const PoolArgs &a, const T *x, const Taps &r, const Taps &s)
{
    Raw<T, V> raw[3][3];
#pragma unroll
    for (int h = 0; h < 3; h++)
#pragma unroll
        for (int w = 0; w < 3; w++) {
            const int row = min(max(h, r.first), r.last - 1), column = min(max(w, s.first), s.last - 1);
            raw[h][w] = load_raw<T, V>(x + (r.start + row * a.dilation[0]) * a.photo.stride[2] +
                                       (s.start + column * a.dilation[1]) * a.photo.stride[3]);
        }
    Floats<V> sum = all_of<V>(a.max ? -INFINITY : 0);
#pragma unroll
    for (int h = 0; h < 3; h++)
#pragma unroll
        for (int w = 0; w < 3; w++)
            if (a.max || (h >= r.first && h < r.last && w >= s.first && w < s.last))
                take<T, V>(sum, unpack(raw[h][w]), a.max);
    return sum;
}

template <typename T, int V, bool Small> __global__ void BCAM_BOUNDS pool(PoolArgs a)
{
    for (int64_t i = first_of_grid(); i < a.count; i += stride_of_grid()) {
        const Place p = place_of<V>(a, i);
        const Taps r = taps_of(a, 0, p.row), s = taps_of(a, 1, p.column);
        const T *x = static_cast<const T *>(a.in) + p.n * a.photo.stride[0] + p.channel * a.photo.stride[1];
        Floats<V> sum = all_of<V>(a.max ? -INFINITY : 0);
        if (r.first < r.last && s.first < s.last)
            sum = Small ? take_window<T, V>(a, x, r, s) : walk_window<T, V>(a, x, r, s);
        const float divisor = divisor_of(a, r, s);
#pragma unroll
        for (int j = 0; j < V; j++)
            sum.at[j] = a.max ? sum.at[j] : divisor > 0 ? sum.at[j] / divisor : 0;
        store<T, V>(static_cast<T *>(a.out) + p.n * a.window.stride[0] + p.channel * a.window.stride[1] +
                        p.row * a.window.stride[2] + p.column * a.window.stride[3],
                    sum);
    }
}

/* For each channel, the tap (row * kernel + column) of the first maximum in scan order; as in PyTorch a NaN wins, the
 * last one of several, and -inf everywhere means the first. */
template <typename T, int V> struct First {
    int at[V];
};

template <typename T, int V>
__device__ __forceinline__ First<T, V> first_maximum(const PoolArgs &a, const T *x, const Taps &r, const Taps &s)
{
    First<T, V> first;
    Floats<V> best = {};
#pragma unroll
    for (int j = 0; j < V; j++)
        first.at[j] = -1;
    for (int h = r.first; h < r.last; h++)
        for (int w = s.first; w < s.last; w++) {
            const Floats<V> v = load<T, V>(x + (r.start + h * a.dilation[0]) * a.x_stride[2] +
                                           (s.start + w * a.dilation[1]) * a.x_stride[3]);
#pragma unroll
            for (int j = 0; j < V; j++)
                if (first.at[j] < 0 || v.at[j] > best.at[j] || v.at[j] != v.at[j]) {
                    first.at[j] = h * a.kernel[1] + w;
                    best.at[j] = v.at[j];
                }
        }
    return first;
}

/* Outputs [low, high] whose windows can reach a place of the input. */
struct Reach {
    int low, high;
};

__device__ __forceinline__ Reach reach_of(const PoolArgs &a, int axis, int at)
{
    const int span = (a.kernel[axis] - 1) * a.dilation[axis], from = at + a.begin[axis];
    return {from > span ? above(from - span, a.stride[axis]) : 0, min(from / a.stride[axis], a.window.size[axis] - 1)};
}

template <typename T, int V, bool Max> __global__ void BCAM_BOUNDS pool_bwd(PoolArgs a)
{
    for (int64_t i = first_of_grid(); i < a.count; i += stride_of_grid()) {
        const Place p = place_of<V>(a, i);
        const Reach rows = reach_of(a, 0, p.row), columns = reach_of(a, 1, p.column);
        const T *dy = static_cast<const T *>(a.in) + p.n * a.window.stride[0] + p.channel * a.window.stride[1];
        const T *x = Max ? static_cast<const T *>(a.x) + p.n * a.x_stride[0] + p.channel * a.x_stride[1] : nullptr;
        Floats<V> sum = all_of<V>(0);
        for (int oh = rows.low; oh <= rows.high; oh++)
            for (int ow = columns.low; ow <= columns.high; ow++) {
                const Taps r = taps_of(a, 0, oh), s = taps_of(a, 1, ow);
                const int h = p.row - r.start, w = p.column - s.start;
                if (h % a.dilation[0] || w % a.dilation[1])
                    continue;
                const Floats<V> g = load<T, V>(dy + oh * a.window.stride[2] + ow * a.window.stride[3]);
                if constexpr (Max) {
                    const int tap = h / a.dilation[0] * a.kernel[1] + w / a.dilation[1];
                    const First<T, V> first = first_maximum<T, V>(a, x, r, s);
#pragma unroll
                    for (int j = 0; j < V; j++)
                        sum.at[j] += first.at[j] == tap ? g.at[j] : 0;
                } else {
                    const float divisor = divisor_of(a, r, s);
#pragma unroll
                    for (int j = 0; j < V; j++)
                        sum.at[j] += g.at[j] / divisor;
                }
            }
        store<T, V>(static_cast<T *>(a.out) + p.n * a.photo.stride[0] + p.channel * a.photo.stride[1] +
                        p.row * a.photo.stride[2] + p.column * a.photo.stride[3],
                    sum);
    }
}

/* ---- launchers ---- */

static Side side_of(const bcam_tensor *t)
{
    Side side = {{}, {(int)t->dim[2], (int)t->dim[3]}};
    for (int i = 0; i < 4; i++)
        side.stride[i] = t->stride[i];
    return side;
}

static PoolArgs pool_args(const bcam_pool_attr *attr, const bcam_tensor *photo, const bcam_tensor *window)
{
    PoolArgs args = {};
    args.photo = side_of(photo);
    args.window = side_of(window);
    for (int d = 0; d < 2; d++) {
        args.kernel[d] = (int)attr->kernel[d];
        args.stride[d] = (int)attr->stride[d];
        args.dilation[d] = (int)attr->dilation[d];
        args.begin[d] = (int)attr->pad_begin[d];
        args.end[d] = (int)attr->pad_end[d];
    }
    args.max = attr->max;
    args.count_pad = attr->count_pad;
    return args;
}

/* Sizes and pads must leave room in an int; no network comes near. */
static bool fits(const bcam_pool_attr *attr, const bcam_tensor *photo, const bcam_tensor *window)
{
    const int64_t most = 1 << 20;
    for (int d = 0; d < 2; d++)
        if (photo->dim[2 + d] > most || window->dim[2 + d] > most || attr->kernel[d] > 1024 || attr->stride[d] > 1024 ||
            attr->dilation[d] > 1024 || attr->pad_begin[d] > most || attr->pad_end[d] > most)
            return false;
    return true;
}

static void divide(PoolArgs *args, const bcam_tensor *out, int v)
{
    args->packs = Divider::by(out->dim[1] / v);
    args->columns = Divider::by(out->dim[3]);
    args->rows = Divider::by(out->dim[2]);
    args->count = bcam_count(4, out->dim) / v;
    args->small = args->count < (int64_t)1 << 31;
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_POOL(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    if (!fits(&call->step->u.pool, x, y))
        return cudaErrorInvalidValue;
    PoolArgs args = pool_args(&call->step->u.pool, x, y);
    args.in = x->data;
    args.out = y->data;
    return by_type(y->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        bool pack = takes_packs(x, wide<T>) && takes_packs(y, wide<T>);
        divide(&args, y, pack ? wide<T> : 1);
        int64_t blocks = blocks_for(args.count);
        if (args.kernel[0] <= 3 && args.kernel[1] <= 3)
            return pack ? launch<pool<T, wide<T>, true>>(blocks, threads_of_block, 0, stream, args)
                        : launch<pool<T, 1, true>>(blocks, threads_of_block, 0, stream, args);
        return pack ? launch<pool<T, wide<T>, false>>(blocks, threads_of_block, 0, stream, args)
                    : launch<pool<T, 1, false>>(blocks, threads_of_block, 0, stream, args);
    });
}

extern "C" cudaError_t bcam_kernel_POOL_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *dy = &call->in[0], *x = &call->in[1], *dx = &call->out[0];
    if (!fits(&call->step->u.pool, dx, dy))
        return cudaErrorInvalidValue;
    PoolArgs args = pool_args(&call->step->u.pool, dx, dy);
    args.in = dy->data;
    args.x = x->data;
    args.out = dx->data;
    for (int i = 0; i < 4 && x->data; i++)
        args.x_stride[i] = x->stride[i];
    return by_type(dx->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        bool pack = takes_packs(dx, wide<T>) && takes_packs(dy, wide<T>) && takes_packs(x, wide<T>);
        divide(&args, dx, pack ? wide<T> : 1);
        int64_t blocks = blocks_for(args.count);
        if (args.max)
            return pack ? launch<pool_bwd<T, wide<T>, true>>(blocks, threads_of_block, 0, stream, args)
                        : launch<pool_bwd<T, 1, true>>(blocks, threads_of_block, 0, stream, args);
        return pack ? launch<pool_bwd<T, wide<T>, false>>(blocks, threads_of_block, 0, stream, args)
                    : launch<pool_bwd<T, 1, false>>(blocks, threads_of_block, 0, stream, args);
    });
}
