/* plan_carry.c - are plans that cuDNN made without a card, for one described in JSON, good on a real one?
 *
 *   plan_carry make CARD.json FILE      without a card: makes plans for the described one and keeps them
 *   plan_carry run FILE                 with one: loads and runs them, and holds the results against plain sums
 *
 * Exit status 77: the plans were made by another version of cuDNN. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cudnn.h"

typedef struct problem {
    bcam_verb verb;
    bcam_dtype dtype;
    int64_t n, c, h, w, m, k, stride, pad;
    bool bias, residual, relu;
} problem;

static const problem problems[] = {
    {BCAM_VERB_CONV, BCAM_F16, 8, 64, 14, 14, 64, 3, 1, 1, true, false, true},
    {BCAM_VERB_CONV, BCAM_F16, 8, 64, 14, 14, 128, 1, 1, 0, true, true, true},
    {BCAM_VERB_CONV, BCAM_BF16, 4, 32, 15, 15, 64, 3, 2, 1, true, false, true},
    {BCAM_VERB_CONV, BCAM_F32, 4, 32, 14, 14, 64, 3, 1, 1, true, false, true},
    {BCAM_VERB_CONV_BWD, BCAM_F16, 8, 64, 14, 14, 64, 3, 2, 1, false, false, false},
    {BCAM_VERB_CONV_BWD, BCAM_F16, 8, 64, 14, 14, 128, 1, 1, 0, false, false, false},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

typedef struct laid {
    bcam_step step;
    bcam_conv_problem p;
    float *x, *w, *y, *bias, *residual; /* dense (N,C,H,W) */
} laid;

static bcam_tensor lie(bcam_dtype dtype, int64_t a, int64_t b, int64_t c, int64_t d, int place)
{
    bcam_tensor t = {.dtype = dtype, .rank = 4, .dim = {a, b, c, d}};
    t.data = (void *)(uintptr_t)(BCAM_CUDA_ALIGN * (1 + (uintptr_t)place)); /* as well aligned as real memory */
    bcam_strides_channels_last(4, t.dim, t.stride);
    return t;
}

static void lay(const problem *q, laid *l)
{
    int64_t oh = (q->h + 2 * q->pad - q->k) / q->stride + 1, ow = (q->w + 2 * q->pad - q->k) / q->stride + 1;
    memset(l, 0, sizeof *l);
    l->step = (bcam_step){.name = "carried", .verb = q->verb, .act.kind = q->relu ? BCAM_UNARY_RELU : BCAM_UNARY_NONE};
    l->step.u.conv = (bcam_conv_attr){.stride = {q->stride, q->stride},
                                      .dilation = {1, 1},
                                      .pad_begin = {q->pad, q->pad},
                                      .pad_end = {q->pad, q->pad},
                                      .groups = 1};
    l->p = (bcam_conv_problem){.step = &l->step};
    l->p.x = lie(q->dtype, q->n, q->c, q->h, q->w, 0);
    l->p.w = lie(q->dtype, q->m, q->c, q->k, q->k, 1);
    l->p.y = lie(q->dtype, q->n, q->m, oh, ow, 2);
    if (q->bias)
        l->p.bias = (bcam_tensor){.data = l->p.w.data, .dtype = q->dtype, .rank = 1, .dim = {q->m}, .stride = {1}};
    if (q->residual)
        l->p.residual = lie(q->dtype, q->n, q->m, oh, ow, 3);
}

/* ---- making ---- */

static char *read_card(const char *path)
{
    char *text = NULL, *card = NULL;
    size_t bytes = 0;
    bcam_error err = {0};
    if (bcam_file_read(path, 1 << 20, &text, &bytes, &err))
        return NULL;
    cJSON *json = cJSON_Parse(text), *part = cJSON_GetObjectItem(json, "cudnn");
    card = part ? cJSON_PrintUnformatted(part) : NULL;
    cJSON_Delete(json);
    bcam_free(text);
    return card;
}

