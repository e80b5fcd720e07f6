/* window.c - windows of convolutions and pools. */
#include "net/window.h"

#include <string.h>

enum { LARGEST = 65536 };

/* ---- tensors of one axis ---- */

int bcam_window_photo(bcam_build *b, int *axes)
{
    int x = bcam_build_tensor(b, 0);
    *axes = 2;
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, x);
    if (v.rank != 3 && v.rank != 4) {
        b->status = bcam_op_fail(b->node, b->err,
                                 "its input has %d dimensions; only 2-D photos, (N,C,H,W), and sequences, "
                                 "(N,C,W), are supported",
                                 v.rank);
        return -1;
    }
    *axes = v.rank - 2;
    const int64_t dim[4] = {v.dim[0], v.dim[1], 1, v.dim[2]};
    return v.rank == 4 ? x : bcam_build_reshape(b, x, 4, dim, bcam_is_batched(b->lo, x));
}

int bcam_window_weights(bcam_build *b, int input, int axes)
{
    int w = bcam_build_const(b, input), value = -1;
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, w);
    if (v.rank != axes + 2) {
        b->status = bcam_op_fail(b->node, b->err, "its weights have %d dimensions instead of %d", v.rank, axes + 2);
        return -1;
    }
    if (axes == 2)
        return w;
    const int64_t dim[4] = {v.dim[0], v.dim[1], 1, v.dim[2]},
                  stride[4] = {v.data_stride[0], v.data_stride[1], 0, v.data_stride[2]};
    b->status = bcam_const_view_value(b->lo, b->node, w, 4, dim, stride, &value, b->err);
    return value;
}

bcam_status bcam_window_end(bcam_build *b, int y, int axes)
{
    if (b->status != BCAM_OK || axes == 2)
        return bcam_build_end(b, y);
    const bcam_value v = *bcam_val(b->lo, y);
    const int64_t dim[3] = {v.dim[0], v.dim[1], v.dim[3]};
    return bcam_build_end(b, bcam_build_reshape(b, y, 3, dim, bcam_is_batched(b->lo, y)));
}

/* ---- attributes ---- */

bcam_status bcam_window_list(const bcam_node *node, const char *name, int axes, int64_t least, int64_t out[2],
                             bcam_error *err)
{
    int64_t list[2];
    int count;
    bcam_status status = bcam_attr_ints(node, name, list, 2, &count, err);
    if (status != BCAM_OK || count < 0)
        return status;
    bool fits = count == axes;
    for (int i = 0; fits && i < count; i++)
        fits = list[i] >= least && list[i] <= LARGEST;
    if (!fits)
        return bcam_op_fail(node, err, "attribute '%s' must be %d positive integer%s (only 2-D photos are supported)",
                            name, axes, axes == 1 ? "" : "s");
    memcpy(out + 2 - axes, list, (size_t)axes * sizeof *list);
    return BCAM_OK;
}

static bcam_status read_pads(const bcam_node *node, bcam_window *w, bcam_error *err)
{
    int64_t pads[4] = {0};
    int count;
    bcam_status status = bcam_attr_ints(node, "pads", pads, 4, &count, err);
    if (status != BCAM_OK)
        return status;
    if (count != -1 && count != 2 * w->axes)
        return bcam_op_fail(node, err, "attribute 'pads' must have %s integers", w->axes == 2 ? "four" : "two");
    for (int i = 0; i < 4; i++)
        if (pads[i] < 0 || pads[i] > LARGEST)
            return bcam_op_fail(node, err, "a padding of %lld is not supported", (long long)pads[i]);
    for (int i = 0; i < w->axes; i++) {
        w->begin[2 - w->axes + i] = pads[i];
        w->end[2 - w->axes + i] = pads[w->axes + i];
    }
    return BCAM_OK;
}

bcam_status bcam_window_read(const bcam_node *node, int axes, const int64_t kernel[2], bcam_window *w, bcam_error *err)
{
    *w = (bcam_window){.axes = axes, .stride = {1, 1}, .dilation = {1, 1}};
    memcpy(w->kernel, kernel, sizeof w->kernel);
    bcam_status status = bcam_window_list(node, "kernel_shape", axes, 1, w->kernel, err);
    if (status == BCAM_OK)
        status = bcam_window_list(node, "strides", axes, 1, w->stride, err);
    if (status == BCAM_OK)
        status = bcam_window_list(node, "dilations", axes, 1, w->dilation, err);
    if (status == BCAM_OK)
        status = read_pads(node, w, err);
    w->ceil = bcam_attr_int(node, "ceil_mode", 0) != 0;
    return status;
}

/* SAME: the output is ceil(input / stride), the padding is what that needs, the odd pixel at the end (UPPER) or the beginning (LOWER). */
bcam_status bcam_window_auto_pad(const bcam_node *node, bcam_window *w, const int64_t size[2], bcam_error *err)
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

/* In ceil mode a last window that begins in the padding behind the photo is left out, as PyTorch does and ONNX says since operator set 22. */
bcam_status bcam_window_count(const bcam_node *node, const bcam_window *w, const int64_t size[2], int64_t out[2],
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

void bcam_window_conv(const bcam_window *w, int64_t groups, bcam_conv_attr *attr)
{
    attr->groups = groups;
    memcpy(attr->stride, w->stride, sizeof w->stride);
    memcpy(attr->dilation, w->dilation, sizeof w->dilation);
    memcpy(attr->pad_begin, w->begin, sizeof w->begin);
    memcpy(attr->pad_end, w->end, sizeof w->end);
}
