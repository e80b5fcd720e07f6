/* table.c - one row per verb. */
#include "kernels.h"

#define VERB(NAME, member, in, out) cudaError_t bcam_kernel_##NAME(const bcam_kernel_call *call, cudaStream_t stream);
#include "dev/verbs.def"
#undef VERB

const bcam_kernel_fn bcam_kernels[BCAM_VERB_COUNT] = {
    [BCAM_VERB_POOL] = bcam_kernel_POOL,         [BCAM_VERB_POOL_BWD] = bcam_kernel_POOL_BWD,
    [BCAM_VERB_NORM] = bcam_kernel_NORM,         [BCAM_VERB_NORM_BWD] = bcam_kernel_NORM_BWD,
    [BCAM_VERB_UNARY] = bcam_kernel_UNARY,       [BCAM_VERB_UNARY_BWD] = bcam_kernel_UNARY_BWD,
    [BCAM_VERB_BINARY] = bcam_kernel_BINARY,     [BCAM_VERB_BINARY_BWD] = bcam_kernel_BINARY_BWD,
    [BCAM_VERB_REDUCE] = bcam_kernel_REDUCE,     [BCAM_VERB_REDUCE_BWD] = bcam_kernel_REDUCE_BWD,
    [BCAM_VERB_SOFTMAX] = bcam_kernel_SOFTMAX,   [BCAM_VERB_SOFTMAX_BWD] = bcam_kernel_SOFTMAX_BWD,
    [BCAM_VERB_COPY] = bcam_kernel_COPY,         [BCAM_VERB_COPY_BWD] = bcam_kernel_COPY_BWD,
    [BCAM_VERB_RESIZE] = bcam_kernel_RESIZE,     [BCAM_VERB_PREP] = bcam_kernel_PREP,
    [BCAM_VERB_SELECT] = bcam_kernel_SELECT,     [BCAM_VERB_CAM] = bcam_kernel_CAM,
    [BCAM_VERB_UPSAMPLE] = bcam_kernel_UPSAMPLE,
};

size_t bcam_kernel_scratch_cam(const bcam_kernel_call *call);    /* cam.cu */
size_t bcam_kernel_scratch_select(const bcam_kernel_call *call); /* select.cu */

size_t bcam_kernel_scratch(const bcam_kernel_call *call)
{
    return call->step->verb == BCAM_VERB_CAM      ? bcam_kernel_scratch_cam(call)
           : call->step->verb == BCAM_VERB_SELECT ? bcam_kernel_scratch_select(call)
                                                  : 0;
}
