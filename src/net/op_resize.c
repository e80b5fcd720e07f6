/* op_resize.c - Resize and Upsample. Each axis is resized by itself: nearest takes elements, the others multiply by a matrix that holds the
 * weights of the interpolation. */
#include <math.h>
#include <string.h>

#include "net/build.h"

typedef enum method { NEAREST, LINEAR, CUBIC } method;

typedef struct resize {
    const bcam_node *node;
    method method;
    const char *transform, *nearest;
    double cubic_a;
    bool exclude_outside, antialias;
    int64_t size[BCAM_MAX_RANK];
    double scale[BCAM_MAX_RANK], start[BCAM_MAX_RANK],
        end[BCAM_MAX_RANK]; /* start, end: of a crop, as shares of the input */
} resize;

/* ---- what is asked for ---- */

static bcam_status read_method(const bcam_lower *lo, const bcam_node *node, resize *r, bcam_error *err)
{
    static const char *const known[] = {"nearest", "linear", "cubic"};
    const char *mode = bcam_attr_string(node, "mode", "nearest");
    bool old = strcmp(node->op, "Upsample") == 0 || lo->graph->opset < 11;
    if (strcmp(mode, "bilinear") == 0)
        mode = "linear";
    size_t i = 0;
    while (i < BCAM_COUNT(known) && strcmp(known[i], mode) != 0)
        i++;
    if (i == BCAM_COUNT(known))
        return bcam_op_fail(node, err, "mode '%s' is not supported", mode);
    r->node = node;
    r->method = (method)i;
    r->transform = bcam_attr_string(node, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel");
    r->nearest = bcam_attr_string(node, "nearest_mode", old ? "floor" : "round_prefer_floor");
    r->cubic_a = bcam_attr_float(node, "cubic_coeff_a", -0.75);
    r->exclude_outside = bcam_attr_int(node, "exclude_outside", 0) != 0;
    r->antialias = bcam_attr_int(node, "antialias", 0) != 0;
    return BCAM_OK;
}

/* The axes that scales, sizes and roi are of: all, or those of attribute `axes` (operator set 18). */
static bcam_status read_axes(const bcam_node *node, int rank, int *axes, int *count, bcam_error *err)
{
    int64_t list[BCAM_MAX_RANK];
    bcam_status status = bcam_attr_ints(node, "axes", list, BCAM_MAX_RANK, count, err);
    if (status == BCAM_OK && *count < 0) {
        *count = rank;
        for (int a = 0; a < rank; a++)
            list[a] = a;
    }
    for (int i = 0; status == BCAM_OK && i < *count; i++)
        status = bcam_axis(node, list[i], rank, &axes[i], err);
    return status;
}

/* Numbers of an input, or of attribute `name` (Upsample before operator set 9); *count is 0 where there are none. */
static bcam_status read_numbers(bcam_lower *lo, const bcam_node *node, int input, const char *name, double *out,
                                int most, int *count, bcam_error *err)
{
    int value = bcam_in(lo, node, input);
    const bcam_attr *attr = *name ? bcam_node_attr(node, name) : NULL;
    *count = 0;
    if (value < 0 && attr && attr->kind == BCAM_ATTR_FLOATS && attr->count <= (size_t)most) {
        for (size_t i = 0; i < attr->count; i++)
            out[i] = (double)attr->floats[i];
        *count = (int)attr->count;
    }
    if (value < 0)
        return BCAM_OK;
    const bcam_value *v = bcam_val(lo, value);
    int64_t n = bcam_count(v->rank, v->dim);
    if (v->role != BCAM_ROLE_CONST || n > most)
        return bcam_op_fail(node, err, "'%s' must be a constant of at most %d numbers", v->name, most);
    bcam_const_read(v, BCAM_F64, out);
    *count = (int)n;
    return BCAM_OK;
}

/* not_larger, not_smaller: one scale for all axes, the smallest or the largest that the sizes ask for. */
static void keep_aspect(const resize *r, const bcam_value *v, const int *axes, int count, const double *sizes,
                        double *scales)
{
    const char *policy = bcam_attr_string(r->node, "keep_aspect_ratio_policy", "stretch");
    bool larger = strcmp(policy, "not_smaller") == 0, keep = larger || strcmp(policy, "not_larger") == 0;
    double one = 0;
    for (int i = 0; i < count; i++) {
        scales[i] = sizes[i] / (double)v->dim[axes[i]];
        if (i == 0 || (larger ? scales[i] > one : scales[i] < one))
            one = scales[i];
    }
    for (int i = 0; keep && i < count; i++)
        scales[i] = one;
}

static bcam_status read_resize(bcam_lower *lo, const bcam_node *node, int x, resize *r, bcam_error *err)
{
    const bcam_value v = *bcam_val(lo, x);
    double scales[BCAM_MAX_RANK], sizes[BCAM_MAX_RANK], roi[2 * BCAM_MAX_RANK];
    int axes[BCAM_MAX_RANK], n, scale_count, size_count = 0, roi_count = 0;
    bool newer = strcmp(node->op, "Resize") == 0 && lo->graph->opset >= 11;
    bcam_status status = read_method(lo, node, r, err);
    if (status == BCAM_OK)
        status = read_axes(node, v.rank, axes, &n, err);
    if (status == BCAM_OK)
        status = read_numbers(lo, node, newer ? 2 : 1, newer ? "" : "scales", scales, BCAM_MAX_RANK, &scale_count, err);
    if (status == BCAM_OK && newer)
        status = read_numbers(lo, node, 3, "", sizes, BCAM_MAX_RANK, &size_count, err);
    if (status == BCAM_OK && newer && strcmp(r->transform, "tf_crop_and_resize") == 0)
        status = read_numbers(lo, node, 1, "", roi, 2 * BCAM_MAX_RANK, &roi_count, err);
    if (status != BCAM_OK)
        return status;
    if ((scale_count != n && size_count != n) || (roi_count && roi_count != 2 * n))
        return bcam_op_fail(node, err, "its scales, sizes or roi are not one number for each of %d axes", n);
    bool sized = size_count == n && scale_count != n;
    for (int i = 0; sized && i < n; i++) /* while lifting, the file's fixed batch becomes N */
        if (lo->lift && axes[i] == 0 && bcam_is_batched(lo, x) && sizes[i] == (double)lo->declared_batch)
            sizes[i] = (double)v.dim[0];
    if (sized)
        keep_aspect(r, &v, axes, n, sizes, scales);
    for (int a = 0; a < v.rank; a++) {
        r->size[a] = v.dim[a];
        r->scale[a] = r->end[a] = 1;
        r->start[a] = 0;
    }
    for (int i = 0; i < n; i++) {
        int a = axes[i];
        r->start[a] = roi_count ? roi[i] : 0;
        r->end[a] = roi_count ? roi[n + i] : 1;
        double length = (double)v.dim[a] * scales[i];
        length = sized ? floor(length + 0.5) : floor((roi_count ? r->end[a] - r->start[a] : 1) * length + 1e-9);
        if (!(length >= 1 && length <= 1 << 24 && scales[i] > 0))
            return bcam_op_fail(node, err, "%lld elements times %g will not do", (long long)v.dim[a], scales[i]);
        r->size[a] = (int64_t)length;
        r->scale[a] = scales[i];
    }
    return BCAM_OK;
}

/* ---- where an output looks ---- */

#define FARTHEST 1e9

/* The place in the input, in elements, of output `at` of an axis of n elements. */
static bcam_status place_of(const resize *r, int axis, int64_t n, int64_t at, double *place, bcam_error *err)
{
    const char *how = r->transform;
    double o = (double)at, scale = r->scale[axis], length = scale * (double)n, last = (double)n - 1;
    if (strcmp(how, "half_pixel") == 0)
        *place = (o + 0.5) / scale - 0.5;
    else if (strcmp(how, "half_pixel_symmetric") == 0)
        *place = (double)n / 2 * (1 - (double)r->size[axis] / length) + (o + 0.5) / scale - 0.5;
    else if (strcmp(how, "pytorch_half_pixel") == 0)
        *place = r->size[axis] > 1 ? (o + 0.5) / scale - 0.5 : 0;
    else if (strcmp(how, "align_corners") == 0)
        *place = r->size[axis] > 1 ? o * last / (length - 1) : 0;
    else if (strcmp(how, "asymmetric") == 0)
        *place = o / scale;
    else if (strcmp(how, "tf_half_pixel_for_nn") == 0) /* until operator set 12 */
        *place = (o + 0.5) / scale;
    else if (strcmp(how, "tf_crop_and_resize") == 0)
        *place = r->size[axis] > 1
                     ? r->start[axis] * last + o * (r->end[axis] - r->start[axis]) * last / ((double)r->size[axis] - 1)
                     : 0.5 * (r->start[axis] + r->end[axis]) * last;
    else
        return bcam_op_fail(r->node, err, "coordinate_transformation_mode '%s' is not supported", how);
    if (!(fabs(*place) <= FARTHEST)) /* NaN, too; and so that a place is told from the next one */
        return bcam_op_fail(r->node, err, "it looks for element %g of %lld", *place, (long long)n);
    return BCAM_OK;
}

static bool is_same(const resize *r, int axis, int64_t n)
{
    bool crop = strcmp(r->transform, "tf_crop_and_resize") == 0 && (r->start[axis] != 0 || r->end[axis] != 1);
    return r->size[axis] == n && r->scale[axis] == 1 && !crop;
}

/* ---- nearest ---- */

static int64_t nearest_of(const resize *r, double place, int64_t n)
{
    double at = strcmp(r->nearest, "floor") == 0               ? floor(place)
                : strcmp(r->nearest, "ceil") == 0              ? ceil(place)
                : strcmp(r->nearest, "round_prefer_ceil") == 0 ? floor(place + 0.5)
                                                               : ceil(place - 0.5);
    return at < 0 ? 0 : at > (double)(n - 1) ? n - 1 : (int64_t)at;
}

/* The indices of an axis; *factor is f where every element comes f times, else 0. */
static bcam_status take_list(const resize *r, int axis, int64_t n, int64_t *index, int64_t *factor, bcam_error *err)
{
    int64_t f = r->size[axis] % n ? 0 : r->size[axis] / n;
    bcam_status status = BCAM_OK;
    for (int64_t o = 0; status == BCAM_OK && o < r->size[axis]; o++) {
        double place = 0;
        status = place_of(r, axis, n, o, &place, err);
        index[o] = nearest_of(r, place, n);
        f = f && index[o] == o / f ? f : 0;
    }
    *factor = f;
    return status;
}

/* Elements repeated along several axes: one copy with a new axis behind each. */
static int repeated(bcam_build *b, int x, const int64_t *factor)
{
    if (b->status != BCAM_OK)
        return -1;
    const bcam_value v = *bcam_val(b->lo, x);
    int64_t wide[BCAM_MAX_RANK], dim[BCAM_MAX_RANK];
    int from[BCAM_MAX_RANK], rank = 0;
    for (int a = 0; a < v.rank; a++) {
        from[rank] = a;
        wide[rank++] = v.dim[a];
        dim[a] = v.dim[a] * factor[a];
        if (factor[a] > 1) {
            from[rank] = -1;
            wide[rank++] = factor[a];
        }
    }
    bool batched = bcam_is_batched(b->lo, x) && factor[0] == 1;
    bcam_copy_attr *attr;
    int y = bcam_build_copy(b, x, rank, wide, batched, &attr);
    if (y >= 0)
        memcpy(attr->axis, from, (size_t)rank * sizeof *from);
    return bcam_build_reshape(b, y, v.rank, dim, batched);
}

static int resize_nearest(bcam_build *b, const resize *r, int x)
{
    int64_t factor[BCAM_MAX_RANK], f = 0;
    int rank = bcam_val(b->lo, x)->rank, room = BCAM_MAX_RANK - rank;
    for (int a = 0; a < rank; a++) {
        factor[a] = 1;
        int64_t n = b->status == BCAM_OK ? bcam_val(b->lo, x)->dim[a] : 1;
        if (b->status != BCAM_OK || is_same(r, a, n))
            continue;
        int64_t *index = bcam_alloc((size_t)r->size[a], sizeof *index);
        b->status = index ? take_list(r, a, n, index, &f, b->err) : bcam_op_memory(b->node, b->err);
        if (b->status == BCAM_OK && f > 1 && room-- > 0)
            factor[a] = f;
        else
            x = bcam_build_take(b, x, a, index, r->size[a]);
        bcam_free(index);
    }
    for (int a = 0; a < rank; a++)
        if (factor[a] > 1)
            return repeated(b, x, factor);
    return x;
}

/* ---- linear, cubic ---- */

/* Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, equation 4. */
static double kernel_at(const resize *r, double t)
{
    double a = r->cubic_a;
    t = fabs(t);
    if (r->method == LINEAR)
        return t < 1 ? 1 - t : 0;
    if (t <= 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

/* A row of the matrix: weights of the input around `place`. Antialiasing widens the kernel by as much as the axis shrinks. */
static void fill_row(const resize *r, int axis, int64_t n, double place, float *row)
{
    double squeeze = r->antialias && r->scale[axis] < 1 ? r->scale[axis] : 1;
    double reach = (r->method == LINEAR ? 1 : 2) / squeeze, sum = 0;
    double first = ceil(place - reach), last = floor(place + reach);
    for (double i = first; i <= last; i++)
        if (!r->exclude_outside || (i >= 0 && i < (double)n))
            sum += kernel_at(r, (i - place) * squeeze);
    bool share = r->exclude_outside || squeeze != 1;
    for (double i = first; i <= last; i++) {
        double weight = kernel_at(r, (i - place) * squeeze) / (share ? sum : 1);
        double at = i < 0 ? 0 : i > (double)(n - 1) ? (double)(n - 1) : i;
        if (!r->exclude_outside || at == i)
            row[(int64_t)at] += (float)weight;
    }
}

static int resize_smooth(bcam_build *b, const resize *r, int x)
{
    for (int a = 0, rank = bcam_val(b->lo, x)->rank; a < rank; a++) {
        int64_t n = b->status == BCAM_OK ? bcam_val(b->lo, x)->dim[a] : 0;
        if (b->status != BCAM_OK || is_same(r, a, n))
            continue;
        float *weights;
        const int64_t dim[2] = {r->size[a], n};
        int w = bcam_build_new(b, 2, dim, &weights);
        for (int64_t o = 0; b->status == BCAM_OK && o < r->size[a]; o++) {
            double place = 0;
            b->status = place_of(r, a, n, o, &place, b->err);
            if (b->status == BCAM_OK)
                fill_row(r, a, n, place, weights + o * n);
        }
        x = bcam_build_along(b, x, a, w);
    }
    return x;
}

/* ---- a crop that reaches outside ---- */

/* 1 where every axis looks into the input, else 0; NULL as result in *any where that is everywhere. */
static int inside_mask(bcam_build *b, const resize *r, const int64_t *from, int rank, float **data, bool *any)
{
    int64_t count = bcam_count(rank, r->size);
    int mask = bcam_build_new(b, rank, r->size, data);
    *any = false;
    for (int64_t i = 0; b->status == BCAM_OK && i < count; i++) {
        int64_t rest = i;
        bool inside = true;
        for (int a = rank - 1; a >= 0; a--) {
            double place = 0;
            if (is_same(r, a, from[a]) || b->status != BCAM_OK)
                rest /= r->size[a];
            else {
                b->status = place_of(r, a, from[a], rest % r->size[a], &place, b->err);
                inside &= place >= 0 && place <= (double)(from[a] - 1);
                rest /= r->size[a];
            }
        }
        (*data)[i] = inside ? 1 : 0;
        *any |= !inside;
    }
    return mask;
}

static int with_outside(bcam_build *b, resize r, const bcam_value *from, int y)
{
    if (b->status != BCAM_OK || strcmp(r.transform, "tf_crop_and_resize") != 0)
        return y;
    int64_t dim[BCAM_MAX_RANK];
    bool any;
    for (int a = 0; a < from->rank; a++) {
        dim[a] = from->dim[a];
        if (is_same(&r, a, dim[a]))
            dim[a] = r.size[a] = 1; /* the same all along */
    }
    float *inside, *outside;
    int mask = inside_mask(b, &r, dim, from->rank, &inside, &any);
    if (!any || b->status != BCAM_OK)
        return y;
    int rest = bcam_build_new(b, from->rank, r.size, &outside);
    double number = bcam_attr_float(b->node, "extrapolation_value", 0);
    for (int64_t i = 0, n = bcam_count(from->rank, r.size); b->status == BCAM_OK && i < n; i++)
        outside[i] = inside[i] != 0 ? 0 : (float)number;
    return bcam_build_binary(b, BCAM_BINARY_ADD, bcam_build_binary(b, BCAM_BINARY_MUL, y, mask), rest);
}

bcam_status bcam_op_resize(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    bcam_build b = bcam_build_begin(lo, node, err);
    resize r;
    int x = bcam_build_tensor(&b, 0);
    if (b.status == BCAM_OK)
        b.status = read_resize(lo, node, x, &r, err);
    if (b.status != BCAM_OK)
        return b.status;
    const bcam_value v = *bcam_val(lo, x);
    int y = r.method == NEAREST ? resize_nearest(&b, &r, x) : resize_smooth(&b, &r, x);
    if (b.status == BCAM_OK && y != x)
        bcam_mark_like(lo, y, x);
    return bcam_build_end(&b, with_outside(&b, r, &v, y));
}
