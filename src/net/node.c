/* node.c - what every operator asks of its node and of the network so far: its operands, and where its results go. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/lower.h"

/* ---- messages ---- */

static const char *shown_name(const bcam_node *node)
{
    return *node->name ? node->name : node->output_count ? node->outputs[0] : "";
}

static bcam_status fail_with(const bcam_node *node, bcam_error *err, bcam_status code, const char *then,
                             const char *format, va_list args)
{
    char reason[512];
    vsnprintf(reason, sizeof reason, format, args);
    return bcam_fail(err, code, "node '%s' (%s): %s%s", shown_name(node), node->op, reason, then);
}

bcam_status bcam_op_fail(const bcam_node *node, bcam_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bcam_status status = fail_with(node, err, BCAM_E_UNSUPPORTED, "", format, args);
    va_end(args);
    return status;
}

bcam_status bcam_op_damaged(const bcam_node *node, bcam_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bcam_status status = fail_with(node, err, BCAM_E_MODEL, "; export the model again", format, args);
    va_end(args);
    return status;
}

bcam_status bcam_op_memory(const bcam_node *node, bcam_error *err)
{
    return bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading node '%s' (%s)", shown_name(node), node->op);
}

/* ---- operands ---- */

bcam_value *bcam_val(const bcam_lower *lo, int value)
{
    return &lo->plan->values[value];
}

bool bcam_is_const(const bcam_lower *lo, int value)
{
    return bcam_val(lo, value)->role == BCAM_ROLE_CONST;
}

bool bcam_is_batched(const bcam_lower *lo, int value)
{
    return (size_t)value < lo->batched_capacity && lo->batched[value];
}

/* Values and what is noted about them grow together. */
bool bcam_mark_batched(bcam_lower *lo, int value, bool batched)
{
    while ((size_t)value >= lo->batched_capacity) {
        size_t before = lo->batched_capacity, other = before;
        if (!bcam_grow(&lo->like, &other, before, sizeof *lo->like) ||
            !bcam_grow(&lo->batched, &lo->batched_capacity, before, sizeof *lo->batched))
            return false;
        memset(lo->batched + before, 0, lo->batched_capacity - before);
        memset(lo->like + before, 0, (lo->batched_capacity - before) * sizeof *lo->like);
    }
    lo->batched[value] = batched;
    return true;
}

void bcam_mark_like(bcam_lower *lo, int value, int of)
{
    if ((size_t)value < lo->batched_capacity)
        lo->like[value] = of + 1;
}

int bcam_is_like(const bcam_lower *lo, int value)
{
    return (size_t)value < lo->batched_capacity ? lo->like[value] - 1 : -1;
}

/* The (N,H,W,C) input is kept as (N,C,H,W); whoever wants it as the file has it gets a transposed copy. */
static int materialize_nhwc_input(bcam_lower *lo)
{
    const bcam_value *x = bcam_val(lo, lo->input);
    int64_t dim[4] = {x->dim[0], x->dim[2], x->dim[3], x->dim[1]};
    int value = bcam_plan_value(lo->plan, lo->input_name, BCAM_ROLE_WORK, BCAM_F32, 4, dim);
    bcam_step *step = value < 0 ? NULL : bcam_plan_step(lo->plan, BCAM_VERB_COPY, BCAM_SEGMENT_FORWARD, lo->input_name);
    if (!step || !bcam_mark_batched(lo, value, true) || !bcam_map_put(&lo->map, lo->input_name, value))
        return -1;
    static const int axis[4] = {0, 2, 3, 1};
    for (int a = 0; a < 4; a++) {
        step->u.copy.extent[a] = dim[a];
        step->u.copy.axis[a] = axis[a];
        step->u.copy.step[a] = 1;
    }
    step->in[0] = lo->input;
    step->out[0] = value;
    lo->input_name = NULL;
    return value;
}

int bcam_in(bcam_lower *lo, const bcam_node *node, int index)
{
    if (index >= node->input_count || !*node->inputs[index])
        return -1;
    if (lo->input_name && strcmp(node->inputs[index], lo->input_name) == 0)
        return materialize_nhwc_input(lo);
    return bcam_map_get(&lo->map, node->inputs[index]);
}

bcam_status bcam_in_tensor(bcam_lower *lo, const bcam_node *node, int index, int *value, bcam_error *err)
{
    *value = bcam_in(lo, node, index);
    if (*value < 0)
        return bcam_op_fail(node, err, "input %d is missing", index);
    if (bcam_is_const(lo, *value))
        return bcam_op_fail(node, err, "input %d is a constant, which is not supported here", index);
    return BCAM_OK;
}

