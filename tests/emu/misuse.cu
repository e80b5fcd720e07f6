/* misuse.cu - kernels that no card would forgive; the CPU run time must find each and say where. The argument says which. */
#include <cstdio>
#include <cstdlib>

#include "device.h"

namespace misuse {

struct Args {
    int kind;
    float *out;
};

__global__ void kernel(Args a)
{
    BCAM_SHARED(float, shared, 64);
    const int t = threadIdx.x;
    if (a.kind == 0 && t < 32)
        return; /* the others wait for it */
    if (a.kind == 1) {
        if (t < 32)
            __syncthreads();
        else
            __syncthreads();
    }
    if (a.kind == 2 && t < 16)
        a.out[t] = __shfl_xor_sync(0xffffffffu, (float)t, 1); /* half a warp, the mask of a whole one */
    if (a.kind == 3)
        a.out[t] = __shfl_sync(t % 2 ? 0xaaaaaaaau : 0x55555555u, (float)t, 0); /* lane 0 is in one mask alone */
    if (a.kind == 4)
        a.out[t] = __ldg(reinterpret_cast<const float4 *>(a.out + 1)).x; /* 4 bytes past an aligned address */
    if (a.kind == 5)
        a.out[t] = shared[t]; /* nobody has written there: NaN */
    __syncthreads();
}

} // namespace misuse

int main(int, char **argv)
{
    void *out = nullptr;
    misuse::Args args = {atoi(argv[1]), nullptr};
    if (posix_memalign(&out, 256, 64 * sizeof(float)))
        return 1;
    args.out = static_cast<float *>(out);
    args.out[0] = 0;
    cudaError_t error = bcam::launch<misuse::kernel>(1, args.kind == 6 ? 2048 : 64, args.kind == 7 ? 1 << 20 : 0, nullptr, args);
    if (error != cudaSuccess)
        fprintf(stderr, "emu: launch refused with %d\n", (int)error);
    if (args.out[0] != args.out[0])
        fprintf(stderr, "emu: out is not a number\n");
    bool bad = error != cudaSuccess || args.out[0] != args.out[0];
    free(out);
    return bad;
}
