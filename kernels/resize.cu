/* resize.cu - RESIZE: photos of any size to pixels of the network's, in integers, equal to Pillow to the byte.
 *
 *   resize   a block makes a tile of 32 x 32 pixels of one photo. The first pass makes bytes of 32 rows (or columns) of
 *            the source at a time in shared memory, from which the second pass adds up what the tile's pixels take of
 *            them: photos of any size, and no memory but registers for what is half done
 *
 * Both passes are the same code for rows first and columns first: only the steps through the source differ. A lane is a
 * pixel along the side that is done first. Reads what the tile is made of, from the cache where tiles overlap; writes
 * the pixels once.
 */
#include "box.h"

namespace bcam {

struct ResizeArgs {
    const unsigned char *photos;
    const int *tables, *frames;
    unsigned char *out;
    int64_t out_stride[4]; /* n, channel, row, column */
    int64_t frame_stride, tiles;
    int height, width, tiles_across, tiles_of_photo;
};

constexpr int side_of_tile = 32, parts_of_tile = 2, warps_of_block = threads_of_block / warp;
constexpr int rows_of_thread = side_of_tile / warps_of_block, pixels_of_thread = rows_of_thread / parts_of_tile;

/** A pass along one side: pixels `begin` … of a window of `length`, the rows of a table, bytes from one source pixel to
 * the next. */
struct Pass {
    const int *table;
    int taps, begin, length, step;

    __device__ __forceinline__ bool holds(int i) const
    {
        return i >= 0 && i < length;
    }
    /** Pixel i is made of `count` source pixels from `from` on. One that is not there is made of none. */
    __device__ __forceinline__ const int *find(int i, int *from, int *count) const
    {
        const int *row = table + (holds(i) ? i : 0) * (BCAM_RESIZE_ROW + taps);
        *from = !holds(i) ? 0 : taps == 0 ? i : __ldg(row);
        *count = !holds(i) ? 0 : taps == 0 ? 1 : __ldg(row + 1);
        return row + BCAM_RESIZE_ROW;
    }
    __device__ __forceinline__ unsigned weight(const int *weights, int t) const
    {
        return taps == 0 ? 1u << BCAM_RESIZE_BITS : (unsigned)__ldg(weights + t);
    }
};

__device__ __forceinline__ unsigned resized_byte(unsigned sum)
{
    const int value = (int)sum >> BCAM_RESIZE_BITS;
    return (unsigned)(value < 0 ? 0 : value > 255 ? 255 : value);
}

struct Sums {
    unsigned red, green, blue;

