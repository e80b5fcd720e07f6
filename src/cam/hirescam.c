/* hirescam.c - Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020.
 *
 * Equation 3: L = ReLU(sum over c of d y / d A_c * A_c, element by element); the gradient is not averaged. */
#include "cam/cam.h"

const bcam_method bcam_method_hirescam = {"hirescam", BCAM_CAM_ELEMENTWISE, "Draelos, Carin, 2020"};
