/* image.c - a file becomes a photo: opening without surprises, telling the kind by content, handing over to its decoder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "in/decode.h"
#include "in/exif.h"
#include "in/photo.h"

#define DEFAULT_FILE_BYTES ((int64_t)1 << 30)

const char *bcam_outcome_name(bcam_outcome outcome)
{
    static const char *const names[BCAM_OUTCOME_COUNT] = {"ok",          "missing",   "unreadable",
                                                          "unsupported", "too_large", "no_label"};
    return (unsigned)outcome < BCAM_OUTCOME_COUNT ? names[outcome] : "?";
}

/* ---- which kind of file ---- */

typedef struct kind {
    const char *name; /* "a GIF"; NULL ends the table */
    uint8_t at, length;
    char magic[12];
} kind;

static const kind other_kinds[] = {
    {"a GIF", 0, 4, "GIF8"},
    {"a BMP", 0, 2, "BM"},
    {"a TIFF", 0, 4, {'I', 'I', 42, 0}},
    {"a TIFF", 0, 4, {'M', 'M', 0, 42}},
    {"a BigTIFF", 0, 4, {'I', 'I', 43, 0}},
    {"a BigTIFF", 0, 4, {'M', 'M', 0, 43}},
    {"a WebP", 8, 4, "WEBP"},
    {"an AVIF", 4, 8, "ftypavif"},
    {"a HEIF", 4, 6, "ftyphe"},
    {"a HEIF", 4, 7, "ftypmif"},
    {"a JPEG 2000", 4, 4, "jP  "},
    {"a JPEG 2000", 0, 4, {'\xFF', '\x4F', '\xFF', '\x51'}},
    {"a JPEG XL", 0, 2, {'\xFF', '\x0A'}},
    {"a JPEG XL", 4, 4, "JXL "},
    {"a Photoshop file", 0, 4, "8BPS"},
    {"an icon", 0, 4, {0, 0, 1, 0}},
    {"a NetPBM file", 0, 2, "P1"},
    {"a NetPBM file", 0, 2, "P2"},
    {"a NetPBM file", 0, 2, "P3"},
    {"a NetPBM file", 0, 2, "P4"},
    {"a NetPBM file", 0, 2, "P5"},
    {"a NetPBM file", 0, 2, "P6"},
    {"a PDF", 0, 4, "%PDF"},
    {"a web page or SVG", 0, 1, "<"},
    {"a zip archive", 0, 4, {'P', 'K', 3, 4}},
    {NULL, 0, 0, ""},
};

static bool begins(const uint8_t *data, size_t bytes, const char *magic, size_t length)
{
    return bytes >= length && memcmp(data, magic, length) == 0;
}

static bcam_outcome refuse_kind(bcam_photo *photo, const uint8_t *data, size_t bytes)
{
    for (const kind *k = other_kinds; k->name; k++) {
        if (bytes >= k->at && begins(data + k->at, bytes - k->at, k->magic, k->length)) {
            return bcam_photo_refuse(photo, BCAM_OUTCOME_UNSUPPORTED, "%s; JPEG and PNG are read", k->name);
        }
    }
    char shown[4 * 3 + 1] = "";
    for (size_t i = 0; i < bytes && i < 4; i++) {
        snprintf(shown + 3 * i, sizeof(shown) - 3 * i, " %02x", data[i]);
    }
    return bcam_photo_refuse(photo, BCAM_OUTCOME_UNSUPPORTED, "neither a JPEG nor a PNG (it begins with the bytes%s)",
                             shown);
}

static int64_t most_bytes(const bcam_photo_limits *limits)
{
    return limits->max_file_bytes ? limits->max_file_bytes : DEFAULT_FILE_BYTES;
}

static bcam_outcome refuse_size(bcam_photo *photo, size_t bytes, const bcam_photo_limits *limits)
{
    if (bytes <= (uint64_t)most_bytes(limits)) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "out of memory for a file of %zu bytes", bytes);
    }
    return bcam_photo_refuse(photo, BCAM_OUTCOME_TOO_LARGE, "%zu bytes, more than the limit of %lld", bytes,
                             (long long)most_bytes(limits));
}

