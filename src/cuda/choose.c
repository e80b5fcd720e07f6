/* choose.c - which of cuDNN's engines carries out a convolution, and whether one of them or the own kernel a pooling.
 *
 * Fusing: what a graph can hold beside the convolution is tried from all to nothing; the rest is bcam_kernel_epilogue's. Of what heuristics
 * propose, engines are left out that lose precision or whose result is not the same twice. The remaining ones are timed on the real shapes, the
 * epilogue included, and the winner is kept on disk. Engines that are compiled at run time take a second or two to make; they are tried where no
 * ready-made one holds the whole step (ReLU6, for one). For a pooling there is no other kind, and the own kernel is timed beside it. */
#include <stdio.h>
#include <string.h>

#include "cuda/cudnn.h"

enum { MOST_TRIALS = 16, TIMED_RUNS = 3 };
static const int64_t most_workspace = (int64_t)1 << 30; /* an engine that wants more is not worth its memory */

/* ---- what may be fused ---- */

/* ReLU, also with an upper limit; cuDNN's other activations are fused by slow engines only. */
static bool act_can_fuse(const bcam_unary_attr *act)
{
    return act->kind == BCAM_UNARY_RELU || (act->kind == BCAM_UNARY_CLIP && act->alpha == 0);
}

/* All that the problem has; then less, down to the convolution alone. Each attempt leaves out the end of the chain. */
static int list_attempts(const bcam_conv_problem *p, unsigned wanted, unsigned attempt[4])
{
    int count = 0;
    unsigned fused = wanted & ~(act_can_fuse(&p->step->act) ? 0u : (unsigned)BCAM_FUSE_ACT);
    attempt[count++] = fused;
    if (fused & BCAM_FUSE_ACT)
        attempt[count++] = fused &= ~(unsigned)BCAM_FUSE_ACT;
    if ((fused & BCAM_FUSE_RESIDUAL) && (fused & BCAM_FUSE_BIAS))
        attempt[count++] = BCAM_FUSE_BIAS; /* the sum is the same in any order */
    if (fused)
        attempt[count++] = 0;
    return count;
}

/* ---- candidates ---- */

typedef struct candidates {
    bcam_conv_graph graph;
    bcam_conv_plan plan[MOST_TRIALS];
    int64_t engine[MOST_TRIALS];
    int count;
    unsigned fused;
} candidates;

static void drop_candidates(candidates *c)
{
    for (int i = 0; i < c->count; i++)
        bcam_conv_plan_close(&c->plan[i]);
    c->count = 0;
    bcam_conv_graph_close(&c->graph);
}

static bool is_good(const bcam_engine_notes *notes, bool strict, bool compiled)
{
    if (notes->index < 0 || notes->nondeterministic || notes->reduced_sum || notes->coarse ||
        notes->compiled != compiled)
        return false;
    return !strict || (!notes->tensor_core && !notes->down_convert);
}

/* Without rounding float on the way to tensor cores: an average or a maximum is no product, and has no need of them. */
static bool is_strict(const bcam_conv_problem *p)
{
    return p->strict || (bcam_is_pool(p->step->verb) && p->x.dtype == BCAM_F32);
}

/* Makes plans of the proposed engines until there are enough; with `most` 1 the first that works. */
static void make_plans(bcam_cudnn *dnn, candidates *c, bool strict, bool compiled, int most)
{
    for (int i = 0; i < c->graph.config_count && c->count < most; i++) {
        bcam_engine_notes notes = bcam_conv_graph_notes(&c->graph, i);
        bcam_conv_plan *plan = &c->plan[c->count];
        if (!is_good(&notes, strict, compiled) || bcam_conv_plan_make(dnn, &c->graph, i, plan, NULL))
            continue;
        if (plan->workspace > most_workspace) {
            bcam_conv_plan_close(plan);
            continue;
        }
        c->engine[c->count++] = notes.index;
    }
}

/* Ready made, proposed by heuristics; compiled at run time, which takes seconds, so that one must do; ready made, of those that always work. */
typedef enum kind { KIND_READY, KIND_COMPILED, KIND_SLOW } kind;

