/* elementwise.cu - UNARY, NORM, BINARY, the gradient of the first two, and the epilogue that a library call could not
 * take.
 *
 *   unary       y = f(x)                                      reads x, writes y
 *   unary_bwd   dx = (dy + dy2) f'(v)                         reads dy, dy2 (or not) and v (x, y or nothing), writes dx
 *   affine      y = act(x scale[c] + shift[c] + residual)     reads x (and the residual), writes y; scale and shift
 *               stay in the cache
 *   binary      y = act(a op b), broadcasting                 reads a and b, writes y
 *
 * Every element is read once and written once, 16 bytes at a time where the innermost axis allows it; nothing else
 * moves.
 */
#include "box.h"

namespace bcam {

/* ---- the functions, as src/cpu/elementwise.inc has them ---- */

__device__ __forceinline__ float clip(float x, float low, float high)
{
    const float t = x < low ? low : x;
    return t > high ? high : t;
}

/* s + x s (1 - s), s the sigmoid. */
__device__ __forceinline__ float silu_slope(float x)
{
    const float s = 1 / (1 + expf(-x));
    return s * (1 + x * (1 - s));
}

/* clang-format off */
/* KIND(NAME, f, df)   f: of x, with a and b for alpha and beta. df: dx from dy and v. Edges and NaN as in PyTorch: a
 * derivative that is 0 gives 0 for any dy, a comparison with NaN is false. */
#define UNARY_KINDS(KIND)                                                                                              \
    KIND(NONE, x, dy)                                                                                                  \
    KIND(RELU, x < 0 ? 0 : x, v <= 0 ? 0 : dy)                                                                         \
    KIND(CLIP, clip(x, a, b), v <= a || v >= b ? 0 : dy)                                                               \
    KIND(LEAKY_RELU, x < 0 ? a * x : x, v > 0 ? dy : a * dy)                                                           \
    KIND(SIGMOID, 1 / (1 + expf(-x)), dy * (1 - v) * v)                                                                \
    KIND(HARD_SIGMOID, clip(a * x + b, 0, 1), v > 0 && v < 1 ? a * dy : 0)                                             \
    KIND(HARD_SWISH, x * clip(x + 3, 0, 6) / 6, v <= -3 ? 0 : v < 3 ? dy * (v / 3 + 0.5f) : dy)                        \
    KIND(SILU, x / (1 + expf(-x)), dy * silu_slope(v))                                                                 \
    KIND(TANH, tanhf(x), dy * (1 - v * v))                                                                             \
    KIND(ELU, x <= 0 ? a * expm1f(x) : x, v <= 0 ? dy * a * expf(v) : dy)                                              \
    KIND(SOFTPLUS, (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))), dy / (1 + expf(-v)))                                     \
    KIND(ERF, erff(x), dy * 1.12837916709551257390f * expf(-v * v))                                                    \
    KIND(EXP, expf(x), dy * v)                                                                                         \
    KIND(LOG, logf(x), dy / v)                                                                                         \
    KIND(SQRT, sqrtf(x), dy / (2 * v))                                                                                 \
    KIND(ABS, fabsf(x), v > 0 ? dy : v < 0 ? -dy : 0)                                                                  \
    KIND(NEG, -x, -dy)                                                                                                 \
    KIND(RECIPROCAL, 1 / x, -dy * v * v)                                                                               \
    KIND(LINEAR, a * x + b, a * dy)

#define BINARY_KINDS(KIND)                                                                                             \
    KIND(ADD, a + b)                                                                                                   \
    KIND(SUB, a - b)                                                                                                   \
    KIND(MUL, a * b)                                                                                                   \
    KIND(DIV, a / b)                                                                                                   \
    KIND(MAX, a > b || a != a ? a : b)                                                                                 \
    KIND(MIN, a < b || a != a ? a : b)                                                                                 \
    KIND(POW, powf(a, b))
/* clang-format on */

/* The branch is the same for the whole grid, and stands outside the loop over a pack. */
template <int V> __device__ __forceinline__ void activate(Floats<V> &pack, const bcam_unary_attr &attr)
{
    const float a = attr.alpha, b = attr.beta;
    (void)a, (void)b;
    switch (attr.kind) {
#define UNARY_CASE(NAME, f, df)                                                                                        \
    case BCAM_UNARY_##NAME:                                                                                            \
        _Pragma("unroll") for (int i = 0; i < V; i++)                                                                  \
        {                                                                                                              \
            const float x = pack.at[i];                                                                                \
            pack.at[i] = f;                                                                                            \
        }                                                                                                              \
        break;
        UNARY_KINDS(UNARY_CASE)
    default:
        break;
    }
}

template <int V>
__device__ __forceinline__ void differentiate(Floats<V> &pack, const Floats<V> &value, const bcam_unary_attr &attr)
{
    const float a = attr.alpha, b = attr.beta;
    (void)a, (void)b;
    switch (attr.kind) {
#define UNARY_BWD_CASE(NAME, f, df)                                                                                    \
    case BCAM_UNARY_##NAME:                                                                                            \
        _Pragma("unroll") for (int i = 0; i < V; i++)                                                                  \
        {                                                                                                              \
            const float dy = pack.at[i], v = value.at[i];                                                              \
            (void)v;                                                                                                   \
            pack.at[i] = df;                                                                                           \
        }                                                                                                              \
        break;
        UNARY_KINDS(UNARY_BWD_CASE)
    default:
        break;
    }
}

