/* widen.c - steps whose operands are stored as bfloat16, where no slot computes with these: plain C on float copies.
 *
 * Verbs that make each photo of itself alone are run photo by photo, a thread a photo, so that the copies stay in the cache; functions of one
 * element even row by row. The others are run on copies of everything. What only moves from bfloat16 to bfloat16 is moved as it is.
 *
 * Plain C's results depend neither on the batch nor on the threads, and so neither do these.
 */
#include <omp.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/walk.h"

enum {
    IN = BCAM_MAX_IN,
    OPERANDS = BCAM_MAX_IN + BCAM_MAX_OUT,
    ALIGN = 64,
    BLOCK = 4096,
    SMALL = 1 << 14 /* elements for which no other thread is woken */
};

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define VECTORS
#endif

/* ---- conversion ---- */

VECTORS static void widen(const uint16_t *restrict from, float *restrict to, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

/* bcam_f32_to_bf16 without a branch. */
VECTORS static void narrow(const float *restrict from, uint16_t *restrict to, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, nan = bits >> 16 | 0x40;
        to[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
    }
}

/* ---- moving ---- */

/* Whether a step only moves bfloat16s. (A COPY_BWD that sums what was repeated does not.) */
static bool is_move(const bcam_cpu_call *call)
{
    const bcam_copy_attr *a = &call->step->u.copy;
    const bcam_tensor *dy = &call->in[0];
    bcam_verb verb = call->step->verb;
    if ((verb != BCAM_VERB_COPY && verb != BCAM_VERB_COPY_BWD) || a->reshape || call->in[0].dtype != BCAM_BF16 ||
        call->out[0].dtype != BCAM_BF16)
        return false;
    for (int i = 0; verb == BCAM_VERB_COPY_BWD && i < dy->rank; i++)
        if (a->axis[i] < 0 && a->extent[i] > 1)
            return false;
    return true;
}

static void fill(const bcam_tensor *t, uint16_t value, int threads)
{
    int64_t count = bcam_count(t->rank, t->dim);
    uint16_t *at = t->data;
    (void)threads; /* without OpenMP */
#pragma omp parallel for num_threads(threads) schedule(static) if (count > SMALL)
    for (int64_t i = 0; i < count; i++)
        at[i] = value;
}

static void move(const bcam_cpu_call *call)
{
    const bcam_copy_attr *a = &call->step->u.copy;
    bool back = call->step->verb == BCAM_VERB_COPY_BWD;
    const bcam_tensor *in = &call->in[0], *out = &call->out[0], *x = back ? out : in, *y = back ? in : out;
    int64_t x_at = 0, y_at = 0, along[BCAM_MAX_RANK]; /* x's strides along y's axes */
    for (int i = 0; i < x->rank; i++)
        x_at += a->from[i] * x->stride[i];
    for (int i = 0; i < y->rank; i++) {
        y_at += a->to[i] * y->stride[i];
        along[i] = a->axis[i] < 0 ? 0 : a->step[a->axis[i]] * x->stride[a->axis[i]];
    }
    if ((back || a->fill) && bcam_count(y->rank, a->extent) < bcam_count(out->rank, out->dim))
        fill(out, back ? 0 : bcam_f32_to_bf16(a->fill_value), call->threads);
    uint16_t *to = (uint16_t *)out->data + (back ? x_at : y_at);
    const uint16_t *from = (const uint16_t *)in->data + (back ? y_at : x_at);
    bcam_walk walk;
    bcam_walk_init(&walk, y->rank, a->extent, 2,
                   (const int64_t *[]){back ? along : y->stride, back ? y->stride : along}, BLOCK);
#pragma omp parallel for num_threads(call->threads) schedule(static) if (walk.rows > 1)
    for (int64_t row = 0; row < walk.rows; row++) {
        int64_t at[BCAM_WALK_OPS], n = bcam_walk_row(&walk, row, at), ts = walk.stride[0], fs = walk.stride[1];
        if (ts == 1 && fs == 1)
            memcpy(to + at[0], from + at[1], (size_t)n * sizeof *to);
        else
            for (int64_t i = 0; i < n; i++)
                to[at[0] + i * ts] = from[at[1] + i * fs];
    }
}

/* ---- photo by photo ---- */

/** An operand as the slices of a step see it. */
typedef struct part {
    bool wide;      /* stored as bfloat16: slices work on a float copy */
    bool once;      /* one copy is made for all slices */
    bool held;      /* an output of which a part is written: the rest must stay */
    int axes;       /* how many of its first axes count photos (and classes) */
    int64_t parts;  /* how many slices these make; further slices begin again at the first */
    int64_t length; /* elements of a slice */
    size_t at;      /* of the copy, in a worker's scratch or (once) in what they share */
} part;

typedef struct widened {
    bcam_step step;      /* of one slice */
    bcam_cpu_call slice; /* its tensors point to the first slice, or nowhere where they are copies */
    part parts[OPERANDS];
    int64_t slices;
    int workers;
    size_t shared_bytes, worker_bytes, own_at; /* own_at: plain C's own scratch within a worker's */
} widened;

/* Which inputs are the same for all photos: weights and tables. */
static const unsigned shared_inputs[BCAM_VERB_COUNT] = {
    [BCAM_VERB_CONV] = 1u << 1 | 1u << 2, [BCAM_VERB_CONV_BWD] = 1u << 1, [BCAM_VERB_NORM] = 1u << 1 | 1u << 2,
    [BCAM_VERB_NORM_BWD] = 1u << 1,       [BCAM_VERB_PREP] = 1u << 1,
};

bool bcam_cpu_parts_photos(const bcam_step *step, const bcam_tensor *x, const bcam_tensor *y)
{
    const bcam_copy_attr *a = &step->u.copy;
    switch (step->verb) {
    case BCAM_VERB_COPY:
    case BCAM_VERB_COPY_BWD:
        return x->dim[0] == y->dim[0] && (a->reshape || (a->axis[0] == 0 && a->from[0] == 0 && a->step[0] == 1 &&
                                                         a->to[0] == 0 && a->extent[0] == y->dim[0]));
    case BCAM_VERB_REDUCE:
    case BCAM_VERB_REDUCE_BWD:
        return !(step->u.reduce.axes & 1);
    case BCAM_VERB_SOFTMAX:
    case BCAM_VERB_SOFTMAX_BWD:
        return step->u.softmax.axis != 0;
    case BCAM_VERB_BINARY_BWD:
        return x->rank == y->rank && x->dim[0] == y->dim[0];
    case BCAM_VERB_GEMM:
    case BCAM_VERB_GEMM_BWD:
    case BCAM_VERB_RESIZE: /* photos and tables lie in one block */
    case BCAM_VERB_SELECT:
    case BCAM_VERB_UPSAMPLE:
        return false;
    default:
        return true;
    }
}

/* How many of an operand's first axes count photos (and classes); 0: all slices see all of it. */
static int photo_axes(const bcam_cpu_call *c, int operand)
{
    bcam_verb verb = c->step->verb;
    const bcam_tensor *t = operand < IN ? &c->in[operand] : &c->out[operand - IN], *y = &c->out[0];
    if (verb == BCAM_VERB_CAM)
        return operand == 0 ? 1 : operand == 1 ? !c->step->u.cam.constant : 2;
    if (operand < IN && shared_inputs[verb] >> operand & 1)
        return 0;
    if (verb == BCAM_VERB_BINARY || verb == BCAM_VERB_BINARY_BWD) /* what is repeated may have no photos */
        return t->rank == y->rank && t->dim[0] == y->dim[0];
    return 1;
}

/* A function of one element does not care what is a photo: rows of all tensors, which lie alike, become its photos. */
static void part_rows(bcam_cpu_call *c)
{
    const bcam_tensor y = c->out[0];
    int slowest = 1;
    bcam_tensor *all[OPERANDS];
    if (y.rank != 4 ||
        (c->step->verb != BCAM_VERB_UNARY && c->step->verb != BCAM_VERB_UNARY_BWD && c->step->verb != BCAM_VERB_BINARY))
        return;
    for (int i = 0; i < OPERANDS; i++) {
        all[i] = i < IN ? &c->in[i] : &c->out[i - IN];
        if (all[i]->data && (all[i]->rank != 4 || memcmp(all[i]->dim, y.dim, 4 * sizeof *y.dim) != 0 ||
                             memcmp(all[i]->stride, y.stride, 4 * sizeof *y.stride) != 0))
            return;
    }
    for (int i = 2; i < 4; i++)
        slowest = y.stride[i] > y.stride[slowest] ? i : slowest;
    int64_t rows = y.dim[0] * y.dim[slowest], row = bcam_count(4, y.dim) / rows;
    for (int i = 0; i < OPERANDS; i++)
        if (all[i]->data)
            *all[i] = (bcam_tensor){
                .data = all[i]->data, .dtype = all[i]->dtype, .rank = 2, .dim = {rows, row}, .stride = {row, 1}};
}

static size_t room(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static bcam_tensor *operand_of(bcam_cpu_call *call, int operand)
{
    return operand < IN ? &call->in[operand] : &call->out[operand - IN];
}

static bool writes_part(const bcam_step *step)
{
    return step->verb == BCAM_VERB_COPY && !step->u.copy.reshape && !step->u.copy.fill;
}

static void cut_operand(widened *w, int operand, bool apart)
{
    const bcam_tensor *t = operand_of(&w->slice, operand);
    part *p = &w->parts[operand];
    if (!t->data)
        return;
    p->axes = apart ? photo_axes(&w->slice, operand) : 0;
    p->wide = t->dtype == BCAM_BF16;
    p->once = p->wide && p->axes == 0 && w->slices > 1;
    p->held = operand >= IN && writes_part(w->slice.step);
    p->parts = bcam_count(p->axes, t->dim);
    p->length = bcam_count(t->rank, t->dim) / p->parts;
    if (p->wide) {
        size_t *at = p->once ? &w->shared_bytes : &w->worker_bytes;
        p->at = *at;
        *at += room((size_t)p->length * sizeof(float));
    }
}

/* The tensors of one slice; done when all operands are cut, for how that is done is seen from the whole ones. */
static void shrink_operand(widened *w, int operand)
{
    bcam_tensor *t = operand_of(&w->slice, operand);
    for (int i = 0; i < w->parts[operand].axes; i++)
        t->dim[i] = 1;
    if (w->parts[operand].wide)
        t->dtype = BCAM_F32;
}

static const bcam_cpu_verb *plain_of(const widened *w)
{
    return &w->slice.plain[w->step.verb];
}

static bcam_status cut(widened *w, bcam_cpu_call *call, bcam_error *err)
{
    w->slice = *call;
    w->step = *call->step;
    part_rows(&w->slice);
    bool apart = bcam_cpu_parts_photos(&w->step, &w->slice.in[0], &w->slice.out[0]);
    bool classes = call->step->verb == BCAM_VERB_CAM; /* (K,N,…) */
    w->slices = apart ? bcam_count(classes ? 2 : 1, w->slice.out[0].dim) : 1;
    bool small = bcam_count(w->slice.in[0].rank, w->slice.in[0].dim) < SMALL;
    w->workers = small || w->slices < call->threads ? 1 : call->threads;
    for (int i = 0; i < OPERANDS; i++)
        cut_operand(w, i, apart);
    for (int i = 0; i < OPERANDS; i++)
        shrink_operand(w, i);
    if (apart && (call->step->verb == BCAM_VERB_COPY || call->step->verb == BCAM_VERB_COPY_BWD))
        w->step.u.copy.extent[0] = 1;
    w->slice.step = &w->step;
    w->slice.threads = w->workers > 1 ? 1 : call->threads;
    const bcam_cpu_verb *plain = plain_of(w);
    bcam_status status = plain->prepare ? plain->prepare(&w->slice, err) : BCAM_OK;
    w->own_at = w->worker_bytes;
    w->worker_bytes += room(w->slice.scratch_bytes);
    return status;
}

static void release(bcam_cpu_call *call)
{
    widened *w = call->state;
    if (w && plain_of(w)->release)
        plain_of(w)->release(&w->slice);
    bcam_free(w);
    call->state = NULL;
}

static bcam_status prepare(bcam_cpu_call *call, bcam_error *err)
{
    if (is_move(call))
        return BCAM_OK;
    widened *w = bcam_alloc(1, sizeof *w);
    if (!w)
        return bcam_fail_memory(err, sizeof *w, "a step in bfloat16");
    bcam_status status = cut(w, call, err);
    if (status) {
        bcam_free(w);
        return status;
    }
    call->state = w;
    call->state_bytes = sizeof *w + w->slice.state_bytes;
    call->scratch_bytes = w->shared_bytes + (size_t)w->workers * w->worker_bytes;
    return BCAM_OK;
}

/* ---- running ---- */

/* Where slice `index` of an operand lies. */
static char *slice_at(const bcam_tensor *whole, const part *p, int64_t index)
{
    return (char *)whole->data + (size_t)(index % p->parts * p->length) * bcam_dtype_bytes(whole->dtype);
}

static bcam_status run_slice(const bcam_cpu_call *call, int64_t index, bcam_error *err)
{
    const widened *w = call->state;
    bcam_cpu_call slice = w->slice;
    char *worker = (char *)call->scratch + w->shared_bytes + (size_t)omp_get_thread_num() * w->worker_bytes;
    slice.scratch = worker + w->own_at;
    for (int i = 0; i < OPERANDS; i++) {
        const bcam_tensor *whole = i < IN ? &call->in[i] : &call->out[i - IN];
        const part *p = &w->parts[i];
        if (!whole->data)
            continue;
        char *at = slice_at(whole, p, index);
        operand_of(&slice, i)->data = !p->wide ? at : p->once ? (char *)call->scratch + p->at : worker + p->at;
        if (p->wide && !p->once && (i < IN || p->held))
            widen((const uint16_t *)at, (float *)(worker + p->at), p->length);
    }
    bcam_status status = plain_of(w)->run(&slice, err);
    for (int i = IN; i < OPERANDS; i++)
        if (w->parts[i].wide)
            narrow((const float *)(worker + w->parts[i].at),
                   (uint16_t *)slice_at(&call->out[i - IN], &w->parts[i], index), w->parts[i].length);
    return status;
}

static bcam_status run(const bcam_cpu_call *call, bcam_error *err)
{
    const widened *w = call->state;
    if (!w) {
        move(call);
        return BCAM_OK;
    }
    for (int i = 0; i < IN; i++)
        if (w->parts[i].once)
            widen(call->in[i].data, (float *)((char *)call->scratch + w->parts[i].at), w->parts[i].length);
    if (w->slices == 1)
        return run_slice(call, 0, err);
#pragma omp parallel for num_threads(w->workers) schedule(static) if (w->workers > 1)
    for (int64_t i = 0; i < w->slices; i++)
        run_slice(call, i, NULL); /* of what is done photo by photo, nothing can fail */
    return BCAM_OK;
}

static const char *algorithm(const bcam_cpu_call *call)
{
    return call->state ? "plain, widened" : "plain";
}

bool bcam_cpu_is_short(const bcam_cpu_call *call)
{
    bool found = false;
    for (int i = 0; i < BCAM_MAX_IN; i++)
        found |= call->in[i].data && call->in[i].dtype == BCAM_BF16;
    for (int i = 0; i < BCAM_MAX_OUT; i++)
        found |= call->out[i].data && call->out[i].dtype == BCAM_BF16;
    return found;
}

const bcam_cpu_verb bcam_cpu_widened = {prepare, run, release, algorithm};

/* ---- epilogues ---- */

bcam_status bcam_cpu_apply(const bcam_cpu_call *call, const bcam_step *unary, bcam_error *err)
{
    const bcam_tensor *y = &call->out[0];
    const bcam_cpu_verb *plain = &call->plain[BCAM_VERB_UNARY];
    int64_t count = bcam_count(y->rank, y->dim), blocks = (count + BLOCK - 1) / BLOCK;
    if (y->dtype != BCAM_BF16)
        return plain->run(&(bcam_cpu_call){.step = unary, .in = {*y}, .out = {*y}, .threads = call->threads}, err);
#pragma omp parallel for num_threads(call->threads) schedule(static) if (blocks > 1)
    for (int64_t b = 0; b < blocks; b++) {
        float x[BLOCK];
        int64_t n = count - b * BLOCK < BLOCK ? count - b * BLOCK : BLOCK;
        bcam_tensor row = {.data = x, .dtype = BCAM_F32, .rank = 1, .dim = {n}, .stride = {1}};
        widen((uint16_t *)y->data + b * BLOCK, x, n);
        plain->run(&(bcam_cpu_call){.step = unary, .in = {row}, .out = {row}, .threads = 1}, NULL);
        narrow(x, (uint16_t *)y->data + b * BLOCK, n);
    }
    return BCAM_OK;
}