static bcam_status make_one(bcam_cudnn *dnn, int index, FILE *file, bcam_error *err)
{
    laid l;
    bcam_conv *conv = NULL;
    bcam_cuda_block trial = {0};
    size_t bytes = 0;
    lay(&problems[index], &l);
    bcam_status status = bcam_conv_open(dnn, &l.p, &trial, &conv, err);
    char *json = status ? NULL : bcam_conv_plan_json(&conv->plan, &bytes);
    if (!status && !json)
        status = bcam_fail(err, BCAM_E_DEVICE, "cuDNN gives no JSON of plan %d", index);
    if (!status) {
        fprintf(file, "%d %u %zu %s\n", index, conv->fused, bytes, bcam_conv_text(conv));
        fwrite(json, 1, bytes, file);
        fputc('\n', file);
    }
    bcam_free(json);
    bcam_conv_close(&conv);
    return status;
}

static int make(const char *card_path, const char *path)
{
    bcam_error err = {0};
    bcam_cudnn *dnn = NULL;
    char *card = read_card(card_path);
    FILE *file = fopen(path, "wb");
    if (!card || !file) {
        fprintf(stderr, "%s or %s cannot be opened\n", card_path, path);
        return 1;
    }
    bcam_cudnn_options options = {.identity = "a described card", .json = card};
    bcam_status status = bcam_cudnn_open(&options, &dnn, &err);
    fprintf(file, "plans of cuDNN %zu\n", bcam_cudnn_version());
    for (int i = 0; i < PROBLEMS && !status; i++)
        status = make_one(dnn, i, file, &err);
    if (status)
        fprintf(stderr, "%s\n", err.message);
    bcam_cudnn_close(&dnn);
    cJSON_free(card);
    return fclose(file) || status ? 1 : 0;
}

/* ---- running ---- */

static uint32_t seed = 12345;
static float random_number(bcam_dtype dtype)
{
    seed = seed * 1664525u + 1013904223u;
    float v = (float)(int32_t)seed * 0x1p-31f;
    return dtype == BCAM_F16 ? bcam_f16_to_f32(bcam_f32_to_f16(v)) : bcam_bf16_to_f32(bcam_f32_to_bf16(v));
}

static void store(const bcam_tensor *t, char *to, int64_t at, float v)
{
    if (t->dtype == BCAM_F32)
        ((float *)to)[at] = v;
    else
        ((uint16_t *)to)[at] = t->dtype == BCAM_F16 ? bcam_f32_to_f16(v) : bcam_f32_to_bf16(v);
}

static float fetch(const bcam_tensor *t, const char *from, int64_t at)
{
    return t->dtype == BCAM_F32   ? ((const float *)from)[at]
           : t->dtype == BCAM_F16 ? bcam_f16_to_f32(((const uint16_t *)from)[at])
                                  : bcam_bf16_to_f32(((const uint16_t *)from)[at]);
}

/* Where element i, counted row-major, lies. */
static int64_t place_of(const bcam_tensor *t, int64_t i)
{
    int64_t at = 0;
    for (int a = t->rank - 1; a >= 0; a--) {
        at += i % t->dim[a] * t->stride[a];
        i /= t->dim[a];
    }
    return at;
}

/* Device memory for a tensor; `numbers` (allocated): random ones, which it is filled with. */
static bcam_status fill(bcam_tensor *t, float **numbers, bool random, cudaStream_t stream, bcam_error *err)
{
    int64_t count = bcam_count(t->rank, t->dim);
    size_t size = bcam_dtype_bytes(t->dtype);
    char *host = calloc((size_t)count, size);
    *numbers = calloc((size_t)count, sizeof **numbers);
    for (int64_t i = 0; i < count; i++) {
        (*numbers)[i] =
            random ? random_number(t->dtype == BCAM_F32 ? BCAM_BF16 : t->dtype) : NAN; /* bf16: exact in tf32 */
        store(t, host, place_of(t, i), (*numbers)[i]);
    }
    bcam_status status = bcam_cuda_check(cudaMalloc(&t->data, (size_t)count * size), "cudaMalloc", "an operand", err);
    if (!status)
        status = bcam_cuda_check(cudaMemcpyAsync(t->data, host, (size_t)count * size, cudaMemcpyHostToDevice, stream),
                                 "cudaMemcpyAsync", "an operand", err);
    if (!status)
        status = bcam_cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", "an operand", err);
    free(host);
    return status;
}

