/* test_plugin_command.c - the command on stand-ins: the same rows and maps as on the CPU; a card that is lost in the
 * middle of a run, one with too little memory, none at all; the self-test.
 */
#include <sys/wait.h>

#include "dev/dev.h"
#include "fake.h"
#include "run_fixture.h"

enum { PHOTOS = 10, BATCH = 4 };
#define MODEL FIX_DATA "/model.onnx"
#define IMAGES "'" FIX_DATA "/photos/boat' '" FIX_DATA "/photos/yacht'"

#if defined(__SANITIZE_ADDRESS__)
#define CUDA "cuda --deterministic" /* timing takes long there */
#else
#define CUDA "cuda"
#endif

/* Runs the command with settings of the stand-ins ("" or NAME=VALUE …); its exit status. What it says is in `said`. */
static int command(const char *settings, const char *arguments, const char *folder, char said[1 << 14])
{
    int status = system(fix_text("%s '%s' %s >'%s/said' 2>&1", settings, BCAM_COMMAND, arguments, folder));
    size_t bytes;
    char *text = fix_read(fix_text("%s/said", folder), &bytes);
    snprintf(said, 1 << 14, "%s", text);
    free(text);
    cr_assert(WIFEXITED(status), "%s %s: %s", settings, arguments, said);
    return WEXITSTATUS(status);
}

/* A folder for a test, and runs in it; their names stay. */
typedef struct places {
    char root[512], cpu[600], out[600];
} places;

static places make_places(void)
{
    places p;
    snprintf(p.root, sizeof p.root, "%s", fix_folder());
    snprintf(p.cpu, sizeof p.cpu, "%s/cpu", p.root);
    snprintf(p.out, sizeof p.out, "%s/out", p.root);
    return p;
}

/* `device` may have more options behind it. */
static const char *run_arguments(const char *device, const char *out)
{
    return fix_text(
        "run '%s' %s --limit %d --batch %d --layer stage2 --target top2 --precision fp32 --device %s -o '%s'", MODEL,
        IMAGES, PHOTOS, BATCH, device, out);
}

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

/* ---- maps of two runs, told apart by photo and class, not by where they lie ---- */

static void read_map(const char *dir, const char *file, long row, size_t count, float *out)
{
    golden_array all = golden_read(dir, file);
    cr_assert(all.rank == 3 && all.dim[1] * all.dim[2] == count && (size_t)row < all.dim[0], "%s/%s", dir, file);
    for (size_t i = 0; i < count; i++)
        out[i] = (float)all.data[(size_t)row * count + i];
    free(all.data);
}

/* Each map of `dir` is the one of the same photo and class in `good`; how many there are. */
static int expect_maps(const char *dir, const char *good)
{
    enum { SIDE = 128, COUNT = SIDE * SIDE };
    static const char sql[] =
        "SELECT images.path || '#' || maps.class, maps.file, maps.row FROM maps JOIN images ON images.id = maps.image_id "
        "ORDER BY images.path, maps.class";
    float *a = malloc(COUNT * sizeof *a), *b = malloc(COUNT * sizeof *b);
    char *rows = strdup(fix_rows(dir, sql)), *all = strdup(fix_rows(good, sql)), *rest = NULL;
    int maps = 0;
    for (char *line = strtok_r(rows, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), maps++) {
        char name[512], file[2][128];
        long row[2];
        cr_assert_eq(sscanf(line, "%511[^|]|%127[^|]|%ld", name, file[0], &row[0]), 3, "%s", line);
        const char *same = strstr(all, fix_text("%s|", name));
        cr_assert(same && sscanf(same, "%*[^|]|%127[^|]|%ld", file[1], &row[1]) == 2, "%s is not in %s", line, good);
        read_map(dir, file[0], row[0], COUNT, a);
        read_map(good, file[1], row[1], COUNT, b);
        float largest = 0, difference = 0;
        for (int i = 0; i < COUNT; i++) {
            cr_assert(isfinite(a[i]), "%s", line);
            largest = fmaxf(largest, b[i]);
            difference = fmaxf(difference, fabsf(a[i] - b[i]));
        }
        cr_assert_leq(difference, 1e-5f * largest, "%s: %g of %g", line, (double)difference, (double)largest);
    }
    free(rows);
    free(all);
    free(a);
    free(b);
    return maps;
}

static void open_cpu_run(const places *p)
{
    char said[1 << 14];
    cr_assert_eq(command("", run_arguments("cpu", p->cpu), p->root, said), 0, "%s", said);
}

/* ---- tests ---- */

