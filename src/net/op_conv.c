/* op_conv.c - convolution, pooling over windows, and the products: operators with weights or windows. */
#include <string.h>

#include "net/lower.h"

/* ---- windows: kernel, stride, dilation and padding as ONNX spells them ---- */

typedef struct window {
    int64_t kernel[2], stride[2], dilation[2], begin[2], end[2];
    bool ceil;
} window;

static bcam_status read_pair(const bcam_node *node, const char *name, int64_t out[2], bcam_error *err)
{
    int64_t list[2];
    int count;
    bcam_status status = bcam_attr_ints(node, name, list, 2, &count, err);
    if (status != BCAM_OK || count < 0)
        return status;
    if (count != 2 || list[0] < 1 || list[1] < 1 || list[0] > 65536 || list[1] > 65536)
        return bcam_op_fail(node, err, "attribute '%s' must be two positive integers (only 2-D photos are supported)",
                            name);
    memcpy(out, list, sizeof list);
    return BCAM_OK;
}

static bcam_status read_pads(const bcam_node *node, window *w, bcam_error *err)
{
    int64_t pads[4] = {0};
    int count;
    bcam_status status = bcam_attr_ints(node, "pads", pads, 4, &count, err);
    if (status != BCAM_OK)
        return status;
    if (count != -1 && count != 4)
        return bcam_op_fail(node, err, "attribute 'pads' must have four integers");
    for (int i = 0; i < 4; i++)
        if (pads[i] < 0 || pads[i] > 65536)
            return bcam_op_fail(node, err, "a padding of %lld is not supported", (long long)pads[i]);
    memcpy(w->begin, pads, sizeof w->begin);
    memcpy(w->end, pads + 2, sizeof w->end);
    return BCAM_OK;
}

/* SAME: the output is ceil(input / stride), the padding is what that needs, the odd pixel at the end (UPPER) or the beginning (LOWER). */
static bcam_status apply_auto_pad(const bcam_node *node, window *w, const int64_t size[2], bcam_error *err)
{
    const char *mode = bcam_attr_string(node, "auto_pad", "NOTSET");
    if (strcmp(mode, "NOTSET") == 0 || !*mode)
        return BCAM_OK;
    bool upper = strcmp(mode, "SAME_UPPER") == 0;
    if (!upper && strcmp(mode, "SAME_LOWER") != 0 && strcmp(mode, "VALID") != 0)
        return bcam_op_fail(node, err, "auto_pad '%s' is not known", mode);
    for (int a = 0; a < 2; a++) {
        int64_t out = (size[a] + w->stride[a] - 1) / w->stride[a];
        int64_t need = (out - 1) * w->stride[a] + (w->kernel[a] - 1) * w->dilation[a] + 1 - size[a];
        if (need < 0 || strcmp(mode, "VALID") == 0)
            need = 0;
        w->begin[a] = upper ? need / 2 : need - need / 2;
        w->end[a] = need - w->begin[a];
    }
    return BCAM_OK;
}

static bcam_status read_window(const bcam_node *node, const bcam_value *x, window *w, bcam_error *err)
{
    for (int a = 0; a < 2; a++)
        w->stride[a] = w->dilation[a] = 1;
    bcam_status status = read_pair(node, "kernel_shape", w->kernel, err);
    if (status == BCAM_OK)
        status = read_pair(node, "strides", w->stride, err);
    if (status == BCAM_OK)
        status = read_pair(node, "dilations", w->dilation, err);
    if (status == BCAM_OK)
        status = read_pads(node, w, err);
    if (status == BCAM_OK)
        status = apply_auto_pad(node, w, x->dim + 2, err);
    w->ceil = bcam_attr_int(node, "ceil_mode", 0) != 0;
    return status;
}