/* Whether a way to fuse has plans of a kind. */
static bool find_plans(bcam_cudnn *dnn, const bcam_conv_problem *p, unsigned fused, kind what, candidates *c,
                       bcam_error *err)
{
    int most = what == KIND_COMPILED || dnn->deterministic || dnn->card ? 1 : MOST_TRIALS;
    *c = (candidates){.fused = fused};
    if (bcam_conv_graph_open(dnn, p, fused, &c->graph, err))
        return false;
    if (what != KIND_SLOW) {
        bcam_conv_graph_ask(dnn, &c->graph, false);
        make_plans(dnn, c, is_strict(p), what == KIND_COMPILED, most);
    }
    if (what != KIND_READY && !c->count) {
        bcam_conv_graph_ask(dnn, &c->graph, true);
        make_plans(dnn, c, is_strict(p), what == KIND_COMPILED, most);
    }
    if (c->count)
        return true;
    bcam_fail(err, BCAM_E_UNSUPPORTED, "no engine of cuDNN carries it out");
    drop_candidates(c);
    return false;
}

enum { MOST_WAYS = 2, FEW = 4 };

/* For a pooling: an engine of cuDNN's, if there is one; and the own kernel, a way without a plan. */
static int find_pool_ways(bcam_cudnn *dnn, const bcam_conv_problem *p, candidates way[MOST_WAYS], bcam_error *err)
{
    int count = bcam_pool_asks(dnn, p) && find_plans(dnn, p, 0, KIND_COMPILED, &way[0], err);
    if (!count || !dnn->card)
        way[count++] = (candidates){.count = 1};
    return count;
}

/* Gathers ways to carry out a problem: the fullest fusion that has ready-made engines; where these are few and may be timed, one more way. */
static int find_ways(bcam_cudnn *dnn, const bcam_conv_problem *p, unsigned wanted, candidates way[MOST_WAYS],
                     bcam_error *err)
{
    unsigned attempt[4];
    if (bcam_is_pool(p->step->verb))
        return find_pool_ways(dnn, p, way, err);
    int attempts = list_attempts(p, wanted, attempt), count = 0;
    bool timed = !dnn->deterministic && !dnn->card;
    for (int i = 0; i < attempts && count < MOST_WAYS; i++) {
        if (find_plans(dnn, p, attempt[i], KIND_READY, &way[count], err)) {
            count++;
            if (!timed || way[count - 1].count >= FEW)
                break;
        }
    }
    if (timed && count < MOST_WAYS && (count == 0 || way[0].fused != attempt[0]))
        count += find_plans(dnn, p, attempt[0], KIND_COMPILED, &way[count], err);
    for (kind what = KIND_COMPILED; count == 0 && what <= KIND_SLOW; what++)
        for (int i = 0; i < attempts && count == 0; i++)
            count += find_plans(dnn, p, attempt[i], what, &way[count], err);
    return count;
}

/* ---- timing ---- */

static bool grow_trial(bcam_cuda_block *trial, size_t bytes)
{
    if (trial->bytes >= bytes)
        return true;
    cudaFree(trial->data);
    *trial = (bcam_cuda_block){0};
    if (bcam_cuda_malloc(bytes, "trying engines", &trial->data, NULL))
        return false;
    trial->bytes = bytes;
    return true;
}

typedef struct stopwatch {
    cudaEvent_t begin, end;
} stopwatch;

/* The convolution (or pooling) and what is left of the step behind it. */
static bcam_status run_whole(bcam_cudnn *dnn, const bcam_conv *conv, const bcam_conv_problem *p,
                             const bcam_conv_pack *pack, bcam_error *err)
{
    static const bcam_unary_attr none = {BCAM_UNARY_NONE, 0, 0};
    bcam_conv_rest rest = bcam_conv_left(conv);
    if (bcam_conv_is_own(conv))
        return bcam_cuda_check(bcam_pool_kernel(p, dnn->stream), "cudaLaunchKernel", "timing a kernel", err);
    bcam_status status = bcam_conv_run(dnn, conv, pack, err);
    if (status || !(rest.bias || rest.residual || rest.act))
        return status;
    cudaError_t code = bcam_kernel_epilogue(&p->y, rest.bias ? &p->bias : NULL, rest.residual ? &p->residual : NULL,
                                            rest.act ? &p->step->act : &none, dnn->stream);
    return bcam_cuda_check(code, "cudaLaunchKernel", "timing an epilogue", err);
}

