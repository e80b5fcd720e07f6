/* prep.cu - PREP: bytes to the network's input.
 *
 *   prep_flat   where pixels lie end to end, three bytes in and four elements out: a thread takes as many as make 16
 *               bytes
 *   prep        any strides: a thread takes a pixel, three bytes in, C elements out
 *
 * The numbers come from a table in shared memory. A channels-last output of fewer channels whose pixels lie 4 apart is
 * padded with zeros (a convolution on 4 channels needs no workspace). Reads 3 bytes a pixel, writes the output once.
 */
#include "box.h"

namespace bcam {

struct PrepArgs {
    const unsigned char *pixels; /* (N,3,H,W), any strides */
    const void *lut;             /* (C,256) */
    void *x;
    int64_t pixel_stride[4], x_stride[4]; /* both as n, channel, row, column */
    int64_t lut_stride[2], count;
    Divider columns, rows;
    int channels, padded, from[4];      /* padded: channels to be written */
    bool small, lut_is_float, together; /* together: 4 channels side by side, aligned */
};

template <typename T> __device__ __forceinline__ void fill_table(const PrepArgs &a, float *table)
{
    const bcam_dtype own = sizeof(T) == 4 ? BCAM_F32 : std::is_same<T, half>::value ? BCAM_F16 : BCAM_BF16;
    for (int i = threadIdx.x; i < a.channels * 256; i += blockDim.x)
        table[i] =
            load_any(a.lut, a.lut_is_float ? BCAM_F32 : own, i / 256 * a.lut_stride[0] + i % 256 * a.lut_stride[1]);
    __syncthreads();
}

/* Pixels that make 16 bytes. */
template <typename T> constexpr int pixels_at_once = 4 / sizeof(T);

template <typename T> __global__ void BCAM_BOUNDS prep_flat(PrepArgs a)
{
    constexpr int many = pixels_at_once<T>;
    BCAM_SHARED(float, table, 4 * 256);
    fill_table<T>(a, table);
    for (int64_t i = first_of_grid(); i < a.count / many; i += stride_of_grid()) {
        uint64_t bytes; /* the lowest is the first */
        if constexpr (many == 2) {
            const unsigned short *p = reinterpret_cast<const unsigned short *>(a.pixels) + 3 * i;
            bytes = __ldg(p) | (uint64_t)__ldg(p + 1) << 16 | (uint64_t)__ldg(p + 2) << 32;
        } else {
            const unsigned char *p = a.pixels + 3 * i;
            bytes = __ldg(p) | (uint64_t)__ldg(p + 1) << 8 | (uint64_t)__ldg(p + 2) << 16;
        }
        Floats<4 * many> x;
#pragma unroll
        for (int j = 0; j < many; j++)
#pragma unroll
            for (int c = 0; c < 4; c++)
                x.at[4 * j + c] = c < a.channels ? table[c * 256 + (int)(bytes >> (8 * (3 * j + a.from[c])) & 255)] : 0;
        store<T, 4 * many>(static_cast<T *>(a.x) + 4 * many * i, x);
    }
}

template <typename T> __global__ void BCAM_BOUNDS prep(PrepArgs a)
{
    BCAM_SHARED(float, table, 4 * 256);
    fill_table<T>(a, table);
    for (int64_t i = first_of_grid(); i < a.count; i += stride_of_grid()) {
        const int64_t line = a.columns.of(i, a.small), column = i - line * a.columns.d, n = a.rows.of(line, a.small),
                      row = line - n * a.rows.d;
        const unsigned char *pixel =
            a.pixels + n * a.pixel_stride[0] + row * a.pixel_stride[2] + column * a.pixel_stride[3];
        T *x = static_cast<T *>(a.x) + n * a.x_stride[0] + row * a.x_stride[2] + column * a.x_stride[3];
        Floats<4> value = all_of<4>(0);
#pragma unroll
        for (int c = 0; c < 4; c++)
            if (c < a.channels)
                value.at[c] = table[c * 256 + __ldg(pixel + a.from[c] * a.pixel_stride[1])];
        if (a.together) {
            store<T, 4>(x, value);
            continue;
        }
#pragma unroll
        for (int c = 0; c < 4; c++)
            if (c < a.padded)
                x[c * a.x_stride[1]] = from_float<T>(value.at[c]);
    }
}

/* ---- launchers ---- */

/* Every block fills a table of its own before it begins: a few that stay, not many that come and go. */
constexpr int64_t most_blocks = 2048;

/* Whether pixels lie end to end, three bytes and four elements each. */
template <typename T> static bool is_flat(const PrepArgs &a, const bcam_tensor *pixels, const bcam_tensor *x)
{
    const int64_t rows = pixels->dim[2], columns = pixels->dim[3];
    const int64_t in[4] = {3 * rows * columns, 1, 3 * columns, 3}, out[4] = {4 * rows * columns, 1, 4 * columns, 4};
    return memcmp(in, a.pixel_stride, sizeof in) == 0 && memcmp(out, a.x_stride, sizeof out) == 0 && a.padded == 4 &&
           a.count % pixels_at_once<T> == 0 && (uintptr_t)a.pixels % 2 == 0 && (uintptr_t)x->data % 16 == 0;
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_PREP(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_prep_attr *attr = &call->step->u.prep;
    const bcam_tensor *pixels = &call->in[0], *lut = &call->in[1], *x = &call->out[0];
    PrepArgs args = {};
    args.pixels = static_cast<const unsigned char *>(pixels->data);
    args.lut = lut->data;
    args.x = x->data;
    take_strides(args.pixel_stride, pixels);
    take_strides(args.x_stride, x);
    take_strides(args.lut_stride, lut);
    args.columns = Divider::by(pixels->dim[3]);
    args.rows = Divider::by(pixels->dim[2]);
    args.count = pixels->dim[0] * pixels->dim[2] * pixels->dim[3];
    args.small = args.count < (int64_t)1 << 31;
    args.channels = args.padded = (int)lut->dim[0];
    for (int c = 0; c < args.channels; c++)
        args.from[c] = attr->channel[c];
    if (args.x_stride[1] == 1 && args.x_stride[3] == 4)
        args.padded = 4;
    args.lut_is_float = lut->dtype == BCAM_F32;
    return by_type(x->dtype, [&](auto type) {
        using T = typename decltype(type)::type;
        if (is_flat<T>(args, pixels, x))
            return launch<prep_flat<T>>(blocks_for(args.count / pixels_at_once<T>, most_blocks), threads_of_block, 0,
                                        stream, args);
        args.together = args.padded == 4 && args.x_stride[1] == 1 && args.x_stride[0] % 4 == 0 &&
                        args.x_stride[2] % 4 == 0 && args.x_stride[3] % 4 == 0 &&
                        (uintptr_t)x->data % (4 * sizeof(T)) == 0;
        return launch<prep<T>>(blocks_for(args.count, most_blocks), threads_of_block, 0, stream, args);
    });
}