Test(plugin_command, same_as_the_cpu)
{
    static const char *const tables[] = {
        "SELECT path, outcome, label FROM images ORDER BY id",
        "SELECT image_id, rank, class FROM predictions ORDER BY image_id, rank", "SELECT * FROM classes",
        "SELECT image_id, class, outcome, file, row FROM maps ORDER BY image_id, class"};
    char said[1 << 14];
    places p = make_places();
    open_cpu_run(&p);
    cr_assert_eq(command("BCAM_FAKE_REPORT=1", run_arguments(CUDA, p.out), p.root, said), 0, "%s", said);
    cr_expect(strstr(said, "alive: nothing"), "%s", said);
    for (size_t i = 0; i < BCAM_COUNT(tables); i++)
        cr_assert_str_eq(fix_rows(p.out, tables[i]), fix_rows(p.cpu, tables[i]), "%s", tables[i]);
    fix_expect_rows(p.out, "SELECT count(*) FROM maps", fix_text("%d\n", 2 * PHOTOS));
    cr_assert_eq(expect_maps(p.out, p.cpu), 2 * PHOTOS);
    cJSON *json = fix_json(p.out);
    cr_assert_str_eq(fix_field(json, "status"), "complete");
    cr_assert(strstr(fix_field(json, "device"), "cuda:0 ("), "%s", fix_field(json, "device"));
    cJSON_Delete(json);
    fix_remove(p.root);
}

/* What was written before is valid, and not marked as whole. */
static void lose(const places *p, const char *failure, const char *call)
{
    char said[1 << 14];
    const char *settings = fix_text("BCAM_FAKE_REPORT=1 BCAM_FAKE_FAIL=%s", failure);
    int status = command(settings, run_arguments("cuda --deterministic", p->out), p->root, said);
    cr_assert_eq(status, 75, "%s: %d, %s", failure, status, said);
    cr_expect(strstr(said, call), "%s: '%s' is not in: %s", failure, call, said);
    cr_expect(strstr(said, "alive: nothing"), "%s: %s", failure, said);
    int maps = expect_maps(p->out, p->cpu), images = atoi(fix_rows(p->out, "SELECT count(*) FROM images"));
    cr_expect(maps >= 2 * BATCH && maps < 2 * PHOTOS, "%s: %d maps", failure, maps);
    cr_expect_eq(maps, 2 * images);
    fix_expect_rows(p->out, "SELECT count(*) FROM images WHERE outcome != 'ok'", "0\n");
    cJSON *json = fix_json(p->out);
    cr_expect_str_neq(fix_field(json, "status"), "complete");
    cJSON_Delete(json);
    printf("%s: %d photos were explained before; %s", failure, images, said);
    fix_remove(p->out);
}

Test(plugin_command, a_card_that_is_lost)
{
    places p = make_places();
    char said[1 << 14];
    open_cpu_run(&p);
    lose(&p, "cudaGraphLaunch:1", "cudaGraphLaunch");       /* a call fails */
    lose(&p, "cudaGraphLaunch@:1", "cudaEventSynchronize"); /* its work does: whoever waits for it hears of it */
    lose(&p, "cudnnBackendExecute@:20:719", "cudaErrorLaunchFailure");
    /* Lost before anything was explained: to run again is no use. */
    const char *never = run_arguments("cuda --deterministic", p.out);
    cr_expect_eq(command("BCAM_FAKE_FAIL=cudaMemcpyAsync@:1", never, p.root, said), 1, "%s", said);
    fix_remove(p.root);
}

static void count_notices(void *data, bcam_log_level level, const char *line)
{
    (void)level;
    *(int *)data += strstr(line, "does not fit") != NULL;
}

/* How often the batch is halved on a card of so many bytes; -1: it is too small for one photo. */
static int halvings(size_t bytes)
{
    bcam_error err = {0};
    bcam_engine *engine = NULL;
    int notices = 0;
    const char *layer = "stage2";
    bcam_engine_options options = {.device = "cuda",
                                   .precision = BCAM_PRECISION_FP32,
                                   .batch = BATCH,
                                   .layers = &layer,
                                   .layer_count = 1,
                                   .classes = 2,
                                   .deterministic = true,
                                   .log = count_notices,
                                   .log_data = &notices};
    bcam_fake_set_memory(bytes);
    bcam_status status = bcam_engine_open(MODEL, &options, &engine, &err);
    cr_assert(status == BCAM_OK || status == BCAM_E_MEMORY, "%s", err.message);
    bcam_engine_close(&engine);
    return status ? -1 : notices;
}

