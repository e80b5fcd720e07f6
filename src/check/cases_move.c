/* cases_move.c - copy, resize, prep. */
#include "check/cases.h"

/* ---- copy ---- */

/* Shapes are whole, with 3 photos in front; the check sets what stands for the batch (axis 0) to the number of photos
 * it runs. */
typedef struct copy_row {
    const char *name;
    int xr, yr;
    int64_t x[BCAM_MAX_RANK], y[BCAM_MAX_RANK];
    bcam_copy_attr attr;
    bool shared_x; /* x is the same for all photos; forward only */
} copy_row;

#define RESHAPE .attr = {.reshape = true}

static const copy_row copy_rows[] = {
    /* reshape, across layouts */
    {"flatten", 4, 2, {3, 7, 3, 5}, {3, 105}, RESHAPE},
    {"flatten 1x1", 4, 2, {3, 129, 1, 1}, {3, 129}, RESHAPE},
    {"unflatten", 2, 4, {3, 105}, {3, 7, 3, 5}, RESHAPE},
    {"tokens", 4, 3, {3, 13, 4, 6}, {3, 13, 24}, RESHAPE},
    {"regroup", 4, 4, {3, 12, 4, 6}, {3, 6, 8, 6}, RESHAPE},
    {"split channels", 4, 5, {3, 12, 3, 5}, {3, 2, 6, 3, 5}, RESHAPE},
    {"join channels", 5, 4, {3, 6, 2, 3, 5}, {3, 12, 3, 5}, RESHAPE},
    {"identity", 4, 4, {3, 7, 1, 129}, {3, 7, 1, 129}, RESHAPE},
    /* transpose */
    {"to channels last",
     4,
     4,
     {3, 7, 3, 5},
     {3, 3, 5, 7},
     .attr = {.extent = {3, 3, 5, 7}, .axis = {0, 2, 3, 1}, .step = {1, 1, 1, 1}}},
    {"to channels first",
     4,
     4,
     {3, 3, 5, 7},
     {3, 7, 3, 5},
     .attr = {.extent = {3, 7, 3, 5}, .axis = {0, 3, 1, 2}, .step = {1, 1, 1, 1}}},
    {"swap rows and columns",
     4,
     4,
     {3, 13, 5, 7},
     {3, 13, 7, 5},
     .attr = {.extent = {3, 13, 7, 5}, .axis = {0, 1, 3, 2}, .step = {1, 1, 1, 1}}},
    {"swap of tokens",
     3,
     3,
     {3, 127, 13},
     {3, 13, 127},
     .attr = {.extent = {3, 13, 127}, .axis = {0, 2, 1}, .step = {1, 1, 1}}},
    {"shuffle",
     5,
     5,
     {3, 2, 6, 3, 5},
     {3, 6, 2, 3, 5},
     .attr = {.extent = {3, 6, 2, 3, 5}, .axis = {0, 2, 1, 3, 4}, .step = {1, 1, 1, 1, 1}}},
    /* slice */
    {"slice of channels",
     4,
     4,
     {3, 13, 3, 5},
     {3, 6, 3, 5},
     .attr = {.extent = {3, 6, 3, 5}, .axis = {0, 1, 2, 3}, .from = {0, 4}, .step = {1, 1, 1, 1}}},
    {"slice with steps",
     4,
     4,
     {3, 7, 9, 13},
     {3, 7, 4, 5},
     .attr = {.extent = {3, 7, 4, 5}, .axis = {0, 1, 2, 3}, .from = {0, 0, 1, 0}, .step = {1, 1, 2, 3}}},
    {"slice with negative steps",
     4,
     4,
     {3, 13, 5, 9},
     {3, 5, 5, 3},
     .attr = {.extent = {3, 5, 5, 3}, .axis = {0, 1, 2, 3}, .from = {0, 12, 4, 8}, .step = {1, -3, -1, -4}}},
    {"reversed vector",
     2,
     2,
     {3, 128},
     {3, 128},
     .attr = {.extent = {3, 128}, .axis = {0, 1}, .from = {0, 127}, .step = {1, -1}}},
    {"slice and drop an axis",
     3,
     2,
     {3, 7, 13},
     {3, 13},
     .attr = {.extent = {3, 13}, .axis = {0, 2}, .from = {0, 5, 0}, .step = {1, 1, 1}}},
    {"one pixel",
     4,
     2,
     {3, 7, 3, 5},
     {3, 7},
     .attr = {.extent = {3, 7}, .axis = {0, 1}, .from = {0, 0, 2, 3}, .step = {1, 1, 1, 1}}},
    /* pad */
    {"pad",
     4,
     4,
     {3, 7, 3, 5},
     {3, 7, 6, 6},
     .attr = {.fill = true,
              .fill_value = 0.25f,
              .extent = {3, 7, 3, 5},
              .to = {0, 0, 1, 1},
              .axis = {0, 1, 2, 3},
              .step = {1, 1, 1, 1}}},
    {"pad channels",
     4,
     4,
     {3, 13, 2, 3},
     {3, 16, 2, 3},
     .attr = {.fill = true, .extent = {3, 13, 2, 3}, .to = {0, 2}, .axis = {0, 1, 2, 3}, .step = {1, 1, 1, 1}}},
    {"pad and crop",
     4,
     4,
     {3, 2, 7, 7},
     {3, 2, 8, 5},
     .attr = {.fill = true,
              .fill_value = -1,
              .extent = {3, 2, 7, 5},
              .to = {0, 0, 1, 0},
              .axis = {0, 1, 2, 3},
              .from = {0, 0, 0, 1},
              .step = {1, 1, 1, 1}}},
    {"pad tokens",
     3,
     3,
     {3, 7, 13},
     {3, 8, 13},
     .attr = {.fill = true, .extent = {3, 7, 13}, .to = {0, 1, 0}, .axis = {0, 1, 2}, .step = {1, 1, 1}}},
    /* parts of a concat: what lies beside the box is left alone */
    {"concat of channels",
     4,
     4,
     {3, 7, 3, 5},
     {3, 20, 3, 5},
     .attr = {.extent = {3, 7, 3, 5}, .to = {0, 13}, .axis = {0, 1, 2, 3}, .step = {1, 1, 1, 1}}},
    {"concat of rows",
     4,
     4,
     {3, 5, 2, 7},
     {3, 5, 9, 7},
     .attr = {.extent = {3, 5, 2, 7}, .to = {0, 0, 4}, .axis = {0, 1, 2, 3}, .step = {1, 1, 1, 1}}},
    {"concat of vectors",
     2,
     2,
     {3, 127},
     {3, 255},
     .attr = {.extent = {3, 127}, .to = {0, 128}, .axis = {0, 1}, .step = {1, 1}}},
    /* expand */
    {"expand to a plane",
     4,
     4,
     {3, 13, 1, 1},
     {3, 13, 5, 7},
     .attr = {.extent = {3, 13, 5, 7}, .axis = {0, 1, -1, -1}, .step = {1, 1, 1, 1}}},
    {"expand channels",
     4,
     4,
     {3, 1, 5, 7},
     {3, 16, 5, 7},
     .attr = {.extent = {3, 16, 5, 7}, .axis = {0, -1, 2, 3}, .step = {1, 1, 1, 1}}},
    {"expand with a new axis",
     2,
     3,
     {3, 13},
     {3, 7, 13},
     .attr = {.extent = {3, 7, 13}, .axis = {0, -1, 1}, .step = {1, 1}}},
    {"expand a number",
     2,
     4,
     {3, 1},
     {3, 2, 3, 5},
     .attr = {.extent = {3, 2, 3, 5}, .axis = {0, -1, -1, -1}, .step = {1, 1}}},
    /* the same for all photos */
    {"expand to the batch",
     3,
     3,
     {1, 1, 13},
     {3, 1, 13},
     .attr = {.extent = {3, 1, 13}, .axis = {-1, 1, 2}, .step = {1, 1, 1}},
     .shared_x = true},
    {"class token",
     3,
     3,
     {1, 1, 13},
     {3, 8, 13},
     .attr = {.extent = {3, 1, 13}, .axis = {-1, 1, 2}, .step = {1, 1, 1}},
     .shared_x = true},
};

