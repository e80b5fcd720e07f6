/* window.h - kernel, stride, dilation and padding as ONNX spells them, for convolutions and pools. A sequence (N,C,W) is a photo of height 1.
 * Private to net/. */
#ifndef BCAM_NET_WINDOW_H
#define BCAM_NET_WINDOW_H

#include "net/build.h"

typedef struct bcam_window {
    int axes; /* 1 or 2, of the file's tensors */
    int64_t kernel[2], stride[2], dilation[2], begin[2], end[2];
    bool ceil;
} bcam_window;

/** Input 0, (N,C,W) or (N,C,H,W), as (N,C,H,W); *axes is 1 or 2. */
int bcam_window_photo(bcam_build *b, int *axes);
/** A constant (M,C,k) or (M,C,kh,kw) as (M,C,kh,kw). */
int bcam_window_weights(bcam_build *b, int input, int axes);
/** (N,C,1,W) as (N,C,W) again where the file's tensor has one axis; it becomes output 0. */
bcam_status bcam_window_end(bcam_build *b, int y, int axes);

/** Attributes, but for auto_pad. `kernel` is the default of kernel_shape. */
bcam_status bcam_window_read(const bcam_node *node, int axes, const int64_t kernel[2], bcam_window *w, bcam_error *err);
/** One positive integer an axis, or what *out holds. */
bcam_status bcam_window_list(const bcam_node *node, const char *name, int axes, int64_t least, int64_t out[2],
                             bcam_error *err);
/** The padding that auto_pad asks for. */
bcam_status bcam_window_auto_pad(const bcam_node *node, bcam_window *w, const int64_t size[2], bcam_error *err);
/** How many windows there are. */
bcam_status bcam_window_count(const bcam_node *node, const bcam_window *w, const int64_t size[2], int64_t out[2],
                              bcam_error *err);
void bcam_window_conv(const bcam_window *w, int64_t groups, bcam_conv_attr *attr);

#endif
