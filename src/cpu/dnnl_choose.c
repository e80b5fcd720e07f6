/* dnnl_choose.c - in which way a convolution is done.
 *
 * A convolution of some size is tried in every way that is for it, once on a machine, on random numbers; the fastest is written down in a small
 * file, $XDG_CACHE_HOME/batchcam/cpu-ways:
 *
 *   oneDNN's version and the processor's kind of instructions
 *   way key                                                      one line a convolution
 *
 * Ways differ in the last digits of what they compute. The key therefore says nothing of the batch or of the threads: whatever these are, all runs
 * that find the file compute the same bytes. With `deterministic` the first way in the table that is for a convolution is taken. Convolutions too
 * small for a clock are done directly. */
#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu/dnnl.h"

/* ---- the ways ---- */

static bcam_status direct(bcam_cpu_call *call, bcam_error *err)
{
    return bcam_dnnl_conv(call, BCAM_CPU_DIRECT, err);
}

static bcam_status blocked(bcam_cpu_call *call, bcam_error *err)
{
    return bcam_dnnl_conv(call, BCAM_CPU_BLOCKED, err);
}

static bool any(const bcam_cpu_call *call)
{
    (void)call;
    return true;
}

static bool has_groups(const bcam_cpu_call *call)
{
    int64_t groups = call->step->u.conv.groups;
    return groups > 1 && call->in[1].dim[0] > groups; /* not where each channel is a group */
}

static bool is_1x1(const bcam_cpu_call *call)
{
    return call->in[1].dim[2] * call->in[1].dim[3] == 1;
}

static bool is_3x3(const bcam_cpu_call *call)
{
    const bcam_tensor *w = &call->in[1];
    return w->dim[2] == 3 && w->dim[3] == 3 && !((const bcam_dnnl *)call->context)->not_finite;
}

static bool makes_rows(const bcam_cpu_call *call)
{
    return call->step->verb == BCAM_VERB_CONV && call->step->u.conv.groups == 1;
}

static const struct way {
    bcam_cpu_way way;
    const char *name;
    bool (*looks_fit)(const bcam_cpu_call *call); /* making it may still be refused */
    bcam_status (*make)(bcam_cpu_call *call, bcam_error *err);
} ways[] = {
    {BCAM_CPU_WINOGRAD, "winograd", is_3x3, bcam_dnnl_winograd},
    {BCAM_CPU_PRODUCT, "product", is_1x1, bcam_dnnl_conv_product},
    {BCAM_CPU_IM2COL, "im2col", makes_rows, bcam_dnnl_im2col},
    {BCAM_CPU_BLOCKED, "blocked", has_groups, blocked},
    {BCAM_CPU_DIRECT, "direct", any, direct},
};

static void start_anew(bcam_cpu_call *call)
{
    bcam_dnnl_state_fini(call->state);
    call->state_bytes = sizeof(bcam_dnnl_state);
    call->scratch_bytes = 0;
}

static size_t row_of(bcam_cpu_way way)
{
    size_t row = 0;
    while (ways[row].way != way)
        row++;
    return row;
}

const char *bcam_cpu_way_name(bcam_cpu_way way)
{
    return ways[row_of(way)].name;
}

/* From a row of the table on, the first way that can be made. */
static bcam_status make_from(bcam_cpu_call *call, size_t row, bcam_error *err)
{
    bcam_status status = BCAM_E_UNSUPPORTED;
    for (; row < BCAM_COUNT(ways) && status == BCAM_E_UNSUPPORTED; row++)
        if (ways[row].looks_fit(call)) {
            start_anew(call);
            status = ways[row].make(call, err);
        }
    return status;
}

/* ---- what was found out before ---- */

static void write_head(char *text, size_t size)
{
    snprintf(text, size, "batchcam ways 3, %s, isa %x\n", bcam_cpu_dnnl_version(),
             (unsigned)dnnl_get_effective_cpu_isa());
}

/* Channels between the pixels of what is some of the channels of a tensor. */
static int64_t gap(const bcam_tensor *t)
{
    return t->stride[1] == 1 ? t->stride[3] - t->dim[1] : 0;
}

