/* test_run_bad_output.c - an output folder that will not do, a disk that fills, and lists that do not fit the model: one sentence that names the
 * thing, nothing overwritten, and what was written valid. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "run_fixture.h"
#include "seed.h"

static void add_photos(const fix_job *job, int count)
{
    for (int i = 0; i < count; i++)
        fix_jpeg(fix_in(job, "photos/%02d.jpg", i), (uint64_t)i, 40 + i, 30);
}

static void expect_words(const char *what, const char *message, const char *words)
{
    fprintf(stderr, "%-26s %s\n", what, message);
    for (const char *at = words; *at; at += strspn(at, "|")) {
        size_t size = strcspn(at, "|");
        cr_expect(memmem(message, strlen(message), at, size), "%s: '%.*s' is not in: %s", what, (int)size, at, message);
        at += size;
    }
}

/* ---- folders ---- */

static void make_nothing(const char *path)
{
    (void)path;
}

static void make_foreign(const char *path)
{
    fix_write_text(fix_text("%s/letter.txt", path), "precious");
}

static void make_forged(const char *path)
{
    fix_write_text(fix_text("%s/run.json", path), "{\"program\": \"another\"}");
}

static void make_file(const char *path)
{
    fix_write_text(path, "precious");
}

static int held = -1;

static void make_locked(const char *path)
{
    cr_assert_eq(mkdir(path, 0777), 0);
    held = open(path, O_RDONLY | O_DIRECTORY);
    cr_assert_eq(flock(held, LOCK_EX), 0);
}

Test(run_bad_output, folders, .timeout = 60)
{
    static const struct {
        const char *what;
        void (*make)(const char *path);
        const char *below; /* the output folder is this one in it, or, behind a =, another one */
        bool overwrite;
        bcam_status status;
        const char *words;
    } rows[] = {
        {"not ours", make_foreign, "", false, BCAM_E_OUTPUT, "/it'|not a run of batchcam|another"},
        {"not ours, overwrite", make_foreign, "", true, BCAM_E_OUTPUT, "/it'|not a run of batchcam|another"},
        {"another's run.json", make_forged, "", true, BCAM_E_OUTPUT, "/it'|not a run of batchcam"},
        {"a file", make_file, "", true, BCAM_E_OUTPUT, "/it'|not a folder"},
        {"below a file", make_file, "/out", false, BCAM_E_IO, "/it/out'|Not a directory"},
        {"a pipe", fix_make_pipe, "", false, BCAM_E_OUTPUT, "/it'|not a folder"},
        {"a link to itself", fix_make_loop, "", false, BCAM_E_IO, "/it'|symbolic links"},
        {"in use", make_locked, "", false, BCAM_E_BUSY, "/it'|another run"},
        {"no name", make_nothing, "=", false, BCAM_E_ARGUMENT, "output"},
        {"where nothing can be made", make_nothing, "=/proc/batchcam", false, BCAM_E_IO, "/proc/batchcam'"},
        {"empty", fix_make_folder, "", false, BCAM_E_OUTPUT, "/it'|exists|--overwrite"},
        {"empty, overwrite", fix_make_folder, "", true, BCAM_OK, ""},
        {"deep down", make_nothing, "/a/b/c", false, BCAM_OK, ""},
    };
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        fix_job *job = fix_open(3, true);
        add_photos(job, 1);
        rows[i].make(fix_in(job, "it"));
        const char *below = rows[i].below;
        snprintf(job->out, sizeof job->out, "%s", *below == '=' ? below + 1 : fix_in(job, "it%s", below));
        job->options.overwrite = rows[i].overwrite;
        bcam_status status = fix_try(job);
        cr_expect_eq(status, rows[i].status, "%s: %d %s", rows[i].what, (int)status, job->err.message);
        expect_words(rows[i].what, job->err.message, rows[i].words);
        if (rows[i].make == make_foreign)
            free(fix_read(fix_in(job, "it/letter.txt"), NULL)); /* still there */
        if (held >= 0)
            close(held);
        held = -1;
        fix_close(job);
    }
}

