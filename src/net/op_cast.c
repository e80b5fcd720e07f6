/* op_cast.c - the same tensor under another name: Identity, Dropout at inference, Cast. Photos' data is real whatever type it is declared as;
 * constants are real or integer, and integers wrap where their new type is narrower. */
#include <string.h>

#include "net/lower.h"

static bcam_status refuse_training(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    if (strcmp(node->op, "Dropout") != 0)
        return BCAM_OK;
    int training = bcam_in(lo, node, 2); /* an input since operator set 12 */
    bool old = lo->graph->opset < 7 && !bcam_attr_int(node, "is_test", 0);
    if (old || (training >= 0 && (!bcam_is_const(lo, training) || bcam_scalar(lo, training) != 0)))
        return bcam_op_fail(node, err, "it is in training mode; call model.eval() before the export");
    return BCAM_OK;
}

bcam_status bcam_fold_same(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_status status = refuse_training(lo, node, err);
    if (status == BCAM_OK)
        status = bcam_in_const(lo, node, 0, &x, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, x, err);
}

bcam_status bcam_op_same(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x;
    bcam_status status = refuse_training(lo, node, err);
    if (status == BCAM_OK)
        status = bcam_in_tensor(lo, node, 0, &x, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, x, err);
}

/* ---- Cast, CastLike ---- */

static bcam_onnx_type wanted_type(bcam_lower *lo, const bcam_node *node)
{
    if (strcmp(node->op, "Cast") == 0)
        return (bcam_onnx_type)bcam_attr_int(node, "to", BCAM_ONNX_FLOAT);
    int like = bcam_in(lo, node, 1), narrow = like < 0 ? -1 : bcam_map_get(&lo->narrow, node->inputs[1]);
    if (narrow >= 0)
        return (bcam_onnx_type)narrow;
    return like >= 0 && bcam_val(lo, like)->dtype == BCAM_I64 ? BCAM_ONNX_INT64 : BCAM_ONNX_FLOAT;
}

static bool is_real(bcam_onnx_type type)
{
    return type == BCAM_ONNX_FLOAT || type == BCAM_ONNX_DOUBLE || type == BCAM_ONNX_FLOAT16 ||
           type == BCAM_ONNX_BFLOAT16;
}

bcam_status bcam_op_cast(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x = bcam_in(lo, node, 0);
    if (x >= 0 && bcam_is_const(lo, x)) /* CastLike: a constant takes the type of photos' data */
        return bcam_fold_cast(lo, node, err);
    bcam_onnx_type to = wanted_type(lo, node);
    bcam_status status = bcam_in_tensor(lo, node, 0, &x, err);
    if (status == BCAM_OK && to == BCAM_ONNX_BOOL)
        return bcam_op_truth(lo, node, err);
    if (status == BCAM_OK && !is_real(to))
        return bcam_op_fail(node, err, "a cast of photos' data to %s is not supported", bcam_onnx_type_name(to));
    return status != BCAM_OK ? status : bcam_bind(lo, node, x, err);
}

/* As bool: whatever is not 0. */
static bcam_status read_truth(const bcam_node *node, const bcam_value *v, int64_t *out, bcam_error *err)
{
    int64_t count = bcam_count(v->rank, v->dim);
    double *read = bcam_alloc((size_t)count + 1, sizeof *read);
    if (!read)
        return bcam_op_memory(node, err);
    bcam_const_read(v, BCAM_F64, read);
    for (int64_t i = 0; i < count; i++)
        out[i] = read[i] != 0;
    bcam_free(read);
    return BCAM_OK;
}

/* What is left of integers in fewer bits. */
static void wrap(int64_t *numbers, int64_t count, bcam_onnx_type type)
{
    size_t small = bcam_onnx_type_bits(type), bits = small ? small : 8 * bcam_onnx_type_bytes(type);
    bool is_signed = type == BCAM_ONNX_INT2 || type == BCAM_ONNX_INT4 || type == BCAM_ONNX_INT8 ||
                     type == BCAM_ONNX_INT16 || type == BCAM_ONNX_INT32;
    for (int64_t i = 0; bits < 64 && i < count; i++) {
        int64_t rest = (int64_t)((uint64_t)numbers[i] & (((uint64_t)1 << bits) - 1));
        numbers[i] = is_signed && rest >> (bits - 1) ? rest - ((int64_t)1 << bits) : rest;
    }
}

bcam_status bcam_fold_cast(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    int x, value;
    bcam_status status = bcam_in_const(lo, node, 0, &x, err);
    if (status != BCAM_OK)
        return status;
    const bcam_value v = *bcam_val(lo, x);
    bcam_onnx_type to = wanted_type(lo, node);
    bool integer = bcam_onnx_is_integer(to), truth = to == BCAM_ONNX_BOOL;
    if (!integer && !truth && !is_real(to))
        return bcam_op_fail(node, err, "a cast of a constant to %s is not supported", bcam_onnx_type_name(to));
    if (is_real(to) && v.dtype == BCAM_F32)
        return bcam_bind(lo, node, x, err);
    void *data;
    status = bcam_const_new(lo, node, node->outputs[0], integer || truth ? BCAM_I64 : BCAM_F32, v.rank, v.dim, &data,
                            &value, err);
    if (status == BCAM_OK && truth)
        status = read_truth(node, &v, data, err);
    else if (status == BCAM_OK)
        bcam_const_read(&v, integer ? BCAM_I64 : BCAM_F32, data);
    if (status == BCAM_OK && integer)
        wrap(data, bcam_count(v.rank, v.dim), to);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}
