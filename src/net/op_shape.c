/* op_shape.c - operators that move elements: all of them are the verb COPY with another map. */
#include <string.h>

#include "net/lower.h"

bcam_status bcam_op_none(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    (void)lo;
    return bcam_op_fail(node, err, "it is supported on constants only");
}

/* Identity, Dropout at inference, Cast among floating-point types: the same tensor under another name. */
bcam_status bcam_op_same(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    if ((x = bcam_in(lo, node, 0)) >= 0 && bcam_is_const(lo, x))
        return bcam_fold_cast(lo, node, err); /* CastLike: a constant takes the type of photos' data */
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    int training = bcam_in(lo, node, 2); /* Dropout's, since operator set 12 */
    if (training >= 0 && (!bcam_is_const(lo, training) || bcam_scalar(lo, training) != 0))
        return bcam_op_fail(node, err, "it is in training mode; call model.eval() before the export");
    int64_t to = bcam_attr_int(node, "to", BCAM_ONNX_FLOAT);
    if (to != BCAM_ONNX_FLOAT && to != BCAM_ONNX_DOUBLE && to != BCAM_ONNX_FLOAT16 && to != BCAM_ONNX_BFLOAT16)
        return bcam_op_fail(node, err, "a cast of photos' data to %s is not supported",
                            bcam_onnx_type_name((bcam_onnx_type)to));
    return bcam_bind(lo, node, x, err);
}

/* ---- reshape and its kin ---- */

/* Resolves 0 (copied) and -1 (what is left) of Reshape. While lifting, the first number may be the file's fixed batch: it becomes N. */
static bcam_status resolve_reshape(bcam_lower *lo, const bcam_node *node, const bcam_value *x, bool batched,
                                   int64_t *dim, int rank, bcam_error *err)
{
    int64_t total = bcam_count(x->rank, x->dim), known = 1;
    int free_axis = -1;
    bool allow_zero = bcam_attr_int(node, "allowzero", 0) != 0;
    for (int a = 0; a < rank; a++) {
        if (dim[a] == 0 && !allow_zero && a < x->rank)
            dim[a] = x->dim[a];
        if (dim[a] == -1 && free_axis < 0)
            free_axis = a;
        else if (dim[a] < 1 || __builtin_mul_overflow(known, dim[a], &known))
            return bcam_op_fail(node, err, "its shape has a dimension of %lld", (long long)dim[a]);
    }
    if (lo->lift && batched && rank > 0 && free_axis != 0 && dim[0] == lo->declared_batch) {
        known = known / dim[0] * x->dim[0];
        dim[0] = x->dim[0];
    }
    if (free_axis >= 0)
        dim[free_axis] = total / known;
    if (bcam_count(rank, dim) != total)
        return bcam_op_fail(node, err, "%lld elements do not fit its shape", (long long)total);
    return BCAM_OK;
}

bcam_status bcam_op_reshape(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank;
    int64_t dim[BCAM_MAX_RANK];
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_ints_of(lo, node, "shape", 1, dim, BCAM_MAX_RANK, &rank, err);
    if (status == BCAM_OK && rank < 0)
        return bcam_op_fail(node, err, "its shape is missing");
    if (status == BCAM_OK)
        status = resolve_reshape(lo, node, bcam_val(lo, x), bcam_is_batched(lo, x), dim, rank, err);
    return status != BCAM_OK ? status : bcam_emit_reshape(lo, node, x, rank, dim, err);
}

bcam_status bcam_op_flatten(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value *v = bcam_val(lo, x);
    int64_t axis = bcam_attr_int(node, "axis", 1);
    if (axis < -v->rank || axis > v->rank)
        return bcam_op_fail(node, err, "axis %lld is outside a tensor of rank %d", (long long)axis, v->rank);
    int split = (int)(axis < 0 ? axis + v->rank : axis);
    int64_t dim[2] = {bcam_count(split, v->dim), bcam_count(v->rank - split, v->dim + split)};
    return bcam_emit_reshape(lo, node, x, 2, dim, err);
}