static void write_key(const bcam_cpu_call *call, char *text, size_t size)
{
    const bcam_conv_attr *a = &call->step->u.conv;
    const bcam_tensor *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    snprintf(text, size,
             "%s %s %" PRId64 "x%" PRId64 "x%" PRId64 " w %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " g %" PRId64
             " s %" PRId64 ",%" PRId64 " d %" PRId64 ",%" PRId64 " p %" PRId64 ",%" PRId64 " y %" PRId64 "x%" PRId64
             " r %d q %" PRId64 ",%" PRId64 "\n",
             bcam_verb_name(call->step->verb), bcam_dtype_name(x->dtype), x->dim[1], x->dim[2], x->dim[3], w->dim[0],
             w->dim[1], w->dim[2], w->dim[3], a->groups, a->stride[0], a->stride[1], a->dilation[0], a->dilation[1],
             a->pad_begin[0], a->pad_begin[1], y->dim[2], y->dim[3], call->in[3].data != NULL, gap(x), gap(y));
}

/* The whole file, or its head alone where there is none or it is another machine's. */
static char *read_choices(void)
{
    enum { MOST = 4 << 20 };
    char head[128], *path = bcam_cache_path("cpu-ways", false), *text = NULL;
    size_t bytes = 0;
    write_head(head, sizeof head);
    if (path && bcam_file_read(path, MOST, &text, &bytes, NULL) == BCAM_OK && strncmp(text, head, strlen(head)) == 0 &&
        text[bytes - 1] == '\n') {
        bcam_free(path);
        return text;
    }
    bcam_free(text);
    bcam_free(path);
    return bcam_format("%s", head);
}

static bool find_choice(const char *choices, const char *key, size_t *row)
{
    for (size_t i = 0; i < BCAM_COUNT(ways); i++) {
        char line[320];
        snprintf(line, sizeof line, "\n%s %s", ways[i].name, key);
        *row = i;
        if (strstr(choices, line))
            return true;
    }
    return false;
}

/* The file is written under another name first: no half of one is ever seen. Losing a choice to another process costs a measurement. */
static void keep_choice(bcam_dnnl *dnnl, size_t row, const char *key)
{
    char *text = bcam_format("%s%s %s", dnnl->choices, ways[row].name, key), *path = bcam_cache_path("cpu-ways", true);
    char *part = path ? bcam_format("%s.%ld", path, (long)getpid()) : NULL;
    FILE *file = part && text ? fopen(part, "wbe") : NULL;
    if (file) {
        bool good = fputs(text, file) >= 0;
        good &= fclose(file) == 0;
        if (!good || rename(part, path) != 0)
            unlink(part);
    }
    if (text) {
        bcam_free(dnnl->choices);
        dnnl->choices = text;
    }
    bcam_free(path);
    bcam_free(part);
}

/* ---- finding out ---- */

enum { TRIES = 3, REFERENCE_BYTES = 48 << 20 };
#define LEAST_FLOP 3e7 /* a photo; below, a clock says little */

/** A call on memory of its own, for as many photos as are usual. */
typedef struct trial {
    bcam_cpu_call call;
    bcam_step step;
    void *data[BCAM_MAX_IN + 1];
} trial;

static void random_numbers(const bcam_tensor *t, void *data)
{
    uint32_t state = 1;
    int64_t count = t->dim[0] * t->stride[0];
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        float value = (float)(state >> 8) * 0x1p-23f - 1;
        if (t->dtype == BCAM_BF16)
            ((uint16_t *)data)[i] = bcam_f32_to_bf16(value);
        else
            ((float *)data)[i] = value;
    }
}

static bool own_memory(bcam_tensor *operand, void **data)
{
    size_t bytes = (size_t)(operand->dim[0] * operand->stride[0]) * bcam_dtype_bytes(operand->dtype);
    if (!(*data = bcam_alloc_aligned(bytes)))
        return false;
    random_numbers(operand, *data);
    operand->data = *data;
    return true;
}