Test(run_bad_output, a_folder_that_may_not_be_written)
{
    fix_job *job = fix_open(3, true);
    add_photos(job, 1);
    cr_assert_eq(mkdir(fix_in(job, "it"), 0555), 0);
    if (access(fix_in(job, "it"), W_OK) == 0) {
        fix_close(job);
        cr_skip_test("this user may write everywhere");
    }
    snprintf(job->out, sizeof job->out, "%s/it/out", job->root);
    cr_expect_eq(fix_try(job), BCAM_E_IO);
    expect_words("below what is read-only", job->err.message, "/it/out'|ermission");
    fix_close(job);
}

/* ---- a disk that fills: so many bytes fit, then none ---- */

static int64_t room = INT64_MAX;

static ssize_t write_within(int file, const void *data, size_t bytes, off_t offset)
{
    size_t fits = (int64_t)bytes < room ? bytes : (size_t)room;
    if (bytes && !fits) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t written = syscall(SYS_pwrite64, file, data, fits, offset);
    room -= written > 0 ? written : 0;
    return written;
}

/* Both of batchcam's own writes and SQLite's come here. */
ssize_t pwrite(int file, const void *data, size_t bytes, off_t offset)
{
    return write_within(file, data, bytes, offset);
}

ssize_t pwrite64(int file, const void *data, size_t bytes, off_t offset)
{
    return write_within(file, data, bytes, offset);
}

static bool is_complete(const char *dir)
{
    cJSON *json = fix_json(dir);
    bool complete = strcmp(fix_field(json, "status"), "complete") == 0;
    cJSON_Delete(json);
    return complete;
}

Test(run_bad_output, a_disk_that_fills, .timeout = 300)
{
    enum { PHOTOS = 12, TRIALS = 24 };
    uint64_t seed = test_seed(), state = seed;
    fix_job *job = fix_open(3, true);
    char whole[300];
    int kept = 0, full = 0;
    add_photos(job, PHOTOS);
    job->options.overlay = true;
    fix_run(job);
    snprintf(whole, sizeof whole, "%s", job->out);
    snprintf(job->out, sizeof job->out, "%s/full", job->root);
    room = INT64_MAX / 2;
    fix_run(job);
    int64_t needed = INT64_MAX / 2 - room;
    job->options.overwrite = true;
    for (int trial = 0; trial < TRIALS; trial++) {
        int64_t given = trial == 0   ? 0
                        : trial == 1 ? needed / 10 * 9
                                     : (int64_t)(bcam_random(&state) % (uint64_t)needed);
        room = given;
        bcam_status status = fix_try(job);
        room = INT64_MAX;
        /* How much is needed depends a little on how often was committed, which the clock decides. */
        cr_assert(status == BCAM_E_FULL || (status == BCAM_OK && trial > 0),
                  "seed %llu, room for %lld of %lld bytes: %d %s", (unsigned long long)seed, (long long)given,
                  (long long)needed, (int)status, job->err.message);
        cr_assert(status == BCAM_OK || (strstr(job->err.message, job->out) && strstr(job->err.message, "make room")),
                  "%s", job->err.message);
        full += status == BCAM_E_FULL;
        int maps = fix_exists(fix_in(job, "full/index.sqlite")) ? fix_check_maps(job->out, whole) : 0;
        kept += maps;
        if (is_complete(job->out)) /* or so little room that the run before stayed as it was */
            cr_assert_eq(maps, PHOTOS);
    }
    fprintf(stderr, "%d times full, %d rows kept\n", full, kept);
    cr_assert_gt(kept, 0);
    fix_run(job); /* the folder is still ours */
    cr_assert_eq(fix_check_maps(job->out, whole), PHOTOS);
    fix_close(job);
}

/* ---- lists that do not fit ---- */

