/* reduce_bwd.cu - the gradient of REDUCE.
 *
 *   spread   dx = dy / count, or dy x / y: the gradient of a mean, a sum, a length. Reads dy (x, y), writes dx
 *   share    dx = dy / (number of equals) where x == y: the gradient of a maximum. Reads x twice, writes dx
 */
#include "box.h"

namespace bcam {

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
            const Floats<V> x = load<T, V>(static_cast<const T *>(a.x) + at[2]),
                            y = a.y_moves ? load<T, V>(py) : all_of<V>(to_float(*py));
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
        const float y = to_float(static_cast<const T *>(a.y)[base[2]]),
                    dy = to_float(static_cast<const T *>(a.dy)[base[0]]);
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

} // namespace bcam

using namespace bcam;

/* ---- launchers ---- */

static cudaError_t reduce_max_bwd(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *dy = &call->in[0], *x = &call->in[1], *y = &call->in[2], *dx = &call->out[0];
    const View views[4] = {view_broadcast(dy, x->rank, x->dim), view_of(x), view_broadcast(y, x->rank, x->dim),
                           view_of(dx)};
    Axes axes = split_axes(x->rank, x->dim, call->step->u.reduce.axes);
    ShareArgs args = {
        box_of(x->rank, axes.kept, views), box_of(x->rank, axes.folded, views), dy->data, x->data, y->data, dx->data};
    return by_type(x->dtype, [&](auto type) {
        return launch<share<typename decltype(type)::type>>(blocks_for(args.kept.count * warp), threads_of_block, 0,
                                                            stream, args);
    });
}

extern "C" cudaError_t bcam_kernel_REDUCE_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_reduce_attr *attr = &call->step->u.reduce;
    if (attr->kind == BCAM_REDUCE_MAX)
        return reduce_max_bwd(call, stream);
    static const bcam_tensor none = {};
    bool length = attr->kind == BCAM_REDUCE_L2;
    const bcam_tensor *dy = &call->in[0], *x = length ? &call->in[1] : &none, *y = length ? &call->in[2] : &none,
                      *dx = &call->out[0];
    const View views[4] = {view_of(dx), view_broadcast(dy, dx->rank, dx->dim), view_of(x),
                           view_broadcast(y, dx->rank, dx->dim)};
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
