/* inspect.c - what batchcam makes of a model, without running it. */
#include <stdio.h>
#include <string.h>

#include "run/engine.h"

struct bcam_inspection {
    bcam_pool pool;
    bcam_model_info model;
    bcam_output_info *outputs;
    bcam_operator_info *operators;
    bcam_candidate_info *layers;
    bcam_unsupported_info *unsupported;
    size_t operator_capacity, unsupported_capacity;
    bool out_of_memory;
};

static const char *keep(bcam_inspection *in, const char *text)
{
    const char *copy = bcam_pool_strdup(&in->pool, text);
    in->out_of_memory |= !copy;
    return copy ? copy : "";
}

/* ---- operators ---- */

static bool count_operator(bcam_inspection *in, const char *type, bool supported)
{
    for (int i = 0; i < in->model.operator_count; i++)
        if (strcmp(in->operators[i].type, type) == 0) {
            in->operators[i].count++;
            return true;
        }
    if (!bcam_grow(&in->operators, &in->operator_capacity, (size_t)in->model.operator_count, sizeof *in->operators))
        return false;
    in->operators[in->model.operator_count++] = (bcam_operator_info){keep(in, type), 1, supported};
    return true;
}

static void add_unsupported(void *data, const bcam_node *node, const char *reason)
{
    bcam_inspection *in = data;
    if (!bcam_grow(&in->unsupported, &in->unsupported_capacity, (size_t)in->model.unsupported_count,
                   sizeof *in->unsupported)) {
        in->out_of_memory = true;
        return;
    }
    const char *name = *node->name ? node->name : node->output_count ? node->outputs[0] : "";
    in->unsupported[in->model.unsupported_count++] =
        (bcam_unsupported_info){keep(in, name), keep(in, node->op), in->model.opset, keep(in, reason)};
}

static bool is_unsupported(const bcam_inspection *in, const char *type)
{
    for (int i = 0; i < in->model.unsupported_count; i++)
        if (strcmp(in->unsupported[i].type, type) == 0)
            return true;
    return false;
}

/* ---- layers ---- */

/* GFLOP of the backward steps that a gradient needs, per photo and class. `needed` is room for a mark per value. */
static double backward_flop(const bcam_plan *plan, int gradient, bool *needed)
{
    double flop = 0;
    memset(needed, 0, plan->value_count * sizeof *needed);
    needed[gradient] = true;
    for (size_t s = plan->step_count; s-- > 0;) {
        const bcam_step *step = &plan->steps[s];
        if (step->segment != BCAM_SEGMENT_BACKWARD || !needed[step->out[0]])
            continue;
        flop += bcam_step_flop(plan, step);
        for (int i = 0; i < BCAM_MAX_IN; i++)
            if (step->in[i] >= 0)
                needed[step->in[i]] = true;
    }
    return flop;
}

static bcam_status measure_layers(bcam_inspection *in, bcam_net *net, const bcam_candidate *list, size_t count,
                                  bcam_error *err)
{
    bcam_plan *plan = bcam_net_plan(net);
    const bcam_net_info *info = bcam_net_get_info(net);
    int64_t dim[2] = {1, info->class_count};
    int *targets = bcam_alloc(count + 1, sizeof *targets), *gradients = bcam_alloc(count + 1, sizeof *gradients);
    bool *constant = bcam_alloc(count + 1, sizeof *constant), *needed = NULL;
    int seed = bcam_plan_value(plan, "seed", BCAM_ROLE_INPUT, BCAM_F32, 2, dim);
    bcam_status status = targets && gradients && constant && seed >= 0
                             ? BCAM_OK
                             : bcam_fail(err, BCAM_E_MEMORY, "out of memory while inspecting");
    for (size_t s = 0; s < plan->step_count; s++)
        in->model.forward_gflop += 1e-9 * bcam_step_flop(plan, &plan->steps[s]);
    for (size_t i = 0; status == BCAM_OK && i < count; i++)
        targets[i] = list[i].target.value;
    if (status == BCAM_OK)
        status = bcam_plan_differentiate(plan, info->logits_value, seed, targets, (int)count, !info->batch_fixed,
                                         gradients, constant, err);
    if (status == BCAM_OK && !(needed = bcam_alloc(plan->value_count, sizeof *needed)))
        status = bcam_fail(err, BCAM_E_MEMORY, "out of memory while inspecting");
    for (size_t i = 0; status == BCAM_OK && i < count; i++) {
        in->layers[i].backward_gflop = 1e-9 * backward_flop(plan, gradients[i], needed);
        in->layers[i].constant_gradient = constant[i];
    }
    bcam_free(targets);
    bcam_free(gradients);
    bcam_free(constant);
    bcam_free(needed);
    return status;
}

