/* exif.c - which way up a photo was taken, and turning it. The only file that knows libexif. */
#include <errno.h>
#include <string.h>

#include <libexif/exif-data.h>

#include "in/exif.h"
#include "in/photo.h"

int bcam_exif_orientation(const uint8_t *tiff, size_t bytes)
{
    if (bytes > (1u << 20)) { /* longer than any block that cameras write; libexif counts in unsigned int */
        return 1;
    }
    uint8_t *block = bcam_alloc(bytes + 6, 1); /* libexif wants the six bytes that JPEG puts before the TIFF */
    ExifData *data = block ? exif_data_new() : NULL;
    int orientation = 0;
    if (data) {
        errno = 0; /* libexif does not say that memory was short; what it then lacks looks as if it was not there */
        orientation = 1;
        memcpy(block, "Exif\0\0", 6);
        memcpy(block + 6, tiff, bytes);
        exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION); /* read it as it is, repair nothing */
        exif_data_load_data(data, block, (unsigned)(bytes + 6));
        ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
        if (entry && entry->format == EXIF_FORMAT_SHORT && entry->components >= 1 && entry->size >= 2) {
            int value = exif_get_short(entry->data, exif_data_get_byte_order(data));
            orientation = value >= 1 && value <= 8 ? value : 1;
        }
        orientation = errno == ENOMEM ? 0 : orientation;
        exif_data_unref(data);
    }
    bcam_free(block);
    return orientation;
}

/** Where a turned photo's pixel comes from: source = origin + x * right + y * down, in pixels of the stored photo. */
typedef struct turn_map {
    int64_t origin, right, down;
} turn_map;

static turn_map turn_of(int orientation, int64_t width, int64_t height)
{
    int64_t last_x = width - 1, last_row = (height - 1) * width;
    switch (orientation) {
    case 2:
        return (turn_map){last_x, -1, width}; /* mirrored left to right */
    case 3:
        return (turn_map){last_row + last_x, -1, -width}; /* half a turn */
    case 4:
        return (turn_map){last_row, 1, -width}; /* upside down */
    case 5:
        return (turn_map){0, width, 1}; /* rows and columns exchanged */
    case 6:
        return (turn_map){last_row, -width, 1}; /* a quarter to the left: turn right */
    case 7:
        return (turn_map){last_row + last_x, -width, -1}; /* exchanged over the other diagonal */
    case 8:
        return (turn_map){last_x, width, -1}; /* a quarter to the right: turn left */
    default:
        return (turn_map){0, 1, width};
    }
}

static void swap_ints(int *a, int *b)
{
    int kept = *a;
    *a = *b;
    *b = kept;
}

static void turn_sizes(bcam_photo *photo, turn_map turn)
{
    bcam_box a = photo->area;
    bool swapped = photo->orientation >= 5, right_back = turn.right < 0, down_back = turn.down < 0;
    double left = photo->rgb_width - (a.x + a.w), above = photo->rgb_height - (a.y + a.h); /* seen from the other end */
    if (swapped) {
        photo->area = (bcam_box){right_back ? above : a.y, down_back ? left : a.x, a.h, a.w};
        swap_ints(&photo->width, &photo->height);
        swap_ints(&photo->rgb_width, &photo->rgb_height);
    } else {
        photo->area = (bcam_box){right_back ? left : a.x, down_back ? above : a.y, a.w, a.h};
    }
    photo->part = (bcam_part){0, 0, photo->rgb_width, photo->rgb_height};
}

bool bcam_photo_orient(bcam_photo *photo)
{
    if (photo->orientation < 2 || photo->orientation > 8) {
        return true;
    }
    int width = photo->rgb_width, height = photo->rgb_height;
    if (!bcam_buffer_reserve(&photo->scratch, &photo->scratch_capacity, (size_t)width * (size_t)height * 3)) {
        return false;
    }
    turn_map turn = turn_of(photo->orientation, width, height);
    turn_sizes(photo, turn);
    uint8_t *to = photo->scratch;
    for (int64_t y = 0; y < photo->rgb_height; y++) {
        int64_t at = turn.origin + y * turn.down;
        for (int64_t x = 0; x < photo->rgb_width; x++, at += turn.right, to += 3) {
            memcpy(to, photo->rgb + at * 3, 3);
        }
    }
    uint8_t *turned = photo->scratch;
    size_t capacity = photo->scratch_capacity;
    photo->scratch = photo->rgb;
    photo->scratch_capacity = photo->capacity;
    photo->rgb = turned;
    photo->capacity = capacity;
    return true;
}
