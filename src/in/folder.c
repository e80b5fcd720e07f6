/* folder.c - the photos below a folder, in the order of torchvision's ImageFolder: its own files; then each first-level folder by name, and in
 * it all folders by path and their files by name. Everything by byte value.
 *
 * A first-level folder is searched for folders when its turn comes, and each folder is read for files when its turn comes, so that only the
 * names of one folder are held at a time. The root and a first-level folder, which may hold a million names, are read once for both. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "in/folder.h"
#include "in/suffix.h"

#define MAX_DEPTH 256

typedef struct found {
    uint64_t key; /* where names are sorted: the bytes behind those that all of them begin with */
    char *text;
} found;

typedef struct names {
    found *item;
    size_t count, capacity, at;
    bcam_pool pool; /* holds the texts */
} names;

struct bcam_folder {
    char *root;
    bcam_list_counts *counts;
    names classes;   /* first-level folders */
    names dirs;      /* folders of the class at hand, relative to the root */
    names files;     /* of the folder at hand */
    const char *dir; /* the folder at hand, "" for the root itself */
    dev_t device;    /* of the root */
    ino_t inode;
};

static void clear(names *list)
{
    bcam_free(list->item);
    bcam_pool_fini(&list->pool);
    memset(list, 0, sizeof(*list));
}

static bcam_status add(names *list, const char *text, bcam_error *err)
{
    char *copy = bcam_pool_strdup(&list->pool, text);
    if (!copy || !bcam_grow(&list->item, &list->capacity, list->count, sizeof(*list->item))) {
        return bcam_fail_memory(err, (list->count + 1) * sizeof(*list->item), "file names");
    }
    list->item[list->count++] = (found){.text = copy};
    return BCAM_OK;
}

static int compare(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return strcmp(x->text, y->text); /* as unsigned bytes */
}

/** How many bytes all names begin with. */
static size_t common_length(const names *list)
{
    const char *first = list->item[0].text;
    size_t length = strlen(first);
    for (size_t i = 1; i < list->count; i++) {
        size_t same = 0;
        while (same < length && list->item[i].text[same] == first[same]) {
            same++;
        }
        length = same;
    }
    return length;
}

/** By byte value. Comparing numbers that lie in the array itself spares looking up most texts. */
static void sort(names *list)
{
    size_t from = list->count > 1 ? common_length(list) : 0;
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->item[i].text + from;
        list->item[i].key = 0;
        for (size_t b = 0; b < sizeof(list->item[i].key) && text[b]; b++) {
            list->item[i].key |= (uint64_t)(unsigned char)text[b] << (56 - 8 * b);
        }
    }
    if (list->count > 1) {
        qsort(list->item, list->count, sizeof(*list->item), compare);
    }
}

/** "below/name" in the list's way of writing: "" is the root. */
static char *below(const char *dir, const char *name)
{
    return *dir ? bcam_format("%s/%s", dir, name) : bcam_strdup(name);
}

/* ---- one folder ---- */

typedef enum entry { ENTRY_DIR, ENTRY_FILE, ENTRY_SPECIAL, ENTRY_DANGLING } entry;

static entry classify(DIR *stream, const struct dirent *item)
{
    struct stat info;
    if (item->d_type == DT_DIR || item->d_type == DT_REG) {
        return item->d_type == DT_DIR ? ENTRY_DIR : ENTRY_FILE;
    }
    if (fstatat(dirfd(stream), item->d_name, &info, 0) != 0) {
        return ENTRY_DANGLING;
    }
    return S_ISDIR(info.st_mode) ? ENTRY_DIR : S_ISREG(info.st_mode) ? ENTRY_FILE : ENTRY_SPECIAL;
}

/** Decides about a file's place in the list, and counts what is left out. */
static bool is_wanted(const char *name, entry kind, bcam_list_counts *counts)
{
    bool photo = bcam_is_photo_name(name);
    if (name[0] == '.') {
        counts->left_out_hidden++;
    } else if (kind == ENTRY_SPECIAL) {
        counts->left_out_special++;
    } else if (kind == ENTRY_DANGLING && !photo) {
        counts->left_out_loop++;
    } else if (kind != ENTRY_DIR && !photo) {
        counts->left_out_type++;
    } else {
        return kind != ENTRY_DIR; /* a photo, or a link that would have been one: it gets its row */
    }
    return false;
}

/** Reads one folder, for its files (counting what is left out), its folders, or both. One below the root that was removed since its name was read
 *  has none. */
static bcam_status scan(bcam_folder *folder, const char *dir, names *files, names *folders, bcam_error *err)
{
    char *path = *dir ? bcam_path_join(folder->root, dir) : bcam_strdup(folder->root), text[128];
    DIR *stream = path ? opendir(path) : NULL;
    if (path && !stream && errno == ENOENT && *dir) {
        bcam_free(path);
        return BCAM_OK;
    }
    bcam_status status = !path     ? bcam_fail_memory(err, strlen(dir), "a file name")
                         : !stream ? bcam_fail(err, BCAM_E_INPUT, "the folder '%s' cannot be read: %s", path,
                                               strerror_r(errno, text, sizeof(text)))
                                   : BCAM_OK;
    while (status == BCAM_OK) {
        errno = 0;
        const struct dirent *item = readdir(stream);
        if (!item) {
            status = errno ? bcam_fail(err, BCAM_E_INPUT, "the folder '%s' cannot be read: %s", path,
                                       strerror_r(errno, text, sizeof(text)))
                           : status;
            break;
        }
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0) {
            continue;
        }
        entry kind = classify(stream, item);
        if (files && is_wanted(item->d_name, kind, folder->counts)) {
            status = add(files, item->d_name, err);
        } else if (folders && kind == ENTRY_DIR && item->d_name[0] != '.') {
            status = add(folders, item->d_name, err);
        }
    }
    if (stream) {
        closedir(stream);
    }
    bcam_free(path);
    for (int i = 0; i < 2; i++) {
        if (i ? folders : files) {
            sort(i ? folders : files);
        }
    }
    return status;
}

