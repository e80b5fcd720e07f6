/* lower.c - the walk over the nodes, and what every operator's file uses. */
#include "net/lower.h"

#include <stdio.h>
#include <string.h>

/* ---- names ---- */

static size_t hash_of(const char *name)
{
    size_t h = 14695981039346656037u; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h;
}

static size_t slot_of(const bcam_name_map *map, const char *name)
{
    size_t at = hash_of(name) & (map->capacity - 1);
    while (map->names[at] && strcmp(map->names[at], name) != 0)
        at = (at + 1) & (map->capacity - 1);
    return at;
}

static bool map_grow(bcam_name_map *map)
{
    bcam_name_map larger = {.capacity = map->capacity ? map->capacity * 2 : 256};
    larger.names = bcam_alloc(larger.capacity, sizeof *larger.names);
    larger.values = bcam_alloc(larger.capacity, sizeof *larger.values);
    if (!larger.names || !larger.values) {
        bcam_map_fini(&larger);
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++)
        if (map->names[i])
            bcam_map_put(&larger, map->names[i], map->values[i]);
    bcam_map_fini(map);
    *map = larger;
    return true;
}

bool bcam_map_put(bcam_name_map *map, const char *name, int value)
{
    if (2 * map->count >= map->capacity && !map_grow(map))
        return false;
    size_t at = slot_of(map, name);
    map->count += !map->names[at];
    map->names[at] = name;
    map->values[at] = value;
    return true;
}

int bcam_map_get(const bcam_name_map *map, const char *name)
{
    if (!map->capacity)
        return -1;
    size_t at = slot_of(map, name);
    return map->names[at] ? map->values[at] : -1;
}

void bcam_map_fini(bcam_name_map *map)
{
    bcam_free(map->names);
    bcam_free(map->values);
    *map = (bcam_name_map){0};
}

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

bcam_status bcam_ints_of(bcam_lower *lo, const bcam_node *node, const char *attr, int input, int64_t *out, int most,
                         int *count, bcam_error *err)
{
    int value = bcam_in(lo, node, input);
    if (value >= 0)
        return bcam_ints(lo, node, value, out, most, count, err);
    return bcam_attr_ints(node, attr, out, most, count, err);
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

/* ---- the walk ---- */

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
