/* test_plugin_faults.c - the plug-in on stand-ins: calls of CUDA, cuDNN and cuBLAS fail, one in each run, and pieces of
 * work on the card. Whatever fails, the result is right or there is a sentence, nothing is left alive, nothing hangs,
 * and the next run is a good one.
 *
 * Each name that a good run counts fails at its first and last calls and at some in between (BCAM_SEED repeats them;
 * with BCAM_FAULTS=all it fails at every call), in turn as it usually does, for want of memory, and otherwise.
 */
#include <criterion/criterion.h>
#include <cublas_v2.h>
#include <cudnn_graph.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "batchcam.h"
#include "fake.h"

/* Six batches, two of them under way at a time: on each pair of buffers step by step, captured, and replayed. */
enum { BATCH = 2, PHOTOS = 6 * BATCH, MOST_NUMBERS = 1 << 14, MOST_NAMES = 128, SECONDS = 120 };

#if defined(__SANITIZE_ADDRESS__)
enum { FIRST = 1, BETWEEN = 2, LAST = 1 }; /* of each name; more of them without the sanitizers, which take long */
#else
enum { FIRST = 4, BETWEEN = 6, LAST = 3 };
#endif

/* ---- a run: from nothing to nothing ---- */

typedef struct outcome {
    bcam_status status;
    char message[1024];
    int batch, halved; /* notices that say so */
    size_t item;       /* numbers of a map */
    float maps[MOST_NUMBERS];
} outcome;

typedef struct network {
    const char *model, *layer;
    bool deterministic;
} network;

static void listen(void *data, bcam_log_level level, const char *line)
{
    (void)level;
    ((outcome *)data)->halved += strstr(line, "does not fit") != NULL;
}

/* Photos are told apart by their number, whatever the batch is. To be freed. */
static uint8_t *paint(const bcam_engine *engine, int first, bcam_batch *batch)
{
    bcam_engine_info info;
    bcam_engine_get_info(engine, &info, NULL);
    size_t area = (size_t)info.height * (size_t)info.width * 3;
    uint8_t *photos = malloc((size_t)info.batch * area);
    for (size_t i = 0; i < (size_t)info.batch * area; i++)
        photos[i] = (uint8_t)((i % area * 2654435761u + (unsigned)(first + (int)(i / area)) * 40503u) >> 11);
    *batch = (bcam_batch){.count = info.batch, .pixels = photos};
    return photos;
}

static bcam_status start(bcam_engine *engine, int first, const outcome *result, bcam_error *err)
{
    bcam_batch batch;
    uint8_t *photos = paint(engine, first, &batch);
    bcam_status status = bcam_engine_start(engine, &batch, first / result->batch % 2, err);
    free(photos);
    return status;
}

static bcam_status take_maps(const bcam_engine *engine, int first, outcome *result, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    for (int i = 0; i < result->batch; i++) {
        bcam_map map;
        if ((status = bcam_engine_map(engine, 0, 0, i, 0, &map, err)))
            break;
        result->item = (size_t)map.height * (size_t)map.width;
        cr_assert_leq(PHOTOS * result->item, (size_t)MOST_NUMBERS);
        memcpy(result->maps + (size_t)(first + i) * result->item, map.data, result->item * sizeof(float));
    }
    return status;
}

static bcam_status finish(bcam_engine *engine, int first, outcome *result, bcam_error *err)
{
    bcam_status status = bcam_engine_finish(engine, first / result->batch % 2, err);
    return status ? status : take_maps(engine, first, result, err);
}

static void compute_all(bcam_engine *engine, outcome *result, bcam_error *err)
{
    for (int first = 0; first <= PHOTOS && !result->status; first += result->batch) {
        if (first < PHOTOS)
            result->status = start(engine, first, result, err);
        if (!result->status && first > 0)
            result->status = finish(engine, first - result->batch, result, err);
    }
    if (!result->status)
        return;
    /* Once more: the engine may refuse, but not give something wrong. */
    bcam_batch batch;
    bcam_error again = {0};
    uint8_t *photos = paint(engine, 0, &batch);
    if (!bcam_engine_compute(engine, &batch, &again))
        take_maps(engine, 0, result, &again);
    free(photos);
}

