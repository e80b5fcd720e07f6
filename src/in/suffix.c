/* suffix.c - which names are photos' names. Folders choose their files by it, and lists tell a label from a name with a space in it; neither needs to
 * know the other. */
#include <string.h>
#include <strings.h>

#include "in/suffix.h"

bool bcam_is_photo_name(const char *name)
{
    static const char *const suffixes[] = {"jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < BCAM_COUNT(suffixes); i++) {
        if (strcasecmp(dot + 1, suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}
