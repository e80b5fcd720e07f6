/* folder.h - the photos below a folder, one after the other. Private to src/in. */
#ifndef BCAM_IN_FOLDER_H
#define BCAM_IN_FOLDER_H

#include "in/in.h"

typedef struct bcam_folder bcam_folder;

/** `counts` outlives the folder and receives what is left out. */
bcam_status bcam_folder_open(const char *root, bcam_list_counts *counts, bcam_folder **out, bcam_error *err);
/** The next photo's name below the root, allocated for the caller. */
bcam_status bcam_folder_next(bcam_folder *folder, char **name, bool *end, bcam_error *err);
void bcam_folder_close(bcam_folder **folder);

#endif
