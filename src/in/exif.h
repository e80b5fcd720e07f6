/* exif.h - which way up a photo was taken, and turning it. Private to src/in. */
#ifndef BCAM_IN_EXIF_H
#define BCAM_IN_EXIF_H

#include "in/in.h"

/** The orientation, 1 … 8, of an EXIF block (a TIFF file, without "Exif\0\0" before it); 1 where it has none or is damaged, 0 where
 *  memory is out. */
int bcam_exif_orientation(const uint8_t *tiff, size_t bytes);
/** Turns photo->rgb as photo->orientation says; needs a second buffer, which is photo->scratch. False: memory is out. */
bool bcam_photo_orient(bcam_photo *photo);

#endif
