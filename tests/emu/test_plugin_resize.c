/* test_plugin_resize.c - the plug-in on stand-ins resizes the photos of a run: the same rows, maps and pictures as when the processor does, whatever
 * the photos are; where a call fails, a sentence, and the next run is good.
 */
#include "fake.h"
#include "run_fixture.h"
#include "seed.h"

/* Batches of three on both pairs of buffers: step by step, captured, replayed; the last is not full. */
static fix_job *open_photos(void)
{
    fix_job *job = fix_open_any_photos(3);
    job->options.overwrite = true;
    job->options.engine.device = "cuda";
    job->options.engine.precision = BCAM_PRECISION_FP32;
    job->options.engine.deterministic = true;
    return job;
}

static void expect_same(const char *a, const char *b)
{
    fix_expect_same_runs(a, b);
    fix_expect_same_pictures(a, b);
}

static void expect_nothing_left(void)
{
    char text[512];
    cr_assert_eq(bcam_fake_live(text, sizeof text), 0, "%s", text);
    cr_assert_eq(bcam_fake_misuses(), 0);
}

typedef struct two_runs {
    char cpu[300], device[300];
} two_runs;

static two_runs places_of(const fix_job *job)
{
    two_runs places;
    snprintf(places.cpu, sizeof places.cpu, "%s/by_cpu", job->root);
    snprintf(places.device, sizeof places.device, "%s/by_device", job->root);
    return places;
}

Test(plugin_resize, the_same_whoever_resizes, .timeout = 300)
{
    fix_job *job = open_photos();
    two_runs at = places_of(job);
    fix_run_resized(job, BCAM_RESIZER_CPU, at.cpu);
    fix_expect_field(at.cpu, "counts.resized_device", "0");
    fix_run_resized(job, BCAM_RESIZER_DEVICE, at.device);
    expect_same(at.cpu, at.device);
    fix_expect_field(at.device, "counts.resized_cpu", "1");
    fix_expect_field(at.device, "counts.resized_device", "17");
    for (int eager = 0; eager < 2; eager++) { /* eager: the device has always been done */
        bcam_fake_set_eager(eager);
        fix_run_resized(job, BCAM_RESIZER_AUTO, at.device);
        expect_same(at.cpu, at.device);
        cJSON *json = fix_json(at.device);
        printf("auto: %s by the processor, %s by the device\n", fix_field(json, "counts.resized_cpu"),
               fix_field(json, "counts.resized_device"));
        cJSON_Delete(json);
    }
    expect_nothing_left();
    fix_close(job);
}

/* More classes than one run of the backward pass has room for: it is run again without the photos. */
Test(plugin_resize, several_runs_of_a_batch, .timeout = 300)
{
    fix_job *job = open_photos();
    two_runs at = places_of(job);
    fix_model(job->model, 19, true);
    job->options.targets = (const char *const[]){"top11"};
    job->options.target_count = 1;
    job->options.limit = 7;
    fix_run_resized(job, BCAM_RESIZER_CPU, at.cpu);
    fix_run_resized(job, BCAM_RESIZER_DEVICE, at.device);
    expect_same(at.cpu, at.device);
    expect_nothing_left();
    fix_close(job);
}

/* Each of these calls fails once, somewhere in a run. */
Test(plugin_resize, calls_that_fail, .timeout = 600)
{
    static const char *const calls[] = {"cudaMalloc",       "cudaHostAlloc",       "cudaMemcpyAsync",
                                        "cudaMemcpyAsync@", "cudaStreamWaitEvent", "cudaGraphLaunch",
                                        "cudaLaunchKernel", "cudaLaunchKernel@"};
    uint64_t seed = test_seed();
    fix_job *job = open_photos();
    two_runs at = places_of(job);
    job->options.overlay = false;
    fix_run_resized(job, BCAM_RESIZER_CPU, at.cpu);
    for (size_t i = 0; i < BCAM_COUNT(calls); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", calls[i]);
        bool async = name[strlen(name) - 1] == '@';
        bcam_fake_reset();
        fix_run_resized(job, BCAM_RESIZER_DEVICE, at.device);
        unsigned long count = bcam_fake_calls(name);
        cr_assert_gt(count, 0, "%s", name);
        if (async)
            name[strlen(name) - 1] = '\0';
        bcam_fake_reset();
        bcam_fake_fail(name, (long)(bcam_random(&seed) % count) + 1, 0, async);
        bcam_status status = fix_try(job);
        cr_assert_not_null(bcam_fake_failed(), "%s", calls[i]);
        if (status == BCAM_OK)
            fix_expect_same_runs(at.cpu, at.device);
        else
            cr_assert(strstr(job->err.message, "cuda"), "%s: %s", calls[i], job->err.message);
        expect_nothing_left();
        bcam_fake_reset();
    }
    fix_close(job);
}