/* The largest card, to 4 KiB, that the batch does not fit into. */
static size_t find_too_small(void)
{
    size_t least = 1 << 20, enough = (size_t)1 << 30;
    cr_assert(halvings(enough) == 0 && halvings(least) == -1);
    while (enough - least > 4096) {
        size_t half = least + (enough - least) / 2;
        if (halvings(half) == 0)
            enough = half;
        else
            least = half;
    }
    return least;
}

Test(plugin_command, a_card_with_little_memory)
{
    char said[1 << 14];
    char arguments[2048];
    places p = make_places();
    size_t little = find_too_small();
    open_cpu_run(&p);
    snprintf(arguments, sizeof arguments, "%s", run_arguments("cuda --deterministic", p.out));
    cr_assert_eq(command(fix_text("BCAM_FAKE_MEMORY=%zu", little), arguments, p.root, said), 0, "%s", said);
    cr_expect_eq(count_of(said, "warning"), 1, "%s", said);
    cr_expect(strstr(said, "a batch of 4 does not fit, so 2 is tried (the card has "), "%s", said);
    cr_expect_eq(expect_maps(p.out, p.cpu), 2 * PHOTOS);
    fix_expect_field(p.out, "batch", "2");
    fix_remove(p.out);
    cr_assert_eq(command("BCAM_FAKE_MEMORY=1000000", arguments, p.root, said), 1, "%s", said);
    cr_expect(strstr(said, "the card has 0 MiB free of 0, too little for "), "%s", said);
    cr_expect_not(fix_exists(p.out));
    fix_remove(p.root);
}

/* Without timing, the first that agrees is taken; all are tried, one beside fp32 at a time. */
Test(plugin_command, precision_auto)
{
    static const char *const tried[] = {"fp32", "fp16", "bf16", "tf32"};
    char said[1 << 14];
    places p = make_places();
    const char *arguments =
        fix_text("run '%s' %s --limit %d --batch %d --precision auto --device cuda --deterministic -o '%s'", MODEL,
                 IMAGES, PHOTOS, BATCH, p.out);
    cr_assert_eq(command("BCAM_FAKE_REPORT=1", arguments, p.root, said), 0, "%s", said);
    cr_expect(strstr(said, "alive: nothing"), "%s", said);
    cJSON *json = fix_json(p.out);
    for (int i = 0; i < (int)BCAM_COUNT(tried); i++) {
        cr_expect_str_eq(fix_field(json, fix_text("precision_trial.tried.%d.precision", i)), tried[i]);
        cr_expect_str_eq(fix_field(json, fix_text("precision_trial.tried.%d.refused", i)), "");
        cr_expect_str_eq(fix_field(json, fix_text("precision_trial.tried.%d.agrees", i)), i ? "true" : "");
    }
    cr_expect_str_eq(fix_field(json, "precision"), "fp16");
    cr_expect(strstr(fix_field(json, "device"), "fp16"), "%s", fix_field(json, "device"));
    cJSON_Delete(json);
    fix_remove(p.root);
}

Test(plugin_command, no_card)
{
    char said[1 << 14];
    places p = make_places();
    cr_assert_eq(command("BCAM_FAKE_DEVICES=0", run_arguments("cuda", fix_text("%s/a", p.root)), p.root, said), 1, "%s",
                 said);
    cr_expect(strstr(said, "there is no CUDA card"), "%s", said);
    cr_assert_eq(command("BCAM_FAKE_DEVICES=0", run_arguments("auto", fix_text("%s/b", p.root)), p.root, said), 0, "%s",
                 said);
    cr_expect(strstr(said, "computing on the CPU: there is no CUDA card"), "%s", said);
    cr_assert_eq(command("", run_arguments("cuda:1", fix_text("%s/c", p.root)), p.root, said), 1, "%s", said);
    cr_expect(strstr(said, "there is no card cuda:1; there is 1"), "%s", said);
    const char *second = run_arguments("cuda:1 --deterministic", fix_text("%s/d", p.root));
    cr_assert_eq(command("BCAM_FAKE_DEVICES=2", second, p.root, said), 0, "%s", said);
    fix_remove(p.root);
}

Test(plugin_command, selftest)
{
    char said[1 << 14];
    places p = make_places();
    cr_assert_eq(command("BCAM_FAKE_REPORT=1", "selftest --device cuda", p.root, said), 0, "%s", said);
    printf("%s", said);
    cr_expect(strstr(said, ": 0 failed"), "%s", said);
    cr_expect(strstr(said, "alive: nothing"), "%s", said);
    for (int v = 0; v < BCAM_VERB_COUNT; v++)
        cr_expect(strstr(said, fix_text("\n%s ", bcam_verb_name((bcam_verb)v))), "%s is not among: %s",
                  bcam_verb_name((bcam_verb)v), said);
    fix_remove(p.root);
}