/* No step reads an activation: whether the gradient is also the same everywhere takes a computation, as the engine does it. */
static bcam_status probe_constants(bcam_inspection *in, const bcam_graph *graph, bcam_error *err)
{
    const char *names[BCAM_MAX_LAYERS];
    int which[BCAM_MAX_LAYERS], count = 0;
    for (int i = in->model.layer_count - 1; i >= 0; i--) {
        if (in->layers[i].constant_gradient && count < BCAM_MAX_LAYERS) {
            which[count] = i;
            names[count++] = in->layers[i].tensor;
        } else {
            in->layers[i].constant_gradient = false;
        }
    }
    if (!count)
        return BCAM_OK;
    bcam_device_options o = {0};
    bcam_engine e = {.options = {.layers = names, .layer_count = count}, .info = {.layer_count = count}};
    bcam_status status = bcam_device_find("cpu", &o, &e.api, err);
    if (status == BCAM_OK && !(e.layers = bcam_pool_alloc(&e.pool, (size_t)count, sizeof *e.layers)))
        status = bcam_fail(err, BCAM_E_MEMORY, "out of memory while inspecting");
    if (status == BCAM_OK)
        status = e.api->open(&o, &e.device, err);
    if (status == BCAM_OK)
        status = bcam_engine_probe(&e, graph, err);
    for (int i = 0; status == BCAM_OK && i < count; i++)
        in->layers[which[i]].constant_gradient = e.layers[i].constant;
    if (e.device)
        e.api->close(&e.device);
    bcam_pool_fini(&e.pool);
    return status;
}

static bcam_status list_layers(bcam_inspection *in, const bcam_graph *graph, bcam_error *err)
{
    bcam_net *net = NULL;
    bcam_candidate *list = NULL;
    size_t count = 0;
    bcam_status status = bcam_net_open(graph, 1, &net, err);
    if (status == BCAM_OK)
        status = bcam_net_candidates(net, &list, &count, err);
    if (status == BCAM_OK && !(in->layers = bcam_pool_alloc(&in->pool, count + 1, sizeof *in->layers)))
        status = bcam_fail(err, BCAM_E_MEMORY, "out of memory while inspecting");
    for (size_t i = 0; status == BCAM_OK && i < count; i++) {
        const bcam_target *t = &list[i].target;
        in->layers[i] = (bcam_candidate_info){.name = keep(in, t->name),
                                              .tensor = keep(in, t->tensor),
                                              .type = keep(in, list[i].type),
                                              .note = keep(in, t->note)};
        in->layers[i].channels = t->channels;
        in->layers[i].height = t->height;
        in->layers[i].width = t->width;
        in->layers[i].is_default = list[i].is_default;
        if (list[i].is_default)
            in->model.default_layer = (int)i;
    }
    if (status == BCAM_OK) {
        const bcam_net_info *info = bcam_net_get_info(net);
        in->model.layer_count = (int)count;
        in->model.input = keep(in, info->input);
        in->model.logits = keep(in, info->logits);
        in->model.height = info->height;
        in->model.width = info->width;
        in->model.channels = info->channels;
        in->model.class_count = info->class_count;
        in->model.one_unit = info->units == 1;
        in->model.nhwc = info->nhwc;
        in->model.batch_lifted = graph->inputs[0].dim[0] > 0 && !info->batch_fixed;
        in->model.batch_fixed = info->batch_fixed;
        in->model.batch_note = keep(in, info->batch_note);
        in->model.activation = info->activation;
        status = measure_layers(in, net, list, count, err);
    }
    bcam_free(list);
    bcam_net_close(&net);
    return status == BCAM_OK ? probe_constants(in, graph, err) : status;
}

/* ---- outputs ---- */

static const char *declared_shape(bcam_inspection *in, const bcam_onnx_value *output)
{
    char text[24 * BCAM_ONNX_MAX_RANK] = "(", *end = text + 1;
    for (int a = 0; a < output->rank; a++) {
        end += snprintf(end, 2, "%s", a ? "," : "");
        if (output->dim[a] == BCAM_ONNX_FREE)
            end += snprintf(end, 2, a ? "?" : "N");
        else
            end += snprintf(end, 21, "%lld", (long long)output->dim[a]);
    }
    snprintf(end, 2, ")");
    return output->rank < 0 ? "" : keep(in, text);
}

