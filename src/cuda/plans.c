/* plans.c - the engines that cuDNN has for a graph, and plans: making, keeping and running them. */
#include "cuda/desc.h"

/* ---- engines ---- */

void bcam_conv_graph_ask(bcam_cudnn *dnn, bcam_conv_graph *graph, bool fallback)
{
    cudnnBackendHeurMode_t mode = fallback ? CUDNN_HEUR_MODE_FALLBACK : CUDNN_HEUR_MODE_A;
    bcam_builder b = {.graph = graph};
    int64_t count = 0;
    for (int i = 0; i < graph->config_count; i++)
        bcam_desc_drop(&graph->config[i]);
    graph->config_count = 0;
    bcam_desc heuristics = bcam_desc_make(&b, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    bcam_desc_set_part(&b, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph->graph);
    bcam_desc_set(&b, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (dnn->card)
        bcam_desc_set_part(&b, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, dnn->card);
    bcam_desc_finish(&b, heuristics);
    while (b.code == CUDNN_STATUS_SUCCESS && graph->config_count < BCAM_MOST_CONFIGS) {
        bcam_desc_note(
            &b, cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &graph->config[graph->config_count]),
            "cudnnBackendCreateDescriptor");
        graph->config_count += b.code == CUDNN_STATUS_SUCCESS;
    }
    if (b.code == CUDNN_STATUS_SUCCESS)
        bcam_desc_note(&b,
                       cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                CUDNN_TYPE_BACKEND_DESCRIPTOR, graph->config_count, &count,
                                                graph->config),
                       "cudnnBackendGetAttribute");
    if (b.code != CUDNN_STATUS_SUCCESS)
        count = 0;
    while (graph->config_count > 0 && graph->config_count > count)
        bcam_desc_drop(&graph->config[--graph->config_count]);
}

