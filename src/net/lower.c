/* lower.c - the walk over a graph: each node becomes constants or steps. */
#include <string.h>

#include "net/lower.h"

static const bcam_op ops[] = {
#define OP(name, since, until, lower, fold) {name, since, until, lower, fold},
#include "net/ops.def"
#undef OP
};

const bcam_op *bcam_op_find(const bcam_node *node, int opset)
{
    if (*node->domain)
        return NULL;
    for (size_t i = 0; i < BCAM_COUNT(ops); i++)
        if (strcmp(ops[i].name, node->op) == 0 && opset >= ops[i].since && opset <= ops[i].until)
            return &ops[i];
    return NULL;
}

static bcam_status lower_initializers(bcam_lower *lo, bcam_error *err)
{
    for (int i = 0; i < lo->graph->initializer_count; i++) {
        const bcam_onnx_tensor *tensor = &lo->graph->initializers[i];
        int value;
        bcam_status status = bcam_const_from_onnx(lo, tensor, tensor->name, &value, err);
        if (status == BCAM_E_UNSUPPORTED)
            continue; /* only a defect where somebody reads it; that node then says so */
        if (status != BCAM_OK)
            return status;
        if (!bcam_map_put(&lo->map, tensor->name, value))
            return bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading '%s'", lo->graph->path);
    }
    return BCAM_OK;
}

static bcam_status lower_input(bcam_lower *lo, int height, int width, bcam_error *err)
{
    const bcam_onnx_value *input = &lo->graph->inputs[0];
    bool nhwc = input->dim[1] != 3 && input->dim[1] != 1 && (input->dim[3] == 3 || input->dim[3] == 1);
    int64_t dim[4] = {lo->plan->batch, input->dim[nhwc ? 3 : 1], height, width};
    lo->input = bcam_plan_value(lo->plan, input->name, BCAM_ROLE_INPUT, BCAM_F32, 4, dim);
    if (lo->input < 0 || !bcam_mark_batched(lo, lo->input, true) || !bcam_map_put(&lo->map, input->name, lo->input))
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading '%s'", lo->graph->path);
    lo->input_name = nhwc ? input->name : NULL;
    return BCAM_OK;
}

static bool inputs_are_const(bcam_lower *lo, const bcam_node *node)
{
    for (int i = 0; i < node->input_count; i++) {
        int value = *node->inputs[i] ? bcam_map_get(&lo->map, node->inputs[i]) : -1;
        if (value >= 0 && !bcam_is_const(lo, value))
            return false;
    }
    return true;
}

static bcam_status lower_node(bcam_lower *lo, const bcam_node *node, bcam_error *err)
{
    const bcam_op *op = bcam_op_find(node, lo->graph->opset);
    if (!op)
        return bcam_op_fail(
            node, err, "this operator (%s%soperator set %d) is not supported; `batchcam inspect` lists all such nodes",
            node->domain, *node->domain ? ", " : "", lo->graph->opset);
    for (int i = 0; i < node->input_count; i++)
        if (*node->inputs[i] && bcam_map_get(&lo->map, node->inputs[i]) < 0)
            return bcam_op_fail(node, err, "its input '%s' is of a kind that is not supported", node->inputs[i]);
    bcam_error why = {0};
    bcam_status status = bcam_attrs_check(node, &why);
    if (status == BCAM_OK)
        status = (inputs_are_const(lo, node) ? op->fold : op->lower)(lo, node, &why);
    if (status == BCAM_E_UNSUPPORTED)
        return bcam_fail(err, status, "%.800s (operator set %d)", why.message, lo->graph->opset);
    return status == BCAM_OK ? BCAM_OK : bcam_fail(err, status, "%s", why.message);
}

static bcam_status lower_nodes(bcam_lower *lo, const bool *needed, bcam_error *err)
{
    enum {
        MANY_STEPS = 1 << 15
    }; /* real classifiers stay under a few thousand; what is done with names and memory is not made for more */
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < lo->graph->node_count; i++) {
        if (needed[i])
            status = lower_node(lo, &lo->graph->nodes[i], err);
        if (status == BCAM_OK && lo->plan->step_count > MANY_STEPS)
            status =
                bcam_fail(err, BCAM_E_UNSUPPORTED, "'%s' needs more than %d steps for a photo; is it a classifier?",
                          lo->graph->path, MANY_STEPS);
    }
    return status;
}

bcam_status bcam_lower_graph(bcam_lower *lo, const bool *needed, int height, int width, bcam_error *err)
{
    bcam_status status = lower_initializers(lo, err);
    if (status == BCAM_OK)
        status = lower_input(lo, height, width, err);
    return status == BCAM_OK ? lower_nodes(lo, needed, err) : status;
}

bcam_status bcam_lower_values(bcam_lower *lo, const bool *needed, const int *values, bcam_error *err)
{
    lo->input = -1;
    bcam_status status = lower_initializers(lo, err);
    for (int i = 0; status == BCAM_OK && i < lo->graph->input_count; i++)
        if (!bcam_map_put(&lo->map, lo->graph->inputs[i].name, values[i]))
            status = bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading '%s'", lo->graph->path);
    return status == BCAM_OK ? lower_nodes(lo, needed, err) : status;
}

void bcam_lower_fini(bcam_lower *lo)
{
    bcam_map_fini(&lo->map);
    bcam_map_fini(&lo->narrow);
    bcam_free(lo->batched);
    bcam_free(lo->like);
    *lo = (bcam_lower){0};
}
