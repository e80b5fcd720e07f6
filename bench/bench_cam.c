/* bench_cam.c - the last kernels alone: CAM and UPSAMPLE through the table of launchers, on buffers used in turn over four times the L2. One JSON
 * object a line; bytes are what must be read and written once.
 *
 *   bench_cam [BATCH]        photos; 256 if not given
 */
#include <stdlib.h>
#include <string.h>

#include "bench_cuda.h"
#include "kernels/kernels.h"

enum { MOST_SETS = 64, CLASSES = 1000 };

typedef struct kernel_case {
    bcam_step step;
    bcam_kernel_call call[MOST_SETS];
    int sets;
    double bytes;
} kernel_case;

static cudaError_t start(void *data, bench_card *card, int turn)
{
    kernel_case *c = data;
    return bcam_kernels[c->step.verb](&c->call[turn % c->sets], card->stream);
}

static size_t tensor_bytes(const bcam_tensor *t)
{
    return (size_t)bcam_count(t->rank, t->dim) * bcam_dtype_bytes(t->dtype);
}

static bcam_tensor dense(bcam_dtype dtype, int rank, const int64_t *dim)
{
    bcam_tensor t = {.dtype = dtype, .rank = rank};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    bcam_strides_dense(rank, t.dim, t.stride);
    return t;
}

static bcam_tensor photos(bcam_dtype dtype, int64_t n, int64_t c, int64_t h, int64_t w)
{
    bcam_tensor t = dense(dtype, 4, (const int64_t[]){n, c, h, w});
    bcam_strides_channels_last(4, t.dim, t.stride);
    return t;
}

/* Device memory for every operand of every set, random. False: it does not fit, and nothing is held. */
static bool place(bench_card *card, kernel_case *c, const bcam_tensor *in, const bcam_tensor *out)
{
    size_t each = 0, free_bytes = 0, total = 0;
    for (int i = 0; i < BCAM_MAX_IN; i++)
        each += in[i].rank ? tensor_bytes(&in[i]) : 0;
    for (int i = 0; i < BCAM_MAX_OUT; i++)
        each += out[i].rank ? tensor_bytes(&out[i]) : 0;
    c->sets = (int)(4 * card->l2_bytes / each) + 2;
    c->sets = c->sets > MOST_SETS ? MOST_SETS : c->sets;
    bench_cuda_check(cudaMemGetInfo(&free_bytes, &total), "looking at the card's memory");
    if (each * (size_t)c->sets > free_bytes / 10 * 9)
        return false;
    for (int s = 0; s < c->sets; s++) {
        bcam_kernel_call *call = &c->call[s];
        *call = (bcam_kernel_call){.step = &c->step};
        for (int i = 0; i < BCAM_MAX_IN + BCAM_MAX_OUT; i++) {
            const bcam_tensor *from = i < BCAM_MAX_IN ? &in[i] : &out[i - BCAM_MAX_IN];
            bcam_tensor *to = i < BCAM_MAX_IN ? &call->in[i] : &call->out[i - BCAM_MAX_IN];
            *to = *from;
            if (!from->rank)
                continue;
            to->data = bench_device_memory(tensor_bytes(from), "an operand");
            bench_device_random(card, to->data, (size_t)bcam_count(from->rank, from->dim), from->dtype);
        }
        size_t scratch = bcam_kernel_scratch(call);
        call->scratch = scratch ? bench_device_memory(scratch, "scratch") : NULL;
    }
    return true;
}

static void release(kernel_case *c)
{
    for (int s = 0; s < c->sets; s++) {
        for (int i = 0; i < BCAM_MAX_IN; i++)
            cudaFree(c->call[s].in[i].data);
        for (int i = 0; i < BCAM_MAX_OUT; i++)
            cudaFree(c->call[s].out[i].data);
        cudaFree(c->call[s].scratch);
    }
}

static void report(bench_card *card, kernel_case *c, const char *name, const char *what, int k, double copy_rate)
{
    double seconds = bench_card_time(card, start, c, c->sets > 16 ? c->sets : 16, 21);
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "kernel", name);
    bench_json_text(&json, "case", what);
    bench_json_real(&json, "classes", k);
    bench_json_real(&json, "sets", c->sets);
    bench_json_real(&json, "microseconds", seconds * 1e6);
    bench_json_real(&json, "megabytes", c->bytes * 1e-6);
    bench_json_real(&json, "gb_a_second", c->bytes / seconds * 1e-9);
    bench_json_real(&json, "share_of_copy", c->bytes / seconds / copy_rate);
    bench_json_end(&json);
}

static void refuse(const char *name, const char *what, int k)
{
    bench_json json;
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "kernel", name);
    bench_json_text(&json, "case", what);
    bench_json_real(&json, "classes", k);
    bench_json_text(&json, "note", "left out: the card's memory is too small");
    bench_json_end(&json);
}

