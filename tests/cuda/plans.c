/* plans.c - what cuDNN plans, for a card that is described and not there, for every convolution and pooling of a model, forward and backward.
 *
 *   plans CARD.json [--batch N] [--precision NAME]... [--steps] NETWORK...
 *
 * prints one line for each different problem; with --steps its first step and how many are alike, as a table. Exit status 1 where a convolution has
 * no plan. A network is its model's path, and after a colon, if there is one, the target layer ("model.onnx:layer1"). The engine is opened with
 * the CPU device under a table that looks at every plan it is to compile: these are the very steps that CUDA would get. A kernel's name is known
 * of engines that are compiled at run time; the ready-made ones are told apart by their knobs. */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cuda/cudnn.h"
#include "run/engine.h"

/* A problem and what came of it. */
typedef struct row {
    char *problem, *plan, *step;
    int count;
} row;

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

static struct {
    bcam_cudnn *dnn;
    const char *model;
    int batch;
    bool steps, seen, wanted[BCAM_COUNT(precisions)];
    int convs, fused, compiled, failed, pools, own; /* of different problems */
    size_t most_workspace;
    row *rows;
    size_t row_count, row_capacity;
} look = {.batch = 8};

/* ---- the problem in words ---- */

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

static bcam_conv_problem problem_of(const bcam_program *p, const bcam_step *step, bool strict)
{
    bool forward = step->verb == BCAM_VERB_CONV || step->verb == BCAM_VERB_POOL;
    bcam_conv_problem problem = {.step = step, .strict = strict};
    problem.x = lying(p, forward ? step->in[0] : step->out[0]);
    problem.y = lying(p, forward ? step->out[0] : step->in[0]);
    if (!bcam_is_pool(step->verb))
        problem.w = lying(p, step->in[1]);
    if (step->verb == BCAM_VERB_CONV) {
        problem.bias = lying(p, step->in[2]);
        problem.residual = lying(p, step->in[3]);
    }
    return problem;
}

static char *dims(const bcam_tensor *t, char text[64])
{
    snprintf(text, 64, "%lldx%lldx%lldx%lld", (long long)t->dim[0], (long long)bcam_stored_channels(t),
             (long long)t->dim[2], (long long)t->dim[3]);
    return text;
}

static char *conv_text(const bcam_conv_problem *p, const char *precision)
{
    char x[64], w[64];
    const bcam_conv_attr *a = &p->step->u.conv;
    bool forward = p->step->verb == BCAM_VERB_CONV;
    return bcam_format("%s %-8s x %s w %s stride %lld pad %lld,%lld dil %lld groups %lld%s%s %s", precision,
                       bcam_verb_name(p->step->verb), dims(&p->x, x), dims(&p->w, w), (long long)a->stride[0],
                       (long long)a->pad_begin[0], (long long)a->pad_end[0], (long long)a->dilation[0],
                       (long long)a->groups, p->bias.data ? " +bias" : "", p->residual.data ? " +residual" : "",
                       forward && p->step->act.kind ? bcam_unary_name(p->step->act.kind) : "-");
}

static char *pool_text(const bcam_conv_problem *p, const char *precision)
{
    char x[64], y[64];
    const bcam_pool_attr *a = &p->step->u.pool;
    return bcam_format("%s %-8s x %s y %s window %lldx%lld stride %lld pad %lld,%lld dil %lld %s", precision,
                       bcam_verb_name(p->step->verb), dims(&p->x, x), dims(&p->y, y), (long long)a->kernel[0],
                       (long long)a->kernel[1], (long long)a->stride[0], (long long)a->pad_begin[0],
                       (long long)a->pad_end[0], (long long)a->dilation[0],
                       a->max         ? "max"
                       : a->count_pad ? "average, padding counted"
                                      : "average");
}

/* ---- the plan in words ---- */

