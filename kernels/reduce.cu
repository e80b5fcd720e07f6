/* reduce.cu - REDUCE, BINARY_BWD, the gradient of REDUCE, SOFTMAX and its gradient; sums for COPY_BWD.
 *
 *   fold_across   out = sum (or maximum) of terms, outputs side by side in memory: threads take packs of outputs, and `splits` of them share
 *                 the terms of one pack. Reads every operand once, writes every output once; partial sums meet in shared memory.
 *   fold_along    the same, terms side by side: a warp an output, lanes in turn over the terms
 *   spread        dx = dy / count, or dy x / y: the gradient of a mean, a sum, a length. Reads dy (x, y), writes dx
 *   share         dx = dy / (number of equals) where x == y: the gradient of a maximum. Reads x twice, writes dx
 *   softmax       three passes over a row, of which the cache serves two
 *
 * Which threads share a sum, and in which order its parts are added, follows from the number of terms alone: never from the batch or the grid.
 */
#include "device.h"

namespace bcam {

/* Powers stand apart: eight at once would need more registers than there are. */
enum Family { OF_REDUCE, OF_BINARY, OF_POWER };

struct FoldArgs {
    Box<4> kept, folded; /* out, x or dy, a, b: `kept` walks over the outputs, `folded` over the terms of one */
    void *out;
    const void *in[3];
    int kind; /* bcam_reduce_kind, or 2 * bcam_binary_kind + which */
    bool moves[3]; /* whether the packed axis moves an operand */
    int splits;
    float count;
};

/* clang-format off */
/* KIND(NAME, da, db)   the gradients, of a, b and dy, as src/cpu/elementwise.inc has them */
#define POWER_GRADIENTS(KIND)                                                                                           \
    KIND(POW, b == 0 ? 0 : dy * (b * powf(a, b - 1)), a == 0 && b >= 0 ? 0 : dy * (powf(a, b) * logf(a)))
#define BINARY_GRADIENTS(KIND)                                                                                          \
    KIND(ADD, dy, dy)                                                                                                   \
    KIND(SUB, dy, -dy)                                                                                                  \
    KIND(MUL, dy * b, dy * a)                                                                                           \
    KIND(DIV, dy / b, -dy * (a / b / b))                                                                                \
    KIND(MAX, a == b ? dy / 2 : a < b ? 0 : dy, a == b ? dy / 2 : a > b ? 0 : dy)                                       \
    KIND(MIN, a == b ? dy / 2 : a > b ? 0 : dy, a == b ? dy / 2 : a < b ? 0 : dy)
/* clang-format on */

template <int V, Family F> __device__ __forceinline__ Floats<V> gradient(const Floats<V> &pdy, const Floats<V> &pa, const Floats<V> &pb, int kind)
{
    Floats<V> term = {};
#define GRADIENT_CASE(NUMBER, expression)                                                                               \
    case NUMBER:                                                                                                        \
        _Pragma("unroll") for (int i = 0; i < V; i++)                                                                   \
        {                                                                                                               \
            const float dy = pdy.at[i], a = pa.at[i], b = pb.at[i];                                                     \
            (void)a, (void)b;                                                                                           \
            term.at[i] = expression;                                                                                    \
        }                                                                                                               \
        break;
#define GRADIENT_CASES(NAME, da, db)                                                                                    \
    GRADIENT_CASE(2 * BCAM_BINARY_##NAME, da)                                                                           \
    GRADIENT_CASE(2 * BCAM_BINARY_##NAME + 1, db)
    if constexpr (F == OF_POWER)
        switch (kind) {
            POWER_GRADIENTS(GRADIENT_CASES)
        }
    else
        switch (kind) {
            BINARY_GRADIENTS(GRADIENT_CASES)
        }
    return term;
}

template <typename T, int V> __device__ __forceinline__ Floats<V> operand(const FoldArgs &a, int i, const int64_t (&at)[4])
{
    const T *p = static_cast<const T *>(a.in[i]) + at[i + 1];
    return a.moves[i] ? load<T, V>(p) : all_of<V>(to_float(*p));
}

template <typename T, int V, Family F> __device__ __forceinline__ Floats<V> term_of(const FoldArgs &a, const int64_t (&at)[4])
{
    Floats<V> x = operand<T, V>(a, 0, at);
    if constexpr (F != OF_REDUCE)
        return gradient<V, F>(x, operand<T, V>(a, 1, at), operand<T, V>(a, 2, at), a.kind);
    if (a.kind == BCAM_REDUCE_L2)
#pragma unroll
        for (int i = 0; i < V; i++)
            x.at[i] *= x.at[i];
    return x;
}

template <Family F> __device__ __forceinline__ bool is_max(const FoldArgs &a)
{
    return F == OF_REDUCE && a.kind == BCAM_REDUCE_MAX;
}

template <Family F> __device__ __forceinline__ float finished(const FoldArgs &a, float sum)
{
    if (F == OF_REDUCE && a.kind == BCAM_REDUCE_MEAN)
        return sum / a.count;
    return F == OF_REDUCE && a.kind == BCAM_REDUCE_L2 ? sqrtf(sum) : sum;
}

template <int V> __device__ __forceinline__ void add(Floats<V> &sum, const Floats<V> &term, bool max)
{
#pragma unroll
    for (int i = 0; i < V; i++)
        sum.at[i] = max ? larger(term.at[i], sum.at[i]) : sum.at[i] + term.at[i];
}

/* What threads `mine`, mine + outs, … have come to, in this order, to the first of them. */
template <int V> __device__ __forceinline__ void meet_splits(Floats<V> &sum, float *part, int outs, int splits, bool max)
{
    __syncthreads();
#pragma unroll
    for (int i = 0; i < V; i++)
        part[i * threads_of_block + threadIdx.x] = sum.at[i];
    __syncthreads();
    if ((int)threadIdx.x < outs)
        for (int s = 1; s < splits; s++) {
            Floats<V> other;
#pragma unroll
            for (int i = 0; i < V; i++)
                other.at[i] = part[i * threads_of_block + threadIdx.x + s * outs];
            add(sum, other, max);
        }
}

template <typename T, int V, Family F> __global__ void BCAM_BOUNDS fold_across(FoldArgs a)
{
    BCAM_SHARED(float, part, threads_of_block * V);
    const int outs = threads_of_block / a.splits, mine = threadIdx.x % outs, split = threadIdx.x / outs;
    const bool max = is_max<F>(a);
    for (int64_t first = (int64_t)blockIdx.x * outs; first < a.kept.count; first += (int64_t)gridDim.x * outs) {
        const bool there = first + mine < a.kept.count;
        Floats<V> sum = all_of<V>(max ? -INFINITY : 0);
        int64_t base[4] = {}, at[4];
        if (there)
            a.kept.locate(first + mine, base);
        for (int64_t f = split; there && f < a.folded.count; f += a.splits) {
            a.folded.locate(f, at);
#pragma unroll
            for (int i = 0; i < 4; i++)
                at[i] += base[i];
            add(sum, term_of<T, V, F>(a, at), max);
        }
        if (a.splits > 1)
            meet_splits(sum, part, outs, a.splits, max);
        if (!there || split > 0)
            continue;
#pragma unroll
        for (int i = 0; i < V; i++)
            sum.at[i] = finished<F>(a, sum.at[i]);
        store<T, V>(static_cast<T *>(a.out) + base[0], sum);
    }
}

template <typename T, int V, Family F> __global__ void BCAM_BOUNDS fold_along(FoldArgs a)
{
    const int lane = threadIdx.x % warp;
    const bool max = is_max<F>(a);
    for (int64_t out = first_of_grid() / warp; out < a.kept.count; out += stride_of_grid() / warp) {
        Floats<V> sum = all_of<V>(max ? -INFINITY : 0);
        int64_t base[4], at[4];
        a.kept.locate(out, base);
        for (int64_t f = lane; f < a.folded.count; f += warp) {
            a.folded.locate(f, at);
#pragma unroll
            for (int i = 0; i < 4; i++)
                at[i] += base[i];
            add(sum, term_of<T, V, F>(a, at), max);
        }
        float all = sum.at[0];
#pragma unroll
        for (int i = 1; i < V; i++)
            all = max ? larger(sum.at[i], all) : all + sum.at[i];
        all = max ? max_of_lanes(all) : sum_of_lanes(all);
        if (lane == 0)
            static_cast<T *>(a.out)[base[0]] = from_float<T>(finished<F>(a, all));
    }
}

/* ---- gradients of reductions ---- */

struct SpreadArgs {
    Box<4> box; /* dx, dy, x, y */
    void *dx;
    const void *dy, *x, *y; /* x and y for a length only */
    bool dy_moves, y_moves;
    float count;
};

template <typename T, int V> __global__ void BCAM_BOUNDS spread(SpreadArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[4];
        a.box.locate(i, at);
        const T *dy = static_cast<const T *>(a.dy) + at[1];
        Floats<V> pack = a.dy_moves ? load<T, V>(dy) : all_of<V>(to_float(*dy));
        if (a.x) {
            const T *py = static_cast<const T *>(a.y) + at[3];
            const Floats<V> x = load<T, V>(static_cast<const T *>(a.x) + at[2]), y = a.y_moves ? load<T, V>(py) : all_of<V>(to_float(*py));
#pragma unroll
            for (int j = 0; j < V; j++)
                pack.at[j] = y.at[j] == 0 ? 0 : x.at[j] * (pack.at[j] / y.at[j]);
        } else {
#pragma unroll
            for (int j = 0; j < V; j++)
                pack.at[j] /= a.count;
        }
        store<T, V>(static_cast<T *>(a.dx) + at[0], pack);
    }
}

struct ShareArgs {
    Box<4> kept, folded; /* dy, x, y, dx */
    const void *dy, *x, *y;
    void *dx;
};

template <typename T> __global__ void BCAM_BOUNDS share(ShareArgs a)
{
    const int lane = threadIdx.x % warp;
    const T *x = static_cast<const T *>(a.x);
    T *dx = static_cast<T *>(a.dx);
    for (int64_t out = first_of_grid() / warp; out < a.kept.count; out += stride_of_grid() / warp) {
        int64_t base[4], at[4];
        a.kept.locate(out, base);
        const float y = to_float(static_cast<const T *>(a.y)[base[2]]), dy = to_float(static_cast<const T *>(a.dy)[base[0]]);
        float equals = 0;
        for (int64_t f = lane; f < a.folded.count; f += warp) {
            a.folded.locate(f, at);
            equals += to_float(x[base[1] + at[1]]) == y;
        }
        equals = sum_of_lanes(equals);
        for (int64_t f = lane; f < a.folded.count; f += warp) {
            a.folded.locate(f, at);
            const float part = to_float(x[base[1] + at[1]]) == y ? dy : 0;
            dx[base[3] + at[3]] = from_float<T>(part / equals);
        }
    }
}

/* ---- softmax ---- */

struct SoftmaxArgs {
    Box<3> rows; /* y, x; backwards dx, dy, y */
    void *out;
    const void *in, *y;
    int64_t length, out_step, in_step, y_step; /* along the axis */
    int lanes;                                 /* that share a row: 32 where it is contiguous, else 1 */
    bool log;
};

template <typename T> __global__ void BCAM_BOUNDS softmax(SoftmaxArgs a)
{
    const int lane = threadIdx.x % a.lanes;
    for (int64_t row = first_of_grid() / a.lanes; row < a.rows.count; row += stride_of_grid() / a.lanes) {
        int64_t at[3];
        a.rows.locate(row, at);
        const T *x = static_cast<const T *>(a.in) + at[1];
        T *y = static_cast<T *>(a.out) + at[0];
        float max = -INFINITY, sum = 0, lost = 0;
        for (int64_t i = lane; i < a.length; i += a.lanes)
            max = larger(to_float(x[i * a.in_step]), max);
        if (a.lanes == warp)
            max = max_of_lanes(max);
        for (int64_t i = lane; i < a.length; i += a.lanes) { /* a lane may have the whole row: what an addition loses is kept */
            const float e = expf(to_float(x[i * a.in_step]) - max) - lost, next = sum + e;
            lost = next - sum - e;
            sum = next;
        }
        sum = sum_of_lanes(sum, a.lanes);
        const float log_sum = logf(sum);
        for (int64_t i = lane; i < a.length; i += a.lanes) {
            const float v = to_float(x[i * a.in_step]) - max;
            y[i * a.out_step] = from_float<T>(a.log ? v - log_sum : expf(v) / sum);
        }
    }
}

/* dx = y (dy - sum of dy y), or dy - e^y sum of dy for the logarithm. */
template <typename T> __global__ void BCAM_BOUNDS softmax_bwd(SoftmaxArgs a)
{
    const int lane = threadIdx.x % a.lanes;
    for (int64_t row = first_of_grid() / a.lanes; row < a.rows.count; row += stride_of_grid() / a.lanes) {
        int64_t at[3];
        a.rows.locate(row, at);
        const T *dy = static_cast<const T *>(a.in) + at[1], *y = static_cast<const T *>(a.y) + at[2];
        T *dx = static_cast<T *>(a.out) + at[0];
        float sum = 0;
        for (int64_t i = lane; i < a.length; i += a.lanes) {
            const float g = to_float(dy[i * a.in_step]);
            sum += a.log ? g : g * to_float(y[i * a.y_step]);
        }
        sum = sum_of_lanes(sum, a.lanes);
        for (int64_t i = lane; i < a.length; i += a.lanes) {
            const float g = to_float(dy[i * a.in_step]), v = to_float(y[i * a.y_step]);
            dx[i * a.out_step] = from_float<T>(a.log ? g - expf(v) * sum : v * (g - sum));
        }
    }
}

/* ---- launchers ---- */

/* Splits the axes of a box into those of `out` and those that it is repeated along. */
struct Axes {
    int64_t kept[BCAM_MAX_RANK], folded[BCAM_MAX_RANK];
};

static Axes split_axes(int rank, const int64_t *dim, unsigned folded)
{
    Axes axes;
    for (int a = 0; a < rank; a++) {
        axes.kept[a] = folded >> a & 1 ? 1 : dim[a];
        axes.folded[a] = folded >> a & 1 ? dim[a] : 1;
    }
    return axes;
}

static int64_t size_of(int64_t v)
{
    return v < 0 ? -v : v;
}

/* Whether the terms of an output lie closer together than the outputs do. */
static bool terms_are_closer(const Box<4> &kept, const Box<4> &folded)
{
    int64_t between_terms = size_of(folded.stride[1][folded.rank - 1]), between_outputs = size_of(kept.stride[1][kept.rank - 1]);
    return folded.count > 1 && between_terms != 0 && (kept.count == 1 || between_outputs == 0 || between_terms < between_outputs);
}

/* Whether all strides outside the packed axis are multiples of v, for the operands that it moves. */
static bool steps_fit(const Box<4> &box, const Box<4> &packed, int v)
{
    for (int i = 0; i < 4; i++)
        for (int a = 0; a < box.rank; a++)
            if (packed.stride[i][packed.rank - 1] != 0 && box.stride[i][a] % v)
                return false;
    return true;
}

/* Packs the last axis of one of the boxes where that can be. */
static bool pack_fold(FoldArgs *args, const View (&views)[4], bool along, int v)
{
    Box<4> *box = along ? &args->folded : &args->kept, *other = along ? &args->kept : &args->folded;
    bool pack = packs(*box, views, v, along ? 1 : 0) && steps_fit(*other, *box, v);
    for (int i = 0; i < 3; i++)
        args->moves[i] = box->stride[i + 1][box->rank - 1] != 0;
    if (pack)
        pack_box(box, v);
    return pack;
}

/* A few threads share an output that is made of many terms. */
static int splits_for(int64_t terms)
{
    return terms >= 1024 ? 32 : terms >= 32 ? 8 : terms >= 8 ? 2 : 1;
}

template <typename T, Family F> static cudaError_t launch_fold(FoldArgs args, const View (&views)[4], cudaStream_t stream)
{
    constexpr int V = F == OF_POWER ? 1 : wide<T>;
    bool along = terms_are_closer(args.kept, args.folded), pack = pack_fold(&args, views, along, V);
    if (along) {
        int64_t blocks = blocks_for(args.kept.count * warp);
        return pack ? launch<fold_along<T, V, F>>(blocks, threads_of_block, 0, stream, args)
                    : launch<fold_along<T, 1, F>>(blocks, threads_of_block, 0, stream, args);
    }
    args.splits = splits_for(args.folded.count);
    int64_t blocks = blocks_for(args.kept.count * args.splits);
    return pack ? launch<fold_across<T, V, F>>(blocks, threads_of_block, 0, stream, args)
                : launch<fold_across<T, 1, F>>(blocks, threads_of_block, 0, stream, args);
}

static FoldArgs fold_args(int rank, const int64_t *dim, unsigned folded, const View (&views)[4], int kind)
{
    Axes axes = split_axes(rank, dim, folded);
    FoldArgs args = {};
    args.kept = box_of(rank, axes.kept, views);
    args.folded = box_of(rank, axes.folded, views);
    args.out = const_cast<void *>(views[0].data);
    for (int i = 0; i < 3; i++)
        args.in[i] = views[i + 1].data;
    args.kind = kind;
    args.count = (float)args.folded.count;
    return args;
}

cudaError_t fold_sum(int rank, const int64_t *dim, const View &out, const View &x, bcam_dtype dtype, cudaStream_t stream)
{
    const View views[4] = {out, x, {}, {}};
    unsigned folded = 0;
    for (int a = 0; a < rank; a++)
        folded |= out.stride[a] == 0 ? 1u << a : 0;
    FoldArgs args = fold_args(rank, dim, folded, views, BCAM_REDUCE_SUM);
    return by_type(dtype, [&](auto type) { return launch_fold<typename decltype(type)::type, OF_REDUCE>(args, views, stream); });
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_REDUCE(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_reduce_attr *attr = &call->step->u.reduce;
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    const View views[4] = {view_broadcast(y, x->rank, x->dim), view_of(x), {}, {}};
    FoldArgs args = fold_args(x->rank, x->dim, attr->axes, views, attr->kind);
    return by_type(x->dtype, [&](auto type) { return launch_fold<typename decltype(type)::type, OF_REDUCE>(args, views, stream); });
}

extern "C" cudaError_t bcam_kernel_BINARY_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    /* Where the derivative does not read an operand, dy stands in for it. */
    const bcam_tensor *dy = &call->in[0], *out = &call->out[0];
    const bcam_tensor *a = &call->in[call->in[1].data ? 1 : 0], *b = &call->in[call->in[2].data ? 2 : 0];
    const View views[4] = {view_broadcast(out, dy->rank, dy->dim), view_of(dy), view_broadcast(a, dy->rank, dy->dim),
                           view_broadcast(b, dy->rank, dy->dim)};
    unsigned folded = 0;
    for (int axis = 0; axis < dy->rank; axis++) {
        int own = axis - (dy->rank - out->rank);
        if (own < 0 || out->dim[own] != dy->dim[axis])
            folded |= 1u << axis;
    }
    FoldArgs args = fold_args(dy->rank, dy->dim, folded, views, 2 * (int)call->step->u.binary.kind + call->step->u.binary.which);
    return by_type(dy->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return call->step->u.binary.kind == BCAM_BINARY_POW ? launch_fold<T, OF_POWER>(args, views, stream)
                                                            : launch_fold<T, OF_BINARY>(args, views, stream);
    });
}

static cudaError_t reduce_max_bwd(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *dy = &call->in[0], *x = &call->in[1], *y = &call->in[2], *dx = &call->out[0];
    const View views[4] = {view_broadcast(dy, x->rank, x->dim), view_of(x), view_broadcast(y, x->rank, x->dim), view_of(dx)};
    Axes axes = split_axes(x->rank, x->dim, call->step->u.reduce.axes);
    ShareArgs args = {box_of(x->rank, axes.kept, views), box_of(x->rank, axes.folded, views), dy->data, x->data, y->data, dx->data};
    return by_type(x->dtype, [&](auto type) {
        return launch<share<typename decltype(type)::type>>(blocks_for(args.kept.count * warp), threads_of_block, 0, stream, args);
    });
}

extern "C" cudaError_t bcam_kernel_REDUCE_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_reduce_attr *attr = &call->step->u.reduce;
    if (attr->kind == BCAM_REDUCE_MAX)
        return reduce_max_bwd(call, stream);
    static const bcam_tensor none = {};
    bool length = attr->kind == BCAM_REDUCE_L2;
    const bcam_tensor *dy = &call->in[0], *x = length ? &call->in[1] : &none, *y = length ? &call->in[2] : &none, *dx = &call->out[0];
    const View views[4] = {view_of(dx), view_broadcast(dy, dx->rank, dx->dim), view_of(x), view_broadcast(y, dx->rank, dx->dim)};
    SpreadArgs args = {box_of(dx->rank, dx->dim, views), dx->data, dy->data, x->data, y->data, true, true, 1};
    for (int a = 0; a < dx->rank && attr->kind == BCAM_REDUCE_MEAN; a++)
        args.count *= (float)(attr->axes >> a & 1 ? dx->dim[a] : 1);
    return by_type(dx->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        bool pack = packs(args.box, views, wide<T>);
        if (pack)
            pack_box(&args.box, wide<T>);
        args.dy_moves = args.box.stride[1][args.box.rank - 1] != 0;
        args.y_moves = args.box.stride[3][args.box.rank - 1] != 0;
        int64_t blocks = blocks_for(args.box.count);
        return pack ? launch<spread<T, wide<T>>>(blocks, threads_of_block, 0, stream, args)
                    : launch<spread<T, 1>>(blocks, threads_of_block, 0, stream, args);
    });
}

