/* op_conv.c - convolution, transposed convolution, pooling over windows. */
#include <string.h>

#include "net/window.h"

/* ---- Conv ---- */

static bcam_status check_conv(const bcam_node *node, const bcam_value *x, const bcam_value *w, const bcam_value *b,
                              int64_t groups, bcam_error *err)
{
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
    bcam_build b = bcam_build_begin(lo, node, err);
    int axes, y = -1, x = bcam_window_photo(&b, &axes), w = bcam_window_weights(&b, 1, axes);
    int bias = bcam_in(lo, node, 2) < 0 ? -1 : bcam_build_const(&b, 2);
    int64_t groups = bcam_attr_int(node, "group", 1);
    if (b.status == BCAM_OK)
        b.status =
            check_conv(node, bcam_val(lo, x), bcam_val(lo, w), bias < 0 ? NULL : bcam_val(lo, bias), groups, err);
    if (b.status != BCAM_OK)
        return b.status;
    bcam_window win;
    int64_t dim[4] = {bcam_val(lo, x)->dim[0], bcam_val(lo, w)->dim[0]};
    b.status = bcam_window_read(node, axes, bcam_val(lo, w)->dim + 2, &win, err);
    if (b.status == BCAM_OK && memcmp(win.kernel, bcam_val(lo, w)->dim + 2, sizeof win.kernel) != 0)
        return bcam_op_fail(node, err, "attribute 'kernel_shape' is not the weights' shape");
    if (b.status == BCAM_OK)
        b.status = bcam_window_auto_pad(node, &win, bcam_val(lo, x)->dim + 2, err);
    if (b.status == BCAM_OK)
        b.status = bcam_window_count(node, &win, bcam_val(lo, x)->dim + 2, dim + 2, err);
    bcam_step *step;
    if (b.status == BCAM_OK)
        b.status =
            bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_CONV, 4, dim, bcam_is_batched(lo, x), &step, &y, err);
    if (b.status != BCAM_OK)
        return b.status;
    bcam_window_conv(&win, groups, &step->u.conv);
    step->in[0] = x;
    step->in[1] = w;
    step->in[2] = bias;
    return bcam_window_end(&b, y, axes);
}

/* ---- ConvTranspose: the backward of a convolution that would have made x, run forwards ---- */

/* What the output is, a row an axis: `size` of it; of that, `zeros_begin` and `zeros_end` that no input reaches. */
typedef struct spread {
    int64_t size[2], zeros_begin[2], zeros_end[2];
} spread;

/* Padding cuts the output; where there is less than none of it, the output goes on with zeros (and the bias). */
static bcam_status spread_of(const bcam_node *node, bcam_window *w, const int64_t in[2], spread *s, bcam_error *err)
{
    int64_t extra[2] = {0, 0}, wanted[2] = {0, 0};
    const char *mode = bcam_attr_string(node, "auto_pad", "NOTSET");
    bcam_status status = bcam_window_list(node, "output_padding", w->axes, 0, extra, err);
    if (status == BCAM_OK)
        status = bcam_window_list(node, "output_shape", w->axes, 1, wanted, err);
    bool same = strncmp(mode, "SAME", 4) == 0, upper = strcmp(mode, "SAME_UPPER") == 0;
    for (int a = 2 - w->axes; status == BCAM_OK && a < 2; a++) {
        int64_t reach = (in[a] - 1) * w->stride[a] + (w->kernel[a] - 1) * w->dilation[a] + 1;
        if (wanted[a] || same) {
            int64_t total = reach + extra[a] - (wanted[a] ? wanted[a] : in[a] * w->stride[a]);
            int64_t half = total >= 0 ? total / 2 : (total - 1) / 2; /* rounded down */
            w->begin[a] = upper ? half : total - half;
            w->end[a] = total - w->begin[a];
        } else if (strcmp(mode, "VALID") == 0) {
            w->begin[a] = w->end[a] = 0;
        }
        w->end[a] -= extra[a];
        s->size[a] = reach - w->begin[a] - w->end[a];
    }
    for (int a = 0; status == BCAM_OK && a < 2; a++) {
        s->size[a] = w->axes == 1 && a == 0 ? 1 : s->size[a];
        if (w->begin[a] < 0) {
            s->zeros_begin[a] = -w->begin[a];
            w->begin[a] = 0;
        }
        if (w->end[a] < 0) { /* a stride's worth but one belongs to the convolution itself */
            s->zeros_end[a] = -w->end[a] < w->stride[a] ? 0 : -w->end[a] - (w->stride[a] - 1);
            w->end[a] = 0;
        }
        if (s->size[a] < 1 || s->size[a] - s->zeros_begin[a] - s->zeros_end[a] < 1)
            return bcam_op_fail(node, err, "its padding leaves nothing of dimension %d", a + 2);
    }
    return status;
}