template <int V>
__device__ __forceinline__ Floats<V> combine(const Floats<V> &first, const Floats<V> &second, bcam_binary_kind kind)
{
    Floats<V> y = {};
    switch (kind) {
#define BINARY_CASE(NAME, f)                                                                                           \
    case BCAM_BINARY_##NAME:                                                                                           \
        _Pragma("unroll") for (int i = 0; i < V; i++)                                                                  \
        {                                                                                                              \
            const float a = first.at[i], b = second.at[i];                                                             \
            y.at[i] = f;                                                                                               \
        }                                                                                                              \
        break;
        BINARY_KINDS(BINARY_CASE)
    }
    return y;
}

/* An operand that the last axis moves, or repeats. */
template <typename T, int V> __device__ __forceinline__ Floats<V> load_or_repeat(const void *p, int64_t at, bool moves)
{
    const T *q = static_cast<const T *>(p) + at;
    return moves ? load<T, V>(q) : all_of<V>(to_float(*q));
}

/* ---- unary ---- */

struct UnaryArgs {
    Box<2> box; /* y, x */
    void *y;
    const void *x;
    bcam_unary_attr attr;
};

template <typename T, int V> __global__ void BCAM_BOUNDS unary(UnaryArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[2];
        a.box.locate(i, at);
        Floats<V> pack = load<T, V>(static_cast<const T *>(a.x) + at[1]);
        activate(pack, a.attr);
        store<T, V>(static_cast<T *>(a.y) + at[0], pack);
    }
}

struct UnaryBwdArgs {
    Box<4> box; /* dx, dy, v, dy2 */
    void *dx;
    const void *dy, *v, *dy2;
    bcam_unary_attr attr;
};

template <typename T, int V> __global__ void BCAM_BOUNDS unary_bwd(UnaryBwdArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[4];
        a.box.locate(i, at);
        const Raw<T, V> dy = load_raw<T, V>(static_cast<const T *>(a.dy) + at[1]);
        const Raw<T, V> v = a.v ? load_raw<T, V>(static_cast<const T *>(a.v) + at[2]) : dy;
        const Raw<T, V> dy2 = a.dy2 ? load_raw<T, V>(static_cast<const T *>(a.dy2) + at[3]) : dy;
        Floats<V> pack = unpack(dy);
        if (a.dy2)
            pack = combine(pack, unpack(dy2), BCAM_BINARY_ADD);
        differentiate(pack, unpack(v), a.attr);
        store<T, V>(static_cast<T *>(a.dx) + at[0], pack);
    }
}

/* ---- affine ---- */

struct AffineArgs {
    Box<5> box; /* y, x, residual, scale, shift */
    void *y;
    const void *x, *residual, *scale, *shift;
    bool scale_is_float, shift_is_float, channels_move; /* constants may be float32 beside half activations */
    bcam_unary_attr act;
};

template <typename T, int V>
__device__ __forceinline__ Floats<V> load_channels(const void *p, int64_t at, bool is_float, bool moves)
{
    return is_float ? load_or_repeat<float, V>(p, at, moves) : load_or_repeat<T, V>(p, at, moves);
}

template <typename T, int V> __global__ void BCAM_BOUNDS affine(AffineArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[5];
        a.box.locate(i, at);
        const Raw<T, V> x = load_raw<T, V>(static_cast<const T *>(a.x) + at[1]);
        const Raw<T, V> residual = a.residual ? load_raw<T, V>(static_cast<const T *>(a.residual) + at[2]) : x;
        Floats<V> pack = unpack(x);
        if (a.scale) {
            const Floats<V> scale = load_channels<T, V>(a.scale, at[3], a.scale_is_float, a.channels_move);
#pragma unroll
            for (int j = 0; j < V; j++)
                pack.at[j] *= scale.at[j];
        }
        if (a.shift) {
            const Floats<V> shift = load_channels<T, V>(a.shift, at[4], a.shift_is_float, a.channels_move);
#pragma unroll
            for (int j = 0; j < V; j++)
                pack.at[j] += shift.at[j];
        }
        if (a.residual) {
            const Floats<V> other = unpack(residual);
#pragma unroll
            for (int j = 0; j < V; j++)
                pack.at[j] += other.at[j];
        }
        activate(pack, a.act);
        store<T, V>(static_cast<T *>(a.y) + at[0], pack);
    }
}

/* ---- binary ---- */

struct BinaryArgs {
    Box<3> box; /* y, a, b */
    void *y;
    const void *a, *b;
    bool a_moves, b_moves;
    bcam_binary_kind kind;
    bcam_unary_attr act;
};

