/* op_copy.c - operators that move elements: each is the verb COPY with another map. */
#include <string.h>

#include "net/lower.h"

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
    int y;
    bcam_copy_attr *attr;
    status = bcam_emit_copy(lo, node, x, v.rank, dim, bcam_is_batched(lo, x) && (v.rank == 0 || perm[0] == 0), &attr,
                            &y, err);
    for (int a = 0; status == BCAM_OK && a < v.rank; a++)
        attr->axis[a] = perm[a];
    return status != BCAM_OK ? status : bcam_bind(lo, node, y, err);
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
    int y;
    void *nothing;
    bcam_copy_attr *attr;
    if (bcam_count(v.rank, s.extent) == 0) { /* a constant without elements: Concat knows what to do with it */
        status = bcam_const_new(lo, node, node->outputs[0], BCAM_F32, v.rank, s.extent, &nothing, &y, err);
        return status != BCAM_OK ? status : bcam_bind(lo, node, y, err);
    }
    status = bcam_emit_copy(lo, node, x, v.rank, s.extent, bcam_is_batched(lo, x) && whole, &attr, &y, err);
    if (status == BCAM_OK) {
        memcpy(attr->from, s.from, sizeof s.from);
        memcpy(attr->step, s.step, sizeof s.step);
        for (int a = v.rank; a < BCAM_MAX_RANK; a++) {
            attr->from[a] = 0;
            attr->step[a] = 1;
        }
        status = bcam_bind(lo, node, y, err);
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

/* ---- Concat, Expand ---- */

/* The next input of a Concat that has elements; -1 behind the last. */
static int next_part(bcam_lower *lo, const bcam_node *node, int *input)
{
    for (; *input < node->input_count; ++*input) {
        int x = bcam_in(lo, node, *input);
        if (x < 0 || bcam_count(bcam_val(lo, x)->rank, bcam_val(lo, x)->dim) > 0)
            return x;
    }
    return -1;
}

/* What a Concat's inputs come to: the output's dimensions, and whether the batch is in front of all of them. */
static bcam_status concat_dims(bcam_lower *lo, const bcam_node *node, int *axis, int *rank, int64_t *dim, bool *batched,
                               bcam_error *err)
{
    int input = 0, first = next_part(lo, node, &input);
    if (first < 0)
        return bcam_op_fail(node, err, "input %d is missing", input);
    *rank = bcam_val(lo, first)->rank;
    memcpy(dim, bcam_val(lo, first)->dim, sizeof(int64_t) * BCAM_MAX_RANK);
    bcam_status status = bcam_axis(node, bcam_attr_int(node, "axis", 1), *rank, axis, err);
    *batched = *axis != 0 && bcam_is_batched(lo, first);
    for (input++; status == BCAM_OK && input < node->input_count; input++) {
        int x = next_part(lo, node, &input);
        if (input == node->input_count)
            break;
        const bcam_value *v = x < 0 ? NULL : bcam_val(lo, x);
        for (int a = 0; v && a < *rank; a++)
            if (v->rank != *rank || (a != *axis && v->dim[a] != dim[a]))
                v = NULL;
        if (!v)
            return bcam_op_fail(node, err, "input %d does not fit the others", input);
        dim[*axis] += v->dim[*axis];
        *batched &= bcam_is_batched(lo, x);
    }
    return status;
}

/* One copy for each input into its part of the output. */
bcam_status bcam_op_concat(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int axis, rank = 0, input = 0, y;
    int64_t dim[BCAM_MAX_RANK], at = 0;
    bool batched = false;
    bcam_status status = concat_dims(lo, node, &axis, &rank, dim, &batched, err);
    int x = status == BCAM_OK ? next_part(lo, node, &input) : -1;
    if (status == BCAM_OK && dim[axis] == bcam_val(lo, x)->dim[axis])
        return bcam_bind(lo, node, x, err);
    bcam_copy_attr *first;
    if (status == BCAM_OK)
        status = bcam_emit_copy(lo, node, x, rank, dim, batched, &first, &y, err);
    if (status != BCAM_OK)
        return status;
    const bcam_step proto = lo->plan->steps[lo->plan->step_count - 1];
    for (; x >= 0; input++, x = next_part(lo, node, &input)) {
        bcam_step *step = at == 0 ? &lo->plan->steps[lo->plan->step_count - 1]
                                  : bcam_plan_step(lo->plan, BCAM_VERB_COPY, BCAM_SEGMENT_FORWARD, proto.name);
        if (!step)
            return bcam_op_memory(node, err);
        *step = proto;
        step->in[0] = x;
        step->u.copy.extent[axis] = bcam_val(lo, x)->dim[axis];
        step->u.copy.to[axis] = at;
        at += bcam_val(lo, x)->dim[axis];
    }
    return bcam_bind(lo, node, y, err);
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
    int y;
    bcam_copy_attr *attr;
    status = bcam_emit_copy(lo, node, x, rank, dim, bcam_is_batched(lo, x) && rank == v.rank && dim[0] == v.dim[0],
                            &attr, &y, err);
    for (int a = 0; status == BCAM_OK && a < rank; a++) {
        int from = a - (rank - v.rank);
        attr->axis[a] = from >= 0 && v.dim[from] == dim[a] ? from : -1;
    }
    return status != BCAM_OK ? status : bcam_bind(lo, node, y, err);
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