/* Squeeze and Unsqueeze on a shape: which axes go or come. */
static bcam_status squeezed_dims(bcam_lower *lo, const bcam_node *node, const bcam_value *v, int *rank, int64_t *dim,
                                 bcam_error *err)
{
    bool un = strcmp(node->op, "Unsqueeze") == 0, named[2 * BCAM_MAX_RANK] = {false};
    bool batch = lo->lift && v->role == BCAM_ROLE_WORK; /* then axis 0 has one element by chance only */
    int64_t axes[BCAM_MAX_RANK];
    int count;
    bcam_status status = bcam_ints_of(lo, node, "axes", 1, axes, BCAM_MAX_RANK, &count, err);
    if (status != BCAM_OK)
        return status;
    int range = un ? v->rank + count : v->rank;
    if (range > BCAM_MAX_RANK || (un && count < 0))
        return bcam_op_fail(node, err, "its axes do not fit a tensor of rank %d", v->rank);
    for (int i = 0; i < count; i++) {
        int axis;
        status = bcam_axis(node, axes[i], range, &axis, err);
        if (status != BCAM_OK)
            return status;
        named[axis] = true;
    }
    *rank = 0;
    for (int a = 0, from = 0; a < range; a++) {
        if (un)
            dim[(*rank)++] = named[a] ? 1 : v->dim[from++ % BCAM_MAX_RANK];
        else if (count < 0 ? v->dim[a] != 1 || (a == 0 && batch) : !named[a])
            dim[(*rank)++] = v->dim[a];
        else if (v->dim[a] != 1)
            return bcam_op_fail(node, err, "axis %d has %lld elements and cannot be squeezed", a, (long long)v->dim[a]);
    }
    return BCAM_OK;
}

bcam_status bcam_op_squeeze(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank;
    int64_t dim[BCAM_MAX_RANK];
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = squeezed_dims(lo, node, bcam_val(lo, x), &rank, dim, err);
    if (status == BCAM_OK && bcam_count(rank, dim) != bcam_count(bcam_val(lo, x)->rank, bcam_val(lo, x)->dim))
        return bcam_op_fail(node, err, "its axes name one axis twice");
    return status != BCAM_OK ? status : bcam_emit_reshape(lo, node, x, rank, dim, err);
}