/* In ceil mode a last window that begins in the padding behind the photo is left out, as PyTorch does and ONNX says since operator set 22. */
static bcam_status window_output(const bcam_node *node, const window *w, const int64_t size[2], int64_t out[2],
                                 bcam_error *err)
{
    for (int a = 0; a < 2; a++) {
        int64_t room = size[a] + w->begin[a] + w->end[a] - ((w->kernel[a] - 1) * w->dilation[a] + 1);
        if (room < 0)
            return bcam_op_fail(node, err, "its window of %lld does not fit into %lld padded pixels",
                                (long long)((w->kernel[a] - 1) * w->dilation[a] + 1),
                                (long long)(size[a] + w->begin[a] + w->end[a]));
        out[a] = room / w->stride[a] + 1;
        if (w->ceil && room % w->stride[a] && out[a] * w->stride[a] < size[a] + w->begin[a])
            out[a]++;
    }
    return BCAM_OK;
}

static bcam_status photo_input(bcam_lower *lo, const bcam_node *node, int *x, bcam_error *err)
{
    bcam_status status = bcam_in_tensor(lo, node, 0, x, err);
    if (status == BCAM_OK && bcam_val(lo, *x)->rank != 4)
        return bcam_op_fail(node, err, "its input has %d dimensions; only 2-D photos, (N,C,H,W), are supported",
                            bcam_val(lo, *x)->rank);
    return status;
}

/* ---- Conv ---- */

static bcam_status check_conv(const bcam_node *node, const bcam_value *x, const bcam_value *w, const bcam_value *b,
                              int64_t groups, bcam_error *err)
{
    if (w->rank != 4)
        return bcam_op_fail(node, err, "its weights have %d dimensions; only 2-D convolutions are supported", w->rank);
    if (w->dim[2] < 1 || w->dim[3] < 1 || w->dim[2] > 65536 || w->dim[3] > 65536)
        return bcam_op_fail(node, err, "its window of %lld x %lld will not do", (long long)w->dim[2],
                            (long long)w->dim[3]);
    if (groups < 1 || x->dim[1] % groups || x->dim[1] / groups != w->dim[1] || w->dim[0] % groups)
        return bcam_op_fail(node, err, "weights (%lld,%lld,…) in %lld groups do not fit %lld channels",
                            (long long)w->dim[0], (long long)w->dim[1], (long long)groups, (long long)x->dim[1]);
    if (b && (b->rank != 1 || b->dim[0] != w->dim[0]))
        return bcam_op_fail(node, err, "its bias does not have %lld elements", (long long)w->dim[0]);
    return BCAM_OK;
}

