/* Runs over archives: the same maps as of files, from a pipe too; damage, targets, and what standard input cannot give. */
#include "run_fixture.h"
#include "seed.h"
#include "tar_build.h"

enum { PHOTOS = 11 };

/* Photos of both kinds in folders, a broken one among them; an archive of the same, each with a label before or behind it; a list that says the same. */
static tar_file make_photos(fix_job *job, bool labels)
{
    tar_file tar = {0};
    char list[2000] = "file,label\n";
    size_t used = strlen(list);
    for (int i = 0; i < PHOTOS; i++) {
        const char *name = fix_text("photos/%c/%02d.%s", "abc"[i / 4], i, i % 3 == 1 ? "png" : "jpg");
        const char *cls = fix_text("photos/%c/%02d.cls", "abc"[i / 4], i), *label = fix_text("%d", i % 3);
        size_t bytes;
        if (i == 5)
            fix_truncated(fix_in(job, "%s", name), 5);
        else
            (i % 3 == 1 ? fix_png : fix_jpeg)(fix_in(job, "%s", name), (uint64_t)i + 1, 20 + 7 * i, 50 - 2 * i);
        char *data = fix_read(fix_in(job, "%s", name), &bytes);
        if (labels && i % 2)
            tar_put_text(&tar, cls, label);
        tar_put(&tar, (tar_style)(i % 3), name, data, bytes);
        if (labels && i % 2 == 0)
            tar_put_text(&tar, cls, label);
        free(data);
        used += (size_t)snprintf(list + used, sizeof list - used, "%s,%s\n", name, label);
    }
    tar_end(&tar);
    tar_write(fix_in(job, "x.tar"), &tar, tar.size);
    fix_write_text(fix_in(job, "list.csv"), list);
    return tar;
}

static void run_into(fix_job *job, const char *image, const char *out)
{
    job->images[0] = image;
    job->options.out_dir = out;
    fix_run(job);
}

Test(run_tar, the_same_as_of_files, .timeout = 120)
{
    fix_job *job = fix_open(3, true);
    tar_file tar = make_photos(job, true);
    char of_files[300], of_tar[300], of_pipe[300];
    snprintf(of_files, sizeof of_files, "%s/of_files", job->root);
    snprintf(of_tar, sizeof of_tar, "%s/of_tar", job->root);
    snprintf(of_pipe, sizeof of_pipe, "%s/of_pipe", job->root);
    run_into(job, fix_in(job, "list.csv"), of_files);
    cr_assert(job->summary.images == PHOTOS && job->summary.unreadable == 1 && !isnan(job->summary.labelled_accuracy));
    double accuracy = job->summary.labelled_accuracy;
    run_into(job, fix_in(job, "x.tar"), of_tar);
    cr_assert_eq(job->summary.labelled_accuracy, accuracy);
    fix_expect_same_runs(of_files, of_tar);
    pid_t child = tar_pipe(&tar, tar.size);
    run_into(job, "-", of_pipe);
    waitpid(child, NULL, 0);
    fix_expect_same_runs(of_files, of_pipe);
    cr_assert_eq(system(fix_text("gzip '%s'", fix_in(job, "x.tar"))), 0);
    job->options.overwrite = true;
    job->options.engine.batch = 3; /* more batches than one, whose slots are used again */
    run_into(job, fix_in(job, "x.tar.gz"), of_pipe);
    fix_expect_same_runs(of_files, of_pipe);
    fix_expect_field(of_pipe, "counts.images", "11");
    tar_fini(&tar);
    fix_close(job);
}

/* ---- progress ---- */

typedef struct watch {
    int calls, stop_after;
    bcam_progress last;
} watch;

static bool note(void *data, const bcam_progress *p)
{
    watch *w = data;
    w->last = *p;
    return ++w->calls != w->stop_after;
}

static bcam_status run_watched(fix_job *job, const tar_file *tar, size_t bytes, watch *w)
{
    job->images[0] = "-";
    pid_t child = tar_pipe(tar, bytes);
    memset(&job->err, 0, sizeof job->err);
    bcam_status status = bcam_run(&job->options, note, w, &job->summary, &job->err);
    close(STDIN_FILENO); /* who still writes is told */
    waitpid(child, NULL, 0);
    return status;
}

