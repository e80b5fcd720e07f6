/* box.h - walks over strided tensors: division by what is known before the launch, boxes of indices, when packs of 16
 * bytes fit. */
#ifndef BCAM_BOX_H
#define BCAM_BOX_H

#include "device.h"

namespace bcam {

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

/** Axes that lie end to end in all tensors are one. The last axis moves fastest; its index counts packs of V elements.
 * */
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

/** Sorts axes by the strides of the first view that moves along them (unless they must stay in row-major order), merges
 * them. The box counts
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

/** Whether the last axis can go in packs of v elements: contiguous or repeated in every view, contiguous in view
 * `first`, every pack aligned. */
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

/* ---- small helps of the launchers ---- */

/** The axes of a box, split into those of an output and those that it is repeated along. */
struct Axes {
    int64_t kept[BCAM_MAX_RANK], folded[BCAM_MAX_RANK];
};

inline Axes split_axes(int rank, const int64_t *dim, unsigned folded)
{
    Axes axes;
    for (int a = 0; a < rank; a++) {
        axes.kept[a] = folded >> a & 1 ? 1 : dim[a];
        axes.folded[a] = folded >> a & 1 ? dim[a] : 1;
    }
    return axes;
}

template <int Rank> inline void take_strides(int64_t (&to)[Rank], const bcam_tensor *t)
{
    for (int i = 0; i < Rank; i++)
        to[i] = t->stride[i];
}

/** Whether every pixel of (N,C,H,W) is packs of v channels, aligned; also where there is no such tensor. */
inline bool takes_packs(const bcam_tensor *t, int v)
{
    return !t->data || (t->stride[1] == 1 && t->dim[1] % v == 0 && t->stride[0] % v == 0 && t->stride[2] % v == 0 &&
                        t->stride[3] % v == 0 && (uintptr_t)t->data % 16 == 0);
}

/* ---- between the files ---- */

/** reduce.cu: out = sum of x over the axes of a box along which `out` is repeated. Both are of the real type `dtype`.
 * */
cudaError_t fold_sum(int rank, const int64_t *dim, const View &out, const View &x, bcam_dtype dtype,
                     cudaStream_t stream);

} // namespace bcam

#endif
