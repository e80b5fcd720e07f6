/* upsample.cu - UPSAMPLE: maps of the photo's size, as numbers or in colours, for the whole batch and all classes in
 * one launch.
 *
 *   upsample   a thread makes the same few columns of some rows: it finds once where they lie in the map, keeps the two
 *              rows of the map that the output row lies between, blended across, and blends those downwards. Reads the
 *              map from the cache, writes the output once, 16 bytes at a time (4 for bytes).
 *   colour     a block makes a map in colours. It goes over the pixels twice, since a colour depends on the largest of
 *              all: the numbers themselves are never stored. Warps gather what lies side by side in shared memory and
 *              write 16 bytes at a time.
 *
 * bilinear.h says how a point is found. Results depend on neither the grid nor the number of rows that a thread makes.
 */
#include "bilinear.h"

namespace bcam {

/* ---- numbers ---- */

struct UpsampleArgs {
    Source source;
    const float *range; /* (K,N,2); for bytes */
    void *out;
    int64_t range_stride[3], out_stride[4], count; /* threads' worth of work: packs x bands x maps */
    Divider packs, bands;
    int band; /* rows that a thread makes */
    bool small;
};

/* A number of the map becomes an element of the output. */
template <typename O> struct Cast {
    __device__ __forceinline__ Cast(const UpsampleArgs &, int64_t, int64_t)
    {
    }
    __device__ __forceinline__ O operator()(float v) const
    {
        return from_float<O>(v);
    }
};

/* round(255 v / raw_max), halves away from zero; a map whose raw_max is not positive is all 0. Very small maps are
 * lifted, or 255 / raw_max would be infinite. */
template <> struct Cast<unsigned char> {
    float lift, scale;
    __device__ __forceinline__ Cast(const UpsampleArgs &a, int64_t k, int64_t n)
    {
        const float raw_max = a.range[k * a.range_stride[0] + n * a.range_stride[1] + a.range_stride[2]];
        lift = raw_max < 1e-30f ? 1.2676506e30f : 1; /* 2^100 */
        scale = raw_max > 0 ? 255 / (raw_max * lift) : 0;
    }
    __device__ __forceinline__ unsigned char operator()(float v) const
    {
        return (unsigned char)(int)fminf(fmaxf(v * lift * scale + 0.5f, 0), 255); /* NaN: 0 */
    }
};

template <typename O, int V> __global__ void BCAM_BOUNDS upsample(UpsampleArgs a)
{
    const Source &s = a.source;
    for (int64_t i = first_of_grid(); i < a.count; i += stride_of_grid()) {
        const int64_t rest = a.packs.of(i, a.small), kn = a.bands.of(rest, a.small), k = s.photos.of(kn, a.small),
                      n = kn - k * s.photos.d;
        const int first = (int)(i - rest * a.packs.d) * V, begin = (int)(rest - kn * a.bands.d) * a.band;
        const int end = min(begin + a.band, s.rows.out);
        const float *map = s.map + k * s.stride[0] + n * s.stride[1];
        O *out = static_cast<O *>(a.out) + k * a.out_stride[0] + n * a.out_stride[1] + first * a.out_stride[3];
        const Cast<O> cast(a, k, n);
        Walk<V> walk = {columns_from<V>(first, s.columns), {}, {}, no_row};
#pragma unroll 1
        for (int row = begin; row < end; row++) {
            const Floats<V> f = walk_to<V>(walk, s, map, row);
            Pack<O, V> pack;
#pragma unroll
            for (int j = 0; j < V; j++)
                pack.item[j] = cast(f.at[j]);
            *reinterpret_cast<Pack<O, V> *>(out + row * a.out_stride[2]) = pack;
        }
    }
}

/* ---- colours ---- */

constexpr int colour_threads = 512, colour_warps = colour_threads / warp;
constexpr int colour_columns = 4, strip = warp * colour_columns; /* of a lane; of a warp */

struct ColourArgs {
    Source source;
    const unsigned char *colours; /* (256,3) */
    unsigned char *out;           /* (K,N,H,W,3) */
    int64_t colour_stride[2], out_stride[5];
    Divider strips;
    int jobs, bands, band; /* of a map: strips x bands; a warp takes one after the other */
};

/* What a warp works at: `lane`'s columns of rows [begin, end). */
struct Job {
    int first, begin, end;
};

__device__ __forceinline__ Job job_of(const ColourArgs &a, int job)
{
    const int band = (int)a.strips.narrow((unsigned)job), begin = band * a.band;
    return {(job - band * (int)a.strips.d) * strip + (int)(threadIdx.x % warp) * colour_columns, begin,
            min(begin + a.band, a.source.rows.out)};
}

/* The largest finite number of the map, 0 where none is above it; to every thread. */
__device__ __forceinline__ float largest_of_map(const ColourArgs &a, const float *map)
{
    BCAM_SHARED(float, part, colour_warps);
    const int width = a.source.columns.out;
    float most = 0;
#pragma unroll 1
    for (int i = threadIdx.x / warp; i < a.jobs; i += colour_warps) {
        const Job job = job_of(a, i);
        if (job.first >= width)
            continue;
        Walk<colour_columns> walk = {columns_from<colour_columns>(job.first, a.source.columns), {}, {}, no_row};
#pragma unroll 1
        for (int row = job.begin; row < job.end; row++) {
            const Floats<colour_columns> f = walk_to(walk, a.source, map, row);
#pragma unroll
            for (int j = 0; j < colour_columns; j++) /* a column past the end is the last one again */
                most = f.at[j] > most && f.at[j] < INFINITY ? f.at[j] : most;
        }
    }
    most = max_of_lanes(most);
    if (threadIdx.x % warp == 0)
        part[threadIdx.x / warp] = most;
    __syncthreads();
    for (int i = 0; i < colour_warps; i++)
        most = larger(part[i], most);
    return most;
}

/* 255 v / most cut to whole numbers, for numbers between 0 and most; very small and very large maps are moved to where
 * a quotient is exact. */
struct Level {
    float most, lift, length, one_by_length;
    __device__ __forceinline__ explicit Level(float largest) : most(largest)
    {
        lift = most < 1e-30f ? 1.2676506e30f : most > 1e30f ? 7.8886091e-31f : 1; /* 2^100, 2^-100 */
        length = most * lift;
        one_by_length = largest > 0 ? 1 / length : 0;
    }
    __device__ __forceinline__ int operator()(float v) const
    {
        return (int)(255 * quotient(fminf(fmaxf(v, 0), most) * lift, length, one_by_length));
    }
};

/* `Wide`: rows of whole 16 bytes. */
template <bool Wide> __global__ void __launch_bounds__(colour_threads, 2) colour(ColourArgs a)
{
    BCAM_SHARED(unsigned, table, 256);
    BCAM_SHARED(uint4, stage, colour_warps * strip * 3 / 16);
    const Source &s = a.source;
    const int64_t kn = blockIdx.x, k = s.photos.of(kn, true), n = kn - k * s.photos.d;
    const float *map = s.map + k * s.stride[0] + n * s.stride[1];
    unsigned char *out = a.out + k * a.out_stride[0] + n * a.out_stride[1];
    const int lane = threadIdx.x % warp, width = s.columns.out;
    for (int i = threadIdx.x; i < 256; i += colour_threads)
        table[i] = a.colours[i * a.colour_stride[0]] | a.colours[i * a.colour_stride[0] + a.colour_stride[1]] << 8 |
                   a.colours[i * a.colour_stride[0] + 2 * a.colour_stride[1]] << 16;
    const float most = largest_of_map(a, map); /* with a barrier in it */
    const Level level(most);
    uint4 *wide_stage = stage + threadIdx.x / warp * (strip * 3 / 16);
    unsigned *words = reinterpret_cast<unsigned *>(wide_stage) + 3 * lane;
#pragma unroll 1
    for (int i = threadIdx.x / warp; i < a.jobs; i += colour_warps) {
        const Job job = job_of(a, i);
        const int strip_at = job.first - lane * colour_columns, chunks = min(width - strip_at, strip) * 3 / 16;
        Walk<colour_columns> walk = {columns_from<colour_columns>(job.first, s.columns), {}, {}, no_row};
#pragma unroll 1
        for (int row = job.begin; row < job.end; row++) {
            const Floats<colour_columns> f = walk_to(walk, s, map, row);
            unsigned c[colour_columns];
#pragma unroll
            for (int j = 0; j < colour_columns; j++)
                c[j] = table[level(f.at[j])]; /* red, green, blue from the lowest byte up */
#pragma unroll
            for (int j = 0; j < colour_columns; j++)
                c[j] = most > 0 && f.at[j] == f.at[j] ? c[j] : 0;
            if constexpr (Wide) {
                words[0] = c[0] | c[1] << 24;
                words[1] = c[1] >> 8 | c[2] << 16;
                words[2] = c[2] >> 16 | c[3] << 8;
                __syncwarp();
                if (lane < chunks)
                    *reinterpret_cast<uint4 *>(out + row * a.out_stride[2] + strip_at * 3 + lane * 16) =
                        wide_stage[lane];
                __syncwarp();
            } else {
                for (int j = 0; j < colour_columns; j++)
                    for (int b = 0; b < 3 && job.first + j < width; b++)
                        out[row * a.out_stride[2] + (job.first + j) * a.out_stride[3] + b * a.out_stride[4]] =
                            (unsigned char)(c[j] >> (8 * b));
            }
        }
    }
}

/* ---- launchers ---- */

/* Rows for a thread: as many as leave work for the whole card, for finding columns costs as much as a few rows. */
static int band_of(int64_t rows, int64_t packs)
{
    const int64_t enough_threads = 1 << 17, most = 32, least = 4;
    const int64_t band = rows * packs / enough_threads;
    return (int)(band < least ? least : band > most ? most : band);
}

template <typename O> static cudaError_t launch_upsample(UpsampleArgs args, const bcam_tensor *out, cudaStream_t stream)
{
    constexpr int V = sizeof(O) == 1 ? 4 : wide<O>; /* a warp writes 128 bytes; more columns would spill */
    bool pack = out->stride[3] == 1 && out->dim[3] % V == 0 && (uintptr_t)out->data % (V * sizeof(O)) == 0;
    for (int i = 0; i < 3; i++)
        pack = pack && out->stride[i] % V == 0;
    const int64_t packs = out->dim[3] / (pack ? V : 1), maps = out->dim[0] * out->dim[1];
    args.band = band_of(maps * out->dim[2], packs);
    const int64_t bands = (out->dim[2] + args.band - 1) / args.band;
    args.packs = Divider::by(packs);
    args.bands = Divider::by(bands);
    args.count = packs * bands * maps;
    args.small = args.count < (int64_t)1 << 31;
    int64_t blocks = blocks_for(args.count);
    return pack ? launch<upsample<O, V>>(blocks, threads_of_block, 0, stream, args)
                : launch<upsample<O, 1>>(blocks, threads_of_block, 0, stream, args);
}

static cudaError_t launch_colour(const Source &source, const bcam_tensor *colours, const bcam_tensor *out,
                                 cudaStream_t stream)
{
    const int64_t maps = out->dim[0] * out->dim[1], strips = (out->dim[3] + strip - 1) / strip;
    ColourArgs args = {};
    args.source = source;
    args.colours = static_cast<const unsigned char *>(colours->data);
    args.out = static_cast<unsigned char *>(out->data);
    take_strides(args.colour_stride, colours);
    take_strides(args.out_stride, out);
    args.strips = Divider::by(strips);
    /* Every warp has one job, if there are rows enough. */
    args.bands = (int)(strips < colour_warps ? colour_warps / strips : 1);
    args.band = (int)((out->dim[2] + args.bands - 1) / args.bands);
    args.jobs = (int)strips * args.bands;
    bool wide_rows =
        out->stride[4] == 1 && out->stride[3] == 3 && out->dim[3] % 16 == 0 && (uintptr_t)out->data % 16 == 0;
    for (int i = 0; i < 3; i++)
        wide_rows = wide_rows && out->stride[i] % 16 == 0;
    if (maps >= (int64_t)1 << 31)
        return cudaErrorInvalidValue;
    return wide_rows ? launch<colour<true>>(maps, colour_threads, 0, stream, args)
                     : launch<colour<false>>(maps, colour_threads, 0, stream, args);
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_UPSAMPLE(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *map = &call->in[0], *range = &call->in[1], *colours = &call->in[2], *out = &call->out[0];
    if (!fits(map, out))
        return cudaErrorInvalidValue;
    UpsampleArgs args = {};
    args.source = source_of(map, out);
    if (colours->data)
        return launch_colour(args.source, colours, out, stream);
    args.range = static_cast<const float *>(range->data);
    args.out = out->data;
    take_strides(args.range_stride, range);
    take_strides(args.out_stride, out);
    switch (out->dtype) {
    case BCAM_F32:
        return launch_upsample<float>(args, out, stream);
    case BCAM_F16:
        return launch_upsample<half>(args, out, stream);
    case BCAM_U8:
        return launch_upsample<unsigned char>(args, out, stream);
    default:
        return cudaErrorNotSupported;
    }
}