template <typename T, int V> __global__ void BCAM_BOUNDS binary(BinaryArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[3];
        a.box.locate(i, at);
        const Raw<T, V> first = load_raw_or_repeat<T, V>(static_cast<const T *>(a.a) + at[1], a.a_moves);
        const Raw<T, V> second = load_raw_or_repeat<T, V>(static_cast<const T *>(a.b) + at[2], a.b_moves);
        Floats<V> pack = combine(unpack(first), unpack(second), a.kind);
        activate(pack, a.act);
        store<T, V>(static_cast<T *>(a.y) + at[0], pack);
    }
}

/* ---- launchers ---- */

static cudaError_t run_affine(const bcam_tensor *y, const bcam_tensor *x, const bcam_tensor *scale,
                              const bcam_tensor *shift, const bcam_tensor *residual, const bcam_unary_attr *act,
                              cudaStream_t stream)
{
    static const bcam_tensor none = {};
    scale = scale ? scale : &none;
    shift = shift ? shift : &none;
    residual = residual ? residual : &none;
    const View views[5] = {view_of(y), view_of(x), view_of(residual), view_of_channels(scale), view_of_channels(shift)};
    AffineArgs args = {box_of(y->rank, y->dim, views),
                       y->data,
                       x->data,
                       residual->data,
                       scale->data,
                       shift->data,
                       false,
                       false,
                       false,
                       *act};
    args.scale_is_float = scale->dtype == BCAM_F32;
    args.shift_is_float = shift->dtype == BCAM_F32;
    return by_type(y->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        bool pack = packs(args.box, views, wide<T>);
        if (pack)
            pack_box(&args.box, wide<T>);
        int last = args.box.rank - 1;
        args.channels_move = args.box.stride[3][last] != 0 || args.box.stride[4][last] != 0;
        int64_t blocks = blocks_for(args.box.count);
        return pack ? launch<affine<T, wide<T>>>(blocks, threads_of_block, 0, stream, args)
                    : launch<affine<T, 1>>(blocks, threads_of_block, 0, stream, args);
    });
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_UNARY(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    const View views[2] = {view_of(y), view_of(x)};
    UnaryArgs args = {box_of(y->rank, y->dim, views), y->data, x->data, call->step->u.unary};
    return by_type(y->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        bool pack = packs(args.box, views, wide<T>);
        if (pack)
            pack_box(&args.box, wide<T>);
        int64_t blocks = blocks_for(args.box.count);
        return pack ? launch<unary<T, wide<T>>>(blocks, threads_of_block, 0, stream, args)
                    : launch<unary<T, 1>>(blocks, threads_of_block, 0, stream, args);
    });
}

extern "C" cudaError_t bcam_kernel_UNARY_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_unary_attr *attr = &call->step->u.unary;
    const bcam_tensor *dy = &call->in[0], *v = &call->in[1], *dy2 = &call->in[2], *dx = &call->out[0];
    const View views[4] = {view_of(dx), view_of(dy), view_of(v), view_of(dy2)};
    UnaryBwdArgs args = {box_of(dx->rank, dx->dim, views), dx->data, dy->data, v->data, dy2->data, *attr};
    return by_type(dx->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        bool pack = packs(args.box, views, wide<T>);
        if (pack)
            pack_box(&args.box, wide<T>);
        int64_t blocks = blocks_for(args.box.count);
        return pack ? launch<unary_bwd<T, wide<T>>>(blocks, threads_of_block, 0, stream, args)
                    : launch<unary_bwd<T, 1>>(blocks, threads_of_block, 0, stream, args);
    });
}

extern "C" cudaError_t bcam_kernel_NORM(const bcam_kernel_call *call, cudaStream_t stream)
{
    return run_affine(&call->out[0], &call->in[0], &call->in[1], &call->in[2], nullptr, &call->step->act, stream);
}

extern "C" cudaError_t bcam_kernel_NORM_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    static const bcam_unary_attr none = {};
    return run_affine(&call->out[0], &call->in[0], &call->in[1], nullptr, nullptr, &none, stream);
}

extern "C" cudaError_t bcam_kernel_epilogue(const bcam_tensor *out, const bcam_tensor *bias,
                                            const bcam_tensor *residual, const bcam_unary_attr *act,
                                            cudaStream_t stream)
{
    return run_affine(out, out, nullptr, bias, residual, act, stream);
}

extern "C" cudaError_t bcam_kernel_BINARY(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const View views[3] = {view_of(y), view_broadcast(a, y->rank, y->dim), view_broadcast(b, y->rank, y->dim)};
    BinaryArgs args = {box_of(y->rank, y->dim, views), y->data,        a->data, b->data, true, true,
                       call->step->u.binary.kind,      call->step->act};
    return by_type(y->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        bool pack = packs(args.box, views, wide<T>);
        if (pack)
            pack_box(&args.box, wide<T>);
        int last = args.box.rank - 1;
        args.a_moves = args.box.stride[1][last] != 0;
        args.b_moves = args.box.stride[2][last] != 0;
        int64_t blocks = blocks_for(args.box.count);
        return pack ? launch<binary<T, wide<T>>>(blocks, threads_of_block, 0, stream, args)
                    : launch<binary<T, 1>>(blocks, threads_of_block, 0, stream, args);
    });
}
