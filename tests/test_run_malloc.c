/* test_run_malloc.c - memory that libraries take for themselves runs out too: malloc fails for libjpeg, SQLite, cJSON, libexif and the C library as for
 * our own code. Each place in the program that asks for memory in a small run fails once: a row or an error that says so, the rest as it would
 * have been, and nothing is kept. Left out are oneDNN and OpenMP, which end the process. */
#include "run_fixture.h"

#ifdef __SANITIZE_ADDRESS__
Test(run_malloc, each_place_fails)
{
    cr_skip_test("the sanitizer has a malloc of its own");
}
#else

#include <execinfo.h>
#include <link.h>
#include <stdatomic.h>

/* ---- a malloc that counts and fails; glibc has its own under these names ---- */

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);

enum { FRAMES = 12, SKIPPED = 2, MOST_PLACES = 1 << 14 };

static struct module {
    uintptr_t begin, end;
} left_out[16]; /* code whose own calls never fail */
static size_t left_out_count;

static _Atomic int64_t held; /* blocks */
static atomic_bool watching; /* during a run */
static int64_t calls, fail_at;
static bool persists;
static uint64_t places[MOST_PLACES]; /* by hash of who called whom */
static int64_t first_call[MOST_PLACES];
static size_t place_count;
static bool learning;
static _Thread_local bool inside; /* of finding out who calls: that may ask for memory itself */

static int note_module(struct dl_phdr_info *info, size_t size, void *data)
{
    static const char *const names[] = {"libdnnl", "libgomp", "libstdc++", "libgcc_s"};
    (void)size, (void)data;
    for (size_t n = 0; n < BCAM_COUNT(names); n++)
        for (int i = 0; strstr(info->dlpi_name, names[n]) && i < info->dlpi_phnum; i++)
            if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
                uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
                left_out[left_out_count++] = (struct module){begin, begin + info->dlpi_phdr[i].p_memsz};
            }
    return 0;
}

static bool is_left_out(const void *caller)
{
    for (size_t i = 0; i < left_out_count; i++)
        if ((uintptr_t)caller >= left_out[i].begin && (uintptr_t)caller < left_out[i].end)
            return true;
    return false;
}

/* Notes the first call from each place. */
static void learn(int64_t call)
{
    void *frames[FRAMES];
    uint64_t hash = 0;
    int count = backtrace(frames, FRAMES);
    for (int i = SKIPPED; i < count; i++)
        hash = (hash ^ (uintptr_t)frames[i]) * 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < place_count; i++)
        if (places[i] == hash)
            return;
    if (place_count < MOST_PLACES) {
        places[place_count] = hash;
        first_call[place_count++] = call;
    }
}

static bool must_fail(const void *caller)
{
    if (!watching || inside || is_left_out(caller))
        return false;
    int64_t call = ++calls;
    if (learning) {
        inside = true;
        learn(call);
        inside = false;
    }
    bool fails = fail_at && (call == fail_at || (call > fail_at && persists));
    if (fails)
        errno = ENOMEM;
    return fails;
}

static void *counted(void *block)
{
    held += block != NULL;
    return block;
}

