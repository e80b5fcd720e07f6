/* list.c - what a user gives on the command line becomes photos, one after the other: single files, lists (rows.c), folders (folder.c) and
 * archives (tar.c). */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "in/archive.h"
#include "in/folder.h"
#include "in/rows.h"
#include "in/tar.h"

typedef enum source_kind { SOURCE_FILE, SOURCE_LIST, SOURCE_FOLDER, SOURCE_TAR, SOURCE_STDIN } source_kind;

typedef struct source {
    source_kind kind;
    char *path;
} source;

struct bcam_list {
    source *sources;
    size_t source_count, source_at;
    bool skim;
    bool begun; /* the source at hand, which is one of: */
    bcam_folder *folder;
    bcam_rows *rows;
    bcam_tar *tar;
    char *path, *shown, *first; /* the strings of the last item */
    bcam_list_counts counts;
};

static bool is_list_name(const char *path)
{
    const char *dot = strrchr(bcam_path_base(path), '.');
    return dot && (strcasecmp(dot, ".csv") == 0 || strcasecmp(dot, ".txt") == 0 || strcasecmp(dot, ".tsv") == 0);
}

static bcam_status open_source(const char *path, source *out, bcam_error *err)
{
    struct stat info = {.st_mode = 0};
    bool standard_input = strcmp(path, "-") == 0;
    if (!standard_input && stat(path, &info) != 0) {
        char text[128];
        return bcam_fail(err, BCAM_E_INPUT, "'%s' cannot be read: %s", path, strerror_r(errno, text, sizeof(text)));
    }
    out->kind = standard_input                                        ? SOURCE_STDIN
                : S_ISDIR(info.st_mode)                               ? SOURCE_FOLDER
                : S_ISREG(info.st_mode) && is_list_name(path)         ? SOURCE_LIST
                : S_ISREG(info.st_mode) && bcam_archive_is_name(path) ? SOURCE_TAR
                                                                      : SOURCE_FILE;
    out->path = bcam_strdup(path);
    return out->path ? BCAM_OK : bcam_fail_memory(err, strlen(path), "a file name");
}

bcam_status bcam_list_open(const char *const *images, int count, bcam_list **out, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    bcam_list *list = bcam_alloc(1, sizeof(*list));
    *out = NULL;
    if (list) {
        list->sources = bcam_alloc((size_t)(count > 0 ? count : 1), sizeof(*list->sources));
    }
    if (!list || !list->sources) {
        status = bcam_fail_memory(err, sizeof(*list), "the list of photos");
    }
    for (int i = 0; i < count && status == BCAM_OK; i++) {
        bool again = strcmp(images[i], "-") == 0 && bcam_list_has_stdin(list);
        list->source_count++;
        status = again ? bcam_fail(err, BCAM_E_INPUT, "standard input ('-') can be given only once")
                       : open_source(images[i], &list->sources[i], err);
    }
    if (status != BCAM_OK) {
        bcam_list_close(&list);
    }
    *out = list;
    return status;
}

void bcam_list_skim(bcam_list *list)
{
    list->skim = true;
}

bool bcam_list_has_stdin(const bcam_list *list)
{
    for (size_t i = 0; i < list->source_count; i++) {
        if (list->sources[i].kind == SOURCE_STDIN) {
            return true;
        }
    }
    return false;
}

static void drop_strings(bcam_list *list)
{
    bcam_free(list->path);
    bcam_free(list->shown);
    bcam_free(list->first);
    list->path = list->shown = list->first = NULL;
}

/* ---- the next photo of a source; *end where it has no more ---- */

static bcam_status next_file(bcam_list *list, const source *from, bcam_item *item, bool *end)
{
    *end = list->begun;
    if (!*end) {
        *item = (bcam_item){.path = from->path, .shown = from->path, .folder = ""};
    }
    return BCAM_OK;
}

