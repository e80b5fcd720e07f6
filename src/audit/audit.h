/* audit.h - what maps say about a model: pure functions over numbers that a run has written. Knows no file, no network, no device. */
#ifndef BCAM_AUDIT_H
#define BCAM_AUDIT_H

#include "base/base.h"

/** The mean over photos of max(0, whole - kept) / (whole + 1e-7): how much of a class's probability is lost where only what the map shows is
 *  kept. whole, kept: (count), each 0 … 1. NAN for count 0. Chattopadhyay et al., "Grad-CAM++", WACV 2018, section 4.1. */
double bcam_average_drop(const double *whole, const double *kept, size_t count);

/** The area under a curve of count >= 2 points at equal distances over 0 … 1, by trapezoids: of probabilities while the pixels of a map are
 *  deleted or inserted, largest first. NAN for count < 2. Petsiuk, Das, Saenko, "RISE", BMVC 2018, section 4.1. */
double bcam_curve_area(const double *curve, size_t count);

#endif
