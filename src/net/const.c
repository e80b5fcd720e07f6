/* const.c - constant folding: what exporters write out as shape arithmetic, computed while reading. */
#include <string.h>

#include "net/lower.h"

bcam_status bcam_fold_none(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    (void)lo;
    return bcam_op_fail(node, err, "all its inputs are constants; simplify the model first (for example with onnxsim)");
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

/* The number of elements, known as the shape is. */
bcam_status bcam_fold_size(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x = bcam_in(lo, node, 0), value;
    if (x < 0)
        return bcam_op_fail(node, err, "input 0 is missing");
    const bcam_value v = *bcam_val(lo, x);
    void *data;
    bcam_status status = bcam_const_new(lo, node, node->outputs[0], BCAM_I64, 0, NULL, &data, &value, err);
    if (status != BCAM_OK)
        return status;
    *(int64_t *)data = bcam_count(v.rank, v.dim);
    return bcam_bind(lo, node, value, err);
}
