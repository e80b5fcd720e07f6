/* Killed, out of space, out of memory: what is on disk stays valid, and no call leaks. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "out_fixture.h"

#define RUN_JSON "{\"status\":\"complete\"}"

/* Writes photos until it is killed. */
static void write_for_ever(const char *dir, fixture *f)
{
    bcam_out_settings settings = {.dir = dir, .overwrite = true, .rows_per_shard = 5, .items_per_commit = 3};
    bcam_out *out = NULL;
    if (bcam_out_open(&settings, &out, NULL) != BCAM_OK)
        _exit(1);
    for (int64_t id = 1; bcam_out_write(out, fix_item(f, id), NULL) == BCAM_OK; id++)
        continue;
    _exit(1);
}

Test(out_crash, killed_at_any_time, .timeout = 120)
{
    uint64_t seed = fix_seed(), state = seed;
    char *root = fix_folder();
    fixture *f = fix_make(seed, BCAM_F32);
    mkdir(fix_in(root, "deep"), 0777);
    int64_t rows = 0, span = 150000000; /* nanoseconds; a slow disk gets more until it has shown a row */
    for (int trial = 0; trial < 25; trial++) {
        pid_t child = fork();
        cr_assert(child >= 0);
        if (child == 0)
            write_for_ever(fix_run(root), f);
        int64_t wait = (int64_t)(bcam_random(&state) % (uint64_t)span);
        struct timespec moment = {(time_t)(wait / 1000000000), (long)(wait % 1000000000)};
        nanosleep(&moment, NULL);
        int status = 0;
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        cr_assert(WIFSIGNALED(status), "the writer failed by itself");
        if (fix_exists(fix_in(fix_run(root), "index.sqlite"))) {
            rows += fix_check(fix_run(root), f);
            sqlite3 *db = fix_db(fix_run(root));
            cr_assert_eq(fix_count(db, "SELECT integrity_check='ok' FROM pragma_integrity_check"), 1);
            sqlite3_close(db);
        }
        span = rows || span > 2000000000 ? span : 2 * span;
        DIR *maps = opendir(fix_in(fix_run(root), "maps"));
        for (struct dirent *entry; maps && (entry = readdir(maps));)
            if (strlen(entry->d_name) > 4 && strcmp(entry->d_name + strlen(entry->d_name) - 4, ".npy") == 0)
                free(npy_read(fix_in(fix_in(fix_run(root), "maps"), entry->d_name))
                         .bytes); /* whole, whether named or not */
        if (maps)
            closedir(maps);
    }
    cr_assert_gt(rows, 0);
    fix_remove(root);
    free(root);
    free(f);
}

/* A file may grow to `limit` bytes. Returns where the run failed; whatever happens, the folder has to be valid
 * and the message to name a file in it. */