Test(run_bad_output, lists)
{
    static const struct {
        const char *what, *names, *csv, *list; /* the files' contents; NULL: not there */
        bcam_status status;
        const char *words;
    } rows[] = {
        {"names: too few", "a\nb\n", NULL, NULL, BCAM_E_INPUT, "names.txt|2 names|3 classes"},
        {"names: too many", "a\nb\nc\nd\n", NULL, NULL, BCAM_E_INPUT, "names.txt|4 names|3 classes"},
        {"names: none", "", NULL, NULL, BCAM_E_INPUT, "names.txt"},
        {"names: no text", "\x89PNG\1\2\3", NULL, NULL, BCAM_E_INPUT, "names.txt"},
        {"names: JSON of 2", "[\"a\", \"b\"]", NULL, NULL, BCAM_E_INPUT, "names.txt|2 names|3 classes"},
        {"names: JSON cut off", "[\"a\", \"b\"", NULL, NULL, BCAM_E_INPUT, "names.txt"},
        {"targets: none", NULL, "", NULL, BCAM_E_INPUT, "t.csv"},
        {"targets: too few", NULL, "file,class\n00.jpg,1\n", NULL, BCAM_E_CLASS, "t.csv|'01.jpg'"},
        {"targets: unknown photo", NULL, "file,class\n00.jpg,1\n01.jpg,1\n99.jpg,1\n", NULL, BCAM_E_CLASS,
         "t.csv|'99.jpg'"},
        {"targets: unknown class", NULL, "file,class\n00.jpg,1\n01.jpg,3\n", NULL, BCAM_E_CLASS, "t.csv|line 3|'3'"},
        {"targets: an open quote", NULL, "file,class\n\"00.jpg,1\n", NULL, BCAM_E_INPUT, "t.csv|line 2"},
        {"photos: none", NULL, NULL, "", BCAM_E_INPUT, "list.csv"},
        {"photos: an open quote", NULL, NULL, "file\n\"00.jpg\n", BCAM_E_INPUT, "list.csv|line 2"},
    };
    for (size_t i = 0; i < BCAM_COUNT(rows); i++) {
        fix_job *job = fix_open(3, true);
        add_photos(job, 2);
        if (rows[i].names)
            fix_write_text(job->names, rows[i].names);
        if (rows[i].csv)
            fix_write_text(job->csv, rows[i].csv);
        if (rows[i].list)
            fix_write_text(fix_in(job, "list.csv"), rows[i].list);
        job->options.names = rows[i].names ? job->names : NULL;
        job->images[0] = rows[i].list ? fix_in(job, "list.csv") : job->photos;
        job->targets[0] = job->csv;
        job->options.target_count = rows[i].csv != NULL;
        bcam_status status = fix_try(job);
        cr_expect_eq(status, rows[i].status, "%s: %d %s", rows[i].what, (int)status, job->err.message);
        expect_words(rows[i].what, job->err.message, rows[i].words);
        cr_expect_not(fix_exists(job->out));
        fix_close(job);
    }
}

/* Where a file of a few lines should be: none of them is waited for, or read without end. */
Test(run_bad_output, lists_that_are_no_files, .timeout = 60)
{
    static const char *const kinds[] = {"a folder", "a pipe", "a device"};
    for (int kind = 0; kind < 3; kind++)
        for (int what = 0; what < 4; what++) {
            fix_job *job = fix_open(3, true);
            const char *path = fix_in(job, "it.csv");
            add_photos(job, 1);
            if (kind == 0)
                fix_make_folder(path);
            else if (kind == 1)
                fix_make_pipe(path);
            else
                cr_assert_eq(symlink("/dev/zero", path), 0);
            job->options.names = what == 0 ? path : NULL;
            job->targets[0] = path;
            job->options.target_count = what == 1;
            job->options.engine.preprocess = what == 2 ? path : NULL;
            job->images[0] = what == 3 ? path : job->photos;
            bcam_status status = fix_try(job);
            bool photo = what == 3 && kind > 0; /* then it is taken for a photo, and is a row */
            cr_expect_eq(status == BCAM_OK, photo, "%s as %d: %d %s", kinds[kind], what, (int)status, job->err.message);
            if (!photo)
                expect_words(kinds[kind], job->err.message, "it.csv'");
            else
                cr_expect_eq(job->summary.unreadable, 1);
            fix_close(job);
        }
}