/* CUDNN_KNOB_TYPE_TILE_SIZE: tile_size */
static void put_knob(char *text, size_t size, const cJSON *knob)
{
    static const char prefix[] = "CUDNN_KNOB_TYPE_";
    const char *name = knob->string + (strncmp(knob->string, prefix, sizeof prefix - 1) ? 0 : sizeof prefix - 1);
    size_t used = strlen(text), first = used;
    snprintf(text + used, size - used, " %s %d", name, knob->valueint);
    for (char *c = text + first; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

/* Which kernel: by name, or how the engine is set. */
static bool name_kernel(const bcam_conv *conv, char *text, size_t size)
{
    size_t bytes = 0;
    char *json = bcam_conv_plan_json(&conv->plan, &bytes);
    cJSON *plan = json ? cJSON_Parse(json) : NULL;
    const cJSON *engine = cJSON_GetObjectItem(plan, "engine"), *item;
    const cJSON *kernels = cJSON_GetObjectItem(cJSON_GetObjectItem(engine, "payload"), "kernels");
    const cJSON *knobs = cJSON_GetObjectItem(engine, "knobChoices");
    snprintf(text, size, "%s", kernels ? "" : cJSON_GetArraySize(knobs) ? "knobs" : "no knobs");
    cJSON_ArrayForEach(item, kernels)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(item, "kernelName"));
        snprintf(text + strlen(text), size - strlen(text), "%s%s", *text ? " + " : "kernel ", name ? name : "?");
    }
    if (!kernels)
        cJSON_ArrayForEach(item, knobs) put_knob(text, size, item);
    bool compiled = kernels != NULL;
    cJSON_Delete(plan);
    bcam_free(json);
    return compiled;
}

static char *plan_text(const bcam_conv *conv, bool pool)
{
    char kernel[1024];
    bcam_conv_rest rest = bcam_conv_left(conv);
    bool whole = !rest.residual && !rest.bias && !rest.act;
    if (bcam_conv_is_own(conv)) {
        look.own++;
        return bcam_strdup("own kernel");
    }
    look.compiled += name_kernel(conv, kernel, sizeof kernel);
    look.fused += !pool && whole;
    if (bcam_conv_workspace(conv) > look.most_workspace)
        look.most_workspace = bcam_conv_workspace(conv);
    return bcam_format("%s, workspace %zu, %s%s%s%s", bcam_conv_text(conv), bcam_conv_workspace(conv), kernel,
                       rest.residual ? ", left: residual" : "", rest.bias ? ", left: bias" : "",
                       rest.act ? ", left: activation" : "");
}

static char *make_plan(const bcam_conv_problem *problem)
{
    bcam_conv *conv = NULL;
    bcam_error err = {0};
    bcam_cuda_block trial = {0};
    bool pool = bcam_is_pool(problem->step->verb);
    *(pool ? &look.pools : &look.convs) += 1;
    if (bcam_conv_open(look.dnn, problem, &trial, &conv, &err)) {
        look.failed++;
        return bcam_format("NO PLAN (%s): %s", look.model, err.message);
    }
    char *text = plan_text(conv, pool);
    bcam_conv_close(&conv);
    return text;
}

/* ---- looking ---- */

static void look_at(const bcam_program *p, const bcam_step *step, size_t precision)
{
    const char *name = precisions[precision].name;
    bcam_conv_problem problem = problem_of(p, step, precisions[precision].precision == BCAM_PRECISION_FP32);
    char *text = bcam_is_pool(step->verb) ? pool_text(&problem, name) : conv_text(&problem, name);
    for (size_t i = 0; i < look.row_count; i++)
        if (strcmp(look.rows[i].problem, text) == 0) {
            look.rows[i].count++;
            bcam_free(text);
            return;
        }
    if (bcam_grow(&look.rows, &look.row_capacity, look.row_count, sizeof *look.rows))
        look.rows[look.row_count++] =
            (row){.problem = text, .plan = make_plan(&problem), .step = bcam_strdup(step->name), .count = 1};
}

static bcam_status look_at_plan(const bcam_plan *plan, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (size_t i = 0; i < BCAM_COUNT(precisions) && !status; i++) {
        bcam_device device = {.real = precisions[i].real};
        bcam_program p = {.device = &device};
        if (!look.wanted[i])
            continue;
        status = bcam_placement_init(&p.place, plan, err);
        if (!status)
            status = bcam_cuda_lay(&p, err);
        for (size_t s = 0; s < plan->step_count && !status; s++) {
            bcam_verb verb = plan->steps[s].verb;
            if (verb == BCAM_VERB_CONV || verb == BCAM_VERB_CONV_BWD || bcam_is_pool(verb))
                look_at(&p, &p.place.steps[s], i);
        }
        bcam_placement_fini(&p.place);
    }
    return status;
}

