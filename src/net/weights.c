/* weights.c - whether the numbers that a network multiplies with are numbers. One NaN in a convolution makes every score NaN and every map empty,
 * which is found out here instead of in the results. Constants of other operators may be infinite: masks are. */
#include <math.h>
#include <string.h>

#include "net/lower.h"

static const char *const weighted[] = {
    "BatchNormalization", "Conv",   "ConvTranspose", "Gemm", "GroupNormalization", "InstanceNormalization",
    "LayerNormalization", "MatMul", "PRelu"};
static const char *const passing[] = {"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"};

typedef struct search {
    const bcam_graph *graph;
    bcam_name_map makers; /* of names: initializers, then, behind them, nodes */
    bool *seen;           /* by initializer and node */
} search;

static bool is_one_of(const char *op, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(op, list[i]) == 0)
            return true;
    return false;
}

/* ---- counting, a block at a time: whole blocks are quick, and tensors may lie unaligned ---- */

enum { BLOCK = 512 };

static int64_t count_f32(const uint8_t *data, size_t count)
{
    int64_t found = 0;
    for (uint32_t x[BLOCK] = {0}; count; memset(x, 0, sizeof x)) {
        size_t now = count < BLOCK ? count : BLOCK;
        int bad = 0;
        memcpy(x, data, now * sizeof *x);
        for (size_t i = 0; i < BLOCK; i++)
            bad += (x[i] & 0x7f800000) == 0x7f800000;
        found += bad;
        data += now * sizeof *x;
        count -= now;
    }
    return found;
}

/* `mask`: the exponent's bits; all of them set is no number. */
static int64_t count_16(const uint8_t *data, size_t count, unsigned mask)
{
    int64_t found = 0;
    for (uint16_t x[BLOCK] = {0}; count; memset(x, 0, sizeof x)) {
        size_t now = count < BLOCK ? count : BLOCK;
        int bad = 0;
        memcpy(x, data, now * sizeof *x);
        for (size_t i = 0; i < BLOCK; i++)
            bad += (x[i] & mask) == mask;
        found += bad;
        data += now * sizeof *x;
        count -= now;
    }
    return found;
}

static int64_t count_bad(const bcam_onnx_tensor *t, size_t *count)
{
    size_t size = bcam_onnx_type_bytes(t->type), elements = size ? t->bytes / size : 0;
    int64_t found = 0;
    *count = elements;
    switch (t->type) {
    case BCAM_ONNX_FLOAT:
        return count_f32(t->data, elements);
    case BCAM_ONNX_FLOAT16:
        return count_16(t->data, elements, 0x7c00);
    case BCAM_ONNX_BFLOAT16:
        return count_16(t->data, elements, 0x7f80);
    case BCAM_ONNX_DOUBLE:
        for (size_t i = 0; i < elements; i++) {
            double x;
            memcpy(&x, t->data + i * sizeof x, sizeof x);
            found += !isfinite((float)x); /* they are computed in float */
        }
        return found;
    default:
        return 0;
    }
}

/* ---- which tensors ---- */

static bool note_makers(search *s)
{
    const bcam_graph *g = s->graph;
    bool fits = true;
    for (int i = 0; fits && i < g->initializer_count; i++)
        fits = bcam_map_put(&s->makers, g->initializers[i].name, i);
    for (int i = 0; fits && i < g->node_count; i++) {
        const bcam_node *node = &g->nodes[i];
        bool passes = strcmp(node->op, "Constant") == 0 ||
                      (node->input_count && is_one_of(node->op, passing, BCAM_COUNT(passing)));
        if (passes && node->output_count)
            fits = bcam_map_put(&s->makers, node->outputs[0], g->initializer_count + i);
    }
    return fits;
}

/* The file's tensor that a name comes from, unless it was looked at before or there is none. */
static const bcam_onnx_tensor *find_tensor(search *s, const char *name)
{
    enum { FAR = 8 };
    const bcam_graph *g = s->graph;
    for (int steps = 0; steps < FAR; steps++) {
        int maker = bcam_map_get(&s->makers, name);
        if (maker < 0 || s->seen[maker])
            return NULL;
        s->seen[maker] = true;
        if (maker < g->initializer_count)
            return &g->initializers[maker];
        const bcam_node *node = &g->nodes[maker - g->initializer_count];
        const bcam_attr *value = bcam_node_attr(node, "value");
        if (strcmp(node->op, "Constant") == 0)
            return value ? value->tensor : NULL;
        name = node->inputs[0];
    }
    return NULL;
}

static bcam_status check_input(search *s, const bcam_node *node, const char *name, bcam_error *err)
{
    size_t count = 0;
    const bcam_onnx_tensor *tensor = find_tensor(s, name);
    int64_t bad = tensor ? count_bad(tensor, &count) : 0;
    if (!bad)
        return BCAM_OK;
    return bcam_fail(err, BCAM_E_MODEL,
                     "node '%s' (%s): of the %zu numbers of its weights '%s', %lld are NaN or infinite, so that every "
                     "score would be; export the model from a checkpoint without them",
                     *node->name ? node->name : node->outputs[0], node->op, count, *tensor->name ? tensor->name : name,
                     (long long)bad);
}

bcam_status bcam_weights_check(const bcam_graph *graph, const bool *needed, bcam_error *err)
{
    search s = {.graph = graph};
    s.seen = bcam_alloc((size_t)graph->initializer_count + (size_t)graph->node_count + 1, sizeof *s.seen);
    bcam_status status = s.seen && note_makers(&s)
                             ? BCAM_OK
                             : bcam_fail(err, BCAM_E_MEMORY, "out of memory while reading '%s'", graph->path);
    for (int i = 0; status == BCAM_OK && i < graph->node_count; i++) {
        const bcam_node *node = &graph->nodes[i];
        if (!needed[i] || !is_one_of(node->op, weighted, BCAM_COUNT(weighted)))
            continue;
        for (int k = 0; status == BCAM_OK && k < node->input_count; k++)
            status = check_input(&s, node, node->inputs[k], err);
    }
    bcam_map_fini(&s.makers);
    bcam_free(s.seen);
    return status;
}