/* The best of a few runs after one that does not count; E_UNSUPPORTED where the engine cannot be tried. */
static bcam_status time_plan(bcam_cudnn *dnn, const bcam_conv *conv, const bcam_conv_problem *p, bcam_cuda_block *trial,
                             const stopwatch *watch, float *best, bcam_error *err)
{
    bcam_conv_pack *pack = NULL;
    if (!grow_trial(trial, (size_t)conv->plan.workspace))
        return BCAM_E_UNSUPPORTED;
    bcam_status status = bcam_conv_is_own(conv) ? BCAM_OK : bcam_conv_pack_open(conv, p, trial->data, &pack, err);
    for (int i = 0; i <= TIMED_RUNS && !status; i++) {
        float ms = 0;
        status =
            bcam_cuda_check(cudaEventRecord(watch->begin, dnn->stream), "cudaEventRecord", "timing an engine", err);
        if (!status)
            status = run_whole(dnn, conv, p, pack, err);
        if (!status)
            status =
                bcam_cuda_check(cudaEventRecord(watch->end, dnn->stream), "cudaEventRecord", "timing an engine", err);
        if (!status)
            status = bcam_cuda_check(cudaEventSynchronize(watch->end), "cudaEventSynchronize", "timing an engine", err);
        if (!status)
            status = bcam_cuda_check(cudaEventElapsedTime(&ms, watch->begin, watch->end), "cudaEventElapsedTime",
                                     "timing an engine", err);
        if (!status && i > 0 && (i == 1 || ms < *best))
            *best = ms;
    }
    bcam_conv_pack_close(&pack);
    return status;
}

typedef struct winner {
    int way, plan;
} winner;

/* An engine that cannot be tried is passed over; where none can, the first stays. */
static bcam_status time_ways(bcam_cudnn *dnn, const bcam_conv_problem *p, const candidates *way, int ways,
                             bcam_cuda_block *trial, const stopwatch *watch, winner *out, bcam_error *err)
{
    float best = 0;
    bool any = false;
    bcam_status status = BCAM_OK;
    for (int w = 0; w < ways; w++)
        for (int i = 0; i < way[w].count && !status; i++) {
            bcam_conv tried = {.plan = way[w].plan[i], .wanted = bcam_problem_extras(p), .fused = way[w].fused};
            bcam_error why = {0};
            float ms = 0;
            bcam_status now = time_plan(dnn, &tried, p, trial, watch, &ms, &why);
            if (now && now != BCAM_E_UNSUPPORTED && now != BCAM_E_MEMORY)
                status = bcam_fail(err, now, "%s", why.message);
            if (!now && (!any || ms < best)) {
                any = true;
                best = ms;
                *out = (winner){w, i};
            }
        }
    return status;
}

static bcam_status find_fastest(bcam_cudnn *dnn, const bcam_conv_problem *p, const candidates *way, int ways,
                                bcam_cuda_block *trial, winner *out, bcam_error *err)
{
    stopwatch watch = {NULL, NULL};
    bcam_status status = bcam_cuda_check(cudaEventCreateWithFlags(&watch.begin, cudaEventDefault),
                                         "cudaEventCreateWithFlags", "timing engines", err);
    if (!status)
        status = bcam_cuda_check(cudaEventCreateWithFlags(&watch.end, cudaEventDefault), "cudaEventCreateWithFlags",
                                 "timing engines", err);
    if (!status)
        status = time_ways(dnn, p, way, ways, trial, &watch, out, err);
    bcam_cuda_settle(dnn->stream); /* the losers' plans are given back now */
    if (watch.begin)
        cudaEventDestroy(watch.begin);
    if (watch.end)
        cudaEventDestroy(watch.end);
    return status;
}

/* ---- the choice ---- */

static const char own_kernel[] = "kernel"; /* stands for the plan where the own kernel won */

/* What the cache keeps, if cuDNN still takes it. */
static bool take_cached(bcam_cudnn *dnn, const bcam_conv_problem *p, bcam_conv *conv)
{
    bcam_plan_entry entry = {0};
    if (!bcam_plan_cache_find(conv->key, &entry))
        return false;
    bool own = bcam_is_pool(p->step->verb) && strcmp(entry.json, own_kernel) == 0;
    bool good = (entry.fused & ~conv->wanted) == 0 &&
                (own || !bcam_conv_plan_load(dnn, entry.json, entry.json_bytes, &conv->plan, NULL)) &&
                conv->plan.workspace <= most_workspace;
    if (good) {
        conv->fused = entry.fused;
        snprintf(conv->text, sizeof conv->text, "%s", entry.text);
    } else {
        bcam_conv_plan_close(&conv->plan);
    }
    bcam_free(entry.json);
    return good;
}