/* What finds constant gradients is run, for one photo; the whole batch's program is only looked at. */
static bcam_status spy(bcam_device *device, const bcam_plan *plan, bcam_program **out, bcam_error *err)
{
    bcam_status status = plan->batch == 1 && look.steps ? BCAM_OK : look_at_plan(plan, err);
    look.seen = !status && plan->batch > 1;
    if (look.seen)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "seen");
    return status ? status : bcam_cpu_device.compile(device, plan, out, err);
}

/* As bcam_engine_open, with a device table of our own. */
static bcam_status open_model(const char *model, const char *layer, bcam_error *err)
{
    bcam_device_api api = bcam_cpu_device;
    bcam_device_options options = {.threads = 1};
    bcam_engine e = {.options = {.batch = look.batch, .layers = &layer, .layer_count = layer ? 1 : 0},
                     .info = {.classes = look.steps ? 1 : 2, .layer_count = 1, .method_count = 1}};
    bcam_graph *graph = NULL;
    api.compile = spy;
    e.api = &api;
    e.layers = bcam_pool_alloc(&e.pool, 1, sizeof *e.layers);
    look.seen = false;
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
    return look.seen ? BCAM_OK : status;
}

static void look_at_model(const char *argument)
{
    bcam_error err = {0};
    char *model = bcam_strdup(argument), *layer = strstr(model, ".onnx:");
    if (layer) {
        layer[5] = 0;
        layer += 6;
    }
    look.model = model;
    if (open_model(model, layer, &err)) {
        look.failed++;
        printf("%s: %s\n", argument, err.message);
    }
    bcam_free(model);
}

/* ---- the command ---- */

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

static void want(const char *precision)
{
    for (size_t i = 0; i < BCAM_COUNT(precisions); i++)
        look.wanted[i] |= !precision || strcmp(precisions[i].name, precision) == 0;
}

/* Reads the options; the index of the first network. */
static int read_options(int argc, char **argv)
{
    int i = 2;
    bool any = false;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--steps") == 0)
            look.steps = true;
        else if (i + 1 < argc && strcmp(argv[i], "--batch") == 0)
            look.batch = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--precision") == 0)
            want(argv[++i]), any = true;
        else
            return argc;
    }
    if (!any)
        want(NULL);
    return i;
}

static void print_rows(void)
{
    char version[32];
    for (size_t i = 0; i < look.row_count; i++) {
        row *r = &look.rows[i];
        if (look.steps)
            printf("%3d %-56s %-112s %s\n", r->count, r->step, r->problem, r->plan);
        else
            printf("%s: %s\n", r->problem, r->plan);
        bcam_free(r->problem);
        bcam_free(r->plan);
        bcam_free(r->step);
    }
    bcam_free(look.rows);
    if (look.steps)
        printf(
            "different problems: %d convolutions, %d of them whole in one plan; %d poolings, %d of them by the own kernel alone; "
            "%d plans compiled at run time; largest workspace %.1f MB\n",
            look.convs, look.fused, look.pools, look.own, look.compiled, (double)look.most_workspace / 1e6);
    printf("%d plans, %d failed, cuDNN %s\n", look.convs + look.pools - look.own - look.failed, look.failed,
           bcam_cudnn_version_text(version, sizeof version));
}

int main(int argc, char **argv)
{
    bcam_error err = {0};
    int first = read_options(argc, argv);
    char *card = first < argc && look.batch > 1 ? read_card(argv[1], &err) : NULL;
    if (!card) {
        fprintf(stderr, "plans CARD.json [--batch N] [--precision NAME]... [--steps] MODEL[:LAYER]... %s\n",
                err.message);
        return 2;
    }
    bcam_cudnn_options options = {.identity = "a described card", .json = card};
    if (bcam_cudnn_open(&options, &look.dnn, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    for (int i = first; i < argc; i++)
        look_at_model(argv[i]);
    print_rows();
    bcam_cudnn_close(&look.dnn);
    cJSON_free(card);
    return look.failed ? 1 : 0;
}
