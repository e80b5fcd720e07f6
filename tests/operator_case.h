/* operator_case.h - one of ONNX's own operator tests: a model, its inputs, what must come out. A folder with model.onnx and
 * test_data_set_0/{input,output}_N.pb, all read by the project's own reader. */
#ifndef BCAM_TESTS_OPERATOR_CASE_H
#define BCAM_TESTS_OPERATOR_CASE_H

#include <math.h>
#include <stdio.h>

#include "net/lower.h"
#include "net/net.h"
#include "onnx_build.h"

enum { CASE_TENSORS = 16 };

/** A tensor of a .pb file: it stands as the only initializer in a model made for it. */
typedef struct case_tensor {
    char *file;
    bytes model;
    bcam_graph *graph;
    bcam_onnx_tensor *tensor;
} case_tensor;

typedef struct operator_case {
    char name[256];
    bcam_graph *graph;
    case_tensor in[CASE_TENSORS], out[CASE_TENSORS];
    int in_count, out_count;
    bcam_error err; /* why it could not be read */
} operator_case;

static inline bcam_status case_tensor_read(case_tensor *t, const char *path, bcam_error *err)
{
    size_t size;
    bcam_status status = bcam_file_read(path, (size_t)1 << 28, &t->file, &size, err);
    if (status != BCAM_OK)
        return status;
    bytes graph = {0};
    put_node(&graph, "only", "\1from", "\1to");
    put_value(&graph, 11, "\1from");
    put_value(&graph, 12, "\1to");
    bytes tensor = {0};
    put(&tensor, t->file, size);
    put_text(&tensor, 8, "numbers"); /* many have no name; the last one counts */
    put_message(&graph, 5, tensor);
    t->model = model_of(graph);
    status = bcam_onnx_parse(path, t->model.data, t->model.size, &t->graph, err);
    if (status == BCAM_OK)
        t->tensor = &t->graph->initializers[0];
    return status;
}

static inline void case_tensor_close(case_tensor *t)
{
    bcam_onnx_close(&t->graph);
    free(t->model.data);
    bcam_free(t->file);
    *t = (case_tensor){0};
}

static inline void case_close(operator_case *c)
{
    for (int i = 0; i < c->in_count; i++)
        case_tensor_close(&c->in[i]);
    for (int i = 0; i < c->out_count; i++)
        case_tensor_close(&c->out[i]);
    bcam_onnx_close(&c->graph);
}

static inline bcam_status case_read_tensors(const char *folder, const char *side, int most, case_tensor *out,
                                            int *count, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int i = 0; status == BCAM_OK && i < most; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/test_data_set_0/%s_%d.pb", folder, side, i);
        *count = i + 1; /* closed, too, where reading fails */
        status = case_tensor_read(&out[i], path, err);
    }
    return status;
}

/** The graph alone (then the operators are known), and the data. */
static inline bcam_status case_open(operator_case *c, const char *folder, const char *name)
{
    char path[1024];
    *c = (operator_case){0};
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    return bcam_onnx_open(path, &c->graph, &c->err);
}

/* The bits of bfloat16 numbers stand in uint16 tensors. */
static inline void case_set_types(case_tensor *t, const bcam_onnx_value *declared, int count)
{
    for (int i = 0; i < count; i++)
        if (declared[i].type == BCAM_ONNX_BFLOAT16 && t[i].tensor->type == BCAM_ONNX_UINT16)
            t[i].tensor->type = BCAM_ONNX_BFLOAT16;
}

static inline bcam_status case_read_data(operator_case *c, const char *folder)
{
    bcam_status status = BCAM_OK;
    if (c->graph->input_count > CASE_TENSORS || c->graph->output_count > CASE_TENSORS)
        return bcam_fail(&c->err, BCAM_E_UNSUPPORTED, "it has too many inputs or outputs");
    status = case_read_tensors(folder, "input", c->graph->input_count, c->in, &c->in_count, &c->err);
    if (status == BCAM_OK)
        status = case_read_tensors(folder, "output", c->graph->output_count, c->out, &c->out_count, &c->err);
    if (status == BCAM_OK) {
        case_set_types(c->in, c->graph->inputs, c->in_count);
        case_set_types(c->out, c->graph->outputs, c->out_count);
    }
    return status;
}

