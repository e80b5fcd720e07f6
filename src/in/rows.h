/* rows.h - a list of photos, read as a whole. Private to src/in. */
#ifndef BCAM_IN_ROWS_H
#define BCAM_IN_ROWS_H

#include "in/in.h"

typedef struct bcam_row {
    const char *file, *label; /* label may be NULL */
} bcam_row;

typedef struct bcam_rows {
    bcam_row *row;
    size_t count;
    bcam_table table; /* holds the strings of a .csv or .tsv */
    char *text;       /* holds the strings of a .txt */
} bcam_rows;

bcam_status bcam_rows_read(const char *path, bcam_rows *out, bcam_error *err);
void bcam_rows_fini(bcam_rows *rows);

#endif