static int with_zeros(bcam_build *b, int x, const spread *s)
{
    if (b->status != BCAM_OK || (!s->zeros_begin[0] && !s->zeros_begin[1] && !s->zeros_end[0] && !s->zeros_end[1]))
        return x;
    const bcam_value v = *bcam_val(b->lo, x);
    const int64_t dim[4] = {v.dim[0], v.dim[1], s->size[0], s->size[1]};
    bcam_copy_attr *attr;
    int y = bcam_build_copy(b, x, 4, dim, bcam_is_batched(b->lo, x), &attr);
    for (int a = 0; y >= 0 && a < 2; a++) {
        attr->fill = true;
        attr->extent[2 + a] = v.dim[2 + a];
        attr->to[2 + a] = s->zeros_begin[a];
    }
    return y;
}

bcam_status bcam_op_conv_transpose(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    int axes, y = -1, x = bcam_window_photo(&b, &axes), w = bcam_window_weights(&b, 1, axes);
    int bias = bcam_in(lo, node, 2) < 0 ? -1 : bcam_build_const(&b, 2);
    int64_t groups = bcam_attr_int(node, "group", 1), channels = 0;
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value vx = *bcam_val(lo, x), vw = *bcam_val(lo, w); /* (C, M/groups, kh, kw) */
    if (groups < 1 || vw.dim[0] != vx.dim[1] || vx.dim[1] % groups || vw.dim[1] < 1 || vw.dim[2] < 1 || vw.dim[3] < 1 ||
        __builtin_mul_overflow(vw.dim[1], groups, &channels))
        return bcam_op_fail(node, err, "weights (%lld,%lld,%lld,%lld) in %lld groups do not fit %lld channels",
                            (long long)vw.dim[0], (long long)vw.dim[1], (long long)vw.dim[2], (long long)vw.dim[3],
                            (long long)groups, (long long)vx.dim[1]);
    if (bias >= 0 && (bcam_val(lo, bias)->rank != 1 || bcam_val(lo, bias)->dim[0] != channels))
        return bcam_op_fail(node, err, "its bias does not have %lld elements", (long long)channels);
    bcam_window win;
    spread s = {0};
    b.status = bcam_window_read(node, axes, vw.dim + 2, &win, err);
    if (b.status == BCAM_OK && memcmp(win.kernel, vw.dim + 2, sizeof win.kernel) != 0)
        return bcam_op_fail(node, err, "attribute 'kernel_shape' is not the weights' shape");
    if (b.status == BCAM_OK)
        b.status = spread_of(node, &win, vx.dim + 2, &s, err);
    int64_t dim[4] = {vx.dim[0], channels};
    for (int a = 0; a < 2; a++)
        dim[2 + a] = s.size[a] - s.zeros_begin[a] - s.zeros_end[a];
    bcam_step *step;
    if (b.status == BCAM_OK)
        b.status = bcam_emit_value(lo, node, node->outputs[0], BCAM_VERB_CONV_BWD, 4, dim, bcam_is_batched(lo, x),
                                   &step, &y, err);
    if (b.status != BCAM_OK)
        return b.status;
    bcam_window_conv(&win, groups, &step->u.conv);
    step->in[0] = x;
    step->in[1] = w;
    y = with_zeros(&b, y, &s);
    return bcam_window_end(&b, bias < 0 ? y : bcam_build_norm(&b, y, -1, bias), axes);
}

/* ---- MaxPool, AveragePool ---- */

/* Windows of one pixel each, all of them, and nothing around: what an adaptive pooling to the same size is exported as. A window without a
 * pixel of the photo has no maximum. */
static bcam_status check_pool(const bcam_node *node, const bcam_window *w, bool *single, bcam_error *err)
{
    *single = true;
    for (int a = 0; a < 2; a++) {
        int64_t most = w->begin[a] > w->end[a] ? w->begin[a] : w->end[a],
                span = (w->kernel[a] - 1) * w->dilation[a] + 1;
        if (most >= span)
            return bcam_op_fail(node, err, "a padding of %lld leaves a window of %lld without a pixel of the photo",
                                (long long)most, (long long)span);
        *single &= w->kernel[a] == 1 && w->stride[a] == 1;
    }
    return BCAM_OK;
}

static int emit_pool(bcam_build *b, int x, const bcam_window *w)
{
    const bcam_value v = *bcam_val(b->lo, x);
    int64_t dim[4] = {v.dim[0], v.dim[1]};
    bool single = false;
    int y = -1;
    bcam_step *step;
    b->status = bcam_window_count(b->node, w, v.dim + 2, dim + 2, b->err);
    if (b->status == BCAM_OK)
        b->status = check_pool(b->node, w, &single, b->err);
    if (b->status == BCAM_OK && single)
        return x;
    if (b->status == BCAM_OK)
        b->status = bcam_emit_value(b->lo, b->node, b->node->outputs[0], BCAM_VERB_POOL, 4, dim,
                                    bcam_is_batched(b->lo, x), &step, &y, b->err);
    if (b->status != BCAM_OK)
        return -1;
    step->in[0] = x;
    bcam_pool_attr *attr = &step->u.pool;
    attr->max = strcmp(b->node->op, "MaxPool") == 0;
    attr->count_pad = bcam_attr_int(b->node, "count_include_pad", 0) != 0;
    memcpy(attr->kernel, w->kernel, sizeof w->kernel);
    memcpy(attr->stride, w->stride, sizeof w->stride);
    memcpy(attr->dilation, w->dilation, sizeof w->dilation);
    memcpy(attr->pad_begin, w->begin, sizeof w->begin);
    memcpy(attr->pad_end, w->end, sizeof w->end);
    return y;
}