/* ---- a case as a plan ---- */

static inline bool case_is_real(const case_tensor *t)
{
    bcam_onnx_type type = t->tensor->type;
    return type == BCAM_ONNX_FLOAT || type == BCAM_ONNX_FLOAT16 || type == BCAM_ONNX_DOUBLE ||
           type == BCAM_ONNX_BFLOAT16;
}

/** The elements of a tensor as doubles, to be freed with bcam_free; NULL where its type has none. */
static inline double *case_numbers(const case_tensor *t, int64_t *count)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    bcam_lower lo = {.graph = t->graph, .plan = &plan};
    int value;
    double *numbers = NULL;
    *count = 0;
    if (bcam_const_from_onnx(&lo, t->tensor, "numbers", &value, NULL) == BCAM_OK) {
        bcam_value v = plan.values[value];
        *count = bcam_count(v.rank, v.dim);
        numbers = bcam_alloc((size_t)*count + 1, sizeof *numbers);
        if (v.dtype == BCAM_I64) { /* integers are read as such: 2^63 - 1 is a common one */
            int64_t *read = bcam_alloc((size_t)*count + 1, sizeof *read);
            bcam_const_read(&v, BCAM_I64, read);
            for (int64_t i = 0; i < *count; i++)
                numbers[i] = t->tensor->type == BCAM_ONNX_UINT64 ? (double)(uint64_t)read[i] : (double)read[i];
            bcam_free(read);
        } else {
            bcam_const_read(&v, BCAM_F64, numbers);
        }
    }
    bcam_lower_fini(&lo);
    bcam_plan_fini(&plan);
    return numbers;
}

/** A case lowered: inputs in `variable` (bit i) are what the photo would be, the others constants of the model. */
typedef struct lowered_case {
    bcam_plan plan;
    bcam_lower lo;
    bool *needed;
    int in[CASE_TENSORS], out[CASE_TENSORS]; /* values; an output is -1 where nothing makes it */
} lowered_case;

static inline void case_unlower(lowered_case *l)
{
    bcam_lower_fini(&l->lo);
    bcam_plan_fini(&l->plan);
    bcam_free(l->needed);
    *l = (lowered_case){0};
}

static inline bcam_status case_lower(const operator_case *c, unsigned variable, lowered_case *l, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    *l = (lowered_case){0};
    bcam_plan_init(&l->plan, 1, 1);
    l->lo = (bcam_lower){.graph = c->graph, .plan = &l->plan, .declared_batch = BCAM_ONNX_FREE};
    l->needed = bcam_alloc((size_t)c->graph->node_count + 1, sizeof *l->needed);
    for (int i = 0; i < c->graph->node_count; i++)
        l->needed[i] = true;
    for (int i = 0; status == BCAM_OK && i < c->in_count; i++) {
        const bcam_onnx_tensor *t = c->in[i].tensor;
        if (!(variable >> i & 1))
            status = bcam_const_from_onnx(&l->lo, t, c->graph->inputs[i].name, &l->in[i], err);
        else if (t->rank > BCAM_MAX_RANK || bcam_count(t->rank, t->dim) < 1)
            status = bcam_fail(err, BCAM_E_UNSUPPORTED, "input %d has %d dimensions, or no elements", i, t->rank);
        else
            l->in[i] = bcam_plan_value(&l->plan, c->graph->inputs[i].name, BCAM_ROLE_INPUT, BCAM_F32, t->rank, t->dim);
    }
    if (status == BCAM_OK)
        status = bcam_lower_values(&l->lo, l->needed, l->in, err);
    for (int o = 0; status == BCAM_OK && o < c->out_count; o++) {
        l->out[o] = bcam_map_get(&l->lo.map, c->graph->outputs[o].name);
        if (l->out[o] >= 0 && l->plan.values[l->out[o]].role == BCAM_ROLE_WORK)
            l->plan.values[l->out[o]].role = BCAM_ROLE_OUTPUT;
    }
    if (status != BCAM_OK)
        case_unlower(l);
    return status;
}

#endif