    __device__ __forceinline__ void begin()
    {
        red = green = blue = BCAM_RESIZE_HALF;
    }
    __device__ __forceinline__ void add(unsigned r, unsigned g, unsigned b, unsigned weight)
    {
        red += r * weight;
        green += g * weight;
        blue += b * weight;
    }
    __device__ __forceinline__ unsigned pixel() const
    {
        return resized_byte(red) | resized_byte(green) << 8 | resized_byte(blue) << 16;
    }
};

/** Source pixels that the tile takes along the side that is done last: the same in every lane. */
__device__ __forceinline__ void find_range(const Pass &p, int lane, int *low, int *high)
{
    int from, count;
    p.find(p.begin + lane, &from, &count);
    const bool any = count > 0 && lane < side_of_tile / parts_of_tile;
    *low = any ? from : 0x7fffffff;
    *high = any ? from + count : 0;
    for (int d = warp / 2; d > 0; d >>= 1) {
        const int other_low = __shfl_xor_sync(all_lanes, *low, d), other_high = __shfl_xor_sync(all_lanes, *high, d);
        *low = other_low < *low ? other_low : *low;
        *high = other_high > *high ? other_high : *high;
    }
}

/** A row of the source for each of a thread's sums; those from `high` on are not asked for, and repeat the last one. */
__device__ __forceinline__ void first_pass(const Pass &a, const Pass &b, const unsigned char *photo, int lane, int row,
                                           int high, unsigned *between)
{
    Sums sums[rows_of_thread];
    int from, count, at[rows_of_thread]; /* a block of photos has less than 2^31 bytes */
    const int *weights = a.find(a.begin + lane, &from, &count);
#pragma unroll
    for (int j = 0; j < rows_of_thread; j++) {
        const int own = row + j * warps_of_block;
        at[j] = from * a.step + (own < high ? own : high - 1) * b.step;
        sums[j].begin();
    }
#pragma unroll 1 /* twelve loads at once are enough, and more registers than there are would be too many */
    for (int t = 0; t < count; t++) {
        const unsigned weight = a.weight(weights, t);
        unsigned red[rows_of_thread], green[rows_of_thread], blue[rows_of_thread];
#pragma unroll
        for (int j = 0; j < rows_of_thread; j++) {
            const unsigned char *pixel = photo + at[j];
            red[j] = __ldg(pixel);
            green[j] = __ldg(pixel + 1);
            blue[j] = __ldg(pixel + 2);
            at[j] += a.step;
        }
#pragma unroll
        for (int j = 0; j < rows_of_thread; j++)
            sums[j].add(red[j], green[j], blue[j], weight);
    }
#pragma unroll
    for (int j = 0; j < rows_of_thread; j++)
        between[j * warps_of_block * side_of_tile] = sums[j].pixel();
}

/** What pixel i of the window takes of the bytes of source pixels start … start + side_of_tile - 1. */
__device__ __forceinline__ void second_pass(const Pass &b, int i, int start, const unsigned *between, Sums *sums)
{
    int from, count;
    const int *weights = b.find(i, &from, &count);
    const int first = from > start ? from : start,
              end = from + count < start + side_of_tile ? from + count : start + side_of_tile;
#pragma unroll 1
    for (int s = first; s < end; s++) {
        const unsigned pixel = between[(s - start) * side_of_tile];
        sums->add(pixel & 255, pixel >> 8 & 255, pixel >> 16, b.weight(weights, s - from));
    }
}

__global__ void BCAM_BOUNDS resize(ResizeArgs a)
{
    BCAM_SHARED(unsigned, between, side_of_tile *side_of_tile);
    const int lane = threadIdx.x % warp, mine = threadIdx.x / warp;
    unsigned *own = between + mine * side_of_tile + lane;
    for (int64_t i = blockIdx.x; i < a.tiles * parts_of_tile; i += gridDim.x) {
        const int64_t tile = i / parts_of_tile;
        const int part = (int)(i % parts_of_tile) * (side_of_tile / parts_of_tile);
        const int n = (int)(tile / a.tiles_of_photo), at = (int)(tile - (int64_t)n * a.tiles_of_photo);
        const int top = at / a.tiles_across * side_of_tile, left = at % a.tiles_across * side_of_tile;
        const int *frame = a.frames + n * a.frame_stride;
        const unsigned char *photo = a.photos + frame[BCAM_FRAME_PHOTO];
        const bool columns_first = frame[BCAM_FRAME_COLUMNS_FIRST];
        const Pass across = {a.tables + frame[BCAM_FRAME_X_TABLE], frame[BCAM_FRAME_X_TAPS], left - frame[BCAM_FRAME_X],
                             frame[BCAM_FRAME_W], 3};
        const Pass down = {a.tables + frame[BCAM_FRAME_Y_TABLE], frame[BCAM_FRAME_Y_TAPS], top - frame[BCAM_FRAME_Y],
                           frame[BCAM_FRAME_H], 3 * frame[BCAM_FRAME_STRIDE]};
        Pass first = columns_first ? down : across, second = columns_first ? across : down;
        Sums sums[pixels_of_thread];
        int low, high;
        second.begin += part;
#pragma unroll
        for (int j = 0; j < pixels_of_thread; j++)
            sums[j].begin();
        find_range(second, lane, &low, &high);
        for (int start = low; start < high; start += side_of_tile) {
            first_pass(first, second, photo, lane, start + mine, high, own);
            __syncthreads();
#pragma unroll
            for (int j = 0; j < pixels_of_thread; j++)
                second_pass(second, second.begin + mine + j * warps_of_block, start, between + lane, &sums[j]);
            __syncthreads();
        }
#pragma unroll
        for (int j = 0; j < pixels_of_thread; j++) {
            const int other = part + mine + j * warps_of_block;
            const int row = top + (columns_first ? lane : other), column = left + (columns_first ? other : lane);
            const unsigned pixel = first.holds(first.begin + lane) ? sums[j].pixel() : 0;
            unsigned char *out = a.out + n * a.out_stride[0] + row * a.out_stride[2] + column * a.out_stride[3];
            if (row >= a.height || column >= a.width)
                continue;
            out[0] = (unsigned char)pixel;
            out[a.out_stride[1]] = (unsigned char)(pixel >> 8);
            out[2 * a.out_stride[1]] = (unsigned char)(pixel >> 16);
        }
    }
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_RESIZE(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *frames = &call->in[2], *out = &call->out[0];
    ResizeArgs args = {};
    args.photos = static_cast<const unsigned char *>(call->in[0].data);
    args.tables = static_cast<const int *>(call->in[1].data);
    args.frames = static_cast<const int *>(frames->data);
    args.frame_stride = frames->stride[0];
    args.out = static_cast<unsigned char *>(out->data);
    take_strides(args.out_stride, out);
    args.height = (int)out->dim[2];
    args.width = (int)out->dim[3];
    args.tiles_across = (args.width + side_of_tile - 1) / side_of_tile;
    args.tiles_of_photo = (args.height + side_of_tile - 1) / side_of_tile * args.tiles_across;
    args.tiles = out->dim[0] * args.tiles_of_photo;
    return launch<resize>(blocks_for(args.tiles * parts_of_tile * threads_of_block), threads_of_block, 0, stream, args);
}
