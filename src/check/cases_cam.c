/* cases_cam.c - the product's own verbs: select, cam, upsample. */
#include "check/cases.h"

static bcam_check_operand integers(bcam_check_lead lead, int rank, const int64_t *dim, bcam_check_domain domain,
                                   int64_t limit)
{
    bcam_check_operand o = bcam_check_real(BCAM_ROLE_INPUT, lead, rank, dim);
    o.dtype = BCAM_I32;
    o.domain = domain;
    o.limit = limit;
    return o;
}

/* ---- select ---- */

static const struct {
    int64_t n, m, all, k; /* all: classes asked for a photo, of which k are explained at once */
    bcam_activation activation;
} select_rows[] = {
    {3, 1, 1, 1, BCAM_ACTIVATION_SIGMOID},   {3, 7, 3, 3, BCAM_ACTIVATION_SOFTMAX},
    {2, 13, 5, 2, BCAM_ACTIVATION_SOFTMAX},  {3, 127, 1, 1, BCAM_ACTIVATION_NONE},
    {1, 129, 8, 7, BCAM_ACTIVATION_SIGMOID}, {2, 1000, 5, 5, BCAM_ACTIVATION_SOFTMAX},
    {3, 128, 13, 13, BCAM_ACTIVATION_NONE},  {3, 2, 7, 6, BCAM_ACTIVATION_SOFTMAX},
};

static void make_select(size_t row, bcam_check_case *c)
{
    int64_t m = select_rows[row].m;
    c->batch = select_rows[row].n;
    c->k = select_rows[row].k;
    c->step.u.select.activation = select_rows[row].activation;
    c->rule = BCAM_RULE_VALUE;
    c->fills = FILLS_FINITE;
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, 1, DIMS(m));
    c->in[1] = integers(BCAM_LEAD_N, 1, DIMS(select_rows[row].all), BCAM_DOMAIN_REQUEST, m);
    c->in[2] = integers(BCAM_LEAD_NONE, 1, DIMS(1), BCAM_DOMAIN_FIRST, select_rows[row].all > c->k);
    c->out[0] = integers(BCAM_LEAD_K_N, 0, NULL, BCAM_DOMAIN_CLASS, m);
    c->out[0].role = BCAM_ROLE_OUTPUT;
    c->out[1] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 0, NULL);
    c->out[2] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 0, NULL);
    c->out[3] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_KN, 1, DIMS(m));
    snprintf(c->name, sizeof c->name, "select %dx%d, %d of %d, activation %d", (int)c->batch, (int)m, (int)c->k,
             (int)select_rows[row].all, (int)c->step.u.select.activation);
}

const bcam_check_table bcam_check_select = {BCAM_COUNT(select_rows), 0, make_select};

/* ---- cam ---- */

static const struct {
    int64_t n, c, h, w, k;
    bcam_cam_attr attr;
    bool weights;
} cam_rows[] = {
    {1, 1, 1, 1, 1, {BCAM_CAM_POOLED, false, false}, true},
    {3, 13, 7, 7, 1, {BCAM_CAM_POOLED, false, false}, true},
    {3, 7, 3, 5, 3, {BCAM_CAM_POOLED, false, true}, true},
    {2, 128, 7, 13, 2, {BCAM_CAM_POOLED, false, false}, false},
    {3, 129, 1, 7, 2, {BCAM_CAM_POOLED, false, true}, true},
    {2, 127, 5, 1, 1, {BCAM_CAM_POOLED, false, false}, true},
    {3, 13, 7, 7, 1, {BCAM_CAM_ELEMENTWISE, false, false}, false},
    {2, 128, 3, 5, 3, {BCAM_CAM_ELEMENTWISE, false, true}, false},
    {2, 7, 13, 5, 2, {BCAM_CAM_ELEMENTWISE, false, false}, true},
    {3, 13, 7, 7, 2, {BCAM_CAM_POOLED, true, false}, true},
    {2, 129, 7, 7, 3, {BCAM_CAM_POOLED, true, true}, true},
    {2, 64, 5, 3, 2, {BCAM_CAM_ELEMENTWISE, true, false}, false},
};

