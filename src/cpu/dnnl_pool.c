/* dnnl_pool.c - averages over windows by oneDNN, which is about twice as fast as plain C. (So are its maxima, but they
 * pass over a NaN.) */
#include "cpu/dnnl.h"

/* Windows that ceil mode cuts at the edge, and those in the padding alone, are for plain C. */
static bool is_plain_window(const bcam_pool_attr *a, const bcam_tensor *x, const bcam_tensor *y, int axis)
{
    int64_t in = x->dim[2 + axis], last = (y->dim[2 + axis] - 1) * a->stride[axis] - a->pad_begin[axis];
    return a->dilation[axis] == 1 && a->pad_begin[axis] < a->kernel[axis] && last < in &&
           last + a->kernel[axis] <= in + a->pad_end[axis];
}

bcam_status bcam_dnnl_pool(bcam_cpu_call *call, bcam_error *err)
{
    const bcam_pool_attr *a = &call->step->u.pool;
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    dnnl_dims_t stride, kernel, begin, end;
    bool fits = !a->max && x->rank == 4 && x->stride[1] == 1 && y->stride[1] == 1 && x->dtype == y->dtype &&
                (x->dtype == BCAM_F32 || x->dtype == BCAM_BF16);
    for (int i = 0; i < 2 && fits; i++) {
        fits = is_plain_window(a, x, y, i);
        stride[i] = a->stride[i];
        kernel[i] = a->kernel[i];
        begin[i] = a->pad_begin[i];
        end[i] = a->pad_end[i];
    }
    if (!fits)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "'%s' is no pool for oneDNN", call->step->name);
    dnnl_alg_kind_t kind = a->count_pad ? dnnl_pooling_avg_include_padding : dnnl_pooling_avg_exclude_padding;
    dnnl_memory_desc_t mx, my;
    dnnl_pooling_desc_t operation;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    bcam_status status = bcam_dnnl_describe(x, &mx, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_describe(y, &my, err);
    if (status == BCAM_OK && dnnl_pooling_forward_desc_init(&operation, dnnl_forward_inference, kind, &mx, &my, stride,
                                                            kernel, begin, end) != dnnl_success)
        status = bcam_dnnl_failed(dnnl_unimplemented, "pool", err);
    if (status == BCAM_OK)
        status = bcam_dnnl_attr(call, BCAM_DNNL_NONE, NULL, &attr, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_choose(call, &operation, attr, NULL, &desc, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_add(call, desc, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind_operand(call, DNNL_ARG_SRC, &mx, x, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind_operand(call, DNNL_ARG_DST, &my, y, err);
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attr);
    return status;
}