bcam_engine_notes bcam_conv_graph_notes(const bcam_conv_graph *graph, int config)
{
    bcam_engine_notes notes = {.index = -1};
    bcam_desc engine = NULL;
    cudnnBackendNumericalNote_t numerical[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendBehaviorNote_t behavior[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t count = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
        return notes;
    cudnnStatus_t code = cudnnBackendGetAttribute(graph->config[config], CUDNN_ATTR_ENGINECFG_ENGINE,
                                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine);
    if (code == CUDNN_STATUS_SUCCESS)
        code =
            cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &notes.index);
    count = 0;
    if (code == CUDNN_STATUS_SUCCESS)
        code = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                        CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, numerical);
    for (int64_t i = 0; code == CUDNN_STATUS_SUCCESS && i < count && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++) {
        notes.tensor_core |= numerical[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        notes.down_convert |= numerical[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
        notes.reduced_sum |= numerical[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
        notes.nondeterministic |= numerical[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        notes.coarse |= numerical[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6 ||
                        numerical[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13;
    }
    count = 0;
    if (code == CUDNN_STATUS_SUCCESS)
        code = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                        CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, &count, behavior);
    for (int64_t i = 0; code == CUDNN_STATUS_SUCCESS && i < count && i < CUDNN_BEHAVIOR_NOTE_TYPE_COUNT; i++)
        notes.compiled |= behavior[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    if (code != CUDNN_STATUS_SUCCESS)
        notes.index = -1;
    bcam_desc_drop(&engine);
    return notes;
}

/* ---- plans ---- */

/* Ends a plan's making: finalizes it and asks for its workspace. */
static bcam_status finish_plan(bcam_builder *b, bcam_desc plan, bcam_conv_plan *out, bcam_error *err)
{
    int64_t count = 0;
    bcam_desc_finish(b, plan);
    if (b->code == CUDNN_STATUS_SUCCESS)
        bcam_desc_note(b,
                       cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                                &count, &out->workspace),
                       "cudnnBackendGetAttribute");
    if (b->code == CUDNN_STATUS_SUCCESS && out->workspace >= 0) {
        out->plan = plan;
        return BCAM_OK;
    }
    bcam_desc_drop(&plan);
    return b->code == CUDNN_STATUS_SUCCESS ? bcam_fail(err, BCAM_E_UNSUPPORTED, "cuDNN gives no workspace size")
                                           : bcam_cudnn_fail(b->code, b->call, err);
}

/* A plan bound to the card that is there, or to the described one. */
static bcam_desc begin_plan(bcam_cudnn *dnn, bcam_builder *b)
{
    bcam_desc plan = NULL;
    bcam_desc_note(b, cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan),
                   "cudnnBackendCreateDescriptor");
    if (dnn->card)
        bcam_desc_set_part(b, plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, dnn->card);
    else
        bcam_desc_set(b, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn->handle);
    return plan;
}

bcam_status bcam_conv_plan_make(bcam_cudnn *dnn, const bcam_conv_graph *graph, int config, bcam_conv_plan *out,
                                bcam_error *err)
{
    bcam_builder b = {0};
    *out = (bcam_conv_plan){0};
    bcam_desc plan = begin_plan(dnn, &b);
    bcam_desc_set_part(&b, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, graph->config[config]);
    return finish_plan(&b, plan, out, err);
}

bcam_status bcam_conv_plan_load(bcam_cudnn *dnn, const char *json, size_t bytes, bcam_conv_plan *out, bcam_error *err)
{
    bcam_builder b = {0};
    *out = (bcam_conv_plan){0};
    bcam_desc plan = begin_plan(dnn, &b);
    bcam_desc_set(&b, plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)bytes, json);
    return finish_plan(&b, plan, out, err);
}

char *bcam_conv_plan_json(const bcam_conv_plan *plan, size_t *bytes)
{
    int64_t count = 0, got = 0;
    if (cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &count,
                                 NULL) != CUDNN_STATUS_SUCCESS ||
        count <= 0)
        return NULL;
    char *json = bcam_alloc((size_t)count + 1, 1);
    if (json && cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                         count, &got, json) != CUDNN_STATUS_SUCCESS) {
        bcam_free(json);
        json = NULL;
    }
    *bytes = (size_t)count;
    return json;
}

void bcam_conv_plan_close(bcam_conv_plan *plan)
{
    bcam_desc_drop(&plan->plan);
}

/* ---- running ---- */

bcam_status bcam_conv_pack_open(const bcam_conv *conv, const bcam_conv_problem *p, void *workspace,
                                bcam_conv_pack **out, bcam_error *err)
{
    int64_t uid[5] = {BCAM_UID_X, BCAM_UID_Y};
    void *data[5] = {p->x.data, p->y.data};
    int64_t count = 2;
    bcam_builder b = {0};
    bcam_desc pack = NULL;
    *out = NULL;
    if (p->w.data) {
        uid[count] = BCAM_UID_W;
        data[count++] = p->w.data;
    }
    if (conv->fused & BCAM_FUSE_BIAS) {
        uid[count] = BCAM_UID_BIAS;
        data[count++] = p->bias.data;
    }
    if (conv->fused & BCAM_FUSE_RESIDUAL) {
        uid[count] = BCAM_UID_RESIDUAL;
        data[count++] = p->residual.data;
    }
    bcam_desc_note(&b, cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack),
                   "cudnnBackendCreateDescriptor");
    bcam_desc_set(&b, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, uid);
    bcam_desc_set(&b, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data);
    bcam_desc_set(&b, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    bcam_desc_finish(&b, pack);
    if (b.code != CUDNN_STATUS_SUCCESS) {
        bcam_desc_drop(&pack);
        return bcam_cudnn_fail(b.code, b.call, err);
    }
    *out = pack;
    return BCAM_OK;
}

void bcam_conv_pack_close(bcam_conv_pack **pack)
{
    bcam_desc d = *pack;
    bcam_desc_drop(&d);
    *pack = NULL;
}

bcam_status bcam_conv_run(bcam_cudnn *dnn, const bcam_conv *conv, const bcam_conv_pack *pack, bcam_error *err)
{
    cudnnStatus_t code = cudnnBackendExecute(dnn->handle, conv->plan.plan, (bcam_desc)(uintptr_t)pack);
    if (code == CUDNN_STATUS_SUCCESS)
        return BCAM_OK;
    bcam_status status = bcam_cudnn_fail(code, "cudnnBackendExecute", err);
    if (status == BCAM_E_UNSUPPORTED && err) /* it was found supported before */
        err->code = BCAM_E_DEVICE;
    return status == BCAM_E_UNSUPPORTED ? BCAM_E_DEVICE : status;
}
