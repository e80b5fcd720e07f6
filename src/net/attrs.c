/* attrs.c - the attributes of a node. A getter that asks for a number and finds a list would fall back to the default in silence, so that a node is
 * looked at, against a table of which kind of value each attribute has, before anybody asks. */
#include <string.h>

#include "net/lower.h"

static const struct {
    const char *name;
    bcam_attr_kind kind;
    const char *op; /* of this operator alone; NULL: of all others */
} attrs[] = {
    {"allowzero", BCAM_ATTR_INT, NULL},
    {"alpha", BCAM_ATTR_FLOAT, NULL},
    {"antialias", BCAM_ATTR_INT, NULL},
    {"approximate", BCAM_ATTR_STRING, NULL},
    {"auto_pad", BCAM_ATTR_STRING, NULL},
    {"axes", BCAM_ATTR_INTS, NULL},
    {"axis", BCAM_ATTR_INT, NULL},
    {"beta", BCAM_ATTR_FLOAT, NULL},
    {"bias", BCAM_ATTR_FLOAT, NULL},
    {"blocksize", BCAM_ATTR_INT, NULL},
    {"ceil_mode", BCAM_ATTR_INT, NULL},
    {"coordinate_transformation_mode", BCAM_ATTR_STRING, NULL},
    {"count_include_pad", BCAM_ATTR_INT, NULL},
    {"cubic_coeff_a", BCAM_ATTR_FLOAT, NULL},
    {"dilations", BCAM_ATTR_INTS, NULL},
    {"end", BCAM_ATTR_INT, NULL},
    {"ends", BCAM_ATTR_INTS, NULL},
    {"epsilon", BCAM_ATTR_FLOAT, NULL},
    {"exclude_outside", BCAM_ATTR_INT, NULL},
    {"extrapolation_value", BCAM_ATTR_FLOAT, NULL},
    {"fmod", BCAM_ATTR_INT, NULL},
    {"gamma", BCAM_ATTR_FLOAT, NULL},
    {"group", BCAM_ATTR_INT, NULL},
    {"is_test", BCAM_ATTR_INT, NULL},
    {"keep_aspect_ratio_policy", BCAM_ATTR_STRING, NULL},
    {"keepdims", BCAM_ATTR_INT, NULL},
    {"kernel_shape", BCAM_ATTR_INTS, NULL},
    {"max", BCAM_ATTR_FLOAT, NULL},
    {"min", BCAM_ATTR_FLOAT, NULL},
    {"mode", BCAM_ATTR_STRING, NULL},
    {"nearest_mode", BCAM_ATTR_STRING, NULL},
    {"noop_with_empty_axes", BCAM_ATTR_INT, NULL},
    {"num_groups", BCAM_ATTR_INT, NULL},
    {"num_outputs", BCAM_ATTR_INT, NULL},
    {"output_padding", BCAM_ATTR_INTS, NULL},
    {"output_shape", BCAM_ATTR_INTS, NULL},
    {"pads", BCAM_ATTR_INTS, NULL},
    {"perm", BCAM_ATTR_INTS, NULL},
    {"scales", BCAM_ATTR_FLOATS, NULL},
    {"size", BCAM_ATTR_INT, NULL},
    {"split", BCAM_ATTR_INTS, NULL},
    {"start", BCAM_ATTR_INT, NULL},
    {"starts", BCAM_ATTR_INTS, NULL},
    {"strides", BCAM_ATTR_INTS, NULL},
    {"to", BCAM_ATTR_INT, NULL},
    {"training_mode", BCAM_ATTR_INT, NULL},
    {"transA", BCAM_ATTR_INT, NULL},
    {"transB", BCAM_ATTR_INT, NULL},
    {"value", BCAM_ATTR_FLOAT, "Pad"},
    {"value", BCAM_ATTR_TENSOR, NULL},
    {"value_float", BCAM_ATTR_FLOAT, NULL},
    {"value_floats", BCAM_ATTR_FLOATS, NULL},
    {"value_int", BCAM_ATTR_INT, NULL},
    {"value_ints", BCAM_ATTR_INTS, NULL},
};

static const char *const kind_names[] = {
    [BCAM_ATTR_OTHER] = "of no kind that is read",
    [BCAM_ATTR_FLOAT] = "a float",
    [BCAM_ATTR_INT] = "an integer",
    [BCAM_ATTR_STRING] = "a string",
    [BCAM_ATTR_TENSOR] = "a tensor",
    [BCAM_ATTR_FLOATS] = "a list of floats",
    [BCAM_ATTR_INTS] = "a list of integers",
    [BCAM_ATTR_STRINGS] = "a list of strings",
    [BCAM_ATTR_GRAPH] = "a graph",
};

bcam_status bcam_attrs_check(const bcam_node *node, bcam_error *err)
{
    bool seen[BCAM_COUNT(attrs)] = {false};
    for (int k = 0; k < node->attr_count; k++) {
        const bcam_attr *attr = &node->attrs[k];
        size_t row = 0;
        while (row < BCAM_COUNT(attrs) &&
               (strcmp(attrs[row].name, attr->name) != 0 || (attrs[row].op && strcmp(attrs[row].op, node->op) != 0)))
            row++;
        if (row == BCAM_COUNT(attrs))
            continue; /* nobody asks for it */
        if (seen[row])
            return bcam_op_damaged(node, err, "it has attribute '%s' twice", attr->name);
        if (attr->kind != attrs[row].kind)
            return bcam_op_damaged(node, err, "attribute '%s' must be %s and is %s", attr->name,
                                   kind_names[attrs[row].kind], kind_names[attr->kind]);
        seen[row] = true;
    }
    return BCAM_OK;
}

/* ---- getters ---- */

int64_t bcam_attr_int(const bcam_node *node, const char *name, int64_t otherwise)
{
    const bcam_attr *attr = bcam_node_attr(node, name);
    return attr && attr->kind == BCAM_ATTR_INT ? attr->i : otherwise;
}

double bcam_attr_float(const bcam_node *node, const char *name, double otherwise)
{
    const bcam_attr *attr = bcam_node_attr(node, name);
    return attr && attr->kind == BCAM_ATTR_FLOAT ? (double)attr->f : otherwise;
}

const char *bcam_attr_string(const bcam_node *node, const char *name, const char *otherwise)
{
    const bcam_attr *attr = bcam_node_attr(node, name);
    return attr && attr->kind == BCAM_ATTR_STRING ? attr->s : otherwise;
}

bcam_status bcam_attr_ints(const bcam_node *node, const char *name, int64_t *out, int most, int *count, bcam_error *err)
{
    const bcam_attr *attr = bcam_node_attr(node, name);
    *count = -1;
    if (!attr)
        return BCAM_OK;
    if (attr->kind != BCAM_ATTR_INTS || attr->count > (size_t)most)
        return bcam_op_fail(node, err, "attribute '%s' must be a list of at most %d integers", name, most);
    if (attr->count)
        memcpy(out, attr->ints, attr->count * sizeof *out);
    *count = (int)attr->count;
    return BCAM_OK;
}

bcam_status bcam_axis(const bcam_node *node, int64_t axis, int rank, int *out, bcam_error *err)
{
    if (axis < -rank || axis >= rank)
        return bcam_op_fail(node, err, "axis %lld is outside a tensor of rank %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
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
