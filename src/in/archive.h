/* archive.h - tar files and what packs them, a member after the other. Private to src/in; archive.c is the only file of this room that knows
 * libarchive. */
#ifndef BCAM_IN_ARCHIVE_H
#define BCAM_IN_ARCHIVE_H

#include "base/base.h"

typedef struct bcam_archive bcam_archive;

typedef enum bcam_member_kind {
    BCAM_MEMBER_FILE,
    BCAM_MEMBER_FOLDER,
    BCAM_MEMBER_OTHER /* a link, a device */
} bcam_member_kind;

typedef struct bcam_member {
    const char *name; /* until the next call */
    int64_t bytes;
    bcam_member_kind kind;
} bcam_member;

/** Whether the name ends like a tar file's, packed or not. */
bool bcam_archive_is_name(const char *path);

/** `path` "-": standard input. `skim`: no member will be read, so that a file's data is stepped over. E_INPUT names the archive. */
bcam_status bcam_archive_open(const char *path, bool skim, bcam_archive **out, bcam_error *err);
/** E_INPUT where it is damaged or cut off: nothing can be read behind that. */
bcam_status bcam_archive_next(bcam_archive *archive, bcam_member *member, bool *end, bcam_error *err);
/** The first bytes of the member at hand. E_INPUT as above. */
bcam_status bcam_archive_read(bcam_archive *archive, uint8_t *data, size_t bytes, bcam_error *err);
/** What it is called in messages: its name in quotes, or "standard input". */
const char *bcam_archive_called(const bcam_archive *archive);
void bcam_archive_close(bcam_archive **archive);

#endif
