/* photo.c - what every decoder needs before its first pixel: room for them, and a sentence where there will be none. It knows no kind of file, so
 * that decoders stand on it and not on image.c, which chooses among them. */
#include <stdarg.h>
#include <stdio.h>

#include "in/photo.h"

bcam_outcome bcam_photo_refuse(bcam_photo *photo, bcam_outcome outcome, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(photo->message, sizeof(photo->message), format, args);
    va_end(args);
    return outcome;
}

bool bcam_buffer_reserve(uint8_t **buffer, size_t *capacity, size_t bytes)
{
    if (bytes <= *capacity) {
        return true;
    }
    bcam_free(*buffer); /* freed first: two large photos need not exist at once */
    *buffer = bcam_alloc(bytes, 1);
    *capacity = *buffer ? bytes : 0;
    return *buffer != NULL;
}

bcam_outcome bcam_photo_reserve(bcam_photo *photo, int64_t width, int64_t height, int64_t max_pixels, int reduction)
{
    if (width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "its header says %lld x %lld pixels", (long long)width,
                                 (long long)height);
    }
    if (width > max_pixels / height) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_TOO_LARGE, "%lld x %lld pixels, more than the limit of %lld",
                                 (long long)width, (long long)height, (long long)max_pixels);
    }
    int64_t across = (width + reduction - 1) / reduction, down = (height + reduction - 1) / reduction;
    if (!bcam_buffer_reserve(&photo->rgb, &photo->capacity, (size_t)across * (size_t)down * 3)) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "out of memory for %lld x %lld pixels",
                                 (long long)across, (long long)down);
    }
    photo->width = photo->stored_width = (int)width;
    photo->height = photo->stored_height = (int)height;
    photo->rgb_width = (int)across;
    photo->rgb_height = (int)down;
    photo->area = (bcam_box){0, 0, (double)width / reduction, (double)height / reduction};
    photo->part = (bcam_part){0, 0, (int)across, (int)down};
    return BCAM_OUTCOME_OK;
}
