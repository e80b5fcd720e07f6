/* gradcam.c - Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017.
 *
 * Equation 1: w_c = 1/(h w) sum over i,j of d y / d A_cij.   Equation 2: L = ReLU(sum over c of w_c A_c). */
#include "cam/cam.h"

const bcam_method bcam_method_gradcam = {"gradcam", BCAM_CAM_POOLED, "Selvaraju et al., ICCV 2017"};
