/* onnx_node.c - nodes and their attributes. */
#include <string.h>

#include "net/onnx_parts.h"

/* ---- attributes ---- */

/* By AttributeProto.AttributeType. The value of type k is field k + 1. */
static const bcam_attr_kind attr_kinds[] = {BCAM_ATTR_OTHER,  BCAM_ATTR_FLOAT,  BCAM_ATTR_INT,
                                            BCAM_ATTR_STRING, BCAM_ATTR_TENSOR, BCAM_ATTR_GRAPH,
                                            BCAM_ATTR_FLOATS, BCAM_ATTR_INTS,   BCAM_ATTR_STRINGS};

typedef struct attr_fields {
    bcam_field name, s, tensor;
    bool has_tensor;
    uint64_t type;     /* as declared, else as the fields show */
    bool is_reference; /* to an attribute of the function around it */
    size_t strings;
} attr_fields;

static bcam_status find_attr_fields(const bcam_reader *reader, bcam_wire wire, attr_fields *found, bcam_attr *attr)
{
    bcam_field field;
    uint64_t declared = 0;
    while (bcam_wire_next(&wire, &field)) {
        uint32_t number = field.key >> 3;
        if (number >= 2 && number <= BCAM_COUNT(attr_kinds)) {
            found->type = number - 1;
        }
        switch (field.key) {
        case BCAM_BYTES(1):
            found->name = field;
            break;
        case BCAM_FIXED32(2):
            memcpy(&attr->f, &(uint32_t){(uint32_t)field.value}, sizeof attr->f);
            break;
        case BCAM_VARINT(3):
            attr->i = (int64_t)field.value;
            break;
        case BCAM_BYTES(4):
            found->s = field;
            break;
        case BCAM_BYTES(5):
            if (found->has_tensor) {
                return bcam_read_fail(reader, BCAM_E_MODEL, "the attribute at byte %zu holds two tensors",
                                      (size_t)(field.bytes - reader->graph->file));
            }
            found->tensor = field;
            found->has_tensor = true;
            break;
        case BCAM_BYTES(9):
            found->strings++;
            break;
        case BCAM_VARINT(20):
            declared = field.value;
            break;
        case BCAM_BYTES(21):
            found->is_reference = field.size > 0;
            break;
        default:
            break;
        }
    }
    found->type = declared ? declared : found->type;
    return bcam_read_end(reader, &wire, "an attribute");
}

/** Decodes the repeated numbers of field 7 (floats) or 8 (ints). */
static bcam_status read_numbers(bcam_reader *reader, bcam_wire wire, bcam_attr *attr)
{
    bool is_float = attr->kind == BCAM_ATTR_FLOATS;
    uint32_t number = is_float ? 7 : 8;
    int type = is_float ? BCAM_WIRE_FIXED32 : BCAM_WIRE_VARINT;
    uint64_t value;
    bcam_scalars scalars = bcam_scalars_open(wire, number, type);
    while (bcam_scalars_next(&scalars, &value)) {
        attr->count++;
    }
    bcam_status status = bcam_read_end(reader, &scalars.message, "an attribute's numbers");
    if (status) {
        return status;
    }
    float *floats = is_float ? bcam_read_alloc(reader, attr->count, sizeof *floats) : NULL;
    int64_t *ints = is_float ? NULL : bcam_read_alloc(reader, attr->count, sizeof *ints);
    if (!floats && !ints) {
        return BCAM_E_MEMORY;
    }
    scalars = bcam_scalars_open(wire, number, type);
    for (size_t k = 0; bcam_scalars_next(&scalars, &value); k++) {
        if (is_float) {
            memcpy(&floats[k], &(uint32_t){(uint32_t)value}, sizeof *floats);
        } else {
            ints[k] = (int64_t)value;
        }
    }
    attr->floats = floats;
    attr->ints = ints;
    return BCAM_OK;
}

static bcam_status read_attr_tensor(bcam_reader *reader, const attr_fields *found, const bcam_node *node,
                                    bcam_attr *attr)
{
    if (!found->has_tensor) {
        char label[BCAM_LABEL];
        bcam_node_label(reader->graph, node, label);
        return bcam_read_fail(reader, BCAM_E_MODEL, "attribute '%.100s' of %s should be a tensor and holds none",
                              attr->name, label);
    }
    bcam_onnx_tensor *tensor = bcam_read_alloc(reader, 1, sizeof *tensor);
    attr->tensor = tensor;
    return tensor ? bcam_read_tensor(reader, &found->tensor, node, tensor) : BCAM_E_MEMORY;
}

