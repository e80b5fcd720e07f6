/* planted.c - one launch of CAM in memory of exactly the size it needs. Built from kernels with and without a planted fault: the first must run
 * clean, the others must be found (planted.sh). */
#include <stdio.h>
#include <stdlib.h>

#include "kernels.h"

cudaError_t bcam_kernel_CAM(const bcam_kernel_call *call,
                            cudaStream_t stream); /* cam.cu alone is built with the fault */

enum { N = 3, C = 24, H = 5, W = 7, K = 2 };

/* A tensor of rank `rank`, row-major or channels-last, filled with small numbers. */
static bcam_tensor make(bcam_dtype dtype, int rank, const int64_t *dim, bool channels_last)
{
    bcam_tensor t = {.dtype = dtype, .rank = rank};
    for (int a = 0; a < rank; a++)
        t.dim[a] = dim[a];
    (channels_last ? bcam_strides_channels_last : bcam_strides_dense)(rank, dim, t.stride);
    int64_t count = bcam_count(rank, dim);
    if (posix_memalign(&t.data, 256, (size_t)count * 4))
        exit(1);
    for (int64_t i = 0; i < count; i++)
        if (dtype == BCAM_I32)
            ((int32_t *)t.data)[i] = (int32_t)(i % 5);
        else
            ((float *)t.data)[i] = (float)(i % 17 - 8) / 16;
    return t;
}

int main(void)
{
    bcam_step step = {.verb = BCAM_VERB_CAM};
    bcam_kernel_call call = {.step = &step};
    call.in[0] = make(BCAM_F32, 4, (const int64_t[]){N, C, H, W}, true);
    call.in[1] = make(BCAM_F32, 4, (const int64_t[]){K * N, C, H, W}, true);
    call.in[2] = make(BCAM_I32, 2, (const int64_t[]){K, N}, false);
    call.out[0] = make(BCAM_F32, 4, (const int64_t[]){K, N, H, W}, false);
    call.out[1] = make(BCAM_F32, 3, (const int64_t[]){K, N, 2}, false);
    call.out[2] = make(BCAM_F32, 3, (const int64_t[]){K, N, C}, false);
    cudaError_t error = bcam_kernel_CAM(&call, NULL);
    float sum = 0;
    for (int i = 0; i < K * N * H * W; i++)
        sum += ((float *)call.out[0].data)[i];
    printf("error %d, sum of maps %g\n", (int)error, (double)sum);
    for (int i = 0; i < 3; i++) {
        free(call.in[i].data);
        free(call.out[i].data);
    }
    return error != cudaSuccess;
}
