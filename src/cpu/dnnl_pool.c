/* dnnl_pool.c - maxima and averages over windows by oneDNN, which is two to three times as fast as plain C where windows overlap. */
#include "cpu/dnnl.h"

/** The padding behind, so that oneDNN counts as many windows as there are. With ceil mode the last one may reach further than declared. */
static bool find_padding(const bcam_pool_attr *a, const bcam_tensor *x, const bcam_tensor *y, int axis, int64_t *end)
{
    int64_t in = x->dim[2 + axis], last = (y->dim[2 + axis] - 1) * a->stride[axis] - a->pad_begin[axis];
    int64_t needed = last + a->kernel[axis] - in;
    bool cut = needed > a->pad_end[axis];
    *end = cut ? needed : a->pad_end[axis];
    /* Windows in the padding alone, and averages over what is cut, are for plain C. */
    return a->dilation[axis] == 1 && a->pad_begin[axis] < a->kernel[axis] && last < in && (a->max || !cut);
}

bcam_status bcam_dnnl_pool(bcam_cpu_call *call, bcam_error *err)
{
    const bcam_pool_attr *a = &call->step->u.pool;
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    dnnl_dims_t stride, kernel, begin, end;
    bool fits = x->rank == 4 && x->stride[1] == 1 && y->stride[1] == 1 && x->dtype == y->dtype &&
                (x->dtype == BCAM_F32 || x->dtype == BCAM_BF16);
    for (int i = 0; i < 2 && fits; i++) {
        fits = find_padding(a, x, y, i, &end[i]);
        stride[i] = a->stride[i];
        kernel[i] = a->kernel[i];
        begin[i] = a->pad_begin[i];
    }
    if (!fits || ((const bcam_dnnl *)call->context)->not_finite)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "'%s' is no pool for oneDNN", call->step->name);
    dnnl_alg_kind_t kind = a->max         ? dnnl_pooling_max
                           : a->count_pad ? dnnl_pooling_avg_include_padding
                                          : dnnl_pooling_avg_exclude_padding;
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
