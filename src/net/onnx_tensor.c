/* onnx_tensor.c - a tensor: its dimensions, and its bytes where they lie. Only what is packed otherwise is decoded. */
#include <stdio.h>
#include <string.h>

#include "net/onnx_parts.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are used as the file holds them: little-endian");

/** "3x224x224 float32", or "single float32" for a scalar. */
static const char *shape_text(const bcam_onnx_tensor *tensor, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (int k = 0; k < tensor->rank; k++) {
        used += (size_t)snprintf(out + used, size - used, "%s%lld", k ? "x" : "", (long long)tensor->dim[k]);
    }
    snprintf(out + used, size - used, "%s%s", tensor->rank ? " " : "single ", bcam_onnx_type_name(tensor->type));
    return out;
}

enum { SHAPE_TEXT = BCAM_ONNX_MAX_RANK * 21 + 32 };

static bcam_status wrong_size(const bcam_reader *reader, const bcam_onnx_tensor *tensor, size_t held, const char *label)
{
    char shape[SHAPE_TEXT];
    return bcam_read_fail(reader, BCAM_E_MODEL, "%s holds %zu bytes, and its %s takes %zu", label, held,
                          shape_text(tensor, shape, sizeof shape), tensor->bytes);
}

/* ---- typed fields ---- */

/* The typed field that holds a tensor's numbers where raw_data does not, by ONNX's type number. */
static const struct typed_field {
    uint8_t number, wire;
} typed_fields[] = {
    [BCAM_ONNX_FLOAT] = {4, BCAM_WIRE_FIXED32},         [BCAM_ONNX_UINT8] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_INT8] = {5, BCAM_WIRE_VARINT},           [BCAM_ONNX_UINT16] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_INT16] = {5, BCAM_WIRE_VARINT},          [BCAM_ONNX_INT32] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_INT64] = {7, BCAM_WIRE_VARINT},          [BCAM_ONNX_BOOL] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_FLOAT16] = {5, BCAM_WIRE_VARINT},        [BCAM_ONNX_DOUBLE] = {10, BCAM_WIRE_FIXED64},
    [BCAM_ONNX_UINT32] = {11, BCAM_WIRE_VARINT},        [BCAM_ONNX_UINT64] = {11, BCAM_WIRE_VARINT},
    [BCAM_ONNX_BFLOAT16] = {5, BCAM_WIRE_VARINT},       [BCAM_ONNX_FLOAT8E4M3FN] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_FLOAT8E4M3FNUZ] = {5, BCAM_WIRE_VARINT}, [BCAM_ONNX_FLOAT8E5M2] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_FLOAT8E5M2FNUZ] = {5, BCAM_WIRE_VARINT}, [BCAM_ONNX_UINT4] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_INT4] = {5, BCAM_WIRE_VARINT},           [BCAM_ONNX_FLOAT4E2M1] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_FLOAT8E8M0] = {5, BCAM_WIRE_VARINT},     [BCAM_ONNX_UINT2] = {5, BCAM_WIRE_VARINT},
    [BCAM_ONNX_INT2] = {5, BCAM_WIRE_VARINT},
};

/** Whether the whole repeated field is one packed run; then it is *out. */
static bool find_single_run(bcam_wire wire, uint32_t number, bcam_field *out)
{
    bcam_field field;
    size_t runs = 0;
    while (bcam_wire_next(&wire, &field)) {
        if (field.key >> 3 == number) {
            *out = field;
            runs++;
        }
    }
    return runs == 1 && out->key == BCAM_BYTES(number);
}

static void decode(bcam_scalars scalars, bcam_onnx_type type, size_t size, uint8_t *out)
{
    uint64_t value;
    for (; bcam_scalars_next(&scalars, &value); out += size) {
        value = type == BCAM_ONNX_BOOL ? value != 0 : value;
        memcpy(out, &value, size); /* little-endian: the low bytes come first */
    }
}

static bcam_status read_typed(bcam_reader *reader, bcam_wire wire, const char *label, bcam_onnx_tensor *tensor)
{
    const struct typed_field *typed = &typed_fields[tensor->type]; /* whoever has bytes stands there */
    size_t size = bcam_onnx_type_bytes(tensor->type);
    bcam_field run;
    if (typed->wire != BCAM_WIRE_VARINT && find_single_run(wire, typed->number, &run) && run.size == tensor->bytes) {
        tensor->data = run.bytes;
        return BCAM_OK;
    }
    size_t count = 0;
    uint64_t value;
    bcam_scalars scalars = bcam_scalars_open(wire, typed->number, typed->wire);
    while (bcam_scalars_next(&scalars, &value)) {
        count++;
    }
    bcam_status status = bcam_read_end(reader, &scalars.message, label);
    if (status) {
        return status;
    }
    if (count != tensor->bytes / size) {
        return wrong_size(reader, tensor, count * size, label);
    }
    uint8_t *data = bcam_read_alloc(reader, count, size);
    if (!data) {
        return BCAM_E_MEMORY;
    }
    decode(bcam_scalars_open(wire, typed->number, typed->wire), tensor->type, size, data);
    tensor->data = data;
    return BCAM_OK;
}

