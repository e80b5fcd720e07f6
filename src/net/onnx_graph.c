/* onnx_graph.c - the graph: its inputs and outputs with their shapes, its initializers, its nodes. */
#include "net/onnx_parts.h"

/* ---- values: graph inputs and outputs ---- */

static bcam_status read_shape(const bcam_reader *reader, const bcam_field *shape, bcam_onnx_value *value)
{
    bcam_field dim, part;
    bcam_wire wire = bcam_wire_open(shape->bytes, shape->size);
    value->rank = 0;
    while (bcam_wire_next(&wire, &dim)) {
        if (dim.key != BCAM_BYTES(1)) {
            continue;
        }
        if (value->rank == BCAM_ONNX_MAX_RANK) {
            return bcam_read_fail(reader, BCAM_E_UNSUPPORTED, "'%.200s' has more than %d dimensions", value->name,
                                  BCAM_ONNX_MAX_RANK);
        }
        int64_t size = BCAM_ONNX_FREE;
        bcam_wire inside = bcam_wire_open(dim.bytes, dim.size);
        while (bcam_wire_next(&inside, &part)) { /* a number (1) or a symbol's name (2): the last one holds */
            if (part.key == BCAM_VARINT(1) && (int64_t)part.value >= 0) {
                size = (int64_t)part.value;
            } else if (part.key == BCAM_VARINT(1) || part.key == BCAM_BYTES(2)) {
                size = BCAM_ONNX_FREE;
            }
        }
        value->dim[value->rank++] = size;
        if (inside.problem) {
            return bcam_read_end(reader, &inside, "a dimension");
        }
    }
    return bcam_read_end(reader, &wire, "a shape");
}

static bcam_status read_tensor_type(const bcam_reader *reader, const bcam_field *message, bcam_onnx_value *value)
{
    bcam_field field;
    bcam_status status = BCAM_OK;
    bcam_wire wire = bcam_wire_open(message->bytes, message->size);
    while (!status && bcam_wire_next(&wire, &field)) {
        if (field.key == BCAM_VARINT(1)) {
            value->type = (bcam_onnx_type)(uint32_t)field.value;
        } else if (field.key == BCAM_BYTES(2)) {
            status = read_shape(reader, &field, value);
        }
    }
    return status ? status : bcam_read_end(reader, &wire, "a tensor's type");
}

static bcam_status read_value(bcam_reader *reader, const bcam_field *message, bcam_onnx_value *value)
{
    bcam_field field, name = {0}, type = {0};
    bcam_wire wire = bcam_wire_open(message->bytes, message->size);
    while (bcam_wire_next(&wire, &field)) {
        if (field.key == BCAM_BYTES(1)) {
            name = field;
        } else if (field.key == BCAM_BYTES(2)) {
            type = field;
        }
    }
    bcam_status status = bcam_read_end(reader, &wire, "an input or output");
    status = status ? status : bcam_read_text(reader, &name, "the name of an input or output", &value->name);
    if (!status && !value->name[0]) {
        status = bcam_read_fail(reader, BCAM_E_MODEL, "an input or output of the graph has no name");
    }
    value->rank = -1;
    wire = bcam_wire_open(type.bytes, type.size);
    while (!status && bcam_wire_next(&wire, &field)) {
        if (field.key == BCAM_BYTES(1)) { /* sequences, maps and the like keep the type UNDEFINED */
            status = read_tensor_type(reader, &field, value);
        }
    }
    return status ? status : bcam_read_end(reader, &wire, "the type of an input or output");
}

/* ---- the graph ---- */

typedef struct graph_counts {
    size_t nodes, initializers, inputs, outputs;
} graph_counts;

static bcam_status count_graph(const bcam_reader *reader, bcam_wire wire, graph_counts *counts)
{
    bcam_field field;
    bcam_status status = BCAM_OK;
    while (!status && bcam_wire_next(&wire, &field)) {
        switch (field.key) {
        case BCAM_BYTES(1):
            status = bcam_read_count(reader, &counts->nodes, BCAM_ONNX_MANY, "nodes");
            break;
        case BCAM_BYTES(5):
            status = bcam_read_count(reader, &counts->initializers, BCAM_ONNX_MANY, "initializers");
            break;
        case BCAM_BYTES(11):
            status = bcam_read_count(reader, &counts->inputs, BCAM_ONNX_MANY, "inputs");
            break;
        case BCAM_BYTES(12):
            status = bcam_read_count(reader, &counts->outputs, BCAM_ONNX_MANY, "outputs");
            break;
        case BCAM_BYTES(15):
            return bcam_read_fail(reader, BCAM_E_UNSUPPORTED,
                                  "it keeps weights as sparse initializers; export it with dense ones");
        default:
            break;
        }
    }
    status = status ? status : bcam_read_end(reader, &wire, "the graph");
    if (!status && counts->nodes == 0) {
        status = bcam_read_fail(reader, BCAM_E_MODEL, "its graph has no nodes");
    }
    if (!status && counts->outputs == 0) {
        status = bcam_read_fail(reader, BCAM_E_MODEL, "its graph has no outputs");
    }
    return status;
}

static bcam_status read_initializer(bcam_reader *reader, const bcam_field *field, bcam_onnx_tensor *tensor)
{
    bcam_graph *graph = reader->graph;
    bcam_status status = bcam_read_tensor(reader, field, NULL, tensor);
    if (status) {
        return status;
    }
    if (!tensor->name[0]) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "initializer number %td has no name",
                              tensor - graph->initializers + 1);
    }
    bool is_float = tensor->type == BCAM_ONNX_FLOAT || tensor->type == BCAM_ONNX_DOUBLE ||
                    tensor->type == BCAM_ONNX_FLOAT16 || tensor->type == BCAM_ONNX_BFLOAT16;
    int64_t elements = is_float ? (int64_t)(tensor->bytes / bcam_onnx_type_bytes(tensor->type)) : 0;
    if (__builtin_add_overflow(graph->parameters, elements, &graph->parameters)) {
        graph->parameters = INT64_MAX;
    }
    return BCAM_OK;
}

bcam_status bcam_read_graph(bcam_reader *reader, bcam_wire wire)
{
    bcam_graph *graph = reader->graph;
    graph_counts counts = {0};
    bcam_field field;
    bcam_status status = count_graph(reader, wire, &counts);
    if (status) {
        return status;
    }
    graph->nodes = bcam_read_alloc(reader, counts.nodes, sizeof *graph->nodes);
    graph->initializers = bcam_read_alloc(reader, counts.initializers, sizeof *graph->initializers);
    graph->inputs = bcam_read_alloc(reader, counts.inputs, sizeof *graph->inputs);
    graph->outputs = bcam_read_alloc(reader, counts.outputs, sizeof *graph->outputs);
    if (!graph->nodes || !graph->initializers || !graph->inputs || !graph->outputs) {
        return BCAM_E_MEMORY;
    }
    while (!status && bcam_wire_next(&wire, &field)) {
        switch (field.key) {
        case BCAM_BYTES(1):
            status = bcam_read_node(reader, &field, &graph->nodes[graph->node_count++]);
            break;
        case BCAM_BYTES(5):
            status = read_initializer(reader, &field, &graph->initializers[graph->initializer_count++]);
            break;
        case BCAM_BYTES(11):
            status = read_value(reader, &field, &graph->inputs[graph->input_count++]);
            break;
        case BCAM_BYTES(12):
            status = read_value(reader, &field, &graph->outputs[graph->output_count++]);
            break;
        default:
            break;
        }
    }
    return status;
}