static void list_outputs(bcam_inspection *in, const bcam_graph *graph)
{
    const bcam_onnx_value *explained = bcam_net_output(graph);
    in->outputs = bcam_pool_alloc(&in->pool, (size_t)graph->output_count, sizeof *in->outputs);
    in->out_of_memory |= !in->outputs;
    for (int i = 0; in->outputs && i < graph->output_count; i++) {
        const bcam_onnx_value *output = &graph->outputs[i];
        in->outputs[i] = (bcam_output_info){keep(in, output->name), declared_shape(in, output),
                                            output->type ? bcam_onnx_type_name(output->type) : "", output == explained};
        in->model.output_count++;
    }
    in->model.output = keep(in, explained->name);
}

static bcam_status inspect_graph(bcam_inspection *in, const bcam_graph *graph, bcam_error *err)
{
    in->model = (bcam_model_info){.path = keep(in, graph->path),
                                  .producer = keep(in, graph->producer),
                                  .bytes = graph->file_bytes,
                                  .opset = graph->opset};
    in->model.sha256 = in->model.input = in->model.logits = in->model.batch_note = "";
    in->model.parameters = graph->parameters;
    in->model.default_layer = -1;
    char sha256[65];
    bcam_sha256_hex(graph->file, (size_t)graph->file_bytes, sha256);
    in->model.sha256 = keep(in, sha256);
    list_outputs(in, graph);
    bcam_net_unsupported(graph, add_unsupported, in);
    bool fits = true;
    for (int i = 0; fits && i < graph->node_count; i++)
        fits = count_operator(in, graph->nodes[i].op, !is_unsupported(in, graph->nodes[i].op));
    if (!fits || in->out_of_memory)
        return bcam_fail(err, BCAM_E_MEMORY, "out of memory while inspecting '%s'", graph->path);
    return in->model.unsupported_count ? BCAM_OK : list_layers(in, graph, err);
}

bcam_status bcam_inspect(const char *model, bcam_inspection **out, bcam_error *err)
{
    return bcam_inspect_output(model, NULL, out, err);
}

bcam_status bcam_inspect_output(const char *model, const char *output, bcam_inspection **out, bcam_error *err)
{
    if (!model || !out)
        return bcam_fail(err, BCAM_E_ARGUMENT, "name a model (an ONNX file)");
    *out = NULL;
    bcam_graph *graph = NULL;
    bcam_inspection *in = bcam_alloc(1, sizeof *in);
    if (!in)
        return bcam_fail_memory(err, sizeof *in, "the inspection");
    bcam_status status = bcam_model_open(model, output, NULL, &graph, err);
    if (status == BCAM_OK)
        status = inspect_graph(in, graph, err);
    bcam_onnx_close(&graph);
    if (status == BCAM_OK && in->out_of_memory)
        status = bcam_fail(err, BCAM_E_MEMORY, "out of memory while inspecting '%s'", model);
    if (status != BCAM_OK)
        bcam_inspection_close(&in);
    *out = in;
    return status;
}

void bcam_inspection_close(bcam_inspection **inspection)
{
    if (!inspection || !*inspection)
        return;
    bcam_free((*inspection)->operators);
    bcam_free((*inspection)->unsupported);
    bcam_pool_fini(&(*inspection)->pool);
    bcam_free(*inspection);
    *inspection = NULL;
}

const bcam_model_info *bcam_inspection_model(const bcam_inspection *in)
{
    return &in->model;
}

const bcam_output_info *bcam_inspection_output(const bcam_inspection *in, int index)
{
    return index >= 0 && index < in->model.output_count ? &in->outputs[index] : NULL;
}

const bcam_operator_info *bcam_inspection_operator(const bcam_inspection *in, int index)
{
    return index >= 0 && index < in->model.operator_count ? &in->operators[index] : NULL;
}

const bcam_candidate_info *bcam_inspection_layer(const bcam_inspection *in, int index)
{
    return index >= 0 && index < in->model.layer_count ? &in->layers[index] : NULL;
}

const bcam_unsupported_info *bcam_inspection_unsupported(const bcam_inspection *in, int index)
{
    return index >= 0 && index < in->model.unsupported_count ? &in->unsupported[index] : NULL;
}