#define COPY_SHARED 2 /* of the rows above, at the end */

static void make_copy(size_t row, bcam_check_case *c)
{
    const copy_row *r = &copy_rows[row];
    c->step.u.copy = r->attr;
    c->rule = BCAM_RULE_EXACT;
    c->fills = FILLS_ALL;
    if (r->shared_x)
        c->in[0] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, r->xr, r->x);
    else
        c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, r->xr - 1, r->x + 1);
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, r->yr - 1, r->y + 1);
    snprintf(c->name, sizeof c->name, "copy: %s", r->name);
}

const bcam_check_table bcam_check_copy = {BCAM_COUNT(copy_rows), BCAM_COUNT(copy_rows) - COPY_SHARED, make_copy};

/* ---- resize: photos of random sizes and weights, whatever a filter might make of them ---- */

static const struct {
    int64_t n, h, w, side; /* side: the longest of a photo */
    int taps;
} resize_rows[] = {
    {3, 1, 1, 5, 3}, {3, 7, 13, 40, 9}, {2, 33, 65, 30, 4}, {2, 31, 32, 150, 21}, {1, 70, 9, 300, 60}, {2, 5, 3, 7, 1},
};

static void make_resize(size_t row, bcam_check_case *c)
{
    int64_t n = resize_rows[row].n, h = resize_rows[row].h, w = resize_rows[row].w, side = resize_rows[row].side;
    int64_t most = side > h ? side : h;
    most = most > w ? most : w;
    c->batch = n;
    c->step.segment = BCAM_SEGMENT_RESIZE;
    c->rule = BCAM_RULE_EXACT;
    c->fills = (1u << BCAM_FILL_RANDOM) | (1u << BCAM_FILL_CONSTANT);
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_NONE, 1, DIMS(n * most * most * 3));
    c->in[0].dtype = BCAM_U8;
    c->in[0].domain = BCAM_DOMAIN_BYTE;
    c->in[1] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_NONE, 1,
                               DIMS(n * (h + w) * (BCAM_RESIZE_ROW + resize_rows[row].taps)));
    c->in[1].domain = BCAM_DOMAIN_TABLES;
    c->in[2] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, 1, DIMS(BCAM_FRAME_COUNT));
    c->in[2].domain = BCAM_DOMAIN_FRAMES;
    c->in[2].limit = resize_rows[row].taps;
    c->in[1].dtype = c->in[2].dtype = BCAM_I32;
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, 3, DIMS(3, h, w));
    c->out[0].dtype = BCAM_U8;
    snprintf(c->name, sizeof c->name, "resize %dx%dx%d from up to %d, taps %d", (int)n, (int)h, (int)w, (int)side,
             resize_rows[row].taps);
}

