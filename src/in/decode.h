/* decode.h - one decoder for each kind of file; image.c chooses. Private to src/in. */
#ifndef BCAM_IN_DECODE_H
#define BCAM_IN_DECODE_H

#include "in/in.h"

/* rgb, width, height, part and orientation are set where OK is returned; orientation is not applied. */
bcam_outcome bcam_jpeg_decode(bcam_photo *photo, const uint8_t *data, size_t bytes,
                              const bcam_photo_limits *limits);                                         /* jpeg.c */
bcam_outcome bcam_png_decode(bcam_photo *photo, const uint8_t *data, size_t bytes, int64_t max_pixels); /* png.c */

#endif