bcam_status bcam_op_conv(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, w, b = bcam_in(lo, node, 2);
    bcam_status status = photo_input(lo, node, &x, err);
    if (status == BCAM_OK)
        status = bcam_in_const(lo, node, 1, &w, err);
    if (status == BCAM_OK && b >= 0)
        status = bcam_in_const(lo, node, 2, &b, err);
    int64_t groups = bcam_attr_int(node, "group", 1);
    if (status == BCAM_OK)
        status = check_conv(node, bcam_val(lo, x), bcam_val(lo, w), b < 0 ? NULL : bcam_val(lo, b), groups, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value *weights = bcam_val(lo, w);
    window win;
    memset(&win, 0, sizeof win);
    memcpy(win.kernel, weights->dim + 2, sizeof win.kernel);
    int64_t dim[4] = {bcam_val(lo, x)->dim[0], weights->dim[0]};
    status = read_window(node, bcam_val(lo, x), &win, err);
    if (status == BCAM_OK && (win.kernel[0] != weights->dim[2] || win.kernel[1] != weights->dim[3]))
        return bcam_op_fail(node, err, "attribute 'kernel_shape' is not the weights' shape");
    if (status == BCAM_OK)
        status = window_output(node, &win, bcam_val(lo, x)->dim + 2, dim + 2, err);
    bcam_step *step;
    if (status == BCAM_OK)
        status = bcam_emit(lo, node, BCAM_VERB_CONV, 4, dim, bcam_is_batched(lo, x), &step, err);
    if (status != BCAM_OK)
        return status;
    bcam_conv_attr *attr = &step->u.conv;
    attr->groups = groups;
    memcpy(attr->stride, win.stride, sizeof win.stride);
    memcpy(attr->dilation, win.dilation, sizeof win.dilation);
    memcpy(attr->pad_begin, win.begin, sizeof win.begin);
    memcpy(attr->pad_end, win.end, sizeof win.end);
    step->in[0] = x;
    step->in[1] = w;
    step->in[2] = b;
    return BCAM_OK;
}

/* ---- MaxPool, AveragePool ---- */

bcam_status bcam_op_pool(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    window win;
    memset(&win, 0, sizeof win);
    bcam_status status = photo_input(lo, node, &x, err);
    if (status == BCAM_OK)
        status = read_window(node, bcam_val(lo, x), &win, err);
    if (status != BCAM_OK)
        return status;
    bool max = strcmp(node->op, "MaxPool") == 0;
    if (!win.kernel[0])
        return bcam_op_fail(node, err, "attribute 'kernel_shape' is missing");
    for (int i = 1; i < node->output_count; i++)
        if (*node->outputs[i])
            return bcam_op_fail(node, err, "the output of indices is not supported");
    const bcam_value *v = bcam_val(lo, x);
    int64_t dim[4] = {v->dim[0], v->dim[1]};
    status = window_output(node, &win, v->dim + 2, dim + 2, err);
    if (status != BCAM_OK)
        return status;
    bool single = true; /* windows of one pixel each, all of them, and nothing around */
    for (int a = 0; a < 2; a++) {
        int64_t most = win.begin[a] > win.end[a] ? win.begin[a] : win.end[a],
                span = (win.kernel[a] - 1) * win.dilation[a] + 1;
        if (most >= span)
            return bcam_op_fail(node, err, "a padding of %lld leaves a window of %lld without a pixel of the photo",
                                (long long)most, (long long)span);
        single &= win.kernel[a] == 1 && win.stride[a] == 1;
    }
    if (single)
        return bcam_bind(lo, node, x, err); /* what an adaptive pooling to the same size is exported as */
    bcam_step *step;
    status = bcam_emit(lo, node, BCAM_VERB_POOL, 4, dim, bcam_is_batched(lo, x), &step, err);
    if (status != BCAM_OK)
        return status;
    bcam_pool_attr *attr = &step->u.pool;
    attr->max = max;
    attr->count_pad = bcam_attr_int(node, "count_include_pad", 0) != 0;
    memcpy(attr->kernel, win.kernel, sizeof win.kernel);
    memcpy(attr->stride, win.stride, sizeof win.stride);
    memcpy(attr->dilation, win.dilation, sizeof win.dilation);
    memcpy(attr->pad_begin, win.begin, sizeof win.begin);
    memcpy(attr->pad_end, win.end, sizeof win.end);
    step->in[0] = x;
    return BCAM_OK;
}

/* ---- Gemm, MatMul: y = x w^T + b with a constant w ---- */

/* (M,K) weights from a constant that lies (K,M) or (M,K): only its strides change. */
static int weights_as_mk(bcam_lower *lo, int w, bool transposed)
{
    const bcam_value from = *bcam_val(lo, w);
    if (transposed)
        return w;
    int64_t dim[2] = {from.dim[1], from.dim[0]};
    int value = bcam_plan_value(lo->plan, from.name, BCAM_ROLE_CONST, BCAM_F32, 2, dim);
    if (value < 0)
        return -1;
    bcam_value *to = bcam_val(lo, value);
    to->data = from.data;
    to->data_dtype = from.data_dtype;
    to->data_stride[0] = from.data_stride[1];
    to->data_stride[1] = from.data_stride[0];
    return value;
}

/* A constant times a number; for alpha and beta of Gemm, which are 1 in practice. */
static bcam_status scaled_const(bcam_lower *lo, const bcam_node *node, int *value, double factor, bcam_error *err)
{
    if (factor == 1)
        return BCAM_OK;
    const bcam_value from = *bcam_val(lo, *value);
    void *data;
    bcam_status status = bcam_const_new(lo, node, from.name, BCAM_F32, from.rank, from.dim, &data, value, err);
    if (status != BCAM_OK)
        return status;
    bcam_const_read(&from, BCAM_F32, data);
    for (int64_t i = 0, n = bcam_count(from.rank, from.dim); i < n; i++)
        ((float *)data)[i] = (float)(factor * (double)((float *)data)[i]);
    return BCAM_OK;
}

/* A bias of any shape that broadcasts along the rows of (N,M): (M), (1,M), (1) or a scalar, as (M). */
static bcam_status bias_as_m(bcam_lower *lo, const bcam_node *node, int *b, int64_t m, bcam_error *err)
{
    const bcam_value from = *bcam_val(lo, *b);
    int64_t count = bcam_count(from.rank, from.dim);
    if ((count != m && count != 1) || (count == m && m > 1 && from.dim[from.rank - 1] != m))
        return bcam_op_fail(node, err, "its bias does not have %lld elements", (long long)m);
    if (from.rank == 1 && count == m)
        return BCAM_OK;
    void *data;
    bcam_status status = bcam_const_new(lo, node, from.name, BCAM_F32, 1, &m, &data, b, err);
    if (status != BCAM_OK)
        return status;
    bcam_const_read(&from, BCAM_F32, data);
    for (int64_t i = count; i < m; i++)
        ((float *)data)[i] = *(float *)data;
    return BCAM_OK;
}

static bcam_status emit_gemm(bcam_lower *lo, const bcam_node *node, int x, int w, bool w_is_mk, int b, bcam_error *err)
{
    const bcam_value *vx = bcam_val(lo, x), *vw = bcam_val(lo, w);
    if (vx->rank != 2 || vw->rank != 2)
        return bcam_op_fail(node, err,
                            "only a (N,K) tensor times a constant matrix is supported, not rank %d times rank %d",
                            vx->rank, vw->rank);
    int64_t dim[2] = {vx->dim[0], vw->dim[w_is_mk ? 0 : 1]};
    if (vx->dim[1] != vw->dim[w_is_mk ? 1 : 0])
        return bcam_op_fail(node, err, "a row of %lld elements meets a matrix for %lld", (long long)vx->dim[1],
                            (long long)vw->dim[w_is_mk ? 1 : 0]);
    int mk = weights_as_mk(lo, w, w_is_mk);
    if (mk < 0)
        return bcam_op_memory(node, err);
    bcam_step *step;
    bcam_status status = b < 0 ? BCAM_OK : bias_as_m(lo, node, &b, dim[1], err);
    if (status == BCAM_OK)
        status = bcam_emit(lo, node, BCAM_VERB_GEMM, 2, dim, bcam_is_batched(lo, x), &step, err);
    if (status != BCAM_OK)
        return status;
    step->in[0] = x;
    step->in[1] = mk;
    step->in[2] = b;
    return BCAM_OK;
}

bcam_status bcam_op_gemm(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, w, b = bcam_in(lo, node, 2);
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_in_const(lo, node, 1, &w, err);
    if (status == BCAM_OK && b >= 0)
        status = bcam_in_const(lo, node, 2, &b, err);
    if (status == BCAM_OK && bcam_attr_int(node, "transA", 0))
        return bcam_op_fail(node, err, "transA on the photos' side is not supported");
    if (status == BCAM_OK)
        status = scaled_const(lo, node, &w, bcam_attr_float(node, "alpha", 1), err);
    if (status == BCAM_OK && b >= 0)
        status = scaled_const(lo, node, &b, bcam_attr_float(node, "beta", 1), err);
    return status != BCAM_OK ? status : emit_gemm(lo, node, x, w, bcam_attr_int(node, "transB", 0) != 0, b, err);
}

bcam_status bcam_op_matmul(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, w;
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_in_const(lo, node, 1, &w, err);
    return status != BCAM_OK ? status : emit_gemm(lo, node, x, w, false, -1, err);
}