static bcam_status run_with_limit(const char *dir, fixture *f, rlim_t limit, bcam_error *err)
{
    struct rlimit old, small;
    bcam_out_settings settings = {
        .dir = dir, .overwrite = true, .rows_per_shard = 50, .items_per_commit = 10, .report = true};
    bcam_out *out = NULL;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = limit;
    setrlimit(RLIMIT_FSIZE, &small);
    bcam_status status = bcam_out_open(&settings, &out, err);
    if (status == BCAM_OK) {
        for (int64_t id = 1; status == BCAM_OK && id <= 400; id++)
            status = bcam_out_write(out, fix_item(f, id), err);
        bcam_error last = {0};
        bcam_status ended = bcam_out_finish(out, RUN_JSON, &last);
        if (status == BCAM_OK && ended != BCAM_OK) {
            status = ended;
            *err = last;
        }
        bcam_out_close(&out);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    return status;
}

Test(out_crash, full_disk, .timeout = 120)
{
    static const rlim_t limits[] = {0, 100, 1000, 9000, 10000, 11000, 20000, 40000, 60000, 65536, 70000, 90000, 150000};
    signal(SIGXFSZ, SIG_IGN);
    char *root = fix_folder();
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    f->pictures = true;
    int64_t rows = 0;
    for (size_t i = 0; i < BCAM_COUNT(limits); i++) {
        bcam_error err = {0};
        bcam_status status = run_with_limit(fix_run(root), f, limits[i], &err);
        cr_assert_eq(status, BCAM_E_FULL, "limit %lu: %d %s", (unsigned long)limits[i], (int)status, err.message);
        cr_assert(strstr(err.message, fix_run(root)), "%s", err.message);
        if (fix_exists(fix_in(fix_run(root), "index.sqlite")))
            rows += fix_check(fix_run(root), f);
        cr_assert_not(fix_exists(fix_in(fix_run(root), "index.sqlite-journal")));
    }
    cr_assert_gt(rows, 0);
    bcam_error err = {0};
    cr_assert_eq(run_with_limit(fix_run(root), f, RLIM_INFINITY, &err), BCAM_OK, "%s", err.message);
    fix_remove(root);
    free(root);
    free(f);
}

static void keep_last(void *data, bcam_log_level level, const char *text)
{
    snprintf(data, sizeof(((bcam_error *)0)->message), "%d %s", (int)level, text);
}

/* The rows are there, and there is no room for what makes questions to them quick. */
Test(out_crash, no_room_for_indexes)
{
    signal(SIGXFSZ, SIG_IGN);
    char *root = fix_folder();
    const char *dir = fix_run(root);
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    bcam_error err = {0}, told = {0};
    bcam_out_settings settings = {
        .dir = dir, .rows_per_shard = 50, .items_per_commit = 10, .log = {keep_last, told.message}};
    bcam_out *out = NULL;
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    for (int64_t id = 1; id <= 400; id++)
        cr_assert_eq(bcam_out_write(out, fix_item(f, id), &err), BCAM_OK, "%s", err.message);
    struct stat index;
    struct rlimit old, small;
    cr_assert_eq(stat(fix_in(dir, "index.sqlite"), &index), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){(rlim_t)index.st_size, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    bcam_status status = bcam_out_finish(out, RUN_JSON, &err);
    bcam_out_close(&out);
    setrlimit(RLIMIT_FSIZE, &old);
    cr_assert_eq(status, BCAM_OK, "%s", err.message);
    cr_assert(strstr(told.message, "left without its indexes"), "%s", told.message);
    cr_assert_eq(fix_check(dir, f), 320 * 12);
    cr_assert_not(fix_exists(fix_in(dir, "index.sqlite-journal")));
    fix_remove(root);
    free(root);
    free(f);
}

static char *some_json(void)
{
    bcam_runjson *json = bcam_runjson_open();
    bcam_runjson_string(json, "model.path", "m\xFF.onnx");
    bcam_runjson_append(json, "layers", "layer4");
    char *text = bcam_runjson_text(json);
    bcam_runjson_close(&json);
    return text;
}

static bcam_status whole_run(const char *dir, fixture *f, bcam_error *err)
{
    bcam_out_settings settings = {
        .dir = dir, .overwrite = true, .overlay = true, .report = true, .rows_per_shard = 1, .title = "t"};
    bcam_out *out = NULL;
    bcam_status status = bcam_out_open(&settings, &out, err);
    if (status != BCAM_OK) {
        cr_assert_null(out);
        return status;
    }
    for (int64_t id = 1; status == BCAM_OK && id <= 3; id++)
        status = bcam_out_write(out, fix_item(f, id), err);
    char *text = some_json();
    bcam_error last = {0};
    bcam_status ended = bcam_out_finish(out, text, &last);
    if (status == BCAM_OK && ended != BCAM_OK) {
        status = ended;
        *err = last;
    }
    bcam_free(text);
    bcam_out_close(&out);
    return status;
}

static void sweep(bool persist)
{
    char *root = fix_folder();
    fixture *f = fix_make(fix_seed(), BCAM_U8);
    f->layer_count = f->classes = 1;
    f->pictures = true;
    bcam_error err = {0};
    cr_assert_eq(whole_run(fix_run(root), f, &err), BCAM_OK, "%s", err.message);
    int64_t live = bcam_alloc_live(), calls = bcam_alloc_calls();
    cr_assert_eq(whole_run(fix_run(root), f, &err), BCAM_OK, "%s", err.message);
    calls = bcam_alloc_calls() - calls;
    cr_assert_eq(bcam_alloc_live(), live);
    for (int64_t nth = 1; nth <= calls; nth++) {
        err = (bcam_error){0};
        bcam_alloc_fail_at(nth, persist);
        bcam_status status = whole_run(fix_run(root), f, &err);
        bcam_alloc_fail_at(0, false);
        cr_assert_eq(status, BCAM_E_MEMORY, "allocation %" PRId64 " of %" PRId64 ": %d %s", nth, calls, (int)status,
                     err.message);
        cr_assert(err.message[0] != '\0');
        cr_assert_eq(bcam_alloc_live(), live, "allocation %" PRId64 " of %" PRId64 " leaks", nth, calls);
    }
    cr_assert_eq(whole_run(fix_run(root), f, &err), BCAM_OK, "%s", err.message);
    fix_check(fix_run(root), f);
    fix_remove(root);
    free(root);
    free(f);
}

Test(out_crash, every_allocation_fails_once, .timeout = 120)
{
    sweep(false);
}

Test(out_crash, every_allocation_fails_for_good, .timeout = 120)
{
    sweep(true);
}

/* What the disk refuses while a run is being ended is said in run.json, if that can still be written. */
Test(out_crash, a_failed_end_is_not_called_complete)
{
    char *root = fix_folder();
    fixture *f = fix_make(fix_seed(), BCAM_F32);
    bcam_out_settings settings = {.dir = fix_run(root), .report = true};
    bcam_out *out = NULL;
    bcam_error err = {0};
    cr_assert_eq(bcam_out_open(&settings, &out, &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(bcam_out_write(out, fix_item(f, 1), &err), BCAM_OK, "%s", err.message);
    cr_assert_eq(mkdir(fix_in(fix_run(root), "report.html"), 0777), 0); /* in the report's way */
    cr_assert_eq(bcam_out_finish(out, RUN_JSON, &err), BCAM_E_IO);
    cr_assert(strstr(err.message, "report.html"), "%s", err.message);
    bcam_out_close(&out);
    size_t bytes;
    char *text = fix_read(fix_in(fix_run(root), "run.json"), &bytes);
    cr_assert(strstr(text, "\"failed\"") && strstr(text, "report.html") && !strstr(text, "complete"), "%s", text);
    cr_assert_eq(fix_check(fix_run(root), f), 12);
    free(text);
    fix_remove(root);
    free(root);
    free(f);
}