/* ---- all folders of a class ---- */

/** A folder and those it lies in, to know a link that leads back. */
typedef struct chain {
    dev_t device;
    ino_t inode;
    const struct chain *parent;
    int depth;
} chain;

static bool leads_back(const chain *link)
{
    for (const chain *above = link->parent; above; above = above->parent) {
        if (above->device == link->device && above->inode == link->inode) {
            return true;
        }
    }
    return link->depth > MAX_DEPTH;
}

/** Adds `dir` and all folders below it; its own files too where asked for. */
static bcam_status walk(bcam_folder *folder, const char *dir, const chain *parent, names *files, bcam_error *err)
{
    struct stat info;
    names inner = {0};
    char *path = bcam_path_join(folder->root, dir);
    bool there = path && stat(path, &info) == 0;
    bcam_free(path);
    if (!path) {
        return bcam_fail_memory(err, strlen(dir), "a file name");
    }
    chain link = {.device = there ? info.st_dev : 0,
                  .inode = there ? info.st_ino : 0,
                  .parent = parent,
                  .depth = parent->depth + 1};
    if (there && leads_back(&link)) {
        folder->counts->left_out_loop++;
        return BCAM_OK;
    }
    bcam_status status = add(&folder->dirs, dir, err);
    if (status == BCAM_OK) {
        status = scan(folder, dir, files, &inner, err);
    }
    for (size_t i = 0; i < inner.count && status == BCAM_OK; i++) {
        char *deeper = below(dir, inner.item[i].text);
        status = deeper ? walk(folder, deeper, &link, NULL, err) : bcam_fail_memory(err, strlen(dir), "a file name");
        bcam_free(deeper);
    }
    clear(&inner);
    return status;
}

static bcam_status begin_class(bcam_folder *folder, bcam_error *err)
{
    chain root = {.device = folder->device, .inode = folder->inode};
    clear(&folder->dirs);
    clear(&folder->files);
    bcam_status status = walk(folder, folder->classes.item[folder->classes.at++].text, &root, &folder->files, err);
    sort(&folder->dirs);
    if (folder->dirs.count > 0) { /* the class itself comes first, since all others begin with its name */
        folder->dir = folder->dirs.item[folder->dirs.at++].text;
    }
    return status;
}

static bcam_status begin_dir(bcam_folder *folder, bcam_error *err)
{
    clear(&folder->files);
    folder->dir = folder->dirs.item[folder->dirs.at++].text;
    return scan(folder, folder->dir, &folder->files, NULL, err);
}

/* ---- the whole ---- */

bcam_status bcam_folder_open(const char *root, bcam_list_counts *counts, bcam_folder **out, bcam_error *err)
{
    struct stat info;
    bcam_folder *folder = bcam_alloc(1, sizeof(*folder));
    bcam_status status = folder ? BCAM_OK : bcam_fail_memory(err, sizeof(*folder), "a folder");
    if (status == BCAM_OK) {
        folder->counts = counts;
        folder->dir = "";
        folder->root = bcam_strdup(root);
        status = folder->root ? BCAM_OK : bcam_fail_memory(err, strlen(root), "a file name");
    }
    if (status == BCAM_OK && stat(root, &info) == 0) {
        folder->device = info.st_dev;
        folder->inode = info.st_ino;
    }
    if (status == BCAM_OK) {
        status = scan(folder, "", &folder->files, &folder->classes, err);
    }
    if (status != BCAM_OK) {
        bcam_folder_close(&folder);
    }
    *out = folder;
    return status;
}

bcam_status bcam_folder_next(bcam_folder *folder, char **path, bool *end, bcam_error *err)
{
    *path = NULL;
    *end = false;
    while (folder->files.at == folder->files.count) {
        bcam_status status = BCAM_OK;
        if (folder->dirs.at < folder->dirs.count) {
            status = begin_dir(folder, err);
        } else if (folder->classes.at < folder->classes.count) {
            status = begin_class(folder, err);
        } else {
            *end = true;
        }
        if (status != BCAM_OK || *end) {
            return status;
        }
    }
    *path = below(folder->dir, folder->files.item[folder->files.at++].text);
    return *path ? BCAM_OK : bcam_fail_memory(err, strlen(folder->dir), "a file name");
}

void bcam_folder_close(bcam_folder **folder)
{
    if (*folder) {
        clear(&(*folder)->classes);
        clear(&(*folder)->dirs);
        clear(&(*folder)->files);
        bcam_free((*folder)->root);
        bcam_free(*folder);
        *folder = NULL;
    }
}
