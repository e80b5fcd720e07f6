/* fuzz_onnx.c - the ONNX reader: any bytes are a graph that can be walked, or an error that says why. */
#include "fuzz.h"
#include "net/onnx.h"

static void touch_tensor(const bcam_onnx_tensor *tensor)
{
    fuzz_touch_text(tensor->name);
    fuzz_touch_text(bcam_onnx_type_name(tensor->type));
    if (bcam_onnx_type_bytes(tensor->type))
        fuzz_touch(tensor->data, tensor->bytes);
}

static void touch_pairs(const bcam_pair *pairs, int count)
{
    for (int i = 0; i < count; i++) {
        fuzz_touch_text(pairs[i].key);
        fuzz_touch_text(pairs[i].value);
    }
}

static void touch_attr(const bcam_attr *attr)
{
    fuzz_touch_text(attr->name);
    switch (attr->kind) {
    case BCAM_ATTR_STRING:
        fuzz_touch_text(attr->s);
        break;
    case BCAM_ATTR_FLOATS:
        fuzz_touch(attr->floats, attr->count * sizeof *attr->floats);
        break;
    case BCAM_ATTR_INTS:
        fuzz_touch(attr->ints, attr->count * sizeof *attr->ints);
        break;
    case BCAM_ATTR_TENSOR:
        touch_tensor(attr->tensor);
        break;
    default:
        break;
    }
}

static void touch_node(const bcam_node *node)
{
    fuzz_touch_text(node->name);
    fuzz_touch_text(node->op);
    fuzz_touch_text(node->domain);
    for (int i = 0; i < node->input_count; i++)
        fuzz_touch_text(node->inputs[i]);
    for (int i = 0; i < node->output_count; i++)
        fuzz_touch_text(node->outputs[i]);
    for (int i = 0; i < node->attr_count; i++)
        touch_attr(&node->attrs[i]);
    touch_pairs(node->metadata, node->metadata_count);
}

static void touch_values(const bcam_onnx_value *values, int count)
{
    for (int i = 0; i < count; i++) {
        fuzz_touch_text(values[i].name);
        FUZZ_CHECK(values[i].rank >= -1 && values[i].rank <= BCAM_ONNX_MAX_RANK);
        for (int d = 0; d < values[i].rank; d++)
            FUZZ_CHECK(values[i].dim[d] >= BCAM_ONNX_FREE);
    }
}

static void touch_graph(const bcam_graph *graph)
{
    for (int i = 0; i < graph->node_count; i++)
        touch_node(&graph->nodes[i]);
    for (int i = 0; i < graph->initializer_count; i++)
        touch_tensor(&graph->initializers[i]);
    touch_values(graph->inputs, graph->input_count);
    touch_values(graph->outputs, graph->output_count);
    touch_pairs(graph->metadata, graph->metadata_count);
    fuzz_touch_text(graph->producer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bcam_graph *graph = NULL;
    bcam_error err = {0};
    bcam_status status = bcam_onnx_parse(BCAM_TEST_DATA "/golden_onnx/m.onnx", data, size, &graph, &err);
    fuzz_check_status(status, &err);
    FUZZ_CHECK((status == BCAM_OK) == (graph != NULL));
    if (graph) {
        touch_graph(graph);
        FUZZ_CHECK(graph->pool.bytes <= ((size_t)1 << 17) + size * 512); /* no short file takes long memory */
    }
    bcam_onnx_close(&graph);
    FUZZ_CHECK(bcam_alloc_live() == 0);
    return 0;
}
