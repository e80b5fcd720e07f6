/* light_model.h - the shared `light` graphs, whose weights are ConstantOfShape nodes, with made-up weights put in.
 * Numbers follow from names, as in tests/golden/make_light.py; a few are moved (weights.tsv of the golden). */
#ifndef BCAM_TESTS_LIGHT_MODEL_H
#define BCAM_TESTS_LIGHT_MODEL_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "net/onnx.h"
#include "net/wire.h"
#include "onnx_build.h"

/** An element of a weight that is not what its name gives. */
typedef struct light_moved {
    char name[128];
    unsigned long long index;
    float value;
} light_moved;

typedef struct light_golden {
    int seed; /* of the input */
    light_moved moved[1024];
    int count;
} light_golden;

static inline void light_read(const char *folder, light_golden *out)
{
    char path[1200], line[256];
    snprintf(path, sizeof path, "%s/weights.tsv", folder);
    FILE *file = fopen(path, "r");
    cr_assert(file && fgets(line, sizeof line, file), "cannot read %s", path);
    cr_assert_eq(sscanf(line, "seed\t%d", &out->seed), 1);
    for (out->count = 0; fgets(line, sizeof line, file); out->count++) {
        cr_assert_lt(out->count, 1024);
        light_moved *m = &out->moved[out->count];
        cr_assert_eq(sscanf(line, "%127[^\t]\t%llu\t%f", m->name, &m->index, &m->value), 3, "%s: %s", path, line);
    }
    fclose(file);
}

/* ---- numbers from names ---- */

static inline uint64_t light_stream(const char *name)
{
    uint64_t state = 14695981039346656037u;
    for (const char *at = name; *at; at++)
        state = (state ^ (uint8_t)*at) * 1099511628211u;
    return state;
}

/* [-1, 1) */
static inline double light_next(uint64_t *state)
{
    return 2 * bcam_random_unit(state) - 1;
}

/** (3,224,224): 7 x 7 patches of a brightness each, and noise, as large as bytes are. */
static inline void light_input(int seed, float *out)
{
    char name[32];
    double patches[3][7][7];
    snprintf(name, sizeof name, "patches %d", seed);
    uint64_t state = light_stream(name);
    for (int i = 0; i < 3 * 7 * 7; i++)
        patches[i / 49][i / 7 % 7][i % 7] = light_next(&state);
    snprintf(name, sizeof name, "noise %d", seed);
    state = light_stream(name);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 224; y++)
            for (int x = 0; x < 224; x++)
                *out++ = (float)(64 * (patches[c][y / 32][x / 32] + 0.5 * light_next(&state)));
}

/* Whether a vector is a factor or a variance, which must not come near zero. */
static inline bool light_multiplies(const bcam_graph *graph, const char *name)
{
    for (int i = 0; i < graph->node_count; i++) {
        const bcam_node *node = &graph->nodes[i];
        for (int k = 0; k < node->input_count; k++)
            if (strcmp(node->inputs[k], name) == 0) {
                if (strcmp(node->op, "Unsqueeze") == 0)
                    return light_multiplies(graph, node->outputs[0]);
                return strcmp(node->op, "Mul") == 0 ||
                       (strcmp(node->op, "BatchNormalization") == 0 && (k == 1 || k == 4));
            }
    }
    return false;
}

typedef struct light_weight {
    const char *name;
    int rank;
    int64_t dim[8];
    uint64_t count;
} light_weight;

/** Writes the weight's numbers to the end of a file. */
static inline void light_fill(const bcam_graph *graph, const light_weight *w, const light_golden *golden, FILE *file)
{
    enum { AT_ONCE = 1 << 14 };
    static float numbers[AT_ONCE];
    uint64_t state = light_stream(w->name);
    double scale = w->rank > 1 ? sqrt(6 / ((double)w->count / (double)w->dim[0])) : 4, shift = 0;
    if (w->rank == 1 && light_multiplies(graph, w->name))
        scale = 0.5, shift = 1;
    for (uint64_t first = 0; first < w->count; first += AT_ONCE) {
        uint64_t now = w->count - first < AT_ONCE ? w->count - first : AT_ONCE;
        for (uint64_t i = 0; i < now; i++)
            numbers[i] = (float)(shift + scale * light_next(&state));
        for (int m = 0; m < golden->count; m++)
            if (strcmp(golden->moved[m].name, w->name) == 0 && golden->moved[m].index - first < now)
                numbers[golden->moved[m].index - first] = golden->moved[m].value;
        cr_assert_eq(fwrite(numbers, sizeof *numbers, now, file), now, "cannot write the weights");
    }
}

/* ---- the file written anew ---- */

static inline const bcam_onnx_tensor *light_initializer(const bcam_graph *graph, const char *name)
{
    for (int i = 0; i < graph->initializer_count; i++)
        if (strcmp(graph->initializers[i].name, name) == 0)
            return &graph->initializers[i];
    cr_assert_fail("no initializer %s", name);
    return NULL;
}