Test(run_tar, how_many_come_is_not_known, .timeout = 60)
{
    fix_job *job = fix_open(3, true);
    tar_file tar = make_photos(job, false);
    watch w = {0}, stopped = {.stop_after = 2};
    tar_put_text(&tar, "notes.txt", "behind the end of an archive may stand another");
    job->options.engine.batch = 2;
    cr_assert_eq(run_watched(job, &tar, tar.size, &w), BCAM_OK, "%s", job->err.message);
    cr_assert(w.last.total == -1 && w.last.done == PHOTOS && w.last.failed == 1);
    cr_assert_eq(job->summary.left_out, 1);
    fix_expect_field(job->out, "counts.left_out_type", "1");
    job->options.overwrite = true;
    cr_assert_eq(run_watched(job, &tar, tar.size, &stopped), BCAM_E_STOPPED);
    cr_assert_str_eq(job->err.message, "stopped after 2 photos; what was written is valid");
    fix_expect_rows(job->out, "SELECT count(*) FROM images", "2\n");
    job->options.engine.batch = 16; /* what ends the input ends the run, too: that is a stop, not damage */
    cr_assert_eq(run_watched(job, &tar, tar.size / 2 / 512 * 512 + 30, &(watch){.stop_after = 2}), BCAM_E_STOPPED);
    job->options.limit = 5;
    cr_assert_eq(run_watched(job, &tar, tar.size, &(watch){0}), BCAM_OK, "%s", job->err.message);
    cr_assert_eq(job->summary.images, 5);
    job->options.limit = 0;
    job->options.engine.batch = 0; /* not known: the usual one */
    cr_assert_eq(run_watched(job, &tar, tar.size, &(watch){0}), BCAM_OK, "%s", job->err.message);
    fix_expect_field(job->out, "batch", "16");
    tar_fini(&tar);
    fix_close(job);
}

/* ---- damage ---- */

/* What came before the damage is written, the batch that is not full included; the run ends with a sentence. */
Test(run_tar, cut_off, .timeout = 60)
{
    fix_job *job = fix_open(3, true);
    tar_file tar = make_photos(job, true);
    char whole[300], rows[2000];
    snprintf(whole, sizeof whole, "%s/whole", job->root);
    run_into(job, fix_in(job, "x.tar"), whole);
    snprintf(rows, sizeof rows, "%s", fix_rows(whole, "SELECT path, label, outcome FROM images ORDER BY id"));
    size_t cuts[] = {tar.size - 1024 - 100, tar.size / 2 / 512 * 512 + 30, tar.size / 3 / 512 * 512 + 400};
    job->options.out_dir = job->out;
    job->options.overwrite = true;
    for (size_t i = 0; i < 2 * BCAM_COUNT(cuts); i++) {
        size_t bytes = cuts[i / 2];
        tar_write(fix_in(job, "cut.tar"), &tar, bytes);
        job->images[0] = fix_in(job, "cut.tar");
        bcam_status status = i % 2 ? run_watched(job, &tar, bytes, &(watch){0}) : fix_try(job);
        cr_assert_eq(status, BCAM_E_INPUT, "%s", job->err.message);
        cr_assert(strstr(job->err.message, i % 2 ? "standard input" : "cut.tar"), "%s", job->err.message);
        const char *before = fix_rows(job->out, "SELECT path, label, outcome FROM images ORDER BY id");
        cr_assert(*before && strncmp(rows, before, strlen(before)) == 0, "%s", before);
        fix_expect_field(job->out, "status", "failed");
        fix_expect_field(job->out, "message", job->err.message);
    }
    tar_fini(&tar);
    fix_close(job);
}

Test(run_tar, nothing_is_written_where_there_is_nothing)
{
    fix_job *job = fix_open(3, true);
    tar_file tar = {0};
    fix_write_text(fix_in(job, "text.tar"), "no archive");
    job->images[0] = fix_in(job, "text.tar");
    fix_refused(job, BCAM_E_INPUT, "text.tar", NULL);
    tar_put_text(&tar, "a.txt", "no photo");
    tar_end(&tar);
    tar_write(fix_in(job, "none.tar"), &tar, tar.size);
    job->images[0] = fix_in(job, "none.tar");
    fix_refused(job, BCAM_E_INPUT, "no photos", "none.tar", NULL);
    job->images[0] = job->images[1] = "-";
    job->options.image_count = 2;
    fix_refused(job, BCAM_E_INPUT, "only once", NULL);
    job->options.image_count = 1;
    job->options.engine.precision = BCAM_PRECISION_AUTO;
    fix_refused(job, BCAM_E_ARGUMENT, "precision", "standard input", NULL);
    job->options.engine.precision = BCAM_PRECISION_DEFAULT;
    cr_assert_eq(run_watched(job, &tar, tar.size, &(watch){0}), BCAM_E_INPUT);
    cr_assert(strstr(job->err.message, "no photos"), "%s", job->err.message);
    fix_expect_field(job->out, "status", "failed");
    tar_fini(&tar);
    fix_close(job);
}

/* ---- targets, precisions, memory ---- */

