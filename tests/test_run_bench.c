/* test_run_bench.c - bcam_bench: every stage of every row is there, with numbers that can be; nothing is left behind; what is refused. No time is
 * held against anything. */
#include <dirent.h>
#include <math.h>

#include "cpu/cpu.h"
#include "run/measuring.h"
#include "run_fixture.h"

typedef struct seen {
    bcam_bench_row row[8];
    char precision[8][8];
    int count;
    int64_t calls, stop_after; /* of progress; 0: never */
} seen;

static void note(void *data, const bcam_bench_row *row)
{
    seen *s = data;
    cr_assert(s->count < 8);
    cr_expect(strstr(row->device, "cpu") && *row->layer && *row->bound && *row->model);
    snprintf(s->precision[s->count], sizeof s->precision[0], "%s", row->precision);
    s->row[s->count++] = *row;
}

static bool count_calls(void *data, const bcam_progress *progress)
{
    seen *s = data;
    (void)progress;
    return ++s->calls != s->stop_after;
}

static int entries(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    cr_assert_not_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

static bcam_bench_options options_of(const fix_job *job, const char *folder)
{
    return (bcam_bench_options){.run = {.model = job->model, .limit = 6, .engine = {.device = "cpu", .threads = 2}},
                                .folder = folder,
                                .seed = 7};
}

static void expect_number(double number, const char *what, const char *of)
{
    cr_expect(isfinite(number) && number >= 0, "%s of %s is %g", what, of, number);
}

static void expect_row(const bcam_bench_row *row, int64_t images, bool files)
{
    cr_expect_eq(row->images, images);
    for (int s = 0; s < BCAM_BENCH_STAGES; s++) {
        const bcam_bench_stage *stage = &row->stage[s];
        cr_expect_str_eq(stage->name, bcam_stage_name((bcam_stage)s));
        expect_number(stage->alone, "alone", stage->name);
        expect_number(stage->stream, "stream", stage->name);
        cr_expect(stage->threads >= 1);
        bool must = s != BCAM_STAGE_ENCODE && (files || s != BCAM_STAGE_WRITE);
        cr_expect((stage->alone > 0) == must, "%s alone takes %g s", stage->name, stage->alone);
    }
    const double numbers[] = {row->images_per_second_no_files,
                              row->ready_seconds,
                              row->efficiency,
                              row->gflop,
                              row->bytes,
                              row->bytes_read,
                              row->peak_flops,
                              row->peak_memory};
    for (size_t i = 0; i < BCAM_COUNT(numbers); i++)
        cr_expect(isfinite(numbers[i]) && numbers[i] > 0, "number %zu is %g", i, numbers[i]);
    cr_expect((row->images_per_second > 0) == files && (row->bytes_written > 0) == files &&
              (row->peak_disk > 0) == files);
    cr_expect(row->convs_left_out >= 0 && row->convs_left_out <= row->convs && row->convs > 0);
}

Test(run_bench, photos_are_made_and_nothing_is_left)
{
    fix_job *job = fix_open(3, true);
    char *folder = strdup(fix_folder());
    bcam_bench_options o = options_of(job, folder);
    seen s = {0};
    bcam_error err = {0};
    cr_assert_eq(bcam_bench(&o, note, count_calls, &s, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(s.count, 1);
    expect_row(&s.row[0], 6, true);
    cr_expect(s.row[0].synthetic && s.calls > 0);
    cr_expect_eq(entries(folder), 0);
    fix_remove(folder);
    free(folder);
    fix_close(job);
}

Test(run_bench, a_row_for_each_batch_and_precision)
{
    const int batches[] = {1, 4};
    const bcam_precision precisions[] = {BCAM_PRECISION_FP32, BCAM_PRECISION_DEFAULT};
    fix_job *job = fix_open(3, true);
    char *folder = strdup(fix_folder());
    for (int i = 0; i < 5; i++)
        fix_jpeg(fix_in(job, "photos/%02d.jpg", i), (uint64_t)i, 40 + i, 30);
    fix_write_text(fix_in(job, "photos/broken.jpg"), "no photo");
    bcam_bench_options o = options_of(job, folder);
    o.run.images = job->images;
    o.run.image_count = 1;
    o.run.limit = 0;
    o.run.no_files = true;
    o.batches = batches;
    o.batch_count = 2;
    o.precisions = precisions;
    o.precision_count = 2;
    seen s = {0};
    bcam_error err = {0};
    cr_assert_eq(bcam_bench(&o, note, NULL, &s, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(s.count, 4);
    for (int i = 0; i < 4; i++) {
        expect_row(&s.row[i], 6, false);
        cr_expect_eq(s.row[i].batch, batches[i % 2]);
        cr_expect_str_eq(s.precision[i], "fp32");
        cr_expect(!s.row[i].synthetic && s.row[i].photo_width == 40 && s.row[i].photo_height == 30);
    }
    cr_expect_eq(entries(folder), 0);
    fix_remove(folder);
    free(folder);
    fix_close(job);
}

Test(run_bench, overlays_are_measured_where_they_are_written)
{
    fix_job *job = fix_open(3, false);
    char *folder = strdup(fix_folder());
    bcam_bench_options o = options_of(job, folder);
    o.run.overlay = true;
    seen s = {0};
    bcam_error err = {0};
    cr_assert_eq(bcam_bench(&o, note, NULL, &s, &err), BCAM_OK, "%s", err.message);
    cr_expect(s.row[0].stage[BCAM_STAGE_ENCODE].alone > 0);
    fix_remove(folder);
    free(folder);
    fix_close(job);
}

/* What is measured of a card goes through the device interface, which the CPU has as well. */
Test(run_bench, ceilings_of_a_device)
{
    const bcam_device_options o = {.threads = 2};
    bcam_device *device = NULL;
    bcam_bench_row row = {0};
    bcam_error err = {0};
    cr_assert_eq(bcam_cpu_device.open(&o, &device, &err), BCAM_OK, "%s", err.message);
    cr_expect_eq(bcam_bench_card(&bcam_cpu_device, device, 64, 4096, &row, &err), BCAM_OK, "%s", err.message);
    expect_number(row.peak_flops, "products", "a device");
    cr_expect(row.peak_pcie_in > 0 && row.peak_pcie_out > 0);
    bcam_cpu_device.close(&device);
}

/* Where stages run beside each other, the slowest group of them counts; in turns, all do. */
Test(run_bench, what_bounds_a_run)
{
    bcam_bench_row row = {.threads = 2, .images_per_second = 100};
    for (int s = 0; s < BCAM_STAGE_COUNT; s++)
        row.stage[s] = (bcam_bench_stage){bcam_stage_name((bcam_stage)s), 1, 0.0001, 0.0001};
    row.stage[BCAM_STAGE_DECODE] = (bcam_bench_stage){"decode", 2, 0.010, 0.012};
    row.stage[BCAM_STAGE_FORWARD] = (bcam_bench_stage){"forward", 1, 0.008, 0.009};
    bcam_bench_judge(&row, true);
    cr_expect(strstr(row.bound, "the card bounds the run") && strstr(row.bound, "next is reading and decoding"), "%s",
              row.bound);
    cr_expect_float_eq(row.efficiency, 100 * 0.0082, 1e-9);
    bcam_bench_judge(&row, false);
    cr_expect(strstr(row.bound, "decode bounds the run") && strstr(row.bound, "next is forward"), "%s", row.bound);
    cr_expect_float_eq(row.efficiency, 100 * (0.018 + 0.0007) / 2, 1e-9);
}

/* A stop at any of the first questions, and nothing is left. */
Test(run_bench, a_stop_leaves_nothing)
{
    fix_job *job = fix_open(3, true);
    char *folder = strdup(fix_folder());
    bcam_bench_options o = options_of(job, folder);
    for (int64_t after = 1; after < 30; after += 11) {
        seen s = {.stop_after = after};
        bcam_error err = {0};
        bcam_status status = bcam_bench(&o, note, count_calls, &s, &err);
        cr_expect(status == BCAM_OK || (status == BCAM_E_STOPPED && *err.message), "%d: %s", status, err.message);
        cr_expect_eq(entries(folder), 0);
    }
    fix_remove(folder);
    free(folder);
    fix_close(job);
}

static void expect_refusal(const bcam_bench_options *o, bcam_status want, const char *words)
{
    seen s = {0};
    bcam_error err = {0};
    bcam_status status = bcam_bench(o, note, NULL, &s, &err);
    cr_expect(status == want && strstr(err.message, words), "%d: %s", status, err.message);
    cr_expect_eq(s.count, 0);
}

Test(run_bench, what_is_refused)
{
    fix_job *job = fix_open(3, true);
    char *folder = strdup(fix_folder());
    const int batches[] = {8, 0};
    bcam_bench_options o = options_of(job, folder);
    o.run.model = NULL;
    expect_refusal(&o, BCAM_E_ARGUMENT, "name a model");
    o.run.model = fix_in(job, "nowhere.onnx");
    expect_refusal(&o, BCAM_E_IO, "nowhere.onnx");
    o = options_of(job, folder);
    o.batches = batches;
    o.batch_count = 2;
    expect_refusal(&o, BCAM_E_ARGUMENT, "a batch of 0");
    o = options_of(job, fix_in(job, "no/such/folder"));
    expect_refusal(&o, BCAM_E_OUTPUT, "no/such/folder");
    o = options_of(job, folder);
    fix_write_text(fix_in(job, "photos/broken.jpg"), "no photo");
    o.run.images = job->images;
    o.run.image_count = 1;
    expect_refusal(&o, BCAM_E_INPUT, "can be read");
    o.run.images = (const char *const[]){"-"};
    expect_refusal(&o, BCAM_E_ARGUMENT, "standard input");
    cr_expect_eq(entries(folder), 0);
    fix_remove(folder);
    free(folder);
    fix_close(job);
}
