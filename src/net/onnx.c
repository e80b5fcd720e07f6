/* onnx.c - what one asks of a graph that is read. It knows no file: reading one stands on it (onnx_open.c and the files below that),
 * and lowering needs nothing else. */
#include <string.h>

#include "net/onnx.h"

const bcam_attr *bcam_node_attr(const bcam_node *node, const char *name)
{
    for (int k = 0; k < node->attr_count; k++) {
        if (strcmp(node->attrs[k].name, name) == 0) {
            return &node->attrs[k];
        }
    }
    return NULL;
}

const char *bcam_pair_find(const bcam_pair *pairs, int count, const char *key)
{
    for (int k = 0; k < count; k++) {
        if (strcmp(pairs[k].key, key) == 0) {
            return pairs[k].value;
        }
    }
    return NULL;
}

/* ---- element types ---- */

static const struct type_row { /* by ONNX's type number */
    const char *name;
    uint8_t bytes, bits; /* bits: of what is no C type; several may share a byte */
} types[] = {
    [BCAM_ONNX_UNDEFINED] = {"undefined", 0, 0},
    [BCAM_ONNX_FLOAT] = {"float32", 4, 0},
    [BCAM_ONNX_UINT8] = {"uint8", 1, 0},
    [BCAM_ONNX_INT8] = {"int8", 1, 0},
    [BCAM_ONNX_UINT16] = {"uint16", 2, 0},
    [BCAM_ONNX_INT16] = {"int16", 2, 0},
    [BCAM_ONNX_INT32] = {"int32", 4, 0},
    [BCAM_ONNX_INT64] = {"int64", 8, 0},
    [BCAM_ONNX_STRING] = {"string", 0, 0},
    [BCAM_ONNX_BOOL] = {"bool", 1, 0},
    [BCAM_ONNX_FLOAT16] = {"float16", 2, 0},
    [BCAM_ONNX_DOUBLE] = {"float64", 8, 0},
    [BCAM_ONNX_UINT32] = {"uint32", 4, 0},
    [BCAM_ONNX_UINT64] = {"uint64", 8, 0},
    [BCAM_ONNX_BFLOAT16] = {"bfloat16", 2, 0},
    [BCAM_ONNX_FLOAT8E4M3FN] = {"float8e4m3fn", 1, 8},
    [BCAM_ONNX_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 1, 8},
    [BCAM_ONNX_FLOAT8E5M2] = {"float8e5m2", 1, 8},
    [BCAM_ONNX_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 1, 8},
    [BCAM_ONNX_UINT4] = {"uint4", 1, 4},
    [BCAM_ONNX_INT4] = {"int4", 1, 4},
    [BCAM_ONNX_FLOAT4E2M1] = {"float4e2m1", 1, 4},
    [BCAM_ONNX_FLOAT8E8M0] = {"float8e8m0", 1, 8},
    [BCAM_ONNX_UINT2] = {"uint2", 1, 2},
    [BCAM_ONNX_INT2] = {"int2", 1, 2},
};

static const struct type_row *type_row(bcam_onnx_type type)
{
    size_t index = (size_t)(unsigned)type;
    return index < BCAM_COUNT(types) && types[index].name ? &types[index] : NULL;
}

size_t bcam_onnx_type_bytes(bcam_onnx_type type)
{
    const struct type_row *row = type_row(type);
    return row ? row->bytes : 0;
}

size_t bcam_onnx_type_bits(bcam_onnx_type type)
{
    const struct type_row *row = type_row(type);
    return row ? row->bits : 0;
}

const char *bcam_onnx_type_name(bcam_onnx_type type)
{
    const struct type_row *row = type_row(type);
    return row ? row->name : "an unknown type";
}