bcam_status bcam_fold_squeeze(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank, at = 0;
    int64_t dim[BCAM_MAX_RANK], stride[BCAM_MAX_RANK];
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = squeezed_dims(lo, node, bcam_val(lo, x), &rank, dim, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value *v = bcam_val(lo, x);
    for (int a = 0; a < rank; a++) {
        /* New axes of length 1 may have any stride; the others keep theirs, in order. */
        while (at < v->rank && dim[a] != 1 && v->dim[at] == 1)
            at++;
        stride[a] = dim[a] == 1 ? 0 : at < v->rank ? v->data_stride[at++] : 0;
    }
    return bcam_const_view(lo, node, x, rank, dim, stride, err);
}

/* ---- maps over axes ---- */

/* A copy that keeps axes as they are; the caller changes what differs. */
static bcam_status emit_copy(bcam_lower *lo, const bcam_node *node, int x, int rank, const int64_t *dim, bool batched,
                             bcam_copy_attr **attr, bcam_error *err)
{
    bcam_step *step;
    bcam_status status = bcam_emit(lo, node, BCAM_VERB_COPY, rank, dim, batched, &step, err);
    if (status != BCAM_OK)
        return status;
    step->in[0] = x;
    *attr = &step->u.copy;
    for (int a = 0; a < BCAM_MAX_RANK; a++) {
        (*attr)->extent[a] = a < rank ? dim[a] : 1;
        (*attr)->axis[a] = a;
        (*attr)->step[a] = 1;
    }
    return BCAM_OK;
}

static bcam_status read_perm(const bcam_node *node, int rank, int *perm, bcam_error *err)
{
    int64_t list[BCAM_MAX_RANK];
    int count;
    bool seen[BCAM_MAX_RANK] = {false};
    bcam_status status = bcam_attr_ints(node, "perm", list, BCAM_MAX_RANK, &count, err);
    if (status != BCAM_OK)
        return status;
    if (count >= 0 && count != rank)
        return bcam_op_fail(node, err, "attribute 'perm' must have %d integers", rank);
    for (int a = 0; a < rank; a++) {
        int64_t p = count < 0 ? rank - 1 - a : list[a];
        if (p < 0 || p >= rank || seen[p])
            return bcam_op_fail(node, err, "attribute 'perm' is not a permutation");
        seen[p] = true;
        perm[a] = (int)p;
    }
    return BCAM_OK;
}

bcam_status bcam_op_transpose(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, perm[BCAM_MAX_RANK];
    static const int to_nchw[4] = {0, 3, 1, 2};
    if (lo->input_name && node->input_count == 1 && strcmp(node->inputs[0], lo->input_name) == 0) {
        /* The input is (N,H,W,C) and kept as (N,C,H,W), so that its usual first Transpose is no work at all. */
        bcam_status status = read_perm(node, 4, perm, err);
        if (status != BCAM_OK)
            return status;
        if (memcmp(perm, to_nchw, sizeof to_nchw) == 0)
            return bcam_bind(lo, node, lo->input, err);
    }
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    int64_t dim[BCAM_MAX_RANK];
    status = read_perm(node, v.rank, perm, err);
    if (status != BCAM_OK)
        return status;
    for (int a = 0; a < v.rank; a++)
        dim[a] = v.dim[perm[a]];
    bcam_copy_attr *attr;
    status = emit_copy(lo, node, x, v.rank, dim, bcam_is_batched(lo, x) && (v.rank == 0 || perm[0] == 0), &attr, err);
    for (int a = 0; status == BCAM_OK && a < v.rank; a++)
        attr->axis[a] = perm[a];
    return status;
}

bcam_status bcam_fold_transpose(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, perm[BCAM_MAX_RANK];
    int64_t dim[BCAM_MAX_RANK], stride[BCAM_MAX_RANK];
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = read_perm(node, bcam_val(lo, x)->rank, perm, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value *v = bcam_val(lo, x);
    for (int a = 0; a < v->rank; a++) {
        dim[a] = v->dim[perm[a]];
        stride[a] = v->data_stride[perm[a]];
    }
    return bcam_const_view(lo, node, x, v->rank, dim, stride, err);
}

/* ---- Slice ---- */

typedef struct slice {
    int64_t from[BCAM_MAX_RANK], step[BCAM_MAX_RANK], extent[BCAM_MAX_RANK];
} slice;

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

static bcam_status read_slice(bcam_lower *lo, const bcam_node *node, const bcam_value *v, slice *s, bcam_error *err)
{
    int64_t start[BCAM_MAX_RANK], end[BCAM_MAX_RANK], axes[BCAM_MAX_RANK], steps[BCAM_MAX_RANK];
    int n, n_end, n_axes, n_steps;
    bcam_status status = bcam_ints_of(lo, node, "starts", 1, start, BCAM_MAX_RANK, &n, err);
    if (status == BCAM_OK)
        status = bcam_ints_of(lo, node, "ends", 2, end, BCAM_MAX_RANK, &n_end, err);
    if (status == BCAM_OK)
        status = bcam_ints_of(lo, node, "axes", 3, axes, BCAM_MAX_RANK, &n_axes, err);
    if (status == BCAM_OK)
        status = bcam_ints_of(lo, node, "steps", 4, steps, BCAM_MAX_RANK, &n_steps, err);
    if (status != BCAM_OK)
        return status;
    if (n < 0 || n_end != n || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n))
        return bcam_op_fail(node, err, "its starts, ends, axes and steps are not of one length");
    for (int a = 0; a < v->rank; a++) {
        s->from[a] = 0;
        s->step[a] = 1;
        s->extent[a] = v->dim[a];
    }
    for (int i = 0; i < n; i++) {
        int a;
        status = bcam_axis(node, n_axes < 0 ? i : axes[i], v->rank, &a, err);
        if (status != BCAM_OK)
            return status;
        int64_t d = v->dim[a], step = n_steps < 0 ? 1 : steps[i];
        if (step == 0 || step < -65536 || step > 65536)
            return bcam_op_fail(node, err, "a step of %lld is not supported", (long long)step);
        int64_t b = start[i] < 0 && start[i] >= -d ? start[i] + d : start[i],
                e = end[i] < 0 && end[i] >= -d ? end[i] + d : end[i];
        b = step > 0 ? clamp(b, 0, d) : clamp(b, 0, d - 1);
        e = step > 0 ? clamp(e, 0, d) : clamp(e, -1, d - 1);
        int64_t distance = step > 0 ? e - b : b - e, stride = step > 0 ? step : -step;
        s->from[a] = b;
        s->step[a] = step;
        s->extent[a] = distance > 0 ? (distance + stride - 1) / stride : 0;
    }
    return BCAM_OK;
}

bcam_status bcam_op_slice(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    slice s;
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = read_slice(lo, node, bcam_val(lo, x), &s, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    bool whole = v.rank > 0 && s.from[0] == 0 && s.step[0] == 1 && s.extent[0] == v.dim[0];
    bcam_copy_attr *attr;
    status = emit_copy(lo, node, x, v.rank, s.extent, bcam_is_batched(lo, x) && whole, &attr, err);
    if (status == BCAM_OK) {
        memcpy(attr->from, s.from, sizeof s.from);
        memcpy(attr->step, s.step, sizeof s.step);
        for (int a = v.rank; a < BCAM_MAX_RANK; a++) {
            attr->from[a] = 0;
            attr->step[a] = 1;
        }
    }
    return status;
}

bcam_status bcam_fold_slice(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    slice s;
    int64_t stride[BCAM_MAX_RANK], offset = 0;
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = read_slice(lo, node, bcam_val(lo, x), &s, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    for (int a = 0; a < v.rank; a++) {
        offset += s.from[a] * v.data_stride[a];
        stride[a] = s.step[a] * v.data_stride[a];
    }
    status = bcam_const_view(lo, node, x, v.rank, s.extent, stride, err);
    if (status == BCAM_OK && bcam_count(v.rank, s.extent) > 0) {
        bcam_value *view = bcam_val(lo, bcam_map_get(&lo->map, node->outputs[0]));
        view->data = (const char *)view->data + offset * (int64_t)bcam_dtype_bytes(view->data_dtype);
    }
    return status;
}

/* ---- Pad, Concat, Expand ---- */

bcam_status bcam_op_pad(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, count, constant = bcam_in(lo, node, 2);
    int64_t pads[2 * BCAM_MAX_RANK], dim[BCAM_MAX_RANK];
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_ints_of(lo, node, "pads", 1, pads, 2 * BCAM_MAX_RANK, &count, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    const char *mode = bcam_attr_string(node, "mode", "constant");
    if (strcmp(mode, "constant") != 0)
        return bcam_op_fail(node, err, "mode '%s' is not supported", mode);
    if (count != 2 * v.rank || bcam_in(lo, node, 3) >= 0)
        return bcam_op_fail(node, err, "its pads must be two numbers for each of %d dimensions", v.rank);
    if (constant >= 0 &&
        (!bcam_is_const(lo, constant) || bcam_count(bcam_val(lo, constant)->rank, bcam_val(lo, constant)->dim) != 1))
        return bcam_op_fail(node, err, "its value must be one constant number");
    bool batch_kept = v.rank > 0 && pads[0] == 0 && pads[v.rank] == 0;
    int64_t kept[BCAM_MAX_RANK];
    bool pads_nothing = true;
    for (int a = 0; a < v.rank; a++) {
        int64_t begin = pads[a], end = pads[a + v.rank];
        if (begin < -v.dim[a] || end < -v.dim[a] || begin > 65536 || end > 65536)
            return bcam_op_fail(node, err, "a padding of %lld and %lld is not supported", (long long)begin,
                                (long long)end);
        pads_nothing &= begin == 0 && end == 0;
        dim[a] = v.dim[a] + begin + end;
        kept[a] = v.dim[a] + (begin < 0 ? begin : 0) + (end < 0 ? end : 0); /* negative padding cuts */
    }
    if (pads_nothing)
        return bcam_bind(lo, node, x, err);
    for (int a = 0; a < v.rank; a++)
        if (kept[a] < 1)
            return bcam_op_fail(node, err, "its negative padding leaves nothing of dimension %d", a);
    bcam_copy_attr *attr;
    status = emit_copy(lo, node, x, v.rank, dim, bcam_is_batched(lo, x) && batch_kept, &attr, err);
    if (status != BCAM_OK)
        return status;
    attr->fill = true;
    attr->fill_value = constant >= 0 ? (float)bcam_scalar(lo, constant) : (float)bcam_attr_float(node, "value", 0);
    for (int a = 0; a < v.rank; a++) {
        attr->extent[a] = kept[a];
        attr->to[a] = pads[a] > 0 ? pads[a] : 0;
        attr->from[a] = pads[a] < 0 ? -pads[a] : 0;
    }
    return BCAM_OK;
}

/* What a Concat's inputs come to: the output's dimensions, and whether the batch is in front of all of them. */
static bcam_status concat_dims(bcam_lower *lo, const bcam_node *node, int *axis, int *rank, int64_t *dim, bool *batched,
                               bcam_error *err)
{
    int first = bcam_in(lo, node, 0);
    if (first < 0)
        return bcam_op_fail(node, err, "input 0 is missing");
    *rank = bcam_val(lo, first)->rank;
    memcpy(dim, bcam_val(lo, first)->dim, sizeof(int64_t) * BCAM_MAX_RANK);
    bcam_status status = bcam_axis(node, bcam_attr_int(node, "axis", 1), *rank, axis, err);
    *batched = *axis != 0 && bcam_is_batched(lo, first);
    for (int i = 1; status == BCAM_OK && i < node->input_count; i++) {
        int x = bcam_in(lo, node, i);
        const bcam_value *v = x < 0 ? NULL : bcam_val(lo, x);
        for (int a = 0; v && a < *rank; a++)
            if (v->rank != *rank || (a != *axis && v->dim[a] != dim[a]))
                v = NULL;
        if (!v)
            return bcam_op_fail(node, err, "input %d does not fit the others", i);
        dim[*axis] += v->dim[*axis];
        *batched &= bcam_is_batched(lo, x);
    }
    return status;
}

/* One copy for each input into its part of the output. */
bcam_status bcam_op_concat(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int axis, rank = 0;
    int64_t dim[BCAM_MAX_RANK], at = 0;
    bool batched = false;
    bcam_status status = concat_dims(lo, node, &axis, &rank, dim, &batched, err);
    if (status == BCAM_OK && node->input_count == 1)
        return bcam_bind(lo, node, bcam_in(lo, node, 0), err);
    bcam_copy_attr *first;
    if (status == BCAM_OK)
        status = emit_copy(lo, node, bcam_in(lo, node, 0), rank, dim, batched, &first, err);
    if (status != BCAM_OK)
        return status;
    bcam_step proto = lo->plan->steps[lo->plan->step_count - 1];
    for (int i = 0; i < node->input_count; i++) {
        int x = bcam_in(lo, node, i);
        bcam_step *step = i == 0 ? &lo->plan->steps[lo->plan->step_count - 1]
                                 : bcam_plan_step(lo->plan, BCAM_VERB_COPY, BCAM_SEGMENT_FORWARD, proto.name);
        if (!step)
            return bcam_op_memory(node, err);
        *step = proto;
        step->in[0] = x;
        step->u.copy.extent[axis] = bcam_val(lo, x)->dim[axis];
        step->u.copy.to[axis] = at;
        at += bcam_val(lo, x)->dim[axis];
    }
    return BCAM_OK;
}

/* Numpy's broadcasting against a shape; axes of length 1 are repeated. */
static bcam_status expanded_dims(bcam_lower *lo, const bcam_node *node, const bcam_value *v, bool batched, int *rank,
                                 int64_t *dim, bcam_error *err)
{
    int64_t shape[BCAM_MAX_RANK];
    int value, count;
    bcam_status status = bcam_in_const(lo, node, 1, &value, err);
    if (status == BCAM_OK)
        status = bcam_ints(lo, node, value, shape, BCAM_MAX_RANK, &count, err);
    if (status != BCAM_OK)
        return status;
    *rank = count > v->rank ? count : v->rank;
    for (int i = 0; i < *rank; i++) {
        int64_t have = i < v->rank ? v->dim[v->rank - 1 - i] : 1, want = i < count ? shape[count - 1 - i] : 1;
        if (lo->lift && batched && i == v->rank - 1 && i == *rank - 1 && want == lo->declared_batch)
            want = have;
        if (have != want && have != 1 && want != 1)
            return bcam_op_fail(node, err, "a dimension of %lld cannot be expanded to %lld", (long long)have,
                                (long long)want);
        dim[*rank - 1 - i] = have == 1 ? want : have;
    }
    return BCAM_OK;
}

bcam_status bcam_op_expand(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank;
    int64_t dim[BCAM_MAX_RANK];
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = expanded_dims(lo, node, bcam_val(lo, x), bcam_is_batched(lo, x), &rank, dim, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    bcam_copy_attr *attr;
    status =
        emit_copy(lo, node, x, rank, dim, bcam_is_batched(lo, x) && rank == v.rank && dim[0] == v.dim[0], &attr, err);
    for (int a = 0; status == BCAM_OK && a < rank; a++) {
        int from = a - (rank - v.rank);
        attr->axis[a] = from >= 0 && v.dim[from] == dim[a] ? from : -1;
    }
    return status;
}

bcam_status bcam_fold_expand(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank;
    int64_t dim[BCAM_MAX_RANK], stride[BCAM_MAX_RANK];
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = expanded_dims(lo, node, bcam_val(lo, x), false, &rank, dim, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value *v = bcam_val(lo, x);
    for (int a = 0; a < rank; a++) {
        int from = a - (rank - v->rank);
        stride[a] = from >= 0 && v->dim[from] == dim[a] ? v->data_stride[from] : 0;
    }
    return bcam_const_view(lo, node, x, rank, dim, stride, err);
}

bcam_status bcam_fold_reshape(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, rank = 2;
    int64_t dim[BCAM_MAX_RANK], stride[BCAM_MAX_RANK];
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    bcam_value v = *bcam_val(lo, x);
    if (strcmp(node->op, "Flatten") == 0) {
        int axis;
        int64_t asked = bcam_attr_int(node, "axis", 1);
        status = bcam_axis(node, asked < 0 ? asked + v.rank : asked, v.rank + 1, &axis, err);
        if (status != BCAM_OK)
            return status;
        dim[0] = bcam_count(axis, v.dim);
        dim[1] = bcam_count(v.rank - axis, v.dim + axis);
    } else {
        status = bcam_ints_of(lo, node, "shape", 1, dim, BCAM_MAX_RANK, &rank, err);
        if (status == BCAM_OK)
            status = rank < 0 ? bcam_op_fail(node, err, "its shape is missing")
                              : resolve_reshape(lo, node, &v, false, dim, rank, err);
        if (status != BCAM_OK)
            return status;
    }
    bcam_tensor shape = {.rank = v.rank};
    memcpy(shape.dim, v.dim, sizeof shape.dim);
    memcpy(shape.stride, v.data_stride, sizeof shape.stride);
    bool same_everywhere = true;
    for (int a = 0; a < v.rank; a++)
        same_everywhere &= v.data_stride[a] == 0 || v.dim[a] == 1;
    if (same_everywhere) {
        memset(stride, 0, sizeof stride); /* a ConstantOfShape: one element seen everywhere */
        return bcam_const_view(lo, node, x, rank, dim, stride, err);
    }
    if (!bcam_tensor_is_dense(&shape)) {
        void *data;
        status = bcam_const_new(lo, node, node->outputs[0], v.dtype, v.rank, v.dim, &data, &x, err);
        if (status != BCAM_OK)
            return status;
        bcam_const_read(&v, v.dtype, data);
    }
    bcam_strides_dense(rank, dim, stride);
    return bcam_const_view(lo, node, x, rank, dim, stride, err);
}