bcam_outcome bcam_photo_decode(bcam_photo *photo, const uint8_t *data, size_t bytes, const bcam_photo_limits *limits)
{
    photo->message[0] = 0;
    photo->width = photo->height = photo->stored_width = photo->stored_height = 0;
    photo->orientation = 1;
    bcam_outcome outcome;
    if (bytes == 0) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "the file is empty");
    }
    if (!data) {
        return refuse_size(photo, bytes, limits);
    }
    if (begins(data, bytes, "\xFF\xD8\xFF", 3)) {
        outcome = bcam_jpeg_decode(photo, data, bytes, limits);
    } else if (begins(data, bytes, "\x89PNG\r\n\x1A\n", 8)) {
        outcome = bcam_png_decode(photo, data, bytes, limits->max_pixels);
    } else {
        return refuse_kind(photo, data, bytes);
    }
    if (outcome == BCAM_OUTCOME_OK && limits->exif && !bcam_photo_orient(photo)) {
        outcome = bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "out of memory for turning %d x %d pixels",
                                    photo->width, photo->height);
    }
    return outcome;
}

/* ---- files ---- */

static const char *special_name(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

/** Opens without waiting for the other end of a pipe; *fd is set where OK is returned. */
static bcam_outcome open_regular(bcam_photo *photo, const char *path, int64_t max_bytes, int *fd, size_t *bytes)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (*fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_MISSING, "there is no such file");
    }
    if (*fd < 0 || fstat(*fd, &info) != 0) {
        char text[128];
        return bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "cannot be opened: %s",
                                 strerror_r(errno, text, sizeof(text)));
    }
    if (!S_ISREG(info.st_mode)) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "%s, not a file", special_name(info.st_mode));
    }
    if (info.st_size > max_bytes) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_TOO_LARGE, "%lld bytes, more than the limit of %lld",
                                 (long long)info.st_size, (long long)max_bytes);
    }
    *bytes = (size_t)info.st_size;
    return BCAM_OUTCOME_OK;
}

static bcam_outcome read_whole(bcam_photo *photo, int fd, size_t bytes)
{
    if (!bcam_buffer_reserve(&photo->file, &photo->file_capacity, bytes)) {
        return bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "out of memory for a file of %zu bytes", bytes);
    }
    photo->file_bytes = 0;
    while (photo->file_bytes < bytes) {
        ssize_t got = read(fd, photo->file + photo->file_bytes, bytes - photo->file_bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            char text[128];
            return bcam_photo_refuse(photo, BCAM_OUTCOME_UNREADABLE, "cannot be read: %s",
                                     strerror_r(errno, text, sizeof(text)));
        }
        if (got == 0) {
            break; /* it became shorter while being read */
        }
        photo->file_bytes += (size_t)got;
    }
    return BCAM_OUTCOME_OK;
}

bcam_outcome bcam_photo_read(bcam_photo *photo, const char *path, const bcam_photo_limits *limits)
{
    int fd = -1;
    size_t bytes = 0;
    photo->message[0] = 0;
    photo->width = photo->height = photo->stored_width = photo->stored_height = 0;
    photo->orientation = 1;
    bcam_outcome outcome = open_regular(photo, path, most_bytes(limits), &fd, &bytes);
    if (outcome == BCAM_OUTCOME_OK) {
        outcome = read_whole(photo, fd, bytes);
    }
    if (fd >= 0) {
        close(fd);
    }
    return outcome;
}

bcam_outcome bcam_photo_load(bcam_photo *photo, const char *path, const bcam_photo_limits *limits)
{
    bcam_outcome outcome = bcam_photo_read(photo, path, limits);
    return outcome == BCAM_OUTCOME_OK ? bcam_photo_decode(photo, photo->file, photo->file_bytes, limits) : outcome;
}

void bcam_photo_fini(bcam_photo *photo)
{
    bcam_free(photo->rgb);
    bcam_free(photo->file);
    bcam_free(photo->scratch);
    memset(photo, 0, sizeof(*photo));
}
