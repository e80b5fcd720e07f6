/* test_run_change.c - what others do to the photos and to the output folder while a run goes on: a photo that changes is a row with its outcome
 * and disturbs no other; an output that is gone ends the run with one sentence, and what was written before is valid. The callback of the run is
 * where it happens, so that nothing waits and nothing depends on the clock. */
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "run_fixture.h"

/* ---- files that change between their size and their bytes, and a clock that runs fast, so that rows are committed one by one ---- */

static ino_t shrinking, failing; /* photos; 0: none */
static bool fast_clock;

static ssize_t read_as_told(long call, int file, void *data, size_t bytes, off_t offset)
{
    struct stat st;
    if (shrinking && fstat(file, &st) == 0 && st.st_ino == shrinking) {
        cr_assert_eq(truncate(fix_text("/proc/self/fd/%d", file), st.st_size / 2), 0);
        shrinking = 0;
    }
    if (failing && fstat(file, &st) == 0 && st.st_ino == failing) {
        errno = EIO;
        return -1;
    }
    return call == SYS_read ? syscall(SYS_read, file, data, bytes) : syscall(SYS_pread64, file, data, bytes, offset);
}

#pragma GCC visibility push(default)
ssize_t read(int file, void *data, size_t bytes)
{
    return read_as_told(SYS_read, file, data, bytes, 0);
}

ssize_t pread(int file, void *data, size_t bytes, off_t offset)
{
    return read_as_told(SYS_pread64, file, data, bytes, offset);
}

ssize_t pread64(int file, void *data, size_t bytes, off_t offset)
{
    return read_as_told(SYS_pread64, file, data, bytes, offset);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static _Atomic long calls;
    long result = syscall(SYS_clock_gettime, clock, now);
    if (fast_clock)
        now->tv_sec += 2 * calls++;
    return (int)result;
}
#pragma GCC visibility pop

/* ---- photos ---- */

static void change_removed(const char *path)
{
    cr_assert_eq(unlink(path), 0);
}

static void change_emptied(const char *path)
{
    cr_assert_eq(truncate(path, 0), 0);
}

static void change_cut(const char *path)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(truncate(path, st.st_size / 2), 0);
}

static void change_text(const char *path)
{
    fix_write_text(path, "no photo");
}

static void change_folder(const char *path)
{
    change_removed(path);
    fix_make_folder(path);
}

static void change_pipe(const char *path)
{
    change_removed(path);
    fix_make_pipe(path);
}

static void change_lost_link(const char *path)
{
    change_removed(path);
    cr_assert_eq(symlink("nowhere", path), 0);
}

static void change_loop(const char *path)
{
    change_removed(path);
    fix_make_loop(path);
}

static void change_shrinking(const char *path)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    shrinking = st.st_ino;
}

static void change_failing(const char *path)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    failing = st.st_ino;
}

static const struct change {
    const char *what;
    void (*change)(const char *path);
    const char *outcome, *words; /* of the message */
} changes[] = {
    {"removed", change_removed, "missing", "no such file"},
    {"emptied", change_emptied, "unreadable", "empty"},
    {"cut in half", change_cut, "unreadable", ""},
    {"another kind", change_text, "unsupported", "neither a JPEG nor a PNG"},
    {"a folder", change_folder, "unreadable", "a folder"},
    {"a pipe", change_pipe, "unreadable", "a pipe"},
    {"a link to nowhere", change_lost_link, "missing", "no such file"},
    {"a link to itself", change_loop, "unreadable", "cannot be opened"},
    {"shorter while it is read", change_shrinking, "unreadable", ""},
    {"a disk that gives up", change_failing, "unreadable", "cannot be read"},
};

/* Far more photos than are read ahead; the last ones change. */
enum { CHANGES = BCAM_COUNT(changes), STEADY = 150, PHOTOS = STEADY + CHANGES };

typedef struct meddler {
    fix_job *job;
    int64_t from; /* photos done when it strikes */
    void (*strike)(fix_job *job);
    bool struck, stop;
} meddler;

static bool meddle(void *data, const bcam_progress *p)
{
    meddler *m = data;
    if (!m->struck && p->done >= m->from) {
        m->strike(m->job);
        m->struck = true;
        return !m->stop;
    }
    return true;
}

