/* const_new.c - where constants come from: the file's tensors, memory of the plan's own, views of other constants. */
#include <string.h>

#include "net/lower.h"

static bcam_status const_count(const bcam_node *node, int rank, const int64_t *dim, int64_t *count, bcam_error *err)
{
    int64_t size = 1; /* without zeros, behind which a dimension could be anything */
    *count = 1;
    if (rank > BCAM_MAX_RANK)
        return bcam_op_fail(node, err, "a constant of %d dimensions is not supported", rank);
    for (int a = 0; a < rank; a++) {
        if (dim[a] < 0 || __builtin_mul_overflow(size, dim[a] ? dim[a] : 1, &size) || size > (int64_t)1 << 40)
            return bcam_op_fail(node, err, "dimension %d of a constant would be %lld, which will not do", a,
                                (long long)dim[a]);
        *count *= dim[a];
    }
    return BCAM_OK;
}

bcam_status bcam_charge(bcam_lower *lo, const bcam_node *node, int64_t elements, bcam_error *err)
{
#ifdef BCAM_FUZZING
    enum { FREE = 1 << 16, PER_PARAMETER = 32 }; /* so that no input takes long */
#else
    enum { FREE = 1 << 28, PER_PARAMETER = 32 }; /* 2^28: a VGG-19 without its weights, twice */
#endif
    const int64_t most = (int64_t)1 << 56, parameters = lo->graph->parameters;
    int64_t limit = FREE + PER_PARAMETER * (parameters < most ? parameters : most);
    if (elements > limit - lo->charged)
        return bcam_op_fail(node, err,
                            "it asks for constants of %lld numbers that the file does not hold, which is too much",
                            (long long)elements);
    lo->charged += elements;
    return BCAM_OK;
}

bcam_status bcam_const_new(bcam_lower *lo, const bcam_node *node, const char *name, bcam_dtype dtype, int rank,
                           const int64_t *dim, void **data, int *value, bcam_error *err)
{
    static const int64_t scalar[1] = {1};
    enum {
        WORTH = 8
    }; /* what is computed takes memory now, its operands too; a view does not before a device copies it */
    int64_t count;
    dim = dim ? dim : scalar;
    bcam_status status = const_count(node, rank, dim, &count, err);
    if (status == BCAM_OK)
        status = bcam_charge(lo, node, WORTH * count, err);
    if (status != BCAM_OK)
        return status;
    *data = bcam_pool_alloc(&lo->plan->pool, (size_t)count + !count, bcam_dtype_bytes(dtype));
    *value = *data ? bcam_plan_value(lo->plan, name, BCAM_ROLE_CONST, dtype, rank, dim) : -1;
    if (*value < 0 || !bcam_mark_batched(lo, *value, false))
        return bcam_op_memory(node, err);
    bcam_value *v = bcam_val(lo, *value);
    v->data = *data;
    v->data_dtype = dtype;
    bcam_strides_dense(rank, dim, v->data_stride);
    return BCAM_OK;
}

bcam_status bcam_const_view_value(bcam_lower *lo, const bcam_node *node, int of, int rank, const int64_t *dim,
                                  const int64_t *stride, int *value, bcam_error *err)
{
    int64_t count, known = bcam_count(bcam_val(lo, of)->rank, bcam_val(lo, of)->dim);
    bcam_status status = const_count(node, rank, dim, &count, err);
    if (status == BCAM_OK && count > known)
        status = bcam_charge(lo, node, count, err);
    if (status != BCAM_OK)
        return status;
    *value = bcam_plan_value(lo->plan, node->outputs[0], BCAM_ROLE_CONST, bcam_val(lo, of)->dtype, rank, dim);
    if (*value < 0 || !bcam_mark_batched(lo, *value, false))
        return bcam_op_memory(node, err);
    bcam_value *v = bcam_val(lo, *value);
    v->data = bcam_val(lo, of)->data;
    v->data_dtype = bcam_val(lo, of)->data_dtype;
    memcpy(v->data_stride, stride, (size_t)rank * sizeof *stride);
    return BCAM_OK;
}

