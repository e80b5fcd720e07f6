/* metrics.c - how faithful maps are, as published. */
#include <math.h>

#include "audit/audit.h"

double bcam_average_drop(const double *whole, const double *kept, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += fmax(0, whole[i] - kept[i]) / (whole[i] + 1e-7);
    return count ? sum / (double)count : (double)NAN;
}

double bcam_curve_area(const double *curve, size_t count)
{
    double sum = 0;
    for (size_t i = 1; i < count; i++)
        sum += (curve[i - 1] + curve[i]) / 2;
    return count < 2 ? (double)NAN : sum / (double)(count - 1);
}
