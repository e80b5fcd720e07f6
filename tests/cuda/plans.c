/* plans.c - whether cuDNN has a plan, for a card that is described and not there, for every convolution of a model, forward and backward, in every
 * precision; and which one.
 *
 *   plans CARD.json NETWORK...     prints one line for each different convolution; exit status 1 where one has no plan
 *
 * A network is its model's path, and after a colon, if there is one, the target layer ("model.onnx:layer1"). The engine is opened with the CPU
 * device under a table that looks at every plan it is to compile: these are the very steps that CUDA would get. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "run/engine.h"

static struct {
    bcam_cudnn *dnn;
    bcam_precision precision;
    int made, failed, fused, compiled;
    int64_t most_workspace;
    char **seen;
    size_t seen_count, seen_capacity;
    const char *model;
} look;

static const struct {
    bcam_precision precision;
    bcam_dtype real;
    const char *name;
} precisions[] = {
    {BCAM_PRECISION_FP16, BCAM_F16, "fp16"},
    {BCAM_PRECISION_BF16, BCAM_BF16, "bf16"},
    {BCAM_PRECISION_TF32, BCAM_F32, "tf32"},
    {BCAM_PRECISION_FP32, BCAM_F32, "fp32"},
};

/* An address that is as well aligned as all are in a program; nothing is read there. */
static bcam_tensor lying(const bcam_program *p, int value)
{
    bcam_tensor t = {0};
    if (value >= 0) {
        t = p->place.tensors[value];
        t.data = (void *)(uintptr_t)(BCAM_CUDA_ALIGN * (1 + (uintptr_t)value));
    }
    return t;
}

static void dims(const bcam_tensor *t, char *text, size_t size)
{
    snprintf(text, size, "%lldx%lldx%lldx%lld", (long long)t->dim[0],
             (long long)(t->stride[3] == 4 && t->dim[1] == 3 ? 4 : t->dim[1]), (long long)t->dim[2],
             (long long)t->dim[3]);
}

static bool is_new(const char *line)
{
    for (size_t i = 0; i < look.seen_count; i++)
        if (strcmp(look.seen[i], line) == 0)
            return false;
    if (bcam_grow(&look.seen, &look.seen_capacity, look.seen_count, sizeof *look.seen))
        look.seen[look.seen_count++] = bcam_strdup(line);
    return true;
}

static void look_at(const bcam_program *p, const bcam_step *step, const char *precision)
{
    bool forward = step->verb == BCAM_VERB_CONV;
    bcam_conv_problem problem = {.step = step, .strict = look.precision == BCAM_PRECISION_FP32};
    problem.x = lying(p, forward ? step->in[0] : step->out[0]);
    problem.w = lying(p, step->in[1]);
    problem.y = lying(p, forward ? step->out[0] : step->in[0]);
    if (forward) {
        problem.bias = lying(p, step->in[2]);
        problem.residual = lying(p, step->in[3]);
    }
    char x[64], w[64], line[512];
    const bcam_conv_attr *a = &step->u.conv;
    dims(&problem.x, x, sizeof x);
    dims(&problem.w, w, sizeof w);
    snprintf(line, sizeof line, "%s %-8s x %s w %s stride %lld pad %lld,%lld dil %lld groups %lld%s%s %s", precision,
             bcam_verb_name(step->verb), x, w, (long long)a->stride[0], (long long)a->pad_begin[0],
             (long long)a->pad_end[0], (long long)a->dilation[0], (long long)a->groups,
             problem.bias.data ? " +bias" : "", problem.residual.data ? " +residual" : "",
             forward && step->act.kind ? bcam_unary_name(step->act.kind) : "-");
    if (!is_new(line))
        return;
    bcam_conv *conv = NULL;
    bcam_error err = {0};
    bcam_cuda_block trial = {0};
    if (bcam_conv_open(look.dnn, &problem, &trial, &conv, &err)) {
        look.failed++;
        printf("%s: NO PLAN (%s): %s\n", line, look.model, err.message);
        return;
    }
    bcam_conv_rest rest = bcam_conv_left(conv);
    look.made++;
    printf("%s: %s, workspace %zu%s%s%s\n", line, bcam_conv_text(conv), bcam_conv_workspace(conv),
           rest.residual ? ", left: residual" : "", rest.bias ? ", left: bias" : "",
           rest.act ? ", left: activation" : "");
    bcam_conv_close(&conv);
}