/* (N,C,D,H,W) with windows over D alone, as PyTorch writes its LRN, or over H and W alone: other axes are joined. */
static bcam_status pool_volume(bcam_build *b, int x)
{
    const bcam_value v = *bcam_val(b->lo, x);
    bcam_window w = {.axes = 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    int64_t pads[6] = {0}, kernel[3], stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1};
    const char *mode = bcam_attr_string(b->node, "auto_pad", "NOTSET");
    int n_kernel, n_stride, n_dilation, n_pads;
    bcam_status status = bcam_attr_ints(b->node, "kernel_shape", kernel, 3, &n_kernel, b->err);
    if (status == BCAM_OK)
        status = bcam_attr_ints(b->node, "strides", stride, 3, &n_stride, b->err);
    if (status == BCAM_OK)
        status = bcam_attr_ints(b->node, "dilations", dilation, 3, &n_dilation, b->err);
    if (status == BCAM_OK)
        status = bcam_attr_ints(b->node, "pads", pads, 6, &n_pads, b->err);
    if (status != BCAM_OK)
        return status;
    bool fits = n_kernel == 3 && (n_stride < 0 || n_stride == 3) && (n_dilation < 0 || n_dilation == 3) &&
                (n_pads < 0 || n_pads == 6) && (strcmp(mode, "NOTSET") == 0 || strcmp(mode, "VALID") == 0);
    bool still[3] = {false};
    for (int a = 0; fits && a < 3; a++) {
        still[a] = kernel[a] == 1 && stride[a] == 1 && pads[a] == 0 && pads[a + 3] == 0;
        fits = kernel[a] > 0 && kernel[a] <= 65536 && stride[a] > 0 && stride[a] <= 65536 && dilation[a] > 0 &&
               dilation[a] <= 65536 && pads[a] >= 0 && pads[a] <= 65536 && pads[a + 3] >= 0 && pads[a + 3] <= 65536;
    }
    bool deep = still[1] && still[2];
    if (!fits || (!deep && !still[0]))
        return bcam_op_fail(b->node, b->err,
                            "its windows have three dimensions; only those of 2-D photos are supported");
    for (int a = 0; a < (deep ? 1 : 2); a++) {
        int from = deep ? 0 : a + 1;
        w.kernel[a] = kernel[from];
        w.stride[a] = stride[from];
        w.dilation[a] = dilation[from];
        w.begin[a] = pads[from];
        w.end[a] = pads[from + 3];
    }
    w.ceil = bcam_attr_int(b->node, "ceil_mode", 0) != 0;
    const int64_t flat[4] = {v.dim[0], deep ? v.dim[1] : v.dim[1] * v.dim[2], deep ? v.dim[2] : v.dim[3],
                             deep ? v.dim[3] * v.dim[4] : v.dim[4]};
    bool batched = bcam_is_batched(b->lo, x);
    x = bcam_build_reshape(b, x, 4, flat, batched);
    int y = b->status == BCAM_OK ? emit_pool(b, x, &w) : -1;
    if (b->status != BCAM_OK)
        return b->status;
    const int64_t *d = bcam_val(b->lo, y)->dim;
    const int64_t dim[5] = {v.dim[0], v.dim[1], deep ? d[2] : v.dim[2], deep ? v.dim[3] : d[2], deep ? v.dim[4] : d[3]};
    return bcam_build_end(b, bcam_build_reshape(b, y, 5, dim, batched));
}

/* The indices that MaxPool can give are not made; a node that reads them is refused. */
bcam_status bcam_op_pool(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    static const int64_t one[2] = {1, 1};
    int axes, x = bcam_build_tensor(&b, 0);
    bcam_window win;
    if (b.status == BCAM_OK && !bcam_node_attr(node, "kernel_shape"))
        return bcam_op_fail(node, err, "attribute 'kernel_shape' is missing");
    if (b.status == BCAM_OK && bcam_val(lo, x)->rank == 5)
        return pool_volume(&b, x);
    x = bcam_window_photo(&b, &axes);
    if (b.status == BCAM_OK)
        b.status = bcam_window_read(node, axes, one, &win, err);
    if (b.status == BCAM_OK)
        b.status = bcam_window_auto_pad(node, &win, bcam_val(lo, x)->dim + 2, err);
    return b.status != BCAM_OK ? b.status : bcam_window_end(&b, emit_pool(&b, x, &win), axes);
}
