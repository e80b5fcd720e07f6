/* text.h - a text file, read a piece at a time, and the row of it that is at hand. Private to src/in. */
#ifndef BCAM_IN_TEXT_H
#define BCAM_IN_TEXT_H

#include "base/base.h"

enum { BCAM_TEXT_END = -1, BCAM_TEXT_PIECE = 1 << 16 };

typedef struct bcam_text {
    char *path;
    int fd;
    char *piece; /* bytes at … end of it are still to come */
    size_t at, end;
    char *row; /* what was kept since it was begun */
    size_t length, capacity;
    size_t line, row_line; /* 1-based: the one at hand, and the one in which the row began */
    bcam_status status;    /* of reading; the end seems to have come where it is not OK */
    bcam_error *err;       /* of the call at hand */
} bcam_text;

/** Opens a regular file; a byte order mark is passed over. E_IO. */
bcam_status bcam_text_open(bcam_text *text, const char *path, bcam_error *err);
void bcam_text_close(bcam_text *text);

/** The byte so many (0 or 1) behind the next one, which may have to be read. For bcam_text_peek. */
int bcam_text_more(bcam_text *text, size_t ahead);

static inline int bcam_text_peek(bcam_text *text, size_t ahead)
{
    return text->at + ahead < text->end ? (unsigned char)text->piece[text->at + ahead] : bcam_text_more(text, ahead);
}

/** Steps over the byte that bcam_text_peek(text, 0) gave. */
static inline void bcam_text_step(bcam_text *text)
{
    text->line += text->piece[text->at++] == '\n';
}

void bcam_text_begin_row(bcam_text *text);
/** Makes room for one more byte of the row; E_MEMORY, or E_INPUT where it is longer than a row can be. */
bool bcam_text_grow(bcam_text *text);

/** Adds a byte to the row; false sets the status. */
static inline bool bcam_text_keep(bcam_text *text, char byte)
{
    if (text->length == text->capacity && !bcam_text_grow(text)) {
        return false;
    }
    text->row[text->length++] = byte;
    return true;
}

#endif