static bcam_status run_with(meddler *m)
{
    fix_job *job = m->job;
    job->err = (bcam_error){0};
    fix_lines[0] = '\0';
    bcam_status status = bcam_run(&job->options, meddle, m, &job->summary, &job->err);
    cr_assert(m->struck, "the run ended before anything happened");
    cr_assert_not(strchr(job->err.message, '\n'), "%s", job->err.message);
    return status;
}

static void add_photos(const fix_job *job, int count)
{
    for (int i = 0; i < count; i++)
        fix_jpeg(fix_in(job, "photos/%03d.jpg", i), (uint64_t)i, 40 + i % 7, 30 + i % 5);
}

static void change_photos(fix_job *job)
{
    for (int i = 0; i < CHANGES; i++)
        changes[i].change(fix_in(job, "photos/%03d.jpg", STEADY + i));
}

/* `from` photos are done when the photos change. */
static void check_changes(fix_job *job, int64_t from)
{
    char whole[300];
    add_photos(job, PHOTOS);
    job->options.engine.batch = 2;
    fix_run(job);
    snprintf(whole, sizeof whole, "%s", job->out);
    snprintf(job->out, sizeof job->out, "%s/changed", job->root);
    meddler m = {.job = job, .from = from, .strike = change_photos};
    cr_assert_eq(run_with(&m), BCAM_OK, "%s", job->err.message);
    failing = 0;
    cr_assert(job->summary.images == PHOTOS && job->summary.ok == STEADY, "%lld rows, %lld ok",
              (long long)job->summary.images, (long long)job->summary.ok);
    for (int i = 0; i < CHANGES; i++) {
        const char *row = fix_rows(
            job->out, fix_text("SELECT outcome, message FROM images WHERE path LIKE '%%%03d.jpg'", STEADY + i));
        cr_expect(strncmp(row, changes[i].outcome, strlen(changes[i].outcome)) == 0 && strstr(row, changes[i].words),
                  "%s: %s", changes[i].what, row);
    }
    cr_assert_eq(fix_check_maps(job->out, whole), STEADY); /* the others' maps are what they were */
    static const char steady[] =
        "SELECT count(*), sum(id), min(outcome), sum(width), sum(height) FROM images WHERE id <= 150";
    cr_assert_str_eq(fix_rows(job->out, steady), fix_rows(whole, steady));
    cr_assert_str_eq(fix_lines, "");
    fix_expect_field(job->out, "status", "complete");
}

Test(run_change, photos_of_a_folder, .timeout = 120)
{
    fix_job *job = fix_open(3, true);
    check_changes(job, 2);
    fix_close(job);
}

Test(run_change, photos_of_a_list, .timeout = 120)
{
    fix_job *job = fix_open(3, true);
    FILE *list = fopen(job->csv, "w");
    fputs("path\n", list);
    for (int i = 0; i < PHOTOS; i++)
        fprintf(list, "photos/%03d.jpg\n", i);
    fclose(list);
    job->images[0] = job->csv;
    check_changes(job, 0);
    fix_close(job);
}

/* A folder that is removed before its turn has either rows or no names left; then one line says so. */
static void remove_b(fix_job *job)
{
    fix_remove(fix_in(job, "photos/b"));
}

Test(run_change, a_folder_of_photos_is_removed, .timeout = 120)
{
    fix_job *job = fix_open(3, true);
    meddler m = {.job = job, .strike = remove_b};
    for (int i = 0; i < 30; i++)
        fix_jpeg(fix_in(job, "photos/%s/%02d.jpg", i < 10 ? "a" : i < 20 ? "b" : "c", i), (uint64_t)i, 40, 30);
    cr_assert_eq(run_with(&m), BCAM_OK, "%s", job->err.message);
    cr_assert_eq(job->summary.ok, 20);
    cr_assert(job->summary.missing == 10 || strstr(fix_lines, "30 photos were there"), "%lld missing, %s",
              (long long)job->summary.missing, fix_lines);
    fix_expect_rows(job->out, "SELECT count(*) FROM maps", "20\n");
    fix_close(job);
}

/* ---- the output folder ---- */

static void lose_all(fix_job *job)
{
    fix_remove(job->out);
}