static bcam_status next_row(bcam_list *list, const source *from, bcam_item *item, bool *end, bcam_error *err)
{
    bcam_row row;
    bcam_status status = list->begun ? BCAM_OK : bcam_rows_open(from->path, &list->rows, err);
    if (status == BCAM_OK) {
        status = bcam_rows_next(list->rows, &row, end, err);
    }
    if (status != BCAM_OK || *end) {
        return status;
    }
    char *dir = bcam_path_dir(from->path);
    list->path = !dir ? NULL : row.file[0] == '/' ? bcam_strdup(row.file) : bcam_path_join(dir, row.file);
    bcam_free(dir);
    if (!list->path) {
        return bcam_fail_memory(err, strlen(row.file), "a file name");
    }
    *item = (bcam_item){.path = list->path, .shown = row.file, .folder = "", .label = row.label};
    return BCAM_OK;
}

static bcam_status next_in_folder(bcam_list *list, const source *from, bcam_item *item, bool *end, bcam_error *err)
{
    bcam_status status = list->begun ? BCAM_OK : bcam_folder_open(from->path, &list->counts, &list->folder, err);
    if (status == BCAM_OK) {
        status = bcam_folder_next(list->folder, &list->shown, end, err);
    }
    if (status != BCAM_OK || *end) {
        return status;
    }
    const char *slash = strchr(list->shown, '/');
    list->first = bcam_strndup(list->shown, slash ? (size_t)(slash - list->shown) : 0);
    list->path = bcam_path_join(from->path, list->shown);
    if (!list->path || !list->first) {
        return bcam_fail_memory(err, strlen(list->shown), "a file name");
    }
    *item = (bcam_item){.path = list->path, .shown = list->shown, .folder = list->first};
    return BCAM_OK;
}

static bcam_status next_member(bcam_list *list, const source *from, bcam_item *item, bool *end, bcam_error *err)
{
    *end = from->kind == SOURCE_STDIN && list->skim;
    if (*end) {
        return BCAM_OK;
    }
    bcam_status status = list->begun ? BCAM_OK : bcam_tar_open(from->path, list->skim, &list->counts, &list->tar, err);
    return status == BCAM_OK ? bcam_tar_next(list->tar, item, end, err) : status;
}

static void end_source(bcam_list *list)
{
    bcam_folder_close(&list->folder);
    bcam_rows_close(&list->rows);
    bcam_tar_close(&list->tar);
    list->begun = false;
}

bcam_status bcam_list_next(bcam_list *list, bcam_item *item, bool *end, bcam_error *err)
{
    bcam_status status = BCAM_OK;
    drop_strings(list);
    for (*end = false; list->source_at < list->source_count; list->source_at++, end_source(list)) {
        const source *from = &list->sources[list->source_at];
        bool done = false;
        switch (from->kind) {
        case SOURCE_FILE:
            status = next_file(list, from, item, &done);
            break;
        case SOURCE_TAR:
        case SOURCE_STDIN:
            status = next_member(list, from, item, &done, err);
            break;
        case SOURCE_LIST:
            status = next_row(list, from, item, &done, err);
            break;
        case SOURCE_FOLDER:
            status = next_in_folder(list, from, item, &done, err);
            break;
        }
        list->begun = true;
        if (status != BCAM_OK) {
            end_source(list);
            return status;
        }
        if (!done) {
            list->counts.items++;
            return BCAM_OK;
        }
    }
    *end = true;
    return BCAM_OK;
}

const bcam_list_counts *bcam_list_get_counts(const bcam_list *list)
{
    return &list->counts;
}

void bcam_list_close(bcam_list **list)
{
    if (*list) {
        drop_strings(*list);
        end_source(*list);
        for (size_t i = 0; i < (*list)->source_count; i++) {
            bcam_free((*list)->sources[i].path);
        }
        bcam_free((*list)->sources);
        bcam_free(*list);
        *list = NULL;
    }
}