static void run(const network *net, outcome *result)
{
    char path[1024];
    bcam_error err = {0};
    bcam_engine *engine = NULL;
    bcam_engine_info info = {0};
    *result = (outcome){0};
    memset(result->maps, 0xff, sizeof result->maps);
    snprintf(path, sizeof path, "%s/golden/%s/model.onnx", BCAM_TEST_DATA, net->model);
    bcam_engine_options options = {.device = "cuda",
                                   .precision = BCAM_PRECISION_FP32,
                                   .batch = BATCH,
                                   .layers = &net->layer,
                                   .layer_count = net->layer != NULL,
                                   .deterministic = net->deterministic,
                                   .map_size = BCAM_SIZE_NATIVE,
                                   .log = listen,
                                   .log_data = result};
    result->status = bcam_engine_open(path, &options, &engine, &err);
    if (!result->status) {
        bcam_engine_get_info(engine, &info, NULL);
        result->batch = info.batch;
        compute_all(engine, result, &err);
    }
    bcam_engine_close(&engine);
    snprintf(result->message, sizeof result->message, "%s", result->status ? err.message : "");
}

/* ---- what is wrong with it ---- */

/* Another engine may sum in another order. NaN: the photo was refused. */
static bool is_right(const outcome *result, const outcome *good)
{
    double largest = 0;
    bool right = result->status || result->item == good->item;
    for (size_t i = 0; i < PHOTOS * good->item; i++)
        largest = fmax(largest, fabs((double)good->maps[i]));
    for (size_t i = 0; i < PHOTOS * good->item && right; i++)
        right = isnan(result->maps[i]) ? result->status != BCAM_OK
                                       : fabs((double)(result->maps[i] - good->maps[i])) <= 1e-4 * largest;
    return right;
}

/* How a call fails: as it usually does, for want of memory, otherwise. */
typedef struct fault {
    const char *call;
    long nth;
    int code;
    bool async, memory; /* memory: smaller batches may be tried */
} fault;

static const char *fault_of(const fault *f, const outcome *result, const outcome *good, char *text, size_t size)
{
    if (bcam_fake_live(text, size))
        return "left alive";
    if (bcam_fake_misuses())
        return "the card was misused";
    if (!is_right(result, good))
        return "a wrong result";
    if (result->status == BCAM_OK && f->async)
        return "work failed and nobody noticed";
    if (result->status == BCAM_OK && (result->batch == BATCH ? result->halved != 0 : !f->memory || result->halved != 1))
        return "the batch was halved without need or without one notice";
    if (result->status == BCAM_OK)
        return NULL;
    if (result->status != BCAM_E_DEVICE && result->status != BCAM_E_UNSUPPORTED &&
        !(f->memory && result->status == BCAM_E_MEMORY))
        return "an odd status";
    return strlen(result->message) < 20 || strchr(result->message, '\n') ? "no sentence" : NULL;
}

/* cublasCreate_v2 is what its header makes of cublasCreate. */
static bool names_call(const char *message, const char *call)
{
    char name[64];
    snprintf(name, sizeof name, "%s", call);
    char *version = strstr(name, "_v2");
    if (version)
        *version = '\0';
    return strstr(message, name) != NULL;
}

/* ---- which calls fail ---- */

typedef struct site {
    char name[64];
    long calls;
} site;