const bcam_check_table bcam_check_resize = {BCAM_COUNT(resize_rows), 0, make_resize};

/* ---- prep ---- */

static const struct {
    int64_t n, c, h, w;
    bcam_prep_attr attr;
} prep_rows[] = {
    {3, 3, 1, 1, {{0, 1, 2, 0}}},    {3, 3, 7, 13, {{0, 1, 2, 0}}},  {3, 3, 6, 16, {{2, 0, 1, 0}}},
    {2, 3, 129, 5, {{2, 1, 0, 0}}},  {2, 3, 5, 127, {{2, 1, 0, 0}}}, {2, 1, 7, 7, {{0, 0, 0, 0}}},
    {1, 1, 13, 128, {{1, 0, 0, 0}}},
};

static void make_prep(size_t row, bcam_check_case *c)
{
    const bcam_prep_attr *attr = &prep_rows[row].attr;
    int64_t channels = prep_rows[row].c, h = prep_rows[row].h, w = prep_rows[row].w;
    c->batch = prep_rows[row].n;
    c->step.segment = BCAM_SEGMENT_PREP;
    c->step.u.prep = *attr;
    c->rule = BCAM_RULE_EXACT;
    c->fills = (1u << BCAM_FILL_RANDOM) | (1u << BCAM_FILL_CONSTANT);
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, 3, DIMS(3, h, w));
    c->in[0].dtype = BCAM_U8;
    c->in[0].domain = BCAM_DOMAIN_BYTE;
    c->in[1] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 2, DIMS(channels, 256));
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_N, 3, DIMS(channels, h, w));
    snprintf(c->name, sizeof c->name, "prep %dx%dx%dx%d channels %d%d%d", (int)c->batch, (int)channels, (int)h, (int)w,
             attr->channel[0], attr->channel[1], attr->channel[2]);
}

const bcam_check_table bcam_check_prep = {BCAM_COUNT(prep_rows), 0, make_prep};