static void lose_name(fix_job *job)
{
    cr_assert_eq(rename(job->out, fix_in(job, "moved")), 0);
}

static void lose_to_another(fix_job *job)
{
    fix_remove(job->out);
    fix_make_folder(job->out);
}

static void lose_to_a_file(fix_job *job)
{
    fix_remove(job->out);
    fix_write_text(job->out, "another's");
}

static void lose_index(fix_job *job)
{
    cr_assert_eq(unlink(fix_in(job, "out/index.sqlite")), 0);
}

static void lose_maps(fix_job *job)
{
    fix_remove(fix_in(job, "out/maps"));
}

static void lose_overlays(fix_job *job)
{
    fix_remove(fix_in(job, "out/overlays"));
}

static void lose_run_json(fix_job *job)
{
    cr_assert_eq(unlink(fix_in(job, "out/run.json")), 0);
}

Test(run_change, output_that_goes_away, .timeout = 300)
{
    static const struct {
        const char *what;
        void (*strike)(fix_job *job);
        bcam_status status;
        const char *words;
    } rows[] = {
        {"everything", lose_all, BCAM_E_OUTPUT, "/out' was moved or removed"},
        {"its name", lose_name, BCAM_E_OUTPUT, "/out' was moved or removed"},
        {"replaced by a folder", lose_to_another, BCAM_E_OUTPUT, "/out' was moved or removed"},
        {"replaced by a file", lose_to_a_file, BCAM_E_OUTPUT, "/out' was moved or removed"},
        {"the index", lose_index, BCAM_E_IO, "/out/index.sqlite' was moved or removed"},
        {"the maps", lose_maps, BCAM_E_IO, "/out/maps/"},
        {"the overlays", lose_overlays, BCAM_E_IO, "/out/overlays/"},
        {"run.json", lose_run_json, BCAM_OK, ""}, /* is written again at the end */
    };
    for (int trial = 0; trial < 4 * (int)BCAM_COUNT(rows); trial++) {
        fix_job *job = fix_open(3, true);
        size_t i = (size_t)trial / 4;
        meddler m = {.job = job, .strike = rows[i].strike, .from = trial % 2 ? 8 : 0, .stop = trial / 2 % 2};
        fast_clock = trial % 2; /* a commit for every photo, or none before the end */
        add_photos(job, 20);
        job->options.overlay = true;
        bcam_status expected =
            rows[i].status == BCAM_OK && m.stop ? BCAM_E_STOPPED
            : m.stop && !m.from &&
                    (rows[i].strike == lose_overlays || rows[i].strike == lose_maps) /* nothing there yet */
                ? BCAM_E_STOPPED
                : rows[i].status;
        bcam_status status = run_with(&m);
        fast_clock = false;
        cr_expect_eq(status, expected, "%s, %d: %d %s", rows[i].what, trial % 4, (int)status, job->err.message);
        cr_expect(status == BCAM_E_STOPPED || strstr(job->err.message, rows[i].words), "%s: %s", rows[i].what,
                  job->err.message);
        if (status != BCAM_OK && status != BCAM_E_STOPPED && rows[i].status == BCAM_E_IO) {
            fix_expect_field(job->out, "status", "failed");
            fix_expect_field(job->out, "message", job->err.message);
        }
        if (rows[i].strike == lose_to_another)
            cr_expect_eq(rmdir(job->out), 0, "something was written into another's folder");
        fix_close(job);
    }
}

/* A folder that loses its name in the middle of a run keeps every row that was there, and their maps. */
Test(run_change, a_folder_that_is_moved_is_valid, .timeout = 120)
{
    fix_job *job = fix_open(3, true);
    char whole[300];
    add_photos(job, 20);
    fix_run(job);
    snprintf(whole, sizeof whole, "%s", job->out);
    snprintf(job->out, sizeof job->out, "%s/again", job->root);
    meddler m = {.job = job, .strike = lose_name, .from = 8};
    fast_clock = true;
    cr_assert_eq(run_with(&m), BCAM_E_OUTPUT, "%s", job->err.message);
    fast_clock = false;
    int rows = fix_check_maps(fix_in(job, "moved"), whole);
    cr_assert(rows >= 8 && rows < 20, "%d rows", rows);
    fix_close(job);
}