#pragma GCC visibility push(default) /* for libraries as well */
void *malloc(size_t bytes)
{
    return must_fail(__builtin_return_address(0)) ? NULL : counted(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t size)
{
    return must_fail(__builtin_return_address(0)) ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *block, size_t bytes)
{
    if (must_fail(__builtin_return_address(0)))
        return NULL;
    void *moved = __libc_realloc(block, bytes);
    held += (moved != NULL) - (block != NULL && (moved != NULL || bytes == 0));
    return moved;
}

void *memalign(size_t align, size_t bytes)
{
    return must_fail(__builtin_return_address(0)) ? NULL : counted(__libc_memalign(align, bytes));
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return must_fail(__builtin_return_address(0)) ? NULL : counted(__libc_memalign(align, bytes));
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
    void *block = must_fail(__builtin_return_address(0)) ? NULL : counted(__libc_memalign(align, bytes));
    if (block)
        *out = block;
    return block ? 0 : ENOMEM;
}

void free(void *block)
{
    held -= block != NULL;
    __libc_free(block);
}
#pragma GCC visibility pop

/* ---- one run after the other ---- */

static const char everything[] =
    "SELECT i.path, i.outcome, i.message, i.width, i.height, i.orientation, i.crop_w, p.rank, p.class, p.logit, m.layer,"
    " m.class, m.outcome, m.logit, m.raw_min, m.raw_max FROM images i LEFT JOIN predictions p ON p.image_id = i.id"
    " LEFT JOIN maps m ON m.image_id = i.id WHERE i.path IN (SELECT path FROM images WHERE message NOT LIKE '%memory%')"
    " ORDER BY i.id, p.rank, m.id";

static char good[1 << 16]; /* rows of a run in which nothing fails */

/* What is there must be there in the good run's rows, word for word. */
static void check_rows(const fix_job *job, int64_t nth)
{
    char *rows = strdup(fix_rows(job->out, everything));
    for (char *line = strtok(rows, "\n"); line; line = strtok(NULL, "\n"))
        cr_assert(strstr(good, line), "call %lld fails, and the index says %s", (long long)nth, line);
    free(rows);
    fix_expect_rows(job->out, "SELECT count(*) FROM images", "5\n");
}

/* Whether there were so many calls. */
static bool run_without(fix_job *job, int64_t nth, bool persist)
{
    bool first = *good == '\0'; /* libraries keep what they make once in a process */
    fix_remove(job->out);
    memset(&job->err, 0, sizeof job->err);
    calls = 0;
    fail_at = nth;
    persists = persist;
    int64_t before = held, live = bcam_alloc_live();
    watching = true;
    bcam_status status = bcam_run(&job->options, NULL, NULL, &job->summary, &job->err);
    watching = false;
    fail_at = 0;
    cr_assert_eq(bcam_alloc_live(), live, "call %lld fails: %lld blocks of ours leaked", (long long)nth,
                 (long long)(bcam_alloc_live() - live));
    cr_assert(first || held <= before, "call %lld fails: %lld blocks leaked", (long long)nth,
              (long long)(held - before));
    if (status == BCAM_OK && nth)
        check_rows(job, nth);
    else
        cr_assert(status == BCAM_OK || strstr(job->err.message, "memory"), "call %lld fails: %d: %s", (long long)nth,
                  (int)status, job->err.message);
    return calls >= nth;
}

/* Photos of both kinds, turned ones too, and one that ends early; lists, names, targets, overlays. */
static fix_job *open_job(void)
{
    fix_job *job = fix_open(3, true);
    fix_copy(BCAM_TEST_DATA "/golden_in/photos/exif_6.jpg", fix_in(job, "photos/a/0.jpg"));
    fix_copy(BCAM_TEST_DATA "/golden_in/photos/exif_6.png", fix_in(job, "photos/a/1.png"));
    fix_truncated(fix_in(job, "photos/b/2.jpg"), 3);
    fix_copy(BCAM_TEST_DATA "/golden_in/photos/grey_progressive.jpg", fix_in(job, "photos/b/3.jpg"));
    fix_copy(BCAM_TEST_DATA "/golden_in/photos/cmyk.jpg", fix_in(job, "photos/b/4.jpg"));
    fix_write_text(job->names, "{\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}");
    fix_write_text(job->csv, "file,class\na/0.jpg,c\na/1.png,b\nb/2.jpg,c,a\nb/3.jpg,0\nb/4.jpg,1\n");
    job->targets[0] = "top1";
    job->targets[1] = job->csv;
    job->options.names = job->names;
    job->options.target_count = 2;
    job->options.overlay = job->options.overwrite = job->options.exif = true;
    job->options.engine.batch = 2;
    job->options.engine.device = "cpu"; /* no plug-in is looked for */
    job->options.engine.threads = 1;
    job->options.engine.log = NULL;
    return job;
}

static void learn_places(fix_job *job)
{
    void *frames[FRAMES];
    backtrace(frames, FRAMES); /* loads what it needs */
    dl_iterate_phdr(note_module, NULL);
    run_without(job, 0, false);
    learning = true;
    run_without(job, 0, false);
    learning = false;
    cr_assert(strlen(fix_rows(job->out, everything)) < sizeof good);
    strcpy(good, fix_rows(job->out, everything));
    fix_expect_rows(job->out, "SELECT count(*), sum(outcome = 'ok') FROM images", "5|4\n");
    fprintf(stderr, "%lld calls from %zu places\n", (long long)calls, place_count);
    cr_assert(place_count > 300 && place_count < MOST_PLACES);
}

Test(run_malloc, each_place_fails)
{
    fix_job *job = open_job();
    learn_places(job);
    for (size_t i = 0; i < place_count; i++)
        cr_assert(run_without(job, first_call[i], false), "call %lld of %zu places is never made",
                  (long long)first_call[i], place_count);
    fix_close(job);
}

Test(run_malloc, memory_runs_out_at_each_twentieth_place)
{
    fix_job *job = open_job();
    learn_places(job);
    for (size_t i = 0; i < place_count; i += 20)
        run_without(job, first_call[i], true);
    run_without(job, 0, false);
    fix_expect_rows(job->out, "SELECT count(*), sum(outcome = 'ok') FROM images", "5|4\n");
    fix_close(job);
}

/* ---- an inspection, an engine ---- */

static const char model[] = fix_golden("mobilenet_v3_tiny_old");

static bcam_status inspect(bcam_error *err)
{
    bcam_inspection *inspection = NULL;
    bcam_status status = bcam_inspect(model, &inspection, err);
    bcam_inspection_close(&inspection);
    return status;
}

static bcam_status open_engine(bcam_error *err)
{
    const bcam_engine_options options = {.device = "cpu", .batch = 2, .threads = 1, .classes = 2};
    bcam_engine *engine = NULL;
    bcam_status status = bcam_engine_open(model, &options, &engine, err);
    bcam_engine_close(&engine);
    return status;
}

static bool call_without(bcam_status (*call)(bcam_error *err), int64_t nth)
{
    bcam_error err = {0};
    int64_t before = held;
    calls = 0;
    fail_at = nth;
    persists = false;
    watching = true;
    bcam_status status = call(&err);
    watching = false;
    fail_at = 0;
    cr_assert_leq(held, before, "call %lld fails: %lld blocks leaked", (long long)nth, (long long)(held - before));
    cr_assert(status == BCAM_OK || (nth && strstr(err.message, "memory")), "call %lld fails: %d: %s", (long long)nth,
              (int)status, err.message);
    return calls >= nth;
}

Test(run_malloc, each_call_of_an_inspection_and_of_an_engine_fails)
{
    static bcam_status (*const all[])(bcam_error *) = {inspect, open_engine};
    bcam_error err;
    dl_iterate_phdr(note_module, NULL);
    for (size_t i = 0; i < BCAM_COUNT(all); i++) {
        int64_t nth = 1;
        all[i](&err); /* libraries keep what they make once in a process */
        while (call_without(all[i], nth))
            nth++;
        fprintf(stderr, "%lld calls\n", (long long)nth - 1);
        cr_assert(nth > 50 && call_without(all[i], 0));
    }
}
#endif
