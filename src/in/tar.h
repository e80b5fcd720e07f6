/* tar.h - photos and labels in WebDataset's layout. Private to src/in. */
#ifndef BCAM_IN_TAR_H
#define BCAM_IN_TAR_H

#include "in/in.h"

typedef struct bcam_tar bcam_tar;

/** `path` "-": standard input. `skim`: names alone, neither bytes nor labels. `counts` outlives it and receives what is left out. */
bcam_status bcam_tar_open(const char *path, bool skim, bcam_list_counts *counts, bcam_tar **out, bcam_error *err);
/** The next photo, whose strings and bytes hold until the next call. E_INPUT names the archive. */
bcam_status bcam_tar_next(bcam_tar *tar, bcam_item *item, bool *end, bcam_error *err);
void bcam_tar_close(bcam_tar **tar);

#endif
