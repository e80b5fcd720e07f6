/* kernels.h - the product's own CUDA kernels: one launcher per verb, in C. Shared by the .cu files and src/cuda.
 *
 * A launcher puts its work for the whole batch on a stream and returns at once; it allocates nothing and waits for
 * nothing, so it can be captured into a CUDA graph. Tensors say how they lie (strides in elements) and how they are
 * stored (dtype): activations and gradients are F32, F16 or BF16 (one type in a program), channels-last where they have
 * rank 4; what SELECT, CAM and UPSAMPLE give out is F32, I32 or the map's own type; pixels are U8 (N,H,W,3). Sums are
 * made in float32, in an order that depends on neither the batch nor the grid.
 *
 * Every kernel takes any strides. Where the innermost axis is contiguous, aligned to 16 bytes and a multiple of 16
 * bytes long, the same kernel is instantiated with 16-byte loads and stores; that is a template parameter, not another
 * kernel.
 */
#ifndef BCAM_KERNELS_H
#define BCAM_KERNELS_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "dev/dev.h"

/** A step bound to device memory; data is NULL where an operand is absent. A step with each_k is bound once for every
 * k. */
typedef struct bcam_kernel_call {
    const bcam_step *step;
    bcam_tensor in[BCAM_MAX_IN], out[BCAM_MAX_OUT];
    float *scratch; /* device memory of at least bcam_kernel_scratch() bytes */
} bcam_kernel_call;

typedef cudaError_t (*bcam_kernel_fn)(const bcam_kernel_call *call, cudaStream_t stream);

/** By verb; NULL for CONV, CONV_BWD, GEMM and GEMM_BWD, which are cuDNN's and cuBLAS's. */
extern const bcam_kernel_fn bcam_kernels[BCAM_VERB_COUNT];

/** Device memory that a call needs for itself (0 for most). */
size_t bcam_kernel_scratch(const bcam_kernel_call *call);

/** Epilogue of a CONV or GEMM that the library call could not fuse: out = act(out + bias[c] + residual), in place;
 * bias, residual may be NULL. */
cudaError_t bcam_kernel_epilogue(const bcam_tensor *out, const bcam_tensor *bias, const bcam_tensor *residual,
                                 const bcam_unary_attr *act, cudaStream_t stream);

/** out = in with another type and layout, any strides: host layout to device layout and back. */
cudaError_t bcam_kernel_convert(const bcam_tensor *in, const bcam_tensor *out, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