static double sum_at(const laid *l, int64_t n, int64_t to, int64_t row, int64_t column, double *magnitude)
{
    bool forward = l->step.verb == BCAM_VERB_CONV;
    const bcam_tensor *x = &l->p.x, *w = &l->p.w, *y = &l->p.y;
    const bcam_conv_attr *a = &l->step.u.conv;
    double sum = 0;
    for (int64_t from = 0; from < (forward ? x : y)->dim[1]; from++)
        for (int64_t i = 0; i < w->dim[2]; i++)
            for (int64_t j = 0; j < w->dim[3]; j++) {
                int64_t r = forward ? row * a->stride[0] + i - a->pad_begin[0] : row + a->pad_begin[0] - i;
                int64_t c = forward ? column * a->stride[1] + j - a->pad_begin[1] : column + a->pad_begin[1] - j;
                if (!forward && (r % a->stride[0] || c % a->stride[1]))
                    continue;
                r = forward ? r : r / a->stride[0];
                c = forward ? c : c / a->stride[1];
                const bcam_tensor *t = forward ? x : y;
                if (r < 0 || c < 0 || r >= t->dim[2] || c >= t->dim[3])
                    continue;
                double weight =
                    (double)
                        l->w[(((forward ? to * x->dim[1] + from : from * x->dim[1] + to) * w->dim[2]) + i) * w->dim[3] +
                             j];
                double term =
                    weight * (double)(forward ? l->x : l->y)[((n * t->dim[1] + from) * t->dim[2] + r) * t->dim[3] + c];
                sum += term;
                *magnitude += fabs(term);
            }
    return sum;
}

/* The largest error as a share of what is allowed: two roundings of the magnitudes' sum. */
static double compare(const laid *l, const char *host)
{
    bool forward = l->step.verb == BCAM_VERB_CONV;
    const bcam_tensor *out = forward ? &l->p.y : &l->p.x;
    double worst = 0, e = out->dtype == BCAM_F32 ? 0x1p-10 : out->dtype == BCAM_F16 ? 0x1p-11 : 0x1p-8;
    for (int64_t i = 0; i < bcam_count(4, out->dim); i++) {
        int64_t column = i % out->dim[3], row = i / out->dim[3] % out->dim[2];
        int64_t channel = i / out->dim[3] / out->dim[2] % out->dim[1], n = i / out->dim[3] / out->dim[2] / out->dim[1];
        double magnitude = 0, want = sum_at(l, n, channel, row, column, &magnitude);
        want += l->bias ? (double)l->bias[channel] : 0;
        want += l->residual ? (double)l->residual[i] : 0;
        magnitude += fabs(want) + 1;
        if (l->step.act.kind == BCAM_UNARY_RELU && want < 0)
            want = 0;
        double error = fabs((double)fetch(out, host, place_of(out, i)) - want) / (2 * e * magnitude);
        worst = error > worst || isnan(error) ? error : worst;
    }
    return worst;
}

static bcam_status run_loaded(bcam_cudnn *dnn, bcam_conv *conv, laid *l, cudaStream_t stream, double *worst,
                              bcam_error *err)
{
    static const bcam_unary_attr none = {BCAM_UNARY_NONE, 0, 0};
    bool forward = l->step.verb == BCAM_VERB_CONV;
    bcam_tensor *out = forward ? &l->p.y : &l->p.x;
    void *workspace = NULL;
    bcam_conv_pack *pack = NULL;
    size_t bytes = (size_t)bcam_count(4, out->dim) * bcam_dtype_bytes(out->dtype);
    char *host = calloc(1, bytes);
    bcam_status status =
        bcam_cuda_check(cudaMalloc(&workspace, bcam_conv_workspace(conv) + 256), "cudaMalloc", "the workspace", err);
    if (!status)
        status = bcam_conv_pack_open(conv, &l->p, workspace, &pack, err);
    if (!status)
        status = bcam_conv_run(dnn, conv, pack, err);
    bcam_conv_rest rest = bcam_conv_left(conv);
    if (!status && (rest.bias || rest.residual || rest.act))
        status = bcam_cuda_check(bcam_kernel_epilogue(out, rest.bias ? &l->p.bias : NULL,
                                                      rest.residual ? &l->p.residual : NULL,
                                                      rest.act ? &l->step.act : &none, stream),
                                 "cudaLaunchKernel", "the epilogue", err);
    if (!status)
        status = bcam_cuda_check(cudaMemcpyAsync(host, out->data, bytes, cudaMemcpyDeviceToHost, stream),
                                 "cudaMemcpyAsync", "the result", err);
    if (!status)
        status = bcam_cuda_check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", "the result", err);
    *worst = status ? NAN : compare(l, host);
    bcam_conv_pack_close(&pack);
    cudaFree(workspace);
    free(host);
    return status;
}

