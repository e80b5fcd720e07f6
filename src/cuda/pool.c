/* pool.c - pooling as a graph of cuDNN's, where that means the same as the own kernel.
 *
 * It does not for dilated windows, and not for averages whose last window is cut at the end of the declared padding while padding counts. The
 * gradient of a maximum is not asked for either: with channels last, cuDNN wants the places that its own forward pass wrote, which no value of a
 * plan holds, and it does not promise the first of equal maxima. */
#include "cuda/desc.h"

bool bcam_is_pool(bcam_verb verb)
{
    return verb == BCAM_VERB_POOL || verb == BCAM_VERB_POOL_BWD;
}

/* The padding behind that gives cuDNN the step's windows: in ceil mode the last one reaches past the declared padding. */
static int64_t padding_behind(const bcam_conv_problem *p, int axis)
{
    const bcam_pool_attr *a = &p->step->u.pool;
    int64_t reach = (p->y.dim[2 + axis] - 1) * a->stride[axis] + a->kernel[axis] - a->pad_begin[axis];
    return reach > p->x.dim[2 + axis] ? reach - p->x.dim[2 + axis] : 0;
}

bool bcam_pool_asks(const bcam_cudnn *dnn, const bcam_conv_problem *p)
{
    const bcam_pool_attr *a = &p->step->u.pool;
    bool fits = !dnn->deterministic && p->x.stride[1] == 1 && p->y.stride[1] == 1 &&
                !(a->max && p->step->verb == BCAM_VERB_POOL_BWD);
    for (int d = 0; d < 2; d++) {
        fits &= a->dilation[d] == 1 && (p->y.dim[2 + d] - 1) * a->stride[d] < a->pad_begin[d] + p->x.dim[2 + d];
        fits &= a->max || !a->count_pad || padding_behind(p, d) <= a->pad_end[d];
    }
    return fits;
}

static cudnnResampleMode_t mode_of(const bcam_conv_problem *p)
{
    const bcam_pool_attr *a = &p->step->u.pool;
    bool padded = a->pad_begin[0] || a->pad_begin[1] || padding_behind(p, 0) || padding_behind(p, 1);
    return a->max                    ? CUDNN_RESAMPLE_MAXPOOL
           : a->count_pad || !padded ? CUDNN_RESAMPLE_AVGPOOL_INCLUDE_PADDING
                                     : CUDNN_RESAMPLE_AVGPOOL_EXCLUDE_PADDING;
}

static void set_pair(bcam_builder *b, bcam_desc d, cudnnBackendAttributeName_t name, int64_t rows, int64_t columns)
{
    const cudnnFraction_t pair[2] = {{rows, 1}, {columns, 1}};
    bcam_desc_set(b, d, name, CUDNN_TYPE_FRACTION, 2, pair);
}

/* Sums are float; a NaN wins, as in the own kernel. */
static bcam_desc resample(bcam_builder *b, const bcam_conv_problem *p)
{
    const bcam_pool_attr *a = &p->step->u.pool;
    cudnnResampleMode_t mode = mode_of(p);
    cudnnPaddingMode_t padding = a->max ? CUDNN_NEG_INF_PAD : CUDNN_ZERO_PAD;
    cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    bcam_desc d = bcam_desc_make(b, CUDNN_BACKEND_RESAMPLE_DESCRIPTOR);
    bcam_desc_set(b, d, CUDNN_ATTR_RESAMPLE_MODE, CUDNN_TYPE_RESAMPLE_MODE, 1, &mode);
    bcam_desc_set(b, d, CUDNN_ATTR_RESAMPLE_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    bcam_desc_set(b, d, CUDNN_ATTR_RESAMPLE_PADDING_MODE, CUDNN_TYPE_PADDING_MODE, 1, &padding);
    bcam_desc_set(b, d, CUDNN_ATTR_RESAMPLE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan);
    bcam_desc_set_number(b, d, CUDNN_ATTR_RESAMPLE_SPATIAL_DIMS, 2);
    set_pair(b, d, CUDNN_ATTR_RESAMPLE_WINDOW_DIMS, a->kernel[0], a->kernel[1]);
    set_pair(b, d, CUDNN_ATTR_RESAMPLE_STRIDES, a->stride[0], a->stride[1]);
    set_pair(b, d, CUDNN_ATTR_RESAMPLE_PRE_PADDINGS, a->pad_begin[0], a->pad_begin[1]);
    set_pair(b, d, CUDNN_ATTR_RESAMPLE_POST_PADDINGS, padding_behind(p, 0), padding_behind(p, 1));
    bcam_desc_finish(b, d);
    return d;
}

bcam_desc bcam_pool_operation(bcam_builder *b, const bcam_conv_problem *p)
{
    bool forward = p->step->verb == BCAM_VERB_POOL;
    bcam_desc x = bcam_desc_tensor(b, &p->x, BCAM_UID_X), y = bcam_desc_tensor(b, &p->y, BCAM_UID_Y),
              what = resample(b, p);
    bcam_desc d = bcam_desc_make(b, forward ? CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR
                                            : CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR);
    bcam_desc_set_part(b, d, forward ? CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC : CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC,
                       what);
    bcam_desc_set_part(b, d,
                       forward ? CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC : CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC, x);
    bcam_desc_set_part(b, d,
                       forward ? CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC : CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC, y);
    bcam_desc_finish(b, d);
    return d;
}

cudaError_t bcam_pool_kernel(const bcam_conv_problem *p, cudaStream_t stream)
{
    bool forward = p->step->verb == BCAM_VERB_POOL;
    bcam_kernel_call call = {.step = p->step, .in = {forward ? p->x : p->y}, .out = {forward ? p->y : p->x}};
    return bcam_kernels[p->step->verb](&call, stream);
}
