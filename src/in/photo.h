/* photo.h - how the files of this room fill a bcam_photo, or say why not. Private to src/in. */
#ifndef BCAM_IN_PHOTO_H
#define BCAM_IN_PHOTO_H

#include "in/in.h"

/** Writes photo->message and returns outcome, so that a failing decoder is one line. */
bcam_outcome bcam_photo_refuse(bcam_photo *photo, bcam_outcome outcome, const char *format, ...) BCAM_PRINTF(3, 4);

/** Checks a header's size against the limit, makes room for its RGB pixels, `reduction` times fewer a side; sets all sizes, area and part. OK,
 *  TOO_LARGE or UNREADABLE (memory). The pixels are not set. */
bcam_outcome bcam_photo_reserve(bcam_photo *photo, int64_t width, int64_t height, int64_t max_pixels, int reduction);

/** Grows a buffer whose content may be lost. */
bool bcam_buffer_reserve(uint8_t **buffer, size_t *capacity, size_t bytes);

#endif