static int list_sites(bool async, site sites[MOST_NAMES])
{
    int count = 0;
    const char *name;
    for (int i = 0; (name = bcam_fake_name(i)) != NULL; i++) {
        const char *at = strchr(name, '@');
        if ((at != NULL) != async)
            continue;
        cr_assert_lt(count, MOST_NAMES);
        snprintf(sites[count].name, sizeof sites[count].name, "%.*s", at ? (int)(at - name) : 63, name);
        sites[count++].calls = (long)bcam_fake_calls(name);
    }
    return count;
}

static unsigned long next_random(unsigned long *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Which calls of a name fail, rising: one in each of some parts, beside the first and the last. To be freed. */
static long *choose_calls(long calls, unsigned long *random, int *count)
{
    bool all = getenv("BCAM_FAULTS") != NULL;
    long *nth = malloc((size_t)calls * sizeof *nth), behind = 0;
    long first = all ? calls : FIRST, last = calls - LAST + 1, inner = last - first - 1;
    *count = 0;
    for (long i = 1; i <= calls; i++) {
        long part = inner > 0 ? (i - first - 1) * BETWEEN / inner : 0;
        bool chosen = i <= first || i >= last;
        if (!chosen && i >= behind) {
            long next = first + 1 + (inner * (part + 1) + BETWEEN - 1) / BETWEEN;
            chosen = next_random(random) % (unsigned long)(next - i) == 0;
            behind = chosen ? next : behind;
        }
        if (chosen)
            nth[(*count)++] = i;
    }
    return nth;
}

static fault make_fault(const site *s, long nth, int way, bool async)
{
    bool dnn = strncmp(s->name, "cudnn", 5) == 0, blas = strncmp(s->name, "cublas", 6) == 0;
    const int memory = dnn    ? CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED
                       : blas ? CUBLAS_STATUS_ALLOC_FAILED
                              : cudaErrorMemoryAllocation;
    const int other = dnn ? CUDNN_STATUS_NOT_SUPPORTED : blas ? CUBLAS_STATUS_INTERNAL_ERROR : cudaErrorUnknown;
    const int codes[] = {0, other, memory};
    return (fault){s->name, nth, async ? 0 : codes[way % 3], async, !async && way % 3 != 1};
}

/* ---- the sweep ---- */

static char under_way[128];

static void hang(int signal)
{
    (void)signal;
    if (write(STDERR_FILENO, under_way, strlen(under_way)) >= 0)
        _exit(1);
}

typedef struct tally {
    int bad, refused, survived, unnamed;
} tally;

static void fail_once(const network *net, const fault *f, const outcome *good, outcome *result, tally *sum)
{
    char text[256];
    bcam_fake_reset();
    bcam_fake_fail(f->call, f->nth, f->code, f->async);
    snprintf(under_way, sizeof under_way, "%s%s, call %ld, code %d, hangs\n", f->call, f->async ? "@" : "", f->nth,
             f->code);
    alarm(SECONDS);
    run(net, result);
    alarm(0);
    const char *what = bcam_fake_failed() ? fault_of(f, result, good, text, sizeof text) : "was never called";
    if (what && ++sum->bad <= 40)
        cr_log_error("%s, %s%s, call %ld, fails with %d: %s (%s) %s", net->model, f->call, f->async ? "@" : "", f->nth,
                     f->code, what, text, result->message);
    sum->refused += result->status != BCAM_OK;
    sum->survived += result->status == BCAM_OK;
    if (!f->async && result->status && !names_call(result->message, f->call) && ++sum->unnamed <= 10)
        cr_log_error("%s, call %ld, fails with %d and is not named: %s", f->call, f->nth, f->code, result->message);
}

static void sweep(const network *net, bool async)
{
    static site sites[MOST_NAMES];
    outcome *good = malloc(sizeof *good), *result = malloc(sizeof *result);
    const char *given = getenv("BCAM_SEED");
    unsigned long seed = given ? strtoul(given, NULL, 0) : (unsigned long)time(NULL), random = seed;
    tally sum = {0};
    /* Where nothing can be kept, which is no error: or a later run would make fewer calls. */
    setenv("XDG_CACHE_HOME", "/dev/null/none", 1);
    signal(SIGALRM, hang);
    bcam_fake_set_eager(false);
    bcam_fake_reset();
    run(net, good);
    cr_assert_eq(good->status, BCAM_OK, "%s", good->message);
    cr_assert_gt(bcam_fake_calls("cudaGraphLaunch@"), 0u);
    int names = list_sites(async, sites);
    for (int i = 0; i < names; i++) {
        int count;
        long *nth = choose_calls(sites[i].calls, &random, &count);
        for (int k = 0; k < count; k++) {
            fault f = make_fault(&sites[i], nth[k], k + i, async);
            fail_once(net, &f, good, result, &sum);
        }
        cr_expect_gt(count, 0, "%s was never failed", sites[i].name);
        free(nth);
    }
    bcam_fake_reset();
    run(net, result);
    cr_expect(result->status == BCAM_OK && is_right(result, good), "the run after all failures: %s", result->message);
    printf(
        "%s%s%s: of %d different calls %d failures ended the run with a sentence, %d were got over (BCAM_SEED=%lu)\n",
        net->model, net->deterministic ? "" : ", timed", async ? ", while working" : "", names, sum.refused,
        sum.survived, seed);
    cr_expect_eq(sum.bad, 0, "%d of %d failures went wrong", sum.bad, sum.refused + sum.survived);
    cr_expect_eq(sum.unnamed, 0, "%d sentences do not name the call", sum.unnamed);
    cr_expect_gt(sum.refused, names / 2);
    free(good);
    free(result);
}

static const network whole = {"multi_consumer", "a", true}, timed = {"const_flatten_gemm", "relu1", false};

Test(plugin_faults, calls)
{
    sweep(&whole, false);
}

Test(plugin_faults, calls_of_a_timed_run)
{
    sweep(&timed, false);
}

Test(plugin_faults, work)
{
    sweep(&whole, true);
}

Test(plugin_faults, work_of_a_timed_run)
{
    sweep(&timed, true);
}

/* ---- a card of any size: too small ends with a sentence that says so ---- */

static void run_with(size_t bytes, const outcome *good, outcome *result)
{
    char text[256];
    bcam_fake_reset();
    bcam_fake_set_memory(bytes);
    run(&whole, result);
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0u, "%zu bytes: %s", bytes, text);
    cr_assert_eq(bcam_fake_misuses(), 0, "%zu bytes", bytes);
    cr_assert(is_right(result, good), "%zu bytes: a wrong result", bytes);
    if (result->status)
        cr_assert(result->status == BCAM_E_MEMORY && strstr(result->message, "not even one photo fits"),
                  "%zu bytes: %s", bytes, result->message);
    else
        cr_assert_eq(result->halved, result->batch < BATCH, "%zu bytes: %d notices", bytes, result->halved);
}

Test(plugin_faults, memory)
{
    outcome *good = malloc(sizeof *good), *result = malloc(sizeof *result);
    size_t least = 1 << 10, enough = (size_t)1 << 28;
    setenv("XDG_CACHE_HOME", "/dev/null/none", 1);
    bcam_fake_reset();
    run(&whole, good);
    for (size_t bytes = least; bytes < enough; bytes += bytes / 2)
        run_with(bytes, good, result);
    run_with(enough, good, result);
    cr_assert_eq(result->batch, BATCH);
    while (enough - least > 1) { /* what a whole batch needs, to the byte */
        size_t half = least + (enough - least) / 2;
        run_with(half, good, result);
        if (result->status == BCAM_OK && result->batch == BATCH)
            enough = half;
        else
            least = half;
    }
    run_with(least, good, result);
    cr_assert(result->status == BCAM_OK && result->batch == BATCH / 2, "%zu bytes: %s", least, result->message);
    printf("%zu bytes hold a whole batch, %zu do not\n", enough, least);
    free(good);
    free(result);
}