/** The float constants of a graph: outputs of ConstantOfShape, and initializers. */
static inline int light_weights(const bcam_graph *graph, light_weight *out, int most)
{
    int count = 0;
    for (int i = 0; i < graph->node_count + graph->initializer_count; i++) {
        const bcam_node *node = i < graph->node_count ? &graph->nodes[i] : NULL;
        const bcam_onnx_tensor *t = node ? NULL : &graph->initializers[i - graph->node_count];
        if (node ? strcmp(node->op, "ConstantOfShape") != 0 : t->type != BCAM_ONNX_FLOAT)
            continue;
        cr_assert_lt(count, most);
        light_weight *w = &out[count++];
        *w = (light_weight){.name = node ? node->outputs[0] : t->name, .count = 1};
        if (node) {
            const bcam_onnx_tensor *shape = light_initializer(graph, node->inputs[0]);
            w->rank = (int)shape->dim[0];
            memcpy(w->dim, shape->data, (size_t)w->rank * sizeof *w->dim);
        } else {
            w->rank = t->rank;
            memcpy(w->dim, t->dim, sizeof w->dim);
        }
        for (int d = 0; d < w->rank; d++)
            w->count *= (uint64_t)w->dim[d];
    }
    return count;
}

static inline void light_put_weight(bytes *graph, const light_weight *w, uint64_t offset)
{
    bytes tensor = {0};
    char at[32], size[32];
    snprintf(at, sizeof at, "%llu", (unsigned long long)offset);
    snprintf(size, sizeof size, "%llu", (unsigned long long)(w->count * sizeof(float)));
    for (int d = 0; d < w->rank; d++)
        put_int(&tensor, 1, w->dim[d]);
    put_int(&tensor, 2, BCAM_ONNX_FLOAT);
    put_text(&tensor, 8, w->name);
    put_pair(&tensor, 13, "location", "weights.bin");
    put_pair(&tensor, 13, "offset", at);
    put_pair(&tensor, 13, "length", size);
    put_int(&tensor, 14, 1);
    put_message(graph, 5, tensor);
}

/* Whether a field is a float constant: a node ConstantOfShape (1, op_type 4), or an initializer (5, data_type 2). */
static inline bool light_is_weight(const bcam_field *field)
{
    bcam_field part;
    if (field->key == BCAM_BYTES(1) || field->key == BCAM_BYTES(5))
        for (bcam_wire w = bcam_wire_open(field->bytes, field->size); bcam_wire_next(&w, &part);)
            if (field->key == BCAM_BYTES(5)
                    ? part.key == BCAM_VARINT(2) && part.value == BCAM_ONNX_FLOAT
                    : part.key == BCAM_BYTES(4) && part.size == 15 && memcmp(part.bytes, "ConstantOfShape", 15) == 0)
                return true;
    return false;
}

/* All fields of a message but weights as they stand in the file; the graph (7 of the model) is taken anew. */
static inline bytes light_copy(const uint8_t *data, size_t size, const bytes *graph)
{
    bytes out = {0};
    bcam_field field;
    bcam_wire wire = bcam_wire_open(data, size);
    for (const uint8_t *from = data; bcam_wire_next(&wire, &field); from = wire.at) {
        if (graph && field.key == BCAM_BYTES(7)) {
            bytes inner = light_copy(field.bytes, field.size, NULL);
            put(&inner, graph->data, graph->size);
            put_message(&out, 7, inner);
        } else if (graph || !light_is_weight(&field)) {
            put(&out, from, (size_t)(wire.at - from));
        }
    }
    cr_assert_null(wire.problem);
    return out;
}

/** Writes folder/model.onnx and folder/weights.bin. */
static inline void light_write(const char *source, const char *folder, const light_golden *golden)
{
    enum { MOST = 1024 };
    static light_weight weights[MOST];
    char path[256];
    bcam_error err = {0};
    bcam_graph *graph = NULL;
    bytes added = {0};
    cr_assert_eq(bcam_onnx_open(source, &graph, &err), BCAM_OK, "%s", err.message);
    snprintf(path, sizeof path, "%s/weights.bin", folder);
    FILE *file = fopen(path, "wb");
    cr_assert(file, "cannot write %s", path);
    uint64_t offset = 0;
    int count = light_weights(graph, weights, MOST);
    for (int i = 0; i < count; i++) {
        light_put_weight(&added, &weights[i], offset);
        light_fill(graph, &weights[i], golden, file);
        offset += weights[i].count * sizeof(float);
    }
    cr_assert_eq(fclose(file), 0, "cannot write %s", path);
    bytes model = light_copy(graph->file, (size_t)graph->file_bytes, &added);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    file = fopen(path, "wb");
    cr_assert(file && fwrite(model.data, 1, model.size, file) == model.size, "cannot write %s", path);
    cr_assert_eq(fclose(file), 0, "cannot write %s", path);
    free(model.data);
    free(added.data);
    bcam_onnx_close(&graph);
}

#endif
