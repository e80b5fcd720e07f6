/* reduce.cu - REDUCE, BINARY_BWD; sums for COPY_BWD.
 *
 *   fold_across   out = sum (or maximum) of terms, outputs side by side in memory: threads take packs of outputs, and
 *                 `splits` of them share the terms of one pack. Reads every operand once, writes every output once;
 *                 partial sums meet in shared memory.
 *   fold_along    the same, terms side by side: a warp an output, lanes in turn over the terms
 *
 * Which threads share a sum, and in which order its parts are added, follows from the number of terms alone: never from
 * the batch or the grid.
 */
#include "box.h"

namespace bcam {

/* Powers stand apart: eight at once would need more registers than there are. */
enum Family { OF_REDUCE, OF_BINARY, OF_POWER };

struct FoldArgs {
    Box<4> kept, folded; /* out, x or dy, a, b: `kept` walks over the outputs, `folded` over the terms of one */
    void *out;
    const void *in[3];
    int kind;      /* bcam_reduce_kind, or 2 * bcam_binary_kind + which */
    bool moves[3]; /* whether the packed axis moves an operand */
    int splits;
    float count;
};

/* clang-format off */
/* KIND(NAME, da, db)   the gradients, of a, b and dy, as src/cpu/elementwise.inc has them */
#define POWER_GRADIENTS(KIND)                                                                                          \
    KIND(POW, b == 0 ? 0 : dy * (b * powf(a, b - 1)), a == 0 && b >= 0 ? 0 : dy * (powf(a, b) * logf(a)))
#define BINARY_GRADIENTS(KIND)                                                                                         \
    KIND(ADD, dy, dy)                                                                                                  \
    KIND(SUB, dy, -dy)                                                                                                 \
    KIND(MUL, dy * b, dy * a)                                                                                          \
    KIND(DIV, dy / b, -dy * (a / b / b))                                                                               \
    KIND(MAX, a == b ? dy / 2 : a < b ? 0 : dy, a == b ? dy / 2 : a > b ? 0 : dy)                                      \
    KIND(MIN, a == b ? dy / 2 : a > b ? 0 : dy, a == b ? dy / 2 : a < b ? 0 : dy)
/* clang-format on */

template <int V, Family F>
__device__ __forceinline__ Floats<V> gradient(const Floats<V> &pdy, const Floats<V> &pa, const Floats<V> &pb, int kind)
{
    Floats<V> term = {};
#define GRADIENT_CASE(NUMBER, expression)                                                                              \
    case NUMBER:                                                                                                       \
        _Pragma("unroll") for (int i = 0; i < V; i++)                                                                  \
        {                                                                                                              \
            const float dy = pdy.at[i], a = pa.at[i], b = pb.at[i];                                                    \
            (void)a, (void)b;                                                                                          \
            term.at[i] = expression;                                                                                   \
        }                                                                                                              \
        break;
#define GRADIENT_CASES(NAME, da, db)                                                                                   \
    GRADIENT_CASE(2 * BCAM_BINARY_##NAME, da)                                                                          \
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

template <typename T, int V>
__device__ __forceinline__ Floats<V> operand(const FoldArgs &a, int i, const int64_t (&at)[4])
{
    return unpack(load_raw_or_repeat<T, V>(static_cast<const T *>(a.in[i]) + at[i + 1], a.moves[i]));
}

template <int V> __device__ __forceinline__ void add(Floats<V> &sum, const Floats<V> &term, bool max)
{
#pragma unroll
    for (int i = 0; i < V; i++)
        sum.at[i] = max ? larger(term.at[i], sum.at[i]) : sum.at[i] + term.at[i];
}

/* Terms first, first + step, … of the output at `base`, gradients of a binary step. */
template <typename T, int V, Family F>
__device__ __forceinline__ Floats<V> gradients_from(const FoldArgs &a, const int64_t (&base)[4], int64_t first,
                                                    int64_t step)
{
    Floats<V> sum = all_of<V>(0);
    int64_t at[4];
    for (int64_t f = first; f < a.folded.count; f += step) {
        a.folded.locate(f, at);
#pragma unroll
        for (int i = 0; i < 4; i++)
            at[i] += base[i];
        const Floats<V> dy = operand<T, V>(a, 0, at);
        add(sum, gradient<V, F>(dy, operand<T, V>(a, 1, at), operand<T, V>(a, 2, at), a.kind), false);
    }
    return sum;
}

/* Terms first, first + step, … of a reduction: four loads at a time. */
template <typename T, int V>
__device__ __forceinline__ Floats<V> terms_from(const FoldArgs &a, int64_t base, int64_t first, int64_t step)
{
    const bool max = a.kind == BCAM_REDUCE_MAX;
    const float none = max ? -INFINITY : 0;
    const T *x = static_cast<const T *>(a.in[0]) + base;
    Floats<V> sum = all_of<V>(none);
#pragma unroll 1
    for (int64_t f = first; f < a.folded.count; f += 4 * step) {
        Raw<T, V> raw[4];
        const T *p[4];
#pragma unroll
        for (int u = 0; u < 4; u++) { /* past the end: the first again, which does not count */
            int64_t at[4];
            a.folded.locate(f + u * step < a.folded.count ? f + u * step : f, at);
            p[u] = x + at[1];
        }
#pragma unroll
        for (int u = 0; u < 4; u++)
            raw[u] = load_raw<T, V>(p[u]);
#pragma unroll
        for (int u = 0; u < 4; u++) {
            Floats<V> v = unpack(raw[u]);
            const bool there = f + u * step < a.folded.count;
#pragma unroll
            for (int i = 0; i < V; i++)
                v.at[i] = !there ? none : a.kind == BCAM_REDUCE_L2 ? v.at[i] * v.at[i] : v.at[i];
            add(sum, v, max);
        }
    }
    return sum;
}

template <typename T, int V, Family F>
__device__ __forceinline__ Floats<V> fold_from(const FoldArgs &a, const int64_t (&base)[4], int64_t first, int64_t step)
{
    if constexpr (F == OF_REDUCE)
        return terms_from<T, V>(a, base[1], first, step);
    else
        return gradients_from<T, V, F>(a, base, first, step);
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

/* What threads `mine`, mine + outs, … have come to, in this order, to the first of them. */
template <int V>
__device__ __forceinline__ void meet_splits(Floats<V> &sum, float *part, int outs, int splits, bool max)
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
    BCAM_SHARED(float, part, threads_of_block *V);
    const int outs = threads_of_block / a.splits, mine = threadIdx.x % outs, split = threadIdx.x / outs;
    const bool max = is_max<F>(a);
    for (int64_t first = (int64_t)blockIdx.x * outs; first < a.kept.count; first += (int64_t)gridDim.x * outs) {
        const bool there = first + mine < a.kept.count;
        Floats<V> sum = all_of<V>(max ? -INFINITY : 0);
        int64_t base[4] = {};
        if (there) {
            a.kept.locate(first + mine, base);
            sum = fold_from<T, V, F>(a, base, split, a.splits);
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
        int64_t base[4];
        a.kept.locate(out, base);
        const Floats<V> sum = fold_from<T, V, F>(a, base, lane, warp);
        float all = sum.at[0];
#pragma unroll
        for (int i = 1; i < V; i++)
            all = max ? larger(sum.at[i], all) : all + sum.at[i];
        all = max ? max_of_lanes(all) : sum_of_lanes(all);
        if (lane == 0)
            static_cast<T *>(a.out)[base[0]] = from_float<T>(finished<F>(a, all));
    }
}

/* ---- launchers ---- */

static int64_t size_of(int64_t v)
{
    return v < 0 ? -v : v;
}

/* Whether the terms of an output lie closer together than the outputs do. */
static bool terms_are_closer(const Box<4> &kept, const Box<4> &folded)
{
    int64_t between_terms = size_of(folded.stride[1][folded.rank - 1]),
            between_outputs = size_of(kept.stride[1][kept.rank - 1]);
    return folded.count > 1 && between_terms != 0 &&
           (kept.count == 1 || between_outputs == 0 || between_terms < between_outputs);
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

template <typename T, Family F>
static cudaError_t launch_fold(FoldArgs args, const View (&views)[4], cudaStream_t stream)
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

cudaError_t fold_sum(int rank, const int64_t *dim, const View &out, const View &x, bcam_dtype dtype,
                     cudaStream_t stream)
{
    const View views[4] = {out, x, {}, {}};
    unsigned folded = 0;
    for (int a = 0; a < rank; a++)
        folded |= out.stride[a] == 0 ? 1u << a : 0;
    FoldArgs args = fold_args(rank, dim, folded, views, BCAM_REDUCE_SUM);
    return by_type(
        dtype, [&](auto type) { return launch_fold<typename decltype(type)::type, OF_REDUCE>(args, views, stream); });
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_REDUCE(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_reduce_attr *attr = &call->step->u.reduce;
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    const View views[4] = {view_broadcast(y, x->rank, x->dim), view_of(x), {}, {}};
    FoldArgs args = fold_args(x->rank, x->dim, attr->axes, views, attr->kind);
    return by_type(x->dtype, [&](auto type) {
        return launch_fold<typename decltype(type)::type, OF_REDUCE>(args, views, stream);
    });
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
    FoldArgs args =
        fold_args(dy->rank, dy->dim, folded, views, 2 * (int)call->step->u.binary.kind + call->step->u.binary.which);
    return by_type(dy->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        return call->step->u.binary.kind == BCAM_BINARY_POW ? launch_fold<T, OF_POWER>(args, views, stream)
                                                            : launch_fold<T, OF_BINARY>(args, views, stream);
    });
}
