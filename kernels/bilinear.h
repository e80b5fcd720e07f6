/* bilinear.h - points of an upsampled map: bilinear with half-pixel centres, clamped at the edges. Places are found in
 * whole numbers. */
#ifndef BCAM_BILINEAR_H
#define BCAM_BILINEAR_H

#include "box.h"

namespace bcam {

/** Rows or columns, before and after. */
struct Axis {
    int in, out;                 /* 2 in out < 2^31, out <= 2^22 */
    Divider twice;               /* 2 out */
    float length, one_by_length; /* 2 out again */
};

/* n / d to the last bit, for one_by_d = 1 / d rounded and numbers far from the ends of a float's range: no branch for
 * those that are not. */
__device__ __forceinline__ float quotient(float n, float d, float one_by_d)
{
    const float near = n * one_by_d;
    return fmaf(fmaf(-near, d, n), one_by_d, near);
}

/* The place of a point is ((2 at + 1) in - out) / (2 out), 0 at least: between `low` and the one behind it, if there is
 * one, by `share`. */
struct Between {
    int low;
    float share;
};

__device__ __forceinline__ Between between(int at, const Axis &a)
{
    const int place = max((2 * at + 1) * a.in - a.out, 0), low = (int)a.twice.narrow((unsigned)place);
    const int rest = place - low * (int)a.twice.d;
    return {low, quotient((float)rest, a.length, a.one_by_length)};
}

/** The maps to be upsampled. */
struct Source {
    const float *map; /* (K,N,h,w) */
    int64_t stride[2];
    int row, column; /* strides within a map, whose elements an int can count (checked before the launch) */
    Axis rows, columns;
    Divider photos;
    bool same; /* a map of the same size is only cast */
};

/* V columns side by side; those past the end stand for the last one. */
template <int V> struct Columns {
    Between at[V];
};

template <int V> __device__ __forceinline__ Columns<V> columns_from(int first, const Axis &axis)
{
    Columns<V> c;
#pragma unroll
    for (int j = 0; j < V; j++)
        c.at[j] = between(min(first + j, axis.out - 1), axis);
    return c;
}

/* The columns in row `row` of a map. */
template <int V>
__device__ __forceinline__ Floats<V> across(const Source &s, const float *map, int row, const Columns<V> &columns)
{
    const float *line = map + row * s.row;
    Floats<V> low, high;
#pragma unroll
    for (int j = 0; j < V; j++) {
        const int column = columns.at[j].low;
        low.at[j] = __ldg(line + column * s.column);
        high.at[j] = __ldg(line + min(column + 1, s.columns.in - 1) * s.column);
    }
#pragma unroll
    for (int j = 0; j < V; j++) {
        const float share = columns.at[j].share, blend = (1 - share) * low.at[j] + share * high.at[j];
        low.at[j] = s.same ? low.at[j] : blend;
    }
    return low;
}

constexpr int no_row = -2; /* no row is the one behind it */

/* Walks down the rows of a map. */
template <int V> struct Walk {
    Columns<V> columns;
    Floats<V> upper, lower;
    int held; /* the map's row that `upper` is made of */
};

template <int V> __device__ __forceinline__ Floats<V> walk_to(Walk<V> &walk, const Source &s, const float *map, int row)
{
    const Between h = between(row, s.rows);
    if (h.low != walk.held) {
/* Where the row is the next one, one of the two is there already. Both at once would take too many registers. */
#pragma unroll 1
        for (int i = h.low == walk.held + 1 ? 1 : 0; i < 2; i++) {
            walk.upper = walk.lower;
            walk.lower = across<V>(s, map, min(h.low + i, s.rows.in - 1), walk.columns);
        }
        walk.held = h.low;
    }
    if (s.same)
        return walk.upper;
    Floats<V> f;
#pragma unroll
    for (int j = 0; j < V; j++)
        f.at[j] = (1 - h.share) * walk.upper.at[j] + h.share * walk.lower.at[j];
    return f;
}

/* ---- for launchers ---- */

/* Whether an int counts places and elements of a map, and a float places; no picture comes near. */
inline bool fits(const bcam_tensor *map, const bcam_tensor *out)
{
    const int64_t most = 1 << 22, most_places = 1 << 30;
    return out->dim[2] <= most && out->dim[3] <= most && map->dim[2] * out->dim[2] < most_places &&
           map->dim[3] * out->dim[3] < most_places &&
           map->dim[2] * map->stride[2] + map->dim[3] * map->stride[3] < most_places;
}

inline Axis axis_of(int64_t in, int64_t out)
{
    const float length = (float)(2 * out);
    return {(int)in, (int)out, Divider::by(2 * out), length, 1 / length};
}

inline Source source_of(const bcam_tensor *map, const bcam_tensor *out)
{
    Source s = {};
    s.map = static_cast<const float *>(map->data);
    take_strides(s.stride, map);
    s.row = (int)map->stride[2];
    s.column = (int)map->stride[3];
    s.rows = axis_of(map->dim[2], out->dim[2]);
    s.columns = axis_of(map->dim[3], out->dim[3]);
    s.photos = Divider::by(out->dim[1]);
    s.same = map->dim[2] == out->dim[2] && map->dim[3] == out->dim[3];
    return s;
}

} // namespace bcam

#endif
