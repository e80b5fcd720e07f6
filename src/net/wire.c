/* wire.c - protobuf's wire format: tags, varints, fixed-width numbers and counted bytes. */
#include "net/wire.h"

bcam_wire bcam_wire_open(const uint8_t *bytes, size_t size)
{
    return (bcam_wire){.at = bytes, .end = size ? bytes + size : bytes};
}

static bool stop(bcam_wire *wire, const uint8_t *at, const char *problem)
{
    wire->at = at;
    wire->problem = problem;
    return false;
}

static bool stop_early(bcam_wire *wire, const uint8_t *at, const char *problem)
{
    wire->cut_off = true;
    return stop(wire, at, problem);
}

static bool read_varint(bcam_wire *wire, uint64_t *value)
{
    const uint8_t *start = wire->at;
    uint64_t sum = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (wire->at == wire->end) {
            return stop_early(wire, start, "it ends inside a number");
        }
        uint8_t byte = *wire->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value = sum;
            return true;
        }
    }
    return stop(wire, start, "a number has more than 64 bits");
}

static bool read_fixed(bcam_wire *wire, size_t size, uint64_t *value)
{
    if ((size_t)(wire->end - wire->at) < size) {
        return stop_early(wire, wire->at, "it ends inside a number");
    }
    uint64_t sum = 0;
    for (size_t k = 0; k < size; k++) {
        sum |= (uint64_t)wire->at[k] << (8 * k);
    }
    wire->at += size;
    *value = sum;
    return true;
}

static bool read_scalar(bcam_wire *wire, int type, uint64_t *value)
{
    return type == BCAM_WIRE_VARINT ? read_varint(wire, value)
                                    : read_fixed(wire, type == BCAM_WIRE_FIXED32 ? 4 : 8, value);
}

static bool read_bytes(bcam_wire *wire, bcam_field *field)
{
    const uint8_t *start = wire->at;
    uint64_t size = 0;
    if (!read_varint(wire, &size)) {
        return false;
    }
    if (size > (uint64_t)(wire->end - wire->at)) {
        return stop_early(wire, start, "a length runs past the end of what holds it");
    }
    field->bytes = wire->at;
    field->size = (size_t)size;
    wire->at += size;
    return true;
}

bool bcam_wire_next(bcam_wire *wire, bcam_field *field)
{
    if (wire->problem || wire->at == wire->end) {
        return false;
    }
    const uint8_t *start = wire->at;
    uint64_t key = 0;
    if (!read_varint(wire, &key)) {
        return false;
    }
    if (key > UINT32_MAX || key >> 3 == 0) {
        return stop(wire, start, "there is no field of such a number");
    }
    *field = (bcam_field){.key = (uint32_t)key};
    int type = (int)(key & 7);
    switch (type) {
    case BCAM_WIRE_VARINT:
    case BCAM_WIRE_FIXED32:
    case BCAM_WIRE_FIXED64:
        return read_scalar(wire, type, &field->value);
    case BCAM_WIRE_BYTES:
        return read_bytes(wire, field);
    default:
        return stop(wire, start,
                    type < BCAM_WIRE_FIXED32 ? "a group, which ONNX does not use" : "there is no such wire type");
    }
}

bcam_scalars bcam_scalars_open(bcam_wire message, uint32_t number, int type)
{
    return (bcam_scalars){.message = message, .number = number, .type = type};
}

bool bcam_scalars_next(bcam_scalars *scalars, uint64_t *value)
{
    while (scalars->packed.at == scalars->packed.end) {
        bcam_field field;
        if (!bcam_wire_next(&scalars->message, &field)) {
            return false;
        }
        if (field.key == BCAM_KEY(scalars->number, scalars->type)) {
            *value = field.value;
            return true;
        }
        if (field.key == BCAM_BYTES(scalars->number)) {
            scalars->packed = bcam_wire_open(field.bytes, field.size);
        }
    }
    if (!read_scalar(&scalars->packed, scalars->type, value)) {
        return stop(&scalars->message, scalars->packed.at, scalars->packed.problem);
    }
    return true;
}
