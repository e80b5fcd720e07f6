/* Weights in every element type that ONNX has, raw and typed, as initializers and as Constant nodes: the same numbers. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "graph_build.h"
#include "net/net.h"

enum { COUNT = 12 }; /* (2,3,2,1) */

static const double numbers[COUNT] = {0, 1, 2, 3, 1, 0, 2, 1, 3, 3, 0, 2}; /* every type has them */

typedef struct form {
    bcam_onnx_type type;
    int field; /* of typed numbers */
    uint32_t (*bits)(double);
} form;

static uint32_t as_f16(double x)
{
    return bcam_f32_to_f16((float)x);
}

static uint32_t as_bf16(double x)
{
    return bcam_f32_to_bf16((float)x);
}

static uint32_t as_integer(double x)
{
    return (uint32_t)x;
}

static uint32_t as_e4m3fn(double x)
{
    static const uint8_t codes[4] = {0x00, 0x38, 0x40, 0x44};
    return codes[(int)x];
}

static uint32_t as_e4m3fnuz(double x)
{
    static const uint8_t codes[4] = {0x00, 0x40, 0x48, 0x4c};
    return codes[(int)x];
}

static uint32_t as_e5m2(double x)
{
    static const uint8_t codes[4] = {0x00, 0x3c, 0x40, 0x42};
    return codes[(int)x];
}

static uint32_t as_e5m2fnuz(double x)
{
    static const uint8_t codes[4] = {0x00, 0x40, 0x44, 0x46};
    return codes[(int)x];
}

static uint32_t as_e2m1(double x)
{
    static const uint8_t codes[4] = {0, 2, 4, 5};
    return codes[(int)x];
}

static const form forms[] = {
    {BCAM_ONNX_FLOAT, 4, NULL},
    {BCAM_ONNX_DOUBLE, 10, NULL},
    {BCAM_ONNX_FLOAT16, 5, as_f16},
    {BCAM_ONNX_BFLOAT16, 5, as_bf16},
    {BCAM_ONNX_INT8, 5, as_integer},
    {BCAM_ONNX_UINT8, 5, as_integer},
    {BCAM_ONNX_INT16, 5, as_integer},
    {BCAM_ONNX_UINT16, 5, as_integer},
    {BCAM_ONNX_INT32, 5, as_integer},
    {BCAM_ONNX_UINT32, 11, as_integer},
    {BCAM_ONNX_INT64, 7, as_integer},
    {BCAM_ONNX_UINT64, 11, as_integer},
    {BCAM_ONNX_UINT4, 5, as_integer},
    {BCAM_ONNX_INT4, 5, as_integer},
    {BCAM_ONNX_UINT2, 5, as_integer},
    {BCAM_ONNX_FLOAT8E4M3FN, 5, as_e4m3fn},
    {BCAM_ONNX_FLOAT8E4M3FNUZ, 5, as_e4m3fnuz},
    {BCAM_ONNX_FLOAT8E5M2, 5, as_e5m2},
    {BCAM_ONNX_FLOAT8E5M2FNUZ, 5, as_e5m2fnuz},
    {BCAM_ONNX_FLOAT4E2M1, 5, as_e2m1},
};

/* The bytes as raw_data has them. */
static bytes raw_of(const form *f)
{
    bytes raw = {0};
    size_t bits = bcam_onnx_type_bits(f->type), size = bcam_onnx_type_bytes(f->type), per_byte = bits ? 8 / bits : 1;
    for (int i = 0; i < COUNT; i += (int)per_byte) {
        float real = (float)numbers[i];
        uint64_t packed = 0;
        for (size_t k = 0; f->bits && k < per_byte; k++)
            packed |= (uint64_t)f->bits(numbers[i + (int)k]) << (k * bits);
        if (f->bits)
            put(&raw, &packed, size);
        else
            put(&raw, size == sizeof real ? (const void *)&real : &numbers[i], size);
    }
    return raw;
}

