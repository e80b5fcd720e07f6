/* rows.h - a list of photos, a row at a time. Private to src/in. */
#ifndef BCAM_IN_ROWS_H
#define BCAM_IN_ROWS_H

#include "in/in.h"

typedef struct bcam_row {
    const char *file, *label; /* label may be NULL */
} bcam_row;

typedef struct bcam_rows bcam_rows;

bcam_status bcam_rows_open(const char *path, bcam_rows **out, bcam_error *err);
/** The row's strings hold until the next call. E_INPUT names the line. */
bcam_status bcam_rows_next(bcam_rows *rows, bcam_row *row, bool *end, bcam_error *err);
void bcam_rows_close(bcam_rows **rows);

#endif
