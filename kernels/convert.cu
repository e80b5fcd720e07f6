/* convert.cu - out = in with another type and layout: host layout to device layout and back.
 *
 *   convert   a thread takes one element, or as many as make 16 bytes of the wider type where both sides are
 *             contiguous. Reads and writes once
 */
#include "box.h"

namespace bcam {

struct ConvertArgs {
    Box<2> box; /* out, in */
    void *out;
    const void *in;
};

template <typename To, typename From, int V> __global__ void BCAM_BOUNDS convert(ConvertArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[2];
        a.box.locate(i, at);
        store<To, V>(static_cast<To *>(a.out) + at[0], load<From, V>(static_cast<const From *>(a.in) + at[1]));
    }
}

/* Elements that stay as they are, of any type. */
template <typename Word> __global__ void BCAM_BOUNDS move(ConvertArgs a)
{
    for (int64_t i = first_of_grid(); i < a.box.count; i += stride_of_grid()) {
        int64_t at[2];
        a.box.locate(i, at);
        static_cast<Word *>(a.out)[at[0]] = static_cast<const Word *>(a.in)[at[1]];
    }
}

/* ---- launchers ---- */

template <typename To, typename From>
static cudaError_t launch_convert(ConvertArgs args, const View (&views)[2], cudaStream_t stream)
{
    constexpr int V = 16 / (sizeof(To) > sizeof(From) ? sizeof(To) : sizeof(From));
    bool pack = args.box.stride[1][args.box.rank - 1] == 1 && packs(args.box, views, V);
    if (pack)
        pack_box(&args.box, V);
    int64_t blocks = blocks_for(args.box.count);
    return pack ? launch<convert<To, From, V>>(blocks, threads_of_block, 0, stream, args)
                : launch<convert<To, From, 1>>(blocks, threads_of_block, 0, stream, args);
}

static cudaError_t launch_move(const ConvertArgs &args, size_t bytes, cudaStream_t stream)
{
    int64_t blocks = blocks_for(args.box.count);
    return bytes == 1   ? launch<move<unsigned char>>(blocks, threads_of_block, 0, stream, args)
           : bytes == 4 ? launch<move<unsigned>>(blocks, threads_of_block, 0, stream, args)
                        : launch<move<unsigned long long>>(blocks, threads_of_block, 0, stream, args);
}

static bool is_real(bcam_dtype dtype)
{
    return dtype == BCAM_F32 || dtype == BCAM_F16 || dtype == BCAM_BF16;
}

} // namespace bcam

using namespace bcam;

extern "C" cudaError_t bcam_kernel_convert(const bcam_tensor *in, const bcam_tensor *out, cudaStream_t stream)
{
    const View views[2] = {view_of(out), view_of(in)};
    ConvertArgs args = {box_of(out->rank, out->dim, views), out->data, in->data};
    if (!is_real(in->dtype) || !is_real(out->dtype))
        return in->dtype == out->dtype ? launch_move(args, bytes_of(out->dtype), stream) : cudaErrorNotSupported;
    return by_type(out->dtype, [&](auto to) {
        return by_type(in->dtype, [&](auto from) {
            return launch_convert<typename decltype(to)::type, typename decltype(from)::type>(args, views, stream);
        });
    });
}