/* ---- tensors ---- */

typedef struct tensor_fields {
    bcam_field name, raw;
    bool has_raw, is_external, is_segment;
    int32_t type;
} tensor_fields;

static bcam_status find_tensor_fields(const bcam_reader *reader, bcam_wire wire, tensor_fields *found)
{
    bcam_field field;
    while (bcam_wire_next(&wire, &field)) {
        switch (field.key) {
        case BCAM_VARINT(2):
            found->type = (int32_t)(uint32_t)field.value;
            break;
        case BCAM_BYTES(3):
            found->is_segment = true;
            break;
        case BCAM_BYTES(8):
            found->name = field;
            break;
        case BCAM_BYTES(9):
            found->raw = field;
            found->has_raw = true;
            break;
        case BCAM_VARINT(14):
            found->is_external = field.value == 1;
            break;
        default:
            break;
        }
    }
    return bcam_read_end(reader, &wire, "a tensor");
}

static bcam_status read_dims(const bcam_reader *reader, bcam_wire wire, const char *label, bcam_onnx_tensor *tensor)
{
    uint64_t value;
    size_t unit = bcam_onnx_type_bytes(tensor->type), bytes = unit ? unit : 1;
    bool empty = unit == 0; /* with a 0 among them, too; the others must not overflow all the same */
    bcam_scalars dims = bcam_scalars_open(wire, 1, BCAM_WIRE_VARINT);
    while (bcam_scalars_next(&dims, &value)) {
        if (tensor->rank == BCAM_ONNX_MAX_RANK) {
            return bcam_read_fail(reader, BCAM_E_UNSUPPORTED, "%s has more than %d dimensions", label,
                                  BCAM_ONNX_MAX_RANK);
        }
        if ((int64_t)value < 0) {
            return bcam_read_fail(reader, BCAM_E_MODEL, "%s has a dimension of %lld", label, (long long)value);
        }
        tensor->dim[tensor->rank++] = (int64_t)value;
        empty |= value == 0;
        if (!bcam_mul_size(bytes, value ? (size_t)value : 1, &bytes) || bytes > PTRDIFF_MAX) {
            return bcam_read_fail(reader, BCAM_E_MODEL, "%s has dimensions whose product is too large", label);
        }
    }
    bytes = empty ? 0 : bytes;
    size_t bits = bcam_onnx_type_bits(tensor->type), per_byte = bits ? 8 / bits : 1; /* several elements in a byte */
    tensor->bytes = bytes / per_byte + (bytes % per_byte != 0);
    return bcam_read_end(reader, &dims.message, label);
}

static void label_tensor(const bcam_graph *graph, const bcam_node *owner, const char *name, char out[2 * BCAM_LABEL])
{
    char node[BCAM_LABEL];
    if (owner) {
        bcam_node_label(graph, owner, node);
        snprintf(out, 2 * BCAM_LABEL, "the tensor in an attribute of %s", node);
    } else {
        snprintf(out, 2 * BCAM_LABEL, "initializer '%.200s'", name);
    }
}

bcam_status bcam_read_tensor(bcam_reader *reader, const bcam_field *field, const bcam_node *owner,
                             bcam_onnx_tensor *out)
{
    static const uint8_t nothing[1] = {0};
    char label[2 * BCAM_LABEL];
    tensor_fields found = {0};
    bcam_wire wire = bcam_wire_open(field->bytes, field->size);
    bcam_status status = find_tensor_fields(reader, wire, &found);
    status = status ? status : bcam_read_text(reader, &found.name, "a tensor's name", &out->name);
    if (status) {
        return status;
    }
    label_tensor(reader->graph, owner, out->name, label);
    out->type = (bcam_onnx_type)found.type;
    if (found.type == BCAM_ONNX_UNDEFINED) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "%s has no element type", label);
    }
    if (found.is_segment) {
        return bcam_read_fail(reader, BCAM_E_UNSUPPORTED, "%s is stored in segments", label);
    }
    status = read_dims(reader, wire, label, out);
    if (status || !bcam_onnx_type_bytes(out->type)) {
        return status; /* strings and types that we do not know have no data; whoever needs it says so */
    }
    out->data = nothing;
    if (found.is_external) {
        return bcam_read_external(reader, wire, label, out);
    }
    if (!found.has_raw) {
        return read_typed(reader, wire, label, out);
    }
    if (found.raw.size != out->bytes) {
        return wrong_size(reader, out, found.raw.size, label);
    }
    out->data = found.raw.bytes;
    return BCAM_OK;
}
