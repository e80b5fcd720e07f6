/* photo.h - what the decoders of this room share: they fill a bcam_photo, or say why not. Private to src/in. */
#ifndef BCAM_IN_PHOTO_H
#define BCAM_IN_PHOTO_H

#include "in/in.h"

/** Writes photo->message and returns outcome, so that a failing decoder is one line. */
bcam_outcome bcam_photo_refuse(bcam_photo *photo, bcam_outcome outcome, const char *format, ...) BCAM_PRINTF(3, 4);

/** Checks a header's size against the limit, makes room for width x height RGB pixels, sets photo->width … stored_height. OK, TOO_LARGE or
 *  UNREADABLE (memory). The pixels are not set. */
bcam_outcome bcam_photo_reserve(bcam_photo *photo, int64_t width, int64_t height, int64_t max_pixels);

/** Grows a buffer whose content may be lost. */
bool bcam_buffer_reserve(uint8_t **buffer, size_t *capacity, size_t bytes);

/* ---- jpeg.c, png.c: rgb, width, height and orientation are set where OK is returned; orientation is not applied ---- */
bcam_outcome bcam_jpeg_decode(bcam_photo *photo, const uint8_t *data, size_t bytes, int64_t max_pixels);
bcam_outcome bcam_png_decode(bcam_photo *photo, const uint8_t *data, size_t bytes, int64_t max_pixels);

/* ---- exif.c ---- */

/** The orientation, 1 … 8, of an EXIF block (a TIFF file, without "Exif\0\0" before it); 1 where it has none or is damaged. */
int bcam_exif_orientation(const uint8_t *tiff, size_t bytes);
/** Turns photo->rgb as photo->orientation says; needs a second buffer, which is photo->scratch. False: memory is out. */
bool bcam_photo_orient(bcam_photo *photo);

#endif