bcam_status bcam_const_view(bcam_lower *lo, const bcam_node *node, int of, int rank, const int64_t *dim,
                            const int64_t *stride, bcam_error *err)
{
    int value;
    bcam_status status = bcam_const_view_value(lo, node, of, rank, dim, stride, &value, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

/* ---- from the file ---- */

static const struct {
    bcam_onnx_type type;
    bcam_dtype dtype;
} direct_types[] = {
    {BCAM_ONNX_FLOAT, BCAM_F32},     {BCAM_ONNX_DOUBLE, BCAM_F64}, {BCAM_ONNX_FLOAT16, BCAM_F16},
    {BCAM_ONNX_BFLOAT16, BCAM_BF16}, {BCAM_ONNX_INT64, BCAM_I64},  {BCAM_ONNX_INT32, BCAM_I32},
    {BCAM_ONNX_UINT8, BCAM_U8},      {BCAM_ONNX_BOOL, BCAM_U8},
};

/* Integers that no element type of a plan can hold, read as int64. Unsigned 64-bit numbers beyond its range wrap. */
static int64_t integer_at(const bcam_onnx_tensor *tensor, int64_t i)
{
    const uint8_t *at = tensor->data + (size_t)i * bcam_onnx_type_bytes(tensor->type);
    uint64_t u = 0;
    memcpy(&u, at, bcam_onnx_type_bytes(tensor->type)); /* little-endian */
    switch (tensor->type) {
    case BCAM_ONNX_INT8:
        return (int8_t)u;
    case BCAM_ONNX_INT16:
        return (int16_t)u;
    default:
        return (int64_t)u;
    }
}

static bool needs_widening(bcam_onnx_type type)
{
    return type == BCAM_ONNX_INT8 || type == BCAM_ONNX_INT16 || type == BCAM_ONNX_UINT16 || type == BCAM_ONNX_UINT32 ||
           type == BCAM_ONNX_UINT64 || bcam_onnx_is_small(type);
}

static bcam_status widened(bcam_lower *lo, const bcam_onnx_tensor *tensor, const char *name, int *value,
                           bcam_error *err)
{
    int64_t count = bcam_count(tensor->rank, tensor->dim);
    bcam_dtype dtype = bcam_onnx_is_integer(tensor->type) ? BCAM_I64 : BCAM_F32;
    void *data = bcam_pool_alloc(&lo->plan->pool, (size_t)count + !count, bcam_dtype_bytes(dtype));
    *value = data ? bcam_plan_value(lo->plan, name, BCAM_ROLE_CONST, dtype, tensor->rank, tensor->dim) : -1;
    if (*value < 0 || !bcam_mark_batched(lo, *value, false) || !bcam_map_put(&lo->narrow, name, (int)tensor->type))
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading constant '%s'", name);
    for (int64_t i = 0; i < count; i++) {
        if (dtype == BCAM_F32)
            ((float *)data)[i] = (float)bcam_onnx_small_at(tensor, i);
        else
            ((int64_t *)data)[i] =
                bcam_onnx_is_small(tensor->type) ? (int64_t)bcam_onnx_small_at(tensor, i) : integer_at(tensor, i);
    }
    bcam_value *v = bcam_val(lo, *value);
    v->data = data;
    v->data_dtype = dtype;
    bcam_strides_dense(tensor->rank, tensor->dim, v->data_stride);
    return BCAM_OK;
}

bcam_status bcam_const_from_onnx(bcam_lower *lo, const bcam_onnx_tensor *tensor, const char *name, int *value,
                                 bcam_error *err)
{
    bcam_dtype dtype = BCAM_F32;
    size_t i = 0;
    while (i < BCAM_COUNT(direct_types) && direct_types[i].type != tensor->type)
        i++;
    if (i == BCAM_COUNT(direct_types) && needs_widening(tensor->type) && tensor->rank <= BCAM_MAX_RANK)
        return widened(lo, tensor, name, value, err);
    if (i == BCAM_COUNT(direct_types))
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "constant '%s' is of type %s, which is not supported", name,
                         bcam_onnx_type_name(tensor->type));
    dtype = direct_types[i].dtype;
    if (tensor->rank > BCAM_MAX_RANK)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "constant '%s' has %d dimensions, at most %d are supported", name,
                         tensor->rank, BCAM_MAX_RANK);
    bool integer = dtype == BCAM_I64 || dtype == BCAM_I32 || dtype == BCAM_U8;
    *value = bcam_plan_value(lo->plan, name, BCAM_ROLE_CONST, integer ? BCAM_I64 : BCAM_F32, tensor->rank, tensor->dim);
    if (*value < 0 || !bcam_mark_batched(lo, *value, false))
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading constant '%s'", name);
    bcam_value *v = bcam_val(lo, *value);
    v->data = tensor->data ? tensor->data : (const void *)""; /* no elements */
    v->data_dtype = dtype;
    bcam_strides_dense(tensor->rank, tensor->dim, v->data_stride);
    return BCAM_OK;
}
