/* copy.cu - COPY and COPY_BWD: elements move, none changes. Words of 2 or 4 bytes, or 16 bytes where both sides are
 * contiguous.
 *
 *   copy      y[…] = x[…] over a box                                   reads and writes each element once
 *   reshape   the same elements in the same row-major order, where the two sides lie differently
 *   fill      y[…] = value over a box                                  writes each element once
 *
 * Backwards is the same map the other way; where several outputs came from one input, their gradients are summed
 * (fold_sum).
 */
#include "box.h"

namespace bcam {

struct CopyArgs {
    Box<2> box;  /* y, x; in elements, or for a reshape of y alone */
    Box<1> from; /* a reshape: x */
    char *y;
    const char *x;
    int element; /* bytes */
};

template <typename Word> __global__ void BCAM_BOUNDS copy(CopyArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[2];
        a.box.locate(i, at);
        *reinterpret_cast<Word *>(a.y + at[0] * a.element) =
            __ldg(reinterpret_cast<const Word *>(a.x + at[1] * a.element));
    }
}

template <typename Word> __global__ void BCAM_BOUNDS reshape(CopyArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t to[2], from[1];
        a.box.locate(i, to);
        a.from.locate(i, from);
        *reinterpret_cast<Word *>(a.y + to[0] * a.element) =
            __ldg(reinterpret_cast<const Word *>(a.x + from[0] * a.element));
    }
}

struct FillArgs {
    Box<1> box;
    char *y;
    int element;
    unsigned bits; /* of one element */
};

template <typename Word> __global__ void BCAM_BOUNDS fill(FillArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[1];
        a.box.locate(i, at);
        *reinterpret_cast<Word *>(a.y + at[0] * a.element) = (Word)a.bits;
    }
}

/* ---- launchers ---- */

static cudaError_t run_copy(int rank, const int64_t *dim, const View &y, const View &x, cudaStream_t stream)
{
    const View views[2] = {y, x};
    CopyArgs args = {box_of(rank, dim, views),
                     {},
                     static_cast<char *>(const_cast<void *>(y.data)),
                     static_cast<const char *>(x.data),
                     (int)y.element};
    int v = 16 / args.element, last = args.box.rank - 1;
    bool pack = args.box.stride[1][last] == 1 && packs(args.box, views, v);
    if (pack)
        pack_box(&args.box, v);
    int64_t blocks = blocks_for(args.box.count);
    return pack                ? launch<copy<uint4>>(blocks, threads_of_block, 0, stream, args)
           : args.element == 4 ? launch<copy<unsigned>>(blocks, threads_of_block, 0, stream, args)
                               : launch<copy<unsigned short>>(blocks, threads_of_block, 0, stream, args);
}

static cudaError_t run_reshape(const bcam_tensor *x, const bcam_tensor *y, cudaStream_t stream)
{
    if (bcam_tensor_is_dense(x) && bcam_tensor_is_dense(y)) {
        View flat_x = view_of(x), flat_y = view_of(y);
        int64_t count = bcam_count(y->rank, y->dim);
        flat_x.stride[0] = flat_y.stride[0] = 1;
        return run_copy(1, &count, flat_y, flat_x, stream);
    }
    const View to[2] = {view_of(y), {}}, from[1] = {view_of(x)};
    CopyArgs args = {box_of(y->rank, y->dim, to, true), box_of(x->rank, x->dim, from, true),
                     static_cast<char *>(y->data), static_cast<const char *>(x->data), (int)bytes_of(y->dtype)};
    int64_t blocks = blocks_for(args.box.count);
    return args.element == 4 ? launch<reshape<unsigned>>(blocks, threads_of_block, 0, stream, args)
                             : launch<reshape<unsigned short>>(blocks, threads_of_block, 0, stream, args);
}

template <typename T> static unsigned bits_of(float value)
{
    T stored = from_float<T>(value);
    unsigned bits = 0;
    memcpy(&bits, &stored, sizeof stored);
    return bits;
}

static cudaError_t run_fill(const bcam_tensor *t, float value, cudaStream_t stream)
{
    const View views[1] = {view_of(t)};
    FillArgs args = {box_of(t->rank, t->dim, views), static_cast<char *>(t->data), (int)bytes_of(t->dtype), 0};
    int64_t blocks = blocks_for(args.box.count);
    cudaError_t error = by_type(t->dtype, [&](auto type) {
        args.bits = bits_of<typename decltype(type)::type>(value);
        return cudaSuccess;
    });
    return error               ? error
           : args.element == 4 ? launch<fill<unsigned>>(blocks, threads_of_block, 0, stream, args)
                               : launch<fill<unsigned short>>(blocks, threads_of_block, 0, stream, args);
}

/* The box of a copy: where it begins in x and in y, and how it steps through both along y's axes. */
struct Boxes {
    View x, y;
};

static Boxes boxes_of(const bcam_copy_attr *a, const bcam_tensor *x, const bcam_tensor *y)
{
    Boxes b = {view_of(x), view_of(y)};
    int64_t x_at = 0, y_at = 0;
    for (int i = 0; i < x->rank; i++)
        x_at += a->from[i] * x->stride[i];
    for (int i = 0; i < y->rank; i++) {
        y_at += a->to[i] * y->stride[i];
        b.x.stride[i] = a->axis[i] < 0 ? 0 : a->step[a->axis[i]] * x->stride[a->axis[i]];
    }
    b.x.data = static_cast<const char *>(x->data) + x_at * (int64_t)b.x.element;
    b.y.data = static_cast<const char *>(y->data) + y_at * (int64_t)b.y.element;
    return b;
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_COPY(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_copy_attr *a = &call->step->u.copy;
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    cudaError_t error = cudaSuccess;
    if (a->reshape)
        return run_reshape(x, y, stream);
    if (a->fill && bcam_count(y->rank, a->extent) < bcam_count(y->rank, y->dim))
        error = run_fill(y, a->fill_value, stream);
    Boxes b = boxes_of(a, x, y);
    return error ? error : run_copy(y->rank, a->extent, b.y, b.x, stream);
}

extern "C" cudaError_t bcam_kernel_COPY_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_copy_attr *a = &call->step->u.copy;
    const bcam_tensor *dy = &call->in[0], *dx = &call->out[0];
    if (a->reshape)
        return run_reshape(dy, dx, stream);
    cudaError_t error = cudaSuccess;
    bool folds = false;
    int64_t moved = 1;
    for (int i = 0; i < dy->rank; i++) {
        folds |= a->axis[i] < 0 && a->extent[i] > 1;
        moved *= a->axis[i] < 0 ? 1 : a->extent[i];
    }
    if (moved < bcam_count(dx->rank, dx->dim))
        error = run_fill(dx, 0, stream);
    Boxes b = boxes_of(a, dx, dy);
    if (error || !folds)
        return error ? error : run_copy(dy->rank, a->extent, b.x, b.y, stream);
    return fold_sum(dy->rank, a->extent, b.x, b.y, dx->dtype, stream);
}