bcam_status bcam_in_const(bcam_lower *lo, const bcam_node *node, int index, int *value, bcam_error *err)
{
    *value = bcam_in(lo, node, index);
    if (*value < 0)
        return bcam_op_fail(node, err, "input %d is missing", index);
    if (!bcam_is_const(lo, *value))
        return bcam_op_fail(node, err, "input %d ('%s') must be a constant", index, node->inputs[index]);
    return BCAM_OK;
}

bcam_status bcam_ints(bcam_lower *lo, const bcam_node *node, int value, int64_t *out, int most, int *count,
                      bcam_error *err)
{
    const bcam_value *v = bcam_val(lo, value);
    int64_t n = bcam_count(v->rank, v->dim);
    if (v->role != BCAM_ROLE_CONST)
        return bcam_op_fail(node, err, "'%s' must be a constant", v->name);
    if (n > most)
        return bcam_op_fail(node, err, "'%s' has %lld elements, at most %d make sense here", v->name, (long long)n,
                            most);
    bcam_const_read(v, BCAM_I64, out);
    *count = (int)n;
    return BCAM_OK;
}

double bcam_scalar(const bcam_lower *lo, int value)
{
    bcam_value first = *bcam_val(lo, value);
    double x = 0;
    if (bcam_count(first.rank, first.dim) < 1)
        return 0;
    first.rank = 0;
    bcam_const_read(&first, BCAM_F64, &x);
    return x;
}

/* ---- results ---- */

/* 2^28 numbers, a gigabyte, are far beyond one photo's layer; a file of a few bytes can ask for more. */
static bcam_status check_dims(const bcam_lower *lo, const bcam_node *node, int rank, const int64_t *dim,
                              bcam_error *err)
{
    const int64_t most = ((int64_t)1 << 28) * lo->plan->batch;
    if (rank > BCAM_MAX_RANK)
        return bcam_op_fail(node, err, "its output has %d dimensions, at most %d are supported", rank, BCAM_MAX_RANK);
    int64_t count = 1;
    for (int a = 0; a < rank; a++) {
        if (dim[a] < 1)
            return bcam_op_fail(node, err, "dimension %d of its output would be %lld", a, (long long)dim[a]);
        if (__builtin_mul_overflow(count, dim[a], &count) || count > most)
            return bcam_op_fail(node, err, "its output would have more than 2^28 numbers per photo");
    }
    return BCAM_OK;
}

bcam_status bcam_emit_value(bcam_lower *lo, const bcam_node *node, const char *name, bcam_verb verb, int rank,
                            const int64_t *dim, bool batched, bcam_step **step, int *value, bcam_error *err)
{
    bcam_status status = check_dims(lo, node, rank, dim, err);
    if (status != BCAM_OK)
        return status;
    if (lo->lift && !batched)
        return bcam_op_fail(node, err, "the first dimension is no longer the batch behind it");
    *value = bcam_plan_value(lo->plan, name, BCAM_ROLE_WORK, BCAM_F32, rank, dim);
    *step = *value < 0 ? NULL : bcam_plan_step(lo->plan, verb, BCAM_SEGMENT_FORWARD, shown_name(node));
    if (!*step || !bcam_mark_batched(lo, *value, batched))
        return bcam_op_memory(node, err);
    (*step)->out[0] = *value;
    return BCAM_OK;
}

bcam_status bcam_emit(bcam_lower *lo, const bcam_node *node, bcam_verb verb, int rank, const int64_t *dim, bool batched,
                      bcam_step **step, bcam_error *err)
{
    int value;
    bcam_status status = bcam_emit_value(lo, node, node->outputs[0], verb, rank, dim, batched, step, &value, err);
    return status != BCAM_OK ? status : bcam_bind(lo, node, value, err);
}

bcam_status bcam_bind_output(bcam_lower *lo, const bcam_node *node, int output, int value, bcam_error *err)
{
    if (output >= node->output_count || !*node->outputs[output])
        return BCAM_OK;
    return bcam_map_put(&lo->map, node->outputs[output], value) ? BCAM_OK : bcam_op_memory(node, err);
}

bcam_status bcam_bind(bcam_lower *lo, const bcam_node *node, int value, bcam_error *err)
{
    return bcam_bind_output(lo, node, 0, value, err);
}

bcam_status bcam_emit_reshape(bcam_lower *lo, const bcam_node *node, int x, int rank, const int64_t *dim,
                              bcam_error *err)
{
    const bcam_value *v = bcam_val(lo, x);
    if (v->rank == rank && memcmp(v->dim, dim, (size_t)rank * sizeof *dim) == 0)
        return bcam_bind(lo, node, x, err);
    bool batched = bcam_is_batched(lo, x) && rank > 0 && dim[0] == v->dim[0];
    bcam_step *step;
    bcam_status status = bcam_emit(lo, node, BCAM_VERB_COPY, rank, dim, batched, &step, err);
    if (status == BCAM_OK) {
        step->in[0] = x;
        step->u.copy.reshape = true;
    }
    return status;
}
