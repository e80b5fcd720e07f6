/* list.h - the two sources of photos that need more than a line. Private to src/in. */
#ifndef BCAM_IN_LIST_H
#define BCAM_IN_LIST_H

#include "in/in.h"

/** Whether the name ends as torchvision's ImageFolder wants it. */
bool bcam_is_photo_name(const char *name);

/* ---- rows.c: lists of photos ---- */

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

/* ---- folder.c: the photos below a folder ---- */

typedef struct bcam_folder bcam_folder;

/** `counts` outlives the folder and receives what is left out. */
bcam_status bcam_folder_open(const char *root, bcam_list_counts *counts, bcam_folder **out, bcam_error *err);
/** The next photo's name below the root, allocated for the caller. */
bcam_status bcam_folder_next(bcam_folder *folder, char **name, bool *end, bcam_error *err);
void bcam_folder_close(bcam_folder **folder);

#endif