Test(run_tar, a_target_file, .timeout = 60)
{
    fix_job *job = fix_open(3, true);
    tar_file tar = make_photos(job, true);
    char rows[2000] = "file,class\n";
    for (int i = 0; i < PHOTOS; i++)
        snprintf(rows + strlen(rows), sizeof rows - strlen(rows), "photos/%c/%02d.%s,%d\n", "abc"[i / 4], i,
                 i % 3 == 1 ? "png" : "jpg", (i + 1) % 3);
    fix_write_text(job->csv, rows);
    job->targets[0] = job->csv;
    job->options.target_count = 1;
    job->images[0] = fix_in(job, "x.tar");
    fix_run(job);
    const char *of_tar = fix_rows(job->out, "SELECT image_id, class FROM maps");
    job->options.overwrite = true;
    cr_assert_eq(run_watched(job, &tar, tar.size, &(watch){0}), BCAM_OK, "%s", job->err.message);
    fix_expect_rows(job->out, "SELECT image_id, class FROM maps", of_tar);

    fix_write_text(job->csv, fix_text("%sphotos/other.jpg,1\n",
                                      rows)); /* a row that no photo has is seen where all can be known */
    cr_assert_eq(run_watched(job, &tar, tar.size, &(watch){0}), BCAM_OK, "%s", job->err.message);
    job->options.out_dir = fix_in(job, "out2");
    job->images[0] = fix_in(job, "x.tar");
    cr_assert_eq(fix_try(job), BCAM_E_CLASS);
    cr_assert(strstr(job->err.message, "other.jpg") && !fix_exists(fix_in(job, "out2")), "%s", job->err.message);

    *strstr(rows, "photos/c") = '\0'; /* a photo that has no row ends the run, where it cannot be known before */
    fix_write_text(job->csv, rows);
    job->options.engine.batch = 3;
    cr_assert_eq(run_watched(job, &tar, tar.size, &(watch){0}), BCAM_E_CLASS);
    cr_assert(strstr(job->err.message, "photos/c/08.jpg"), "%s", job->err.message);
    fix_expect_rows(fix_in(job, "out2"), "SELECT count(*) FROM images", "8\n");
    tar_fini(&tar);
    fix_close(job);
}

Test(run_tar, labels_by_name_and_the_first_photos_tried, .timeout = 60)
{
    fix_job *job = fix_open(3, true);
    tar_file tar = make_photos(job, false);
    size_t bytes;
    char *data = fix_read(fix_in(job, "photos/a/00.jpg"), &bytes);
    tar_put(&tar, TAR_PLAIN, "z.jpg", data, bytes);
    tar_put_text(&tar, "z.cls", "dog\n");
    tar_put_text(&tar, "y.json", "{\"label\": \"Cat\"}");
    tar_put(&tar, TAR_PLAIN, "y.jpg", data, bytes);
    tar_put(&tar, TAR_PLAIN, "w.jpg", data, bytes);
    tar_put_text(&tar, "w.cls", "wolf");
    tar_end(&tar);
    tar_write(fix_in(job, "x.tar"), &tar, tar.size);
    fix_write_text(job->names, "cat\ndog\nowl\n");
    job->options.names = job->names;
    job->targets[0] = "label";
    job->options.target_count = 1;
    job->options.engine.precision = BCAM_PRECISION_AUTO;
    job->images[0] = fix_in(job, "x.tar");
    fix_run(job);
    fix_expect_rows(job->out, "SELECT path, label, outcome FROM images WHERE path NOT LIKE 'p%' ORDER BY path",
                    "w.jpg|NULL|no_label\ny.jpg|0|ok\nz.jpg|1|ok\n");
    cr_assert(strstr(fix_lines, "'wolf'"), "%s", fix_lines);
    fix_expect_field(job->out, "precision_trial.photos", "2");
    free(data);
    tar_fini(&tar);
    fix_close(job);
}

/* Each allocation of a run fails once: an error that says so, or a row that does. */
Test(run_tar, memory_runs_out, .timeout = 300)
{
    fix_job *job = fix_open(3, true);
    tar_file tar = make_photos(job, true);
    job->images[0] = fix_in(job, "x.tar");
    job->options.overwrite = true;
    job->options.engine.batch = 4;
    fix_run(job);
    int64_t calls = bcam_alloc_calls();
    fix_run(job);
    calls = bcam_alloc_calls() - calls;
    uint64_t seed = test_seed();
    for (int64_t nth = 1; nth <= calls; nth += 1 + (int64_t)(bcam_random(&seed) % 15)) {
        memset(&job->err, 0, sizeof job->err);
        bcam_alloc_fail_at(nth, false);
        bcam_status status = bcam_run(&job->options, NULL, NULL, &job->summary, &job->err);
        bcam_alloc_fail_at(0, false);
        cr_assert(status == BCAM_OK || strstr(job->err.message, "memory"), "call %lld: %d: %s", (long long)nth,
                  (int)status, job->err.message);
        cr_assert(status != BCAM_OK || job->summary.images == PHOTOS, "call %lld", (long long)nth);
        cr_assert_eq(bcam_alloc_live(), 0, "call %lld", (long long)nth);
    }
    tar_fini(&tar);
    fix_close(job);
}
