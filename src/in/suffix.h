/* suffix.h - which names are photos' names. Private to src/in. */
#ifndef BCAM_IN_SUFFIX_H
#define BCAM_IN_SUFFIX_H

#include "in/in.h"

/** Whether the name ends as torchvision's ImageFolder wants it. */
bool bcam_is_photo_name(const char *name);

#endif