/* Rows are everything but the axis. */
static SoftmaxArgs softmax_args(const bcam_kernel_call *call, const bcam_tensor *in, const bcam_tensor *y, const bcam_tensor *out)
{
    const bcam_softmax_attr *attr = &call->step->u.softmax;
    int64_t dim[BCAM_MAX_RANK];
    for (int a = 0; a < out->rank; a++)
        dim[a] = a == attr->axis ? 1 : out->dim[a];
    const View views[3] = {view_of(out), view_of(in), view_of(y)};
    int lanes = in->stride[attr->axis] == 1 ? warp : 1;
    return {box_of(out->rank, dim, views), out->data, in->data, y->data, out->dim[attr->axis], out->stride[attr->axis],
            in->stride[attr->axis], y->stride[attr->axis], lanes, attr->log};
}

extern "C" cudaError_t bcam_kernel_SOFTMAX(const bcam_kernel_call *call, cudaStream_t stream)
{
    SoftmaxArgs args = softmax_args(call, &call->in[0], &call->in[0], &call->out[0]);
    return by_type(call->out[0].dtype, [&](auto type) {
        return launch<softmax<typename decltype(type)::type>>(blocks_for(args.rows.count * args.lanes), threads_of_block, 0, stream, args);
    });
}

extern "C" cudaError_t bcam_kernel_SOFTMAX_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    SoftmaxArgs args = softmax_args(call, &call->in[0], &call->in[1], &call->out[0]);
    return by_type(call->out[0].dtype, [&](auto type) {
        return launch<softmax_bwd<typename decltype(type)::type>>(blocks_for(args.rows.count * args.lanes), threads_of_block, 0, stream, args);
    });
}