static void keep_choice(const bcam_conv *conv)
{
    bcam_plan_entry entry = {.fused = conv->fused};
    snprintf(entry.text, sizeof entry.text, "%s", conv->text);
    if (bcam_conv_is_own(conv)) {
        entry.json = bcam_strdup(own_kernel);
        entry.json_bytes = strlen(own_kernel);
    } else {
        entry.json = bcam_conv_plan_json(&conv->plan, &entry.json_bytes);
    }
    if (entry.json)
        bcam_plan_cache_keep(conv->key, &entry);
    bcam_free(entry.json);
}

static bcam_status choose(bcam_cudnn *dnn, const bcam_conv_problem *p, bcam_cuda_block *trial, bcam_conv *conv,
                          bcam_error *err)
{
    candidates way[MOST_WAYS];
    winner won = {0, 0};
    bcam_error why = {0};
    int ways = find_ways(dnn, p, conv->wanted, way, &why);
    if (!ways)
        return bcam_fail(err, BCAM_E_UNSUPPORTED, "step '%s' (%s): %s", p->step->name, bcam_verb_name(p->step->verb),
                         why.message);
    bcam_status status = BCAM_OK;
    bool timed = !dnn->deterministic && !dnn->card && (ways > 1 || way[0].count > 1);
    if (timed)
        status = find_fastest(dnn, p, way, ways, trial, &won, err);
    if (!status) {
        candidates *from = &way[won.way];
        conv->plan = from->plan[won.plan];
        conv->fused = from->fused;
        conv->graph = from->graph;
        if (bcam_conv_is_own(conv))
            snprintf(conv->text, sizeof conv->text, "%s", own_kernel);
        else
            snprintf(conv->text, sizeof conv->text, "cudnn %lld%s%s", (long long)from->engine[won.plan],
                     conv->fused ? " fused" : "", timed ? ", timed" : "");
        from->plan[won.plan] = (bcam_conv_plan){0};
        from->graph = (bcam_conv_graph){0};
    }
    for (int w = 0; w < ways; w++)
        drop_candidates(&way[w]);
    return status;
}

bcam_status bcam_conv_open(bcam_cudnn *dnn, const bcam_conv_problem *p, bcam_cuda_block *trial, bcam_conv **out,
                           bcam_error *err)
{
    *out = NULL;
    bcam_conv *conv = bcam_alloc(1, sizeof *conv);
    if (!conv || !(conv->key = bcam_conv_key(dnn, p))) {
        bcam_free(conv);
        return bcam_fail_memory(err, sizeof *conv, "a convolution");
    }
    bcam_status status = BCAM_OK;
    bool kept = !dnn->deterministic && !dnn->card;
    conv->wanted = bcam_problem_extras(p);
    if (!kept || !take_cached(dnn, p, conv)) {
        status = choose(dnn, p, trial, conv, err);
        if (!status && kept)
            keep_choice(conv);
    }
    if (status)
        bcam_conv_close(&conv);
    *out = conv;
    return status;
}

void bcam_conv_close(bcam_conv **out)
{
    bcam_conv *conv = *out;
    if (!conv)
        return;
    bcam_conv_plan_close(&conv->plan);
    bcam_conv_graph_close(&conv->graph);
    bcam_free(conv->key);
    bcam_free(conv);
    *out = NULL;
}

bool bcam_conv_is(const bcam_conv *conv, const char *key)
{
    return strcmp(key, conv->key) == 0;
}

bool bcam_conv_is_own(const bcam_conv *conv)
{
    return !conv->plan.plan;
}

size_t bcam_conv_workspace(const bcam_conv *conv)
{
    return (size_t)conv->plan.workspace;
}

const char *bcam_conv_text(const bcam_conv *conv)
{
    return conv->text;
}

bcam_conv_rest bcam_conv_left(const bcam_conv *conv)
{
    unsigned left = conv->wanted & ~conv->fused;
    return (bcam_conv_rest){
        .bias = left & BCAM_FUSE_BIAS, .residual = left & BCAM_FUSE_RESIDUAL, .act = left & BCAM_FUSE_ACT};
}
