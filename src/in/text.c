/* text.c - see text.h. Of the file no more than a piece and a row are held, however long it is. */
#include "in/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ROW ((size_t)1 << 20)

bcam_status bcam_text_open(bcam_text *text, const char *path, bcam_error *err)
{
    struct stat info;
    char why[128];
    *text = (bcam_text){.line = 1, .fd = -1, .err = err};
    text->path = bcam_strdup(path);
    text->piece = bcam_alloc(BCAM_TEXT_PIECE, 1);
    if (!text->path || !text->piece) {
        return bcam_fail_memory(err, BCAM_TEXT_PIECE, path);
    }
    text->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe that nobody writes to is refused */
    if (text->fd < 0) {
        return bcam_fail(err, BCAM_E_IO, "cannot open '%s': %s", path, strerror_r(errno, why, sizeof(why)));
    }
    if (fstat(text->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        return bcam_fail(err, BCAM_E_IO, "'%s' is not a regular file", path);
    }
    if (bcam_text_more(text, 2) >= 0 && memcmp(text->piece, "\xEF\xBB\xBF", 3) == 0) {
        text->at = 3;
    }
    return text->status;
}

void bcam_text_close(bcam_text *text)
{
    if (text->path && text->fd >= 0) {
        close(text->fd);
    }
    bcam_free(text->path);
    bcam_free(text->piece);
    bcam_free(text->row);
    memset(text, 0, sizeof(*text));
}

/** Reads on behind what is there; false at the end. */
static bool read_on(bcam_text *text)
{
    ssize_t got;
    char why[128];
    do {
        got = read(text->fd, text->piece + text->end, BCAM_TEXT_PIECE - text->end);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        text->status =
            bcam_fail(text->err, BCAM_E_IO, "cannot read '%s': %s", text->path, strerror_r(errno, why, sizeof(why)));
    } else if (memchr(text->piece + text->end, 0, (size_t)got)) {
        text->status = bcam_fail(text->err, BCAM_E_INPUT, "'%s' is not a text file: it holds zero bytes", text->path);
    } else {
        text->end += (size_t)got;
    }
    return text->status == BCAM_OK && got > 0;
}

int bcam_text_more(bcam_text *text, size_t ahead)
{
    memmove(text->piece, text->piece + text->at, text->end - text->at);
    text->end -= text->at;
    text->at = 0;
    while (text->status == BCAM_OK && text->end <= ahead && read_on(text)) {}
    return text->status == BCAM_OK && ahead < text->end ? (unsigned char)text->piece[ahead] : BCAM_TEXT_END;
}

void bcam_text_begin_row(bcam_text *text)
{
    text->length = 0;
    text->row_line = text->line;
}

bool bcam_text_grow(bcam_text *text)
{
    if (text->length >= MAX_ROW) {
        text->status = bcam_fail(text->err, BCAM_E_INPUT,
                                 "'%s', line %zu: a row of more than %zu bytes; is a quote opened and never closed?",
                                 text->path, text->row_line, MAX_ROW);
    } else if (!bcam_grow(&text->row, &text->capacity, text->length, 1)) {
        text->status = bcam_fail_memory(text->err, text->capacity * 2, text->path);
    }
    return text->status == BCAM_OK;
}
