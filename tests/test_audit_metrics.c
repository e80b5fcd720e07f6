/* test_audit_metrics.c - published metrics on the numbers that torch-cam's own tests use: a "model" that adds up four pixels. */
#include <criterion/criterion.h>
#include <math.h>

#include "audit/audit.h"

static const double pixels[4] = {0.4, 0.3, 0.2, 0.1};

/* The probability after the first `count` pixels were put in. */
static double inserted(int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += pixels[i];
    return sum;
}

Test(metrics, average_drop)
{
    const double whole = inserted(4), kept = inserted(1);
    cr_assert_float_eq(bcam_average_drop(&whole, &kept, 1), 0.6 / (1 + 1e-7), 1e-15);
    const double more[3] = {1, 0.5, 0.25}, left[3] = {0.4, 0.5, 0.5}; /* a gain counts as no drop */
    cr_assert_float_eq(bcam_average_drop(more, left, 3), 0.2 / (1 + 1e-7), 1e-15);
    cr_assert(isnan(bcam_average_drop(NULL, NULL, 0)));
}

Test(metrics, curves)
{
    const double deletion[3] = {inserted(4), 1 - inserted(2), 1 - inserted(4)},
                 insertion[3] = {inserted(0), inserted(2), inserted(4)};
    cr_assert_float_eq(deletion[1], 0.3, 1e-15);
    cr_assert_float_eq(insertion[1], 0.7, 1e-15);
    cr_assert_float_eq(bcam_curve_area(deletion, 3), 0.4, 1e-15);
    cr_assert_float_eq(bcam_curve_area(insertion, 3), 0.6, 1e-15);
    cr_assert(isnan(bcam_curve_area(insertion, 1)));
}