static bool begin_trial(trial *t, const bcam_cpu_call *call)
{
    const bcam_tensor *x = &call->in[0], *y = &call->out[0];
    int64_t bytes = (x->stride[0] + y->stride[0]) * (int64_t)bcam_dtype_bytes(x->dtype),
            photos = REFERENCE_BYTES / bytes;
    *t = (trial){.call = *call, .step = *call->step};
    t->call.step = &t->step;
    photos = photos < 1 ? 1 : photos > x->dim[0] ? x->dim[0] : photos;
    t->call.in[0].dim[0] = t->call.out[0].dim[0] = photos;
    if (!own_memory(&t->call.in[0], &t->data[0]) || !own_memory(&t->call.out[0], &t->data[BCAM_MAX_IN]))
        return false;
    if (!call->in[3].data)
        return true;
    t->call.in[3].dim[0] = photos;
    return own_memory(&t->call.in[3], &t->data[3]);
}

static void end_trial(trial *t)
{
    for (size_t i = 0; i < BCAM_COUNT(t->data); i++)
        bcam_free(t->data[i]);
}

/** Seconds of a way, or a negative number where it is not to be had. */
static double try_way(trial *t, size_t row)
{
    bcam_error ignored;
    bcam_dnnl_state state = {0};
    double best = -1;
    t->call.state = &state;
    start_anew(&t->call);
    bcam_status status = ways[row].make(&t->call, &ignored);
    t->call.scratch = status == BCAM_OK ? bcam_alloc_aligned(t->call.scratch_bytes + 1) : NULL;
    for (int i = 0; i <= TRIES && t->call.scratch && status == BCAM_OK; i++) { /* the first does not count */
        double begin = omp_get_wtime();
        status = bcam_dnnl_run(&t->call, &ignored);
        double took = omp_get_wtime() - begin;
        best = i > 0 && (best < 0 || took < best) ? took : best;
    }
    bcam_free(t->call.scratch);
    bcam_dnnl_state_fini(&state);
    return status == BCAM_OK ? best : -1;
}

/** The fastest way; an earlier row of the table wins where there is little between them. */
static size_t find_fastest(const bcam_cpu_call *call)
{
    trial t;
    size_t fastest = BCAM_COUNT(ways);
    double least = 0;
    if (begin_trial(&t, call))
        for (size_t i = 0; i < BCAM_COUNT(ways); i++) {
            double took = ways[i].looks_fit(call) ? try_way(&t, i) : -1;
            if (took > 0 && (fastest == BCAM_COUNT(ways) || took < 0.97 * least)) {
                fastest = i;
                least = took;
            }
        }
    end_trial(&t);
    return fastest;
}

static int count_fit(const bcam_cpu_call *call)
{
    int count = 0;
    for (size_t i = 0; i < BCAM_COUNT(ways); i++)
        count += ways[i].looks_fit(call);
    return count;
}

static double flop_of_photo(const bcam_cpu_call *call)
{
    const bcam_tensor *w = &call->in[1], *y = call->step->verb == BCAM_VERB_CONV ? &call->out[0] : &call->in[0];
    return 2.0 * (double)bcam_count(4, w->dim) * (double)(y->dim[2] * y->dim[3]);
}

bcam_status bcam_dnnl_choose_way(bcam_cpu_call *call, bcam_error *err)
{
    bcam_dnnl *dnnl = call->context;
    char key[288];
    size_t row = 0;
    if (dnnl->forced != BCAM_CPU_WAYS)
        return make_from(call, row_of(dnnl->forced), err);
    if (flop_of_photo(call) < LEAST_FLOP)
        return make_from(call, row_of(BCAM_CPU_DIRECT), err);
    if (call->deterministic || count_fit(call) < 2)
        return make_from(call, 0, err);
    if (!dnnl->choices && !(dnnl->choices = read_choices()))
        return bcam_fail_memory(err, sizeof key, "the choice of algorithms");
    write_key(call, key, sizeof key);
    if (!find_choice(dnnl->choices, key, &row)) {
        if ((row = find_fastest(call)) == BCAM_COUNT(ways))
            return make_from(call, 0, err);
        keep_choice(dnnl, row, key);
    }
    return make_from(call, row, err);
}