static bytes tensor_of(const form *f, bool typed, const char *name)
{
    bytes tensor = {0}, raw = raw_of(f), packed = {0};
    static const int64_t dim[4] = {2, 3, 2, 1};
    size_t size = bcam_onnx_type_bytes(f->type);
    for (int i = 0; i < 4; i++)
        put_int(&tensor, 1, dim[i]);
    put_int(&tensor, 2, f->type);
    put_text(&tensor, 8, name);
    for (size_t at = 0; typed && f->bits && at < raw.size; at += size) { /* one number each, packed */
        uint64_t value = 0;
        memcpy(&value, raw.data + at, size);
        put_varint(&packed, value);
    }
    if (typed)
        put_bytes(&tensor, (unsigned)f->field, f->bits ? packed.data : raw.data, f->bits ? packed.size : raw.size);
    else
        put_bytes(&tensor, 9, raw.data, raw.size);
    free(packed.data);
    free(raw.data);
    return tensor;
}

/* x -> Conv with the weights, cast to float32 where that is asked for -> mean -> y */
static bytes model_with(const form *f, bool typed, bool constant, bool cast)
{
    bytes g = begin(0, 3, 4, 4);
    if (constant) {
        bytes node = {0}, attr = {0};
        put_text(&attr, 1, "value");
        put_message(&attr, 5, tensor_of(f, typed, ""));
        put_int(&attr, 20, 4);
        put_text(&node, 2, "w");
        put_text(&node, 4, "Constant");
        put_message(&node, 5, attr);
        put_message(&g, 1, node);
    } else {
        put_message(&g, 5, tensor_of(f, typed, "w"));
    }
    if (cast)
        op(&g, "cast", "Cast", "w", "wf", "to=1");
    op(&g, "conv", "Conv", cast ? "x wf" : "x w", "c", "");
    op(&g, "gap", "GlobalAveragePool", "c", "p", "");
    op(&g, "flat", "Flatten", "p", "y", "");
    bytes model = model_head(21);
    put_message(&model, 7, g);
    return model;
}

static void expect_numbers(const form *f, bool typed, bool constant, bool cast)
{
    bcam_error err = {0};
    bcam_graph *graph = NULL;
    bcam_net *net = NULL;
    float read[COUNT];
    bytes model = model_with(f, typed, constant, cast);
    const char *name = bcam_onnx_type_name(f->type);
    cr_assert_eq(bcam_onnx_parse("m.onnx", model.data, model.size, &graph, &err), BCAM_OK, "%s: %s", name, err.message);
    cr_assert_eq(bcam_net_open(graph, 2, &net, &err), BCAM_OK, "%s: %s", name, err.message);
    const bcam_plan *plan = bcam_net_plan(net);
    cr_assert_eq(plan->steps[0].verb, BCAM_VERB_CONV);
    const bcam_value *w = &plan->values[plan->steps[0].in[1]];
    cr_assert_eq(w->dtype, BCAM_F32);
    bcam_const_read(w, BCAM_F32, read);
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq((double)read[i], numbers[i], "%s, %s, number %d is %g", name, typed ? "typed" : "raw", i,
                     (double)read[i]);
    bcam_net_close(&net);
    bcam_onnx_close(&graph);
    free(model.data);
}

Test(net_types, weights_of_every_type_are_the_same_numbers)
{
    for (size_t i = 0; i < BCAM_COUNT(forms); i++)
        for (int way = 0; way < 4; way++) {
            bool real = !bcam_onnx_is_integer(forms[i].type);
            if (real)
                expect_numbers(&forms[i], way & 1, way & 2,
                               false); /* computed in float32, whatever the file declares */
            expect_numbers(&forms[i], way & 1, way & 2, true);
        }
    cr_expect_eq(bcam_alloc_live(), 0);
}

/* Everything declared as float16, input and output too: read as the same network. */
Test(net_types, a_float16_network_is_read)
{
    static const form half = {BCAM_ONNX_FLOAT16, 5, as_f16};
    bcam_error err = {0};
    bcam_graph *graph = NULL;
    bcam_net *net = NULL;
    bytes model = model_with(&half, false, false, false);
    cr_assert_eq(bcam_onnx_parse("m.onnx", model.data, model.size, &graph, &err), BCAM_OK, "%s", err.message);
    graph->inputs[0].type = graph->outputs[0].type = BCAM_ONNX_FLOAT16;
    cr_assert_eq(bcam_net_open(graph, 4, &net, &err), BCAM_OK, "%s", err.message);
    cr_expect_eq(bcam_net_get_info(net)->class_count, 2);
    cr_expect_not(bcam_net_get_info(net)->batch_fixed);
    bcam_net_close(&net);
    bcam_onnx_close(&graph);
    free(model.data);
}
