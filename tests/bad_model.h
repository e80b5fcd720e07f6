/* bad_model.h - for tests/test_run_bad_*.c: opens a model that will not do and looks at what is said; the parts of a model that runs. */
#ifndef BCAM_TESTS_BAD_MODEL_H
#define BCAM_TESTS_BAD_MODEL_H

#include "graph_build.h"
#include "run_fixture.h"

/* ---- opening a model ---- */

/** The message of the last refusal. */
static bcam_error why;

/* As an engine and as an inspection, which must say the same where both refuse. */
static inline bcam_status open_model(const char *path)
{
    const bcam_engine_options options = {.batch = 2, .threads = 1, .device = "reference"};
    bcam_engine *engine = (bcam_engine *)&engine;
    bcam_inspection *inspection = (bcam_inspection *)&inspection;
    bcam_error other = {0};
    int64_t live = bcam_alloc_live();
    why = (bcam_error){0};
    bcam_status inspected = bcam_inspect(path, &inspection, &other);
    bcam_status status = bcam_engine_open(path, &options, &engine, &why);
    cr_assert((status == BCAM_OK) == (engine != NULL) && (inspected == BCAM_OK) == (inspection != NULL));
    cr_assert((status == BCAM_OK) == (*why.message == '\0'), "%d: %s", (int)status, why.message);
    cr_assert(inspected == BCAM_OK || (inspected == status && strcmp(other.message, why.message) == 0),
              "inspected: %s\nopened: %s", other.message, why.message);
    bcam_inspection_close(&inspection);
    bcam_engine_close(&engine);
    cr_assert_eq(bcam_alloc_live(), live);
    return status;
}

/** The status, and all words that `words` parts by |, in one line. */
static inline void expect(const char *what, bcam_status status, int expected, const char *words)
{
    fprintf(stderr, "%-30s %s\n", what, why.message);
    cr_expect_eq((int)status, expected, "%s: %d: %s", what, (int)status, why.message);
    cr_expect_not(strchr(why.message, '\n'), "%s", what);
    for (const char *at = words; *at; at += strspn(at, "|")) {
        size_t size = strcspn(at, "|");
        cr_expect(memmem(why.message, strlen(why.message), at, size), "%s: '%.*s' is not in: %s", what, (int)size, at,
                  why.message);
        at += size;
    }
}

/** Into a new file: some file systems wait for the disk where an old one is cut to nothing and written again. */
static inline void write_model(const fix_job *job, bytes model)
{
    cr_assert_eq(remove(job->model), 0);
    fix_write(job->model, model.data, model.size);
    free(model.data);
}

static inline void expect_bytes(const fix_job *job, const char *what, bytes model, int expected, const char *words)
{
    write_model(job, model);
    expect(what, open_model(job->model), expected, words);
}

/* ---- a model that runs: x (N,3,12,10) -> conv -> c -> relu -> r -> pool -> p -> flat -> f -> fc -> y (N,5) ---- */

/* A node is one text: "name; type; inputs; outputs; attributes". */
static const char *const good[] = {"conv; Conv; x w b; c; pads=1,1,1,1", "relu; Relu; c; r;",
                                   "pool; GlobalAveragePool; r; p;", "flat; Flatten; p; f;",
                                   "fc; Gemm; f fw fb; y; transB=1"};

static inline void put_part(bytes *g, const char *text)
{
    char part[5][200] = {""};
    for (int i = 0; i < 5 && *text; i++) {
        size_t size = strcspn(text, ";");
        snprintf(part[i], sizeof part[i], "%.*s", (int)size, text);
        text += size + (text[size] == ';');
        text += strspn(text, " ");
    }
    op(g, part[0], part[1], part[2], part[3], part[4]);
}

/** The nodes and weights of the good model, with `other` in the place of the node of its name and `first` before all. */
static inline void put_parts(bytes *g, const char *first, const char *other)
{
    bool placed = !other;
    if (first)
        put_part(g, first);
    for (size_t i = 0; i < BCAM_COUNT(good); i++) {
        bool instead = !placed && strncmp(other, good[i], strcspn(good[i], ";") + 1) == 0;
        put_part(g, instead ? other : good[i]);
        placed |= instead;
    }
    cr_assert(placed, "%s", other ? other : "");
    ones(g, "w", "4,3,3,3");
    ones(g, "b", "4");
    ones(g, "fw", "5,4");
    ones(g, "fb", "5");
}

#endif