static void make_cam(size_t row, bcam_check_case *c)
{
    enum { CLASSES = 10 };
    int64_t channels = cam_rows[row].c, h = cam_rows[row].h, w = cam_rows[row].w;
    const bcam_cam_attr *attr = &cam_rows[row].attr;
    c->batch = cam_rows[row].n;
    c->k = cam_rows[row].k;
    c->step.segment = BCAM_SEGMENT_CAM;
    c->step.u.cam = *attr;
    c->depth = (double)(channels * h * w);
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_N, 3, DIMS(channels, h, w));
    c->in[1] = attr->constant ? bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 2, DIMS(CLASSES, channels))
                              : bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_KN, 3, DIMS(channels, h, w));
    c->in[2] = integers(BCAM_LEAD_K_N, 0, NULL, BCAM_DOMAIN_CLASS, CLASSES);
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 2, DIMS(h, w));
    c->out[1] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 1, DIMS(2));
    c->out[2] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, 1, DIMS(channels));
    c->out[2].present = cam_rows[row].weights;
    snprintf(c->name, sizeof c->name, "cam %dx%dx%dx%d K%d %s%s%s%s", (int)c->batch, (int)channels, (int)h, (int)w,
             (int)c->k, attr->kind == BCAM_CAM_POOLED ? "pooled" : "elementwise", attr->constant ? " constant" : "",
             attr->signed_map ? " signed" : "", cam_rows[row].weights ? " weights" : "");
}

const bcam_check_table bcam_check_cam = {BCAM_COUNT(cam_rows), 0, make_cam};

/* ---- upsample ---- */

static const struct {
    int64_t h, w, to_h, to_w;
    bcam_dtype dtype;
    bool signed_map, coloured;
} upsample_rows[] = {
    {7, 7, 224, 224, BCAM_F32, false, false}, {7, 7, 7, 7, BCAM_F32, true, false},
    {1, 1, 13, 7, BCAM_F32, false, false},    {13, 7, 127, 129, BCAM_F32, true, false},
    {5, 3, 16, 16, BCAM_F32, false, false},   {14, 13, 7, 128, BCAM_F32, true, false},
    {7, 7, 50, 33, BCAM_F16, false, false},   {7, 7, 7, 7, BCAM_F16, true, false},
    {1, 1, 1, 1, BCAM_F16, false, false},     {7, 7, 64, 63, BCAM_U8, false, false},
    {13, 5, 13, 5, BCAM_U8, false, false},    {1, 1, 7, 5, BCAM_U8, false, false},
    {3, 40, 96, 80, BCAM_U8, false, false},   {7, 7, 28, 56, BCAM_U8, true, true},
    {7, 7, 50, 33, BCAM_U8, false, true},     {1, 1, 5, 16, BCAM_U8, false, true},
    {14, 13, 7, 128, BCAM_U8, true, true},    {2, 3, 21, 400, BCAM_U8, false, true},
    {7, 7, 33, 150, BCAM_U8, false, true},    {5, 16, 5, 16, BCAM_U8, false, true},
};

/* Positions are floats up to the map's size, rounded a few times in both axes; a value errs by as much of the step
   between two pixels, which is twice the largest at most. */
static void make_upsample(size_t row, bcam_check_case *c)
{
    int64_t h = upsample_rows[row].h, w = upsample_rows[row].w, to_h = upsample_rows[row].to_h,
            to_w = upsample_rows[row].to_w;
    bool coloured = upsample_rows[row].coloured, signed_map = upsample_rows[row].signed_map;
    c->step.segment = BCAM_SEGMENT_CAM;
    c->rule = BCAM_RULE_FIRST;
    c->depth = 16.0 * (double)(h > w ? h * h : w * w);
    c->fills = (1u << BCAM_FILL_RANDOM) | (1u << BCAM_FILL_CONSTANT);
    if (upsample_rows[row].dtype == BCAM_F32 || coloured)
        c->fills |= 1u << BCAM_FILL_EXTREME;
    /* Where places are exact, what infinities come to is the same everywhere, too. */
    if (coloured && to_h % h == 0 && to_w % w == 0 && signed_map)
        c->fills |= 1u << BCAM_FILL_SPECIAL;
    c->in[0] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_K_N, 2, DIMS(h, w));
    c->in[0].domain = signed_map ? BCAM_DOMAIN_ANY : BCAM_DOMAIN_RELU;
    c->in[1] = bcam_check_real(BCAM_ROLE_INPUT, BCAM_LEAD_K_N, 1, DIMS(2));
    c->in[1].domain = BCAM_DOMAIN_RANGE;
    if (coloured) {
        c->in[2] = bcam_check_real(BCAM_ROLE_CONST, BCAM_LEAD_NONE, 2, DIMS(256, 3));
        c->in[2].dtype = BCAM_U8;
        c->in[2].domain = BCAM_DOMAIN_COLOURS;
    }
    c->out[0] = bcam_check_real(BCAM_ROLE_OUTPUT, BCAM_LEAD_K_N, coloured ? 3 : 2, DIMS(to_h, to_w, 3));
    c->out[0].dtype = upsample_rows[row].dtype;
    snprintf(c->name, sizeof c->name, "upsample %dx%d to %dx%d %s", (int)h, (int)w, (int)to_h, (int)to_w,
             coloured ? "colours" : bcam_dtype_name(upsample_rows[row].dtype));
}

const bcam_check_table bcam_check_upsample = {BCAM_COUNT(upsample_rows), 0, make_upsample};