static void release(laid *l)
{
    void *const device[] = {l->p.x.data, l->p.w.data, l->p.y.data, l->p.bias.data, l->p.residual.data};
    float *const host[] = {l->x, l->w, l->y, l->bias, l->residual};
    for (int i = 0; i < 5; i++) {
        cudaFree(host[i] ? device[i] : NULL);
        free(host[i]);
    }
}

static bool run_one(bcam_cudnn *dnn, int index, unsigned fused, const char *json, size_t bytes, const char *text,
                    cudaStream_t stream)
{
    laid l;
    bcam_error err = {0};
    double worst = NAN;
    lay(&problems[index], &l);
    bool forward = l.step.verb == BCAM_VERB_CONV;
    bcam_conv conv = {.wanted = bcam_problem_extras(&l.p), .fused = fused};
    bcam_status status = bcam_conv_plan_load(dnn, json, bytes, &conv.plan, &err);
    const char *stage = status ? "loading" : "running";
    if (!status && !(status = fill(&l.p.x, &l.x, forward, stream, &err)) &&
        !(status = fill(&l.p.w, &l.w, true, stream, &err)) && !(status = fill(&l.p.y, &l.y, !forward, stream, &err)) &&
        !(status = l.p.bias.data ? fill(&l.p.bias, &l.bias, true, stream, &err) : BCAM_OK) &&
        !(status = l.p.residual.data ? fill(&l.p.residual, &l.residual, true, stream, &err) : BCAM_OK))
        status = run_loaded(dnn, &conv, &l, stream, &worst, &err);
    release(&l);
    bcam_conv_plan_close(&conv.plan);
    if (status)
        printf("plan %d (%s): %s it failed: %s\n", index, text, stage, err.message);
    else
        printf("plan %d (%s): largest error %.3f of what is allowed\n", index, text, worst);
    return !status && worst <= 1;
}

static int run(const char *path)
{
    bcam_error err = {0};
    bcam_cudnn *dnn = NULL;
    cudaStream_t stream = NULL;
    size_t version = 0, bytes;
    int index, good = 0, seen = 0;
    unsigned fused;
    char text[64];
    FILE *file = fopen(path, "rb");
    if (!file || fscanf(file, "plans of cuDNN %zu\n", &version) != 1) {
        fprintf(stderr, "%s is no file of plans\n", path);
        return 1;
    }
    if (version != bcam_cudnn_version()) {
        printf("the plans were made by cuDNN %zu, here is %zu\n", version, bcam_cudnn_version());
        fclose(file);
        return 77;
    }
    bcam_status status = bcam_cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
                                         "cudaStreamCreateWithFlags", "a stream", &err);
    bcam_cudnn_options options = {.stream = stream, .identity = "the card here", .deterministic = true};
    if (!status)
        status = bcam_cudnn_open(&options, &dnn, &err);
    while (!status && fscanf(file, "%d %u %zu %63[^\n]\n", &index, &fused, &bytes, text) == 4) {
        char *json = calloc(1, bytes + 1);
        if (index >= 0 && index < PROBLEMS && fread(json, 1, bytes, file) == bytes) {
            good += run_one(dnn, index, fused, json, bytes, text, stream);
            seen++;
        }
        free(json);
    }
    fclose(file);
    if (status)
        fprintf(stderr, "%s\n", err.message);
    bcam_cudnn_close(&dnn);
    printf("%d of %d plans that were made without a card give what they should\n", good, PROBLEMS);
    return seen == PROBLEMS && good == PROBLEMS ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "make") == 0)
        return make(argv[2], argv[3]);
    if (argc == 3 && strcmp(argv[1], "run") == 0)
        return run(argv[2]);
    fprintf(stderr, "plan_carry make CARD.json FILE | run FILE\n");
    return 2;
}
