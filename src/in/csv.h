/* csv.h - tables as RFC 4180 has them, with LF or CRLF, a row at a time. Private to src/in. */
#ifndef BCAM_IN_CSV_H
#define BCAM_IN_CSV_H

#include "in/text.h"

typedef struct bcam_csv {
    bcam_text text;
    char separator;
    size_t *begin; /* of each cell in the row's text */
    size_t begin_capacity;
    /* the row at hand, until the next call */
    char **cell;
    size_t cells, cell_capacity;
    size_t line; /* 1-based, in which it begins */
} bcam_csv;

bcam_status bcam_csv_open(bcam_csv *csv, const char *path, char separator, bcam_error *err);
/** The next row that is not empty: one cell at least. E_INPUT names the line. */
bcam_status bcam_csv_next(bcam_csv *csv, bool *end, bcam_error *err);
void bcam_csv_close(bcam_csv *csv);

#endif