static bcam_status read_attr(bcam_reader *reader, const bcam_field *field, const bcam_node *node, bcam_attr *attr)
{
    attr_fields found = {0};
    bcam_wire wire = bcam_wire_open(field->bytes, field->size);
    bcam_status status = find_attr_fields(reader, wire, &found, attr);
    status = status ? status : bcam_read_text(reader, &found.name, "an attribute's name", &attr->name);
    if (status) {
        return status;
    }
    bool known = found.type < BCAM_COUNT(attr_kinds) && !found.is_reference;
    attr->kind = known ? attr_kinds[found.type] : BCAM_ATTR_OTHER;
    switch (attr->kind) {
    case BCAM_ATTR_STRING:
        if (found.s.size &&
            memchr(found.s.bytes, 0, found.s.size)) { /* bytes, not text: no operator that we know asks for such */
            attr->kind = BCAM_ATTR_OTHER;
            return BCAM_OK;
        }
        return bcam_read_text(reader, &found.s, "an attribute's string", &attr->s);
    case BCAM_ATTR_FLOATS:
    case BCAM_ATTR_INTS:
        return read_numbers(reader, wire, attr);
    case BCAM_ATTR_TENSOR:
        return read_attr_tensor(reader, &found, node, attr);
    case BCAM_ATTR_STRINGS:
        attr->count = found.strings;
        return BCAM_OK;
    default:
        return BCAM_OK; /* nested graphs are noted, not read */
    }
}

/* ---- nodes ---- */

typedef struct node_fields {
    bcam_field name, op, domain;
    size_t inputs, outputs, attrs, pairs;
} node_fields;

static bcam_status find_node_fields(const bcam_reader *reader, bcam_wire wire, node_fields *found)
{
    bcam_field field;
    bcam_status status = BCAM_OK;
    while (!status && bcam_wire_next(&wire, &field)) {
        switch (field.key) {
        case BCAM_BYTES(1):
            status = bcam_read_count(reader, &found->inputs, BCAM_ONNX_MANY, "inputs of one node");
            break;
        case BCAM_BYTES(2):
            status = bcam_read_count(reader, &found->outputs, BCAM_ONNX_MANY, "outputs of one node");
            break;
        case BCAM_BYTES(3):
            found->name = field;
            break;
        case BCAM_BYTES(4):
            found->op = field;
            break;
        case BCAM_BYTES(5):
            status = bcam_read_count(reader, &found->attrs, BCAM_ONNX_MANY_ATTRS, "attributes of one node");
            break;
        case BCAM_BYTES(7):
            found->domain = field;
            break;
        case BCAM_BYTES(9):
            status = bcam_read_count(reader, &found->pairs, BCAM_ONNX_MANY_ATTRS, "metadata entries of one node");
            break;
        default:
            break;
        }
    }
    return status ? status : bcam_read_end(reader, &wire, "a node");
}

static bcam_status start_node(bcam_reader *reader, const node_fields *found, bcam_node *node)
{
    bcam_status status = bcam_read_text(reader, &found->name, "a node's name", &node->name);
    status = status ? status : bcam_read_text(reader, &found->op, "a node's operator", &node->op);
    status = status ? status : bcam_read_text(reader, &found->domain, "a node's domain", &node->domain);
    if (status) {
        return status;
    }
    if (strcmp(node->domain, "ai.onnx") == 0) {
        node->domain = "";
    }
    if (!node->op[0]) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "node '%.200s', number %td, has no operator", node->name,
                              node - reader->graph->nodes + 1);
    }
    node->inputs = bcam_read_alloc(reader, found->inputs, sizeof *node->inputs);
    node->outputs = bcam_read_alloc(reader, found->outputs, sizeof *node->outputs);
    node->attrs = bcam_read_alloc(reader, found->attrs, sizeof *node->attrs);
    node->metadata = bcam_read_alloc(reader, found->pairs, sizeof *node->metadata);
    return node->inputs && node->outputs && node->attrs && node->metadata ? BCAM_OK : BCAM_E_MEMORY;
}

bcam_status bcam_read_node(bcam_reader *reader, const bcam_field *message, bcam_node *node)
{
    node_fields found = {0};
    bcam_field field;
    bcam_wire wire = bcam_wire_open(message->bytes, message->size);
    bcam_status status = find_node_fields(reader, wire, &found);
    status = status ? status : start_node(reader, &found, node);
    while (!status && bcam_wire_next(&wire, &field)) {
        switch (field.key) {
        case BCAM_BYTES(1):
            status = bcam_read_text(reader, &field, "the name of a node's input", &node->inputs[node->input_count++]);
            break;
        case BCAM_BYTES(2):
            status =
                bcam_read_text(reader, &field, "the name of a node's output", &node->outputs[node->output_count++]);
            break;
        case BCAM_BYTES(5):
            status = read_attr(reader, &field, node, &node->attrs[node->attr_count++]);
            break;
        case BCAM_BYTES(9):
            status = bcam_read_pair(reader, &field, &node->metadata[node->metadata_count++]);
            break;
        default:
            break;
        }
    }
    return status;
}