static bcam_status look_at_plan(const bcam_plan *plan, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (size_t i = 0; i < BCAM_COUNT(precisions) && !status; i++) {
        bcam_device device = {.real = precisions[i].real};
        bcam_program p = {.device = &device};
        look.precision = precisions[i].precision;
        status = bcam_placement_init(&p.place, plan, err);
        if (!status)
            status = bcam_cuda_lay(&p, err);
        for (size_t s = 0; s < plan->step_count && !status; s++)
            if (plan->steps[s].verb == BCAM_VERB_CONV || plan->steps[s].verb == BCAM_VERB_CONV_BWD)
                look_at(&p, &p.place.steps[s], precisions[i].name);
        bcam_placement_fini(&p.place);
    }
    return status;
}

static bcam_status spy(bcam_device *device, const bcam_plan *plan, bcam_program **out, bcam_error *err)
{
    bcam_status status = look_at_plan(plan, err);
    return status ? status : bcam_cpu_device.compile(device, plan, out, err);
}

/* As bcam_engine_open, with a device table of our own. */
static bcam_status open_model(const char *model, const char *layer, bcam_error *err)
{
    bcam_device_api api = bcam_cpu_device;
    bcam_device_options options = {.threads = 1};
    bcam_engine e = {.options = {.batch = 8, .layers = &layer, .layer_count = layer ? 1 : 0},
                     .info = {.classes = 2, .layer_count = 1, .method_count = 1}};
    bcam_graph *graph = NULL;
    api.compile = spy;
    e.api = &api;
    e.layers = bcam_pool_alloc(&e.pool, 1, sizeof *e.layers);
    bcam_status status = bcam_method_find("gradcam", &e.methods[0], err);
    if (!status)
        status = bcam_onnx_open(model, &graph, err);
    if (!status)
        status = api.open(&options, &e.device, err);
    if (!status)
        status = bcam_engine_build(&e, graph, err);
    bcam_onnx_close(&graph);
    if (e.program)
        api.destroy(&e.program);
    if (e.device)
        api.close(&e.device);
    bcam_pool_fini(&e.pool);
    return status;
}

static char *read_card(const char *path, bcam_error *err)
{
    char *text = NULL, *card = NULL;
    size_t bytes = 0;
    if (bcam_file_read(path, 1 << 20, &text, &bytes, err))
        return NULL;
    cJSON *json = cJSON_Parse(text), *part = cJSON_GetObjectItem(json, "cudnn");
    if (part)
        card = cJSON_PrintUnformatted(part);
    cJSON_Delete(json);
    bcam_free(text);
    return card;
}

int main(int argc, char **argv)
{
    bcam_error err = {0};
    char *card = argc > 2 ? read_card(argv[1], &err) : NULL;
    if (!card) {
        fprintf(stderr, "plans CARD.json MODEL[:LAYER]... %s\n", err.message);
        return 2;
    }
    bcam_cudnn_options options = {.identity = "a described card", .json = card};
    if (bcam_cudnn_open(&options, &look.dnn, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        char *model = bcam_strdup(argv[i]), *layer = strstr(model, ".onnx:");
        if (layer) {
            layer[5] = 0;
            layer += 6;
        }
        look.model = model;
        if (open_model(model, layer, &err)) {
            look.failed++;
            printf("%s: %s\n", argv[i], err.message);
        }
        bcam_free(model);
    }
    char version[32];
    printf("%d plans, %d failed, cuDNN %s\n", look.made, look.failed, bcam_cudnn_version_text(version, sizeof version));
    for (size_t i = 0; i < look.seen_count; i++)
        bcam_free(look.seen[i]);
    bcam_free(look.seen);
    bcam_cudnn_close(&look.dnn);
    cJSON_free(card);
    return look.failed ? 1 : 0;
}
