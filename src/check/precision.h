/* precision.h - what a check allows beyond float32's own errors where the candidate stores or multiplies more coarsely. Private to the room.
 *
 * Both sides get inputs that the coarse type holds exactly. Products and sums are still made in float, so that what is added is one rounding of the
 * result; and one of the sum before an epilogue that is carried out apart. */
#ifndef BCAM_CHECK_PRECISION_H
#define BCAM_CHECK_PRECISION_H

#include "check/bind.h"

/** Rounds a case's real inputs to what the precision holds (BCAM_PRECISION_DEFAULT: leaves them). */
void bcam_check_round(const bcam_check_case *c, bcam_precision precision, bcam_check_data *data);
/** A number as a case's output holds it. */
double bcam_check_held(const bcam_check_case *c, int out, bcam_precision precision, double value);
/** Added to what is allowed of an output whose value is `a`; `scale`: the sum of its terms' magnitudes, 0 where it is no sum. */
double bcam_check_coarse(const bcam_check_case *c, int out, bcam_precision precision, double a, double scale);
/** Whether a verb is carried out by other people's libraries on such a device: CONV, GEMM and their backward steps. */
bool bcam_check_is_product(bcam_verb verb);
/** The fills that make sense: half types cannot hold extreme numbers, and for products a library may promise nothing of those, of NaN and infinity. */
unsigned bcam_check_fills(const bcam_check_case *c, const bcam_check_side *candidate);

#endif