/* A and, unless it is constant, g are read once, however many classes read A; of the table those rows that classes name, here row 0. */
static void measure_cam(bench_card *card, const char *layer, int64_t n, int64_t channels, int64_t side, int k,
                        bool constant, bcam_dtype dtype, double copy_rate)
{
    static kernel_case c;
    char what[96];
    bcam_tensor in[BCAM_MAX_IN] = {photos(dtype, n, channels, side, side)}, out[BCAM_MAX_OUT] = {{0}};
    memset(&c, 0, sizeof c);
    c.step = (bcam_step){.name = "cam", .verb = BCAM_VERB_CAM, .segment = BCAM_SEGMENT_CAM};
    c.step.u.cam = (bcam_cam_attr){.kind = BCAM_CAM_POOLED, .constant = constant};
    in[1] =
        constant ? dense(dtype, 2, (const int64_t[]){CLASSES, channels}) : photos(dtype, k * n, channels, side, side);
    in[2] = dense(BCAM_I32, 2, (const int64_t[]){k, n});
    out[0] = dense(BCAM_F32, 4, (const int64_t[]){k, n, side, side});
    out[1] = dense(BCAM_F32, 3, (const int64_t[]){k, n, 2});
    c.bytes = (double)tensor_bytes(&in[0]) + (double)tensor_bytes(&out[0]) + (double)tensor_bytes(&out[1]) +
              (constant ? (double)channels * (double)bcam_dtype_bytes(dtype) : (double)tensor_bytes(&in[1]));
    snprintf(what, sizeof what, "%s %dx%dx%d %s, g %s", layer, (int)channels, (int)side, (int)side,
             dtype == BCAM_F16 ? "fp16" : "fp32", constant ? "constant" : "read");
    if (!place(card, &c, in, out)) {
        refuse("cam", what, k);
        return;
    }
    report(card, &c, "cam", what, k, copy_rate);
    release(&c);
}

static void measure_upsample(bench_card *card, int64_t n, int64_t side, int64_t to, bcam_dtype dtype, bool colours,
                             double copy_rate)
{
    static kernel_case c;
    char what[96];
    bcam_tensor in[BCAM_MAX_IN] = {dense(BCAM_F32, 4, (const int64_t[]){1, n, side, side}),
                                   dense(BCAM_F32, 3, (const int64_t[]){1, n, 2})};
    bcam_tensor out[BCAM_MAX_OUT] = {dense(dtype, colours ? 5 : 4, (const int64_t[]){1, n, to, to, 3})};
    memset(&c, 0, sizeof c);
    c.step = (bcam_step){.name = "upsample", .verb = BCAM_VERB_UPSAMPLE, .segment = BCAM_SEGMENT_CAM};
    if (colours)
        in[2] = dense(BCAM_U8, 2, (const int64_t[]){256, 3});
    c.bytes = (double)tensor_bytes(&in[0]) + (double)tensor_bytes(&in[1]) + (double)tensor_bytes(&out[0]);
    snprintf(what, sizeof what, "%dx%d to %dx%d %s", (int)side, (int)side, (int)to, (int)to,
             colours             ? "colours"
             : dtype == BCAM_F32 ? "float32"
             : dtype == BCAM_F16 ? "float16"
                                 : "uint8");
    if (!place(card, &c, in, out)) {
        refuse("upsample", what, 1);
        return;
    }
    report(card, &c, "upsample", what, 1, copy_rate);
    release(&c);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int channels, side;
    } layers[] = {{"layer4", 2048, 7}, {"layer3", 1024, 14}, {"layer2", 512, 28}, {"layer1", 256, 56}};
    int64_t n = argc > 1 ? atoi(argv[1]) : 256;
    bench_card card;
    bench_json json;
    if (n < 1) {
        fprintf(stderr, "Usage: bench_cam [BATCH]\n");
        return 2;
    }
    bench_card_open(&card);
    if (n < 64) /* for trying it where nothing is fast */
        card.l2_bytes = (size_t)1 << 16;
    double copy_rate = bench_copy_rate(&card, n < 64 ? (size_t)1 << 16 : (size_t)512 << 20);
    bench_json_begin(&json, stdout);
    bench_json_text(&json, "card", card.name);
    bench_json_real(&json, "batch", (double)n);
    bench_json_real(&json, "copy_gb_a_second", copy_rate * 1e-9);
    bench_json_end(&json);
    for (size_t i = 0; i < BENCH_COUNT(layers); i++)
        for (int constant = 0; constant < 2; constant++)
            for (int k = 1; k <= 5; k += 4)
                measure_cam(&card, layers[i].name, n, layers[i].channels, layers[i].side, k, constant, BCAM_F16,
                            copy_rate);
    measure_cam(&card, "layer4", n, 2048, 7, 1, false, BCAM_F32, copy_rate);
    measure_cam(&card, "layer4", n, 2048, 7, 1, true, BCAM_F32, copy_rate);
    measure_upsample(&card, n, 7, 224, BCAM_F32, false, copy_rate);
    measure_upsample(&card, n, 7, 224, BCAM_F16, false, copy_rate);
    measure_upsample(&card, n, 7, 224, BCAM_U8, false, copy_rate);
    measure_upsample(&card, n, 7, 224, BCAM_U8, true, copy_rate);
    return 0;
}
