/* dnnl_gemm.c - products by oneDNN. */
#include "cpu/dnnl.h"

bcam_status bcam_dnnl_product(bcam_cpu_call *call, const dnnl_memory_desc_t *mx, const dnnl_memory_desc_t *mw,
                              const dnnl_memory_desc_t *bias, const dnnl_memory_desc_t *my,
                              const_dnnl_primitive_attr_t attr, const bcam_tensor *w, bcam_error *err)
{
    dnnl_memory_desc_t any;
    dnnl_matmul_desc_t operation;
    dnnl_primitive_desc_t desc = NULL;
    bcam_status status = bcam_dnnl_any_order(mw, mx->data_type, &any, err);
    if (status == BCAM_OK && dnnl_matmul_desc_init(&operation, mx, &any, bias, my) != dnnl_success)
        status = bcam_dnnl_failed(dnnl_unimplemented, "product", err);
    if (status == BCAM_OK)
        status = bcam_dnnl_choose(call, &operation, attr, NULL, &desc, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_add(call, desc, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind_weights(call, w, mw, desc, err);
    dnnl_primitive_desc_destroy(desc);
    return status;
}

bcam_status bcam_dnnl_multiply(bcam_cpu_call *call, const bcam_tensor *x, const bcam_tensor *w, const bcam_tensor *y,
                               const bcam_tensor *residual, bcam_error *err)
{
    const bcam_tensor *bias =
        call->step->verb == BCAM_VERB_GEMM || call->step->verb == BCAM_VERB_CONV ? &call->in[2] : NULL;
    bool biased = bias && bias->data;
    dnnl_memory_desc_t mx, my, mw, mb, mr;
    dnnl_primitive_attr_t attr = NULL;
    bcam_tensor row = {.rank = 2, .dim = {1, y->dim[1]}, .stride = {y->dim[1], 1}};
    bcam_status status = bcam_dnnl_describe(x, &mx, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_describe(y, &my, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_describe(w, &mw, err);
    if (status == BCAM_OK && biased)
        status = bcam_dnnl_describe(&row, &mb, err);
    if (status == BCAM_OK && residual)
        status = bcam_dnnl_describe(residual, &mr, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_attr(call, residual ? BCAM_DNNL_BINARY : BCAM_DNNL_NONE, &mr, &attr, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_product(call, &mx, &mw, biased ? &mb : NULL, &my, attr, w, err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind_operand(call, DNNL_ARG_SRC, &mx, &call->in[0], err);
    if (status == BCAM_OK && biased)
        status = bcam_dnnl_bind(call, DNNL_ARG_BIAS, &mb, bias->data, err);
    if (status == BCAM_OK && residual)
        status = bcam_dnnl_bind_residual(call, &mr, &call->in[3], err);
    if (status == BCAM_OK)
        status = bcam_dnnl_bind_operand(call, DNNL_ARG_DST, &my, &call->out[0], err);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

/* (M,K) as (K,M). */
static bcam_tensor turned(const bcam_tensor *w)
{
    bcam_tensor t = {.data = w->data, .dtype = w->dtype, .rank = 2};
    for (int a = 0; a < 2; a++) {
        t.dim[a] = w->dim[1 - a];
        t.stride[a] = w->stride[1 - a];
    }
    return t;
}

bcam_status bcam_dnnl_gemm(bcam_cpu_call *call, bcam_error *err)
{
    bcam_tensor w = turned(&call->in[1]); /* multiplied transposed */
    return bcam_dnnl_multiply(call, &call->in[0], &w, &call->out[0], NULL, err);
}

bcam_status bcam_dnnl_gemm_bwd(bcam_cpu_call *call, bcam_error *err)
{
    return bcam_dnnl_multiply(call, &call->in[0], &call->in[1], &call->out[0], NULL, err);
}

/* ---- 1x1 convolutions: a product over pixels ---- */

bool bcam_dnnl_rows(const bcam_tensor *t, bcam_tensor *rows)
{
    *rows = (bcam_tensor){.data = t->data,
                          .dtype = t->dtype,
                          .rank = 2,
                          .dim = {t->dim[0] * t->dim[2] * t->dim[3], t->dim[1]},
                          .stride = {t->stride[3], 1}};
    return t->stride[1] == 1 && t->stride[2] == t->dim[3] * t->stride[3] && t->stride[0] == t->dim[2] * t->stride[2] &&
           t->dim[2] * t->dim[3] > 1 &&
           t->dim[1] > 1; /* what is a mere vector for one photo is added in another order then */
}

static bool is_pointwise(const bcam_conv_attr *a, const bcam_tensor *w)
{
    return w->dim[2] * w->dim[3] == 1 && a->groups == 1 && a->stride[0] == 1 && a->stride[1] == 1 &&
           a->pad_begin[0] + a->pad_begin[1] + a->pad_end[0] + a->pad_end[1] == 0;
}

bcam_status bcam_dnnl_conv_product(bcam_cpu_call *call, bcam_error *err)
{
    const bcam_tensor *r = &call->in[3];
    bool backward = call->step->verb == BCAM_VERB_CONV_BWD, residual = !backward && r->data;
    bcam_tensor x, y, add, w = backward ? call->in[1] : turned(&call->in[1]);
    w.rank = 2;
    if (!is_pointwise(&call->step->u.conv, &call->in[1]) || !bcam_dnnl_rows(&call->in[0], &x) ||
        !bcam_dnnl_rows(&call->out[0], &y) || (residual && !bcam_dnnl_rows(r, &add)))
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "'%s' is no product over pixels", call->step->name);
    return bcam_dnnl_multiply(call, &x, &w, &y, residual ? &add : NULL, err);
}
