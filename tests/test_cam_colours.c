/* The colour map of overlays, from its usual definition, and where pictures stand in a plan. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "cam/cam.h"

/* JET in floating point. */
static double ramp(double x, double peak)
{
    double value = 1.5 - fabs(4 * x - peak);
    return value < 0 ? 0 : value > 1 ? 255 : 255 * value;
}

Test(cam_colours, jet)
{
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    int value = bcam_cam_colours(&plan);
    uint8_t table[256][3];
    cr_assert_geq(value, 0);
    const bcam_value *v = &plan.values[value];
    cr_assert(v->role == BCAM_ROLE_CONST && v->dtype == BCAM_U8 && v->rank == 2 && v->dim[0] == 256 && v->dim[1] == 3);
    bcam_const_read(v, BCAM_U8, table);
    for (int i = 0; i < 256; i++)
        for (int c = 0; c < 3; c++)
            cr_assert_eq(table[i][c], (int)floor(ramp(i / 255.0, 3 - c) + 0.5 + 1e-9), "entry %d, channel %d: %d", i, c,
                         table[i][c]);
    /* The two ends as OpenCV has them: dark blue and dark red. */
    const uint8_t first[3] = {0, 0, 128}, last[3] = {128, 0, 0};
    cr_assert_arr_eq(table[0], first, 3);
    cr_assert_arr_eq(table[255], last, 3);
    bcam_plan_fini(&plan);
}

static int count_upsamples(int64_t side, bcam_dtype dtype, bool pictures, bcam_cam_maps *maps, bcam_plan *plan)
{
    bcam_plan_init(plan, 2, 3);
    const bcam_method *method;
    bcam_cam_output output = {.dtype = dtype, .height = (int)side, .width = (int)side, .colours = -1};
    output.picture_height = 20;
    output.picture_width = 30;
    const int64_t a[4] = {2, 8, 5, 5}, g[4] = {6, 8, 5, 5}, ids[2] = {3, 2};
    bcam_cam_source source = {.name = "layer"};
    source.activations = bcam_plan_value(plan, "a", BCAM_ROLE_INPUT, BCAM_F32, 4, a);
    source.gradient = bcam_plan_value(plan, "g", BCAM_ROLE_INPUT, BCAM_F32, 4, g);
    bcam_selection selection = {.ids = bcam_plan_value(plan, "ids", BCAM_ROLE_INPUT, BCAM_I32, 2, ids)};
    bcam_error err = {0};
    if (pictures)
        output.colours = bcam_cam_colours(plan);
    cr_assert_eq(bcam_method_find("gradcam", &method, &err), BCAM_OK);
    cr_assert_eq(bcam_cam_map(plan, method, &source, &selection, &output, maps, &err), BCAM_OK, "%s", err.message);
    return (int)plan->step_count - 1;
}

Test(cam_colours, pictures_are_a_step_of_their_own)
{
    bcam_plan plan;
    bcam_cam_maps maps;
    cr_assert_eq(count_upsamples(5, BCAM_F32, false, &maps, &plan), 0);
    cr_assert(maps.given == maps.raw && maps.picture == -1);
    bcam_plan_fini(&plan);
    cr_assert_eq(count_upsamples(9, BCAM_U8, false, &maps, &plan), 1);
    bcam_plan_fini(&plan);
    cr_assert_eq(count_upsamples(9, BCAM_F32, true, &maps, &plan), 2);
    const bcam_value *picture = &plan.values[maps.picture];
    const int64_t dim[5] = {3, 2, 20, 30, 3};
    cr_assert(picture->rank == 5 && picture->dtype == BCAM_U8 && memcmp(picture->dim, dim, sizeof dim) == 0);
    cr_assert_eq(plan.values[maps.given].rank, 4);
    bcam_plan_fini(&plan);
}
