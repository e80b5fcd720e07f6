/* const.c - constant folding: what exporters write out as shape arithmetic, computed while reading. */
#include <string.h>

#include "net/lower.h"

bcam_status bcam_fold_none(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    (void)lo;
    return bcam_op_fail(node, err, "all its inputs are constants; simplify the model first (for example with onnxsim)");
}

bcam_status bcam_fold_same(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, x, err);
}

bcam_status bcam_fold_constant(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    const bcam_attr *attr = node->attr_count ? &node->attrs[0] : NULL;
    if (!attr)
        return bcam_op_fail(node, err, "it has no value");
    int value;
    void *data;
    bcam_status status;
    int64_t count = (int64_t)attr->count;
    switch (attr->kind) {
    case BCAM_ATTR_TENSOR:
        status = bcam_const_from_onnx(lo, attr->tensor, node->outputs[0], &value, err);
        break;
    case BCAM_ATTR_FLOAT:
        status = bcam_const_new(lo, node, node->outputs[0], BCAM_F32, 0, NULL, &data, &value, err);
        if (status == BCAM_OK)
            *(float *)data = attr->f;
        break;
    case BCAM_ATTR_INT:
        status = bcam_const_new(lo, node, node->outputs[0], BCAM_I64, 0, NULL, &data, &value, err);
        if (status == BCAM_OK)
            *(int64_t *)data = attr->i;
        break;
    case BCAM_ATTR_FLOATS:
        status = bcam_const_new(lo, node, node->outputs[0], BCAM_F32, 1, &count, &data, &value, err);
        if (status == BCAM_OK && count)
            memcpy(data, attr->floats, attr->count * sizeof(float));
        break;
    case BCAM_ATTR_INTS:
        status = bcam_const_new(lo, node, node->outputs[0], BCAM_I64, 1, &count, &data, &value, err);
        if (status == BCAM_OK && count)
            memcpy(data, attr->ints, attr->count * sizeof(int64_t));
        break;
    default:
        return bcam_op_fail(node, err, "attribute '%s' is not a number, a list of numbers or a tensor", attr->name);
    }
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

/* One element, seen everywhere through strides of 0: the light models of ONNX hold their weights this way. */
bcam_status bcam_fold_constant_of_shape(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int shape, rank, one;
    int64_t dim[BCAM_MAX_RANK], stride[BCAM_MAX_RANK] = {0};
    bcam_status status = bcam_in_const(lo, node, 0, &shape, err);
    if (status == BCAM_OK)
        status = bcam_ints(lo, node, shape, dim, BCAM_MAX_RANK, &rank, err);
    if (status != BCAM_OK)
        return status;
    const bcam_attr *attr = bcam_node_attr(node, "value");
    void *data;
    if (attr && attr->kind == BCAM_ATTR_TENSOR && bcam_count(attr->tensor->rank, attr->tensor->dim) != 1)
        return bcam_op_fail(node, err, "attribute 'value' must be one number");
    if (attr && attr->kind == BCAM_ATTR_TENSOR)
        status = bcam_const_from_onnx(lo, attr->tensor, node->outputs[0], &one, err);
    else
        status = bcam_const_new(lo, node, node->outputs[0], BCAM_F32, 0, NULL, &data, &one, err);
    return status != BCAM_OK ? status : bcam_const_view(lo, node, one, rank, dim, stride, err);
}

bcam_status bcam_fold_cast(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, value;
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    bcam_value v = *bcam_val(lo, x);
    int like = bcam_in(lo, node, 1);
    int64_t to = bcam_attr_int(node, "to", BCAM_ONNX_FLOAT);
    bool integer = like >= 0 ? bcam_val(lo, like)->dtype == BCAM_I64 : to == BCAM_ONNX_INT64 || to == BCAM_ONNX_INT32;
    bool real = like >= 0 || to == BCAM_ONNX_FLOAT || to == BCAM_ONNX_DOUBLE || to == BCAM_ONNX_FLOAT16 ||
                to == BCAM_ONNX_BFLOAT16;
    if (!integer && !real)
        return bcam_op_fail(node, err, "a cast of a constant to %s is not supported",
                            bcam_onnx_type_name((bcam_onnx_type)to));
    bcam_dtype dtype = integer ? BCAM_I64 : BCAM_F32;
    if (dtype == v.dtype)
        return bcam_bind(lo, node, x, err);
    void *data;
    status = bcam_const_new(lo, node, node->outputs[0], dtype, v.rank, v.dim, &data, &value, err);
    if (status == BCAM_OK) {
        bcam_const_read(&v, dtype, data);
        status = bcam_bind(lo, node, value, err);
    }
    return status;
}

/* The shape is known whatever the tensor is; `start` and `end` since operator set 15. */
bcam_status bcam_fold_shape(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x = bcam_in(lo, node, 0), value;
    if (x < 0)
        return bcam_op_fail(node, err, "input 0 is missing");
    bcam_value v = *bcam_val(lo, x);
    int64_t start = bcam_attr_int(node, "start", 0), end = bcam_attr_int(node, "end", v.rank);
    start = start < 0 ? start + v.rank : start;
    end = end < 0 ? end + v.rank : end > v.rank ? v.rank : end;
    if (start < 0)
        start = 0;
    int64_t count = end > start ? end - start : 0;
    void *data;
    bcam_status status = bcam_const_new(lo, node, node->outputs[0], BCAM_I64, 1, &count, &data, &value, err);
    if (status != BCAM_OK)
        return status;
    if (count)
        memcpy(data, v.dim + start, (size_t)count * sizeof(int64_t));
    return bcam_bind(lo, node, value, err);
}

/* Gather of whole slices along an axis, and of single elements of a list. */
bcam_status bcam_fold_gather(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    enum { MOST = 1024 };
    int x, indices, count, axis, value;
    int64_t index[MOST], dim[2 * BCAM_MAX_RANK];
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status == BCAM_OK)
        status = bcam_in_const(lo, node, 1, &indices, err);
    if (status == BCAM_OK)
        status = bcam_ints(lo, node, indices, index, MOST, &count, err);
    if (status == BCAM_OK)
        status = bcam_axis(node, bcam_attr_int(node, "axis", 0), bcam_val(lo, x)->rank, &axis, err);
    if (status != BCAM_OK)
        return status;
    bcam_value v = *bcam_val(lo, x), vi = *bcam_val(lo, indices);
    int rank = v.rank - 1 + vi.rank;
    memcpy(dim, v.dim, sizeof(int64_t) * (size_t)axis);
    memcpy(dim + axis, vi.dim, sizeof(int64_t) * (size_t)vi.rank);
    memcpy(dim + axis + vi.rank, v.dim + axis + 1, sizeof(int64_t) * (size_t)(v.rank - axis - 1));
    void *data;
    status = bcam_const_new(lo, node, node->outputs[0], v.dtype, rank, dim, &data, &value, err);
    if (status == BCAM_OK)
        status = bcam_charge(lo, node, 8 * bcam_count(v.rank, v.dim), err);
    size_t size = bcam_dtype_bytes(v.dtype), total = (size_t)bcam_count(v.rank, v.dim);
    char *dense = status == BCAM_OK ? bcam_alloc(total + 1, size) : NULL;
    if (status == BCAM_OK && !dense)
        status = bcam_op_memory(node, err);
    if (status != BCAM_OK)
        return status;
    bcam_const_read(&v, v.dtype, dense);
    size_t inner = size * (size_t)bcam_count(v.rank - axis - 1, v.dim + axis + 1),
           outer = (size_t)bcam_count(axis, v.dim);
    char *to = data;
    for (size_t o = 0; status == BCAM_OK && o < outer; o++)
        for (int i = 0; i < count; i++, to += inner) {
            int64_t at = index[i] < 0 ? index[i] + v.dim[axis] : index[i];
            if (at < 0 || at >= v.dim[axis]) {
                status = bcam_op_fail(node, err, "index %lld is outside %lld elements", (long long)index[i],
                                      (long long)v.dim[axis]);
                break;
            }
            memcpy(to, dense + (o * (size_t)v.dim[axis] + (size_t)at) * inner, inner);
        }
    bcam_free(dense);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

/* Lists of integers end to end (shapes), or equal tensors along axis 0. */
bcam_status bcam_fold_concat(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int64_t total = 0;
    bcam_dtype dtype = BCAM_I64;
    for (int i = 0; i < node->input_count; i++) {
        int x;
        bcam_status status = bcam_in_const(lo, node, i, &x, err);
        if (status != BCAM_OK)
            return status;
        const bcam_value *v = bcam_val(lo, x);
        if (v->rank != 1)
            return bcam_op_fail(node, err, "only constants of one dimension can be joined, input %d has %d", i,
                                v->rank);
        total += v->dim[0];
        dtype = i == 0 ? v->dtype : dtype;
        if (dtype != v->dtype)
            return bcam_op_fail(node, err, "integers and other numbers cannot be joined");
    }
    int value;
    void *data;
    bcam_status status = bcam_const_new(lo, node, node->outputs[0], dtype, 1, &total, &data, &value, err);
    for (int i = 0; status == BCAM_OK && i < node->input_count; i++) {
        const bcam_value *v = bcam_val(lo, bcam_in(lo, node, i));
        bcam_const_read(v, dtype, data);
        data = (char *)data + (size_t)v->dim[0] * bcam_dtype_bytes(dtype);
    }
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

static double apply(char op, double a, double b)
{
    return op == 'A' ? a + b : op == 'S' ? a - b : op == 'M' ? a * b : a / b;
}

static bool apply_integers(char op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case 'A':
        return !__builtin_add_overflow(a, b, out);
    case 'S':
        return !__builtin_sub_overflow(a, b, out);
    case 'M':
        return !__builtin_mul_overflow(a, b, out);
    }
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    *out = a / b;
    return true;
}

/* Add, Sub, Mul, Div of constants with broadcasting; the operator is known by its first letter. */
bcam_status bcam_fold_binary(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int in[2], rank = 0, value;
    int64_t dim[BCAM_MAX_RANK];
    bcam_value v[2];
    for (int i = 0; i < 2; i++) {
        bcam_status status = bcam_in_const(lo, node, i, &in[i], err);
        if (status != BCAM_OK)
            return status;
        v[i] = *bcam_val(lo, in[i]);
        rank = v[i].rank > rank ? v[i].rank : rank;
    }
    for (int i = 0; i < 2; i++) { /* both operands as views of the result's rank, strides 0 where repeated */
        int shift = rank - v[i].rank;
        for (int a = rank - 1; a >= 0; a--) {
            v[i].dim[a] = a >= shift ? v[i].dim[a - shift] : 1;
            v[i].data_stride[a] = a >= shift && v[i].dim[a] != 1 ? v[i].data_stride[a - shift] : 0;
        }
        v[i].rank = rank;
    }
    for (int a = 0; a < rank; a++) {
        dim[a] = v[0].dim[a] == 1 ? v[1].dim[a] : v[0].dim[a];
        if (v[1].dim[a] != 1 && v[1].dim[a] != dim[a])
            return bcam_op_fail(node, err, "its constants' dimensions %lld and %lld do not fit", (long long)v[0].dim[a],
                                (long long)v[1].dim[a]);
        v[0].dim[a] = v[1].dim[a] = dim[a];
    }
    bool integer = v[0].dtype == BCAM_I64 && v[1].dtype == BCAM_I64;
    void *data, *read = NULL;
    bcam_status status =
        bcam_const_new(lo, node, node->outputs[0], integer ? BCAM_I64 : BCAM_F32, rank, dim, &data, &value, err);
    size_t count = status == BCAM_OK ? (size_t)bcam_count(rank, dim) : 0;
    if (status == BCAM_OK && !(read = bcam_alloc(2 * count + 1, sizeof(double))))
        status = bcam_op_memory(node, err);
    if (status == BCAM_OK && integer) {
        int64_t *a = read, *b = a + count;
        bcam_const_read(&v[0], BCAM_I64, a);
        bcam_const_read(&v[1], BCAM_I64, b);
        for (size_t i = 0; status == BCAM_OK && i < count; i++)
            if (!apply_integers(node->op[0], a[i], b[i], (int64_t *)data + i))
                status = bcam_op_fail(node, err, "its integers overflow");
    } else if (status == BCAM_OK) {
        double *a = read, *b = a + count;
        bcam_const_read(&v[0], BCAM_F64, a);
        bcam_const_read(&v[1], BCAM_F64, b);
        for (size_t i = 0; i < count; i++)
            ((float *)data)[i] = (float)apply(node->op[0], a[i], b[i]);
    }
    bcam_free(read);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}
