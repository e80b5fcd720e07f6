/* folder.c - taking a folder for a run: whose it is, who has it in hand, and what of an earlier run is removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out/writer.h"

#define RUN_JSON_LIMIT (16u << 20)

/* "a/b/c": makes a and b where they are missing, then c. */
static int make_path(const char *path)
{
    char *copy = bcam_strdup(path);
    if (!copy)
        return ENOMEM;
    int error = 0;
    for (char *slash = strchr(copy + 1, '/'); slash && !error; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            error = errno;
        *slash = '/';
    }
    if (!error && mkdir(copy, 0777) != 0 && errno != EEXIST)
        error = errno;
    bcam_free(copy);
    return error;
}

/* Nothing in it; a run.json that was never renamed into place does not count. */
static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    bool empty = folder != NULL;
    for (struct dirent *entry; empty && (entry = readdir(folder));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                strcmp(entry->d_name, "run.json.tmp") == 0;
    if (folder)
        closedir(folder);
    return empty;
}

static bcam_status is_ours(const char *path, bool *ours, bcam_error *err)
{
    char *name = bcam_path_join(path, "run.json"), *text = NULL;
    size_t bytes;
    if (!name)
        return bcam_fail_memory(err, strlen(path), "a file name");
    bcam_status status = bcam_file_read(name, RUN_JSON_LIMIT, &text, &bytes, err);
    *ours = status == BCAM_OK && bcam_runjson_is_ours(text);
    bcam_free(text);
    bcam_free(name);
    return status == BCAM_E_MEMORY ? status : BCAM_OK; /* no run.json, or one that cannot be read: not ours */
}

static bcam_status check_old(const bcam_out_settings *settings, bcam_error *err)
{
    bool empty = is_empty(settings->dir), ours = false;
    bcam_status status = empty ? BCAM_OK : is_ours(settings->dir, &ours, err);
    if (status != BCAM_OK)
        return status;
    if (!empty && !ours)
        return bcam_fail(
            err, BCAM_E_OUTPUT,
            "the output folder '%s' exists and is not a run of batchcam, so it is left alone; name another folder",
            settings->dir);
    if (!settings->overwrite)
        return bcam_fail(err, BCAM_E_OUTPUT,
                         "the output folder '%s' exists%s; name another folder, or give --overwrite to replace it",
                         settings->dir, ours ? " and holds an earlier run" : "");
    return BCAM_OK;
}

/* The lock goes with the process, so that a killed run locks nothing. File systems without locks go without. */
static bcam_status lock_folder(const char *path, int *lock, bcam_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR)
        return bcam_fail(err, BCAM_E_OUTPUT, "the output '%s' is not a folder; name another one", path);
    if (fd < 0)
        return bcam_disk_fail(err, "open the output folder", path, errno);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        close(fd);
        return bcam_fail(err, BCAM_E_BUSY,
                         "the output folder '%s' is in use by another run; wait for its end or name another folder",
                         path);
    }
    *lock = fd;
    return BCAM_OK;
}

/* "…-00000.npy" with five digits or more, whole or unfinished. */
static bool is_shard(const char *name)
{
    const char *dash = strrchr(name, '-');
    size_t digits = dash ? strspn(dash + 1, "0123456789") : 0;
    return digits >= 5 && (strcmp(dash + 1 + digits, ".npy") == 0 || strcmp(dash + 1 + digits, ".npy.tmp") == 0);
}

/* "000001-….jpg", whole or unfinished. */
static bool is_overlay(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    const char *dot = strstr(name, ".jpg.tmp");
    if (!dot)
        dot = strrchr(name, '.');
    return digits >= 6 && name[digits] == '-' && dot && (strcmp(dot, ".jpg") == 0 || strcmp(dot, ".jpg.tmp") == 0);
}

static bcam_status remove_inner(const bcam_out_settings *settings, int dir, const char *inner,
                                bool (*is_one)(const char *), bcam_error *err)
{
    int fd = openat(dir, inner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return BCAM_OK;
    if (fd < 0)
        return bcam_fail(
            err, BCAM_E_OUTPUT,
            "'%s/%s' is a file, a link or locked away, so the earlier run is not replaced; name another folder",
            settings->dir, inner);
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return bcam_fail_memory(err, sizeof(struct dirent), "reading a folder");
    }
    bcam_status status = BCAM_OK;
    for (struct dirent *entry; status == BCAM_OK && (entry = readdir(folder));)
        if (is_one(entry->d_name) && unlinkat(fd, entry->d_name, 0) != 0 && errno != ENOENT)
            status = bcam_disk_fail(err, "remove an old file from", settings->dir, errno);
    closedir(folder);
    unlinkat(dir, inner, AT_REMOVEDIR); /* stays where somebody else's files are in it */
    return status;
}

/* Removes what an earlier run left, and nothing else. run.json is not among it: it has just been replaced, so
 * that the folder stays ours. */
static bcam_status remove_old(const bcam_out_settings *settings, int dir, bcam_error *err)
{
    static const char *const names[] = {"index.sqlite",     "index.sqlite-journal", "index.sqlite-wal",
                                        "index.sqlite-shm", "index.sqlite.tmp",     "index.sqlite.tmp-journal",
                                        "report.html",      "report.html.tmp"};
    for (size_t i = 0; i < BCAM_COUNT(names); i++)
        if (unlinkat(dir, names[i], 0) != 0 && errno != ENOENT)
            return bcam_disk_fail(err, "remove an old file from", settings->dir, errno);
    bcam_status status = remove_inner(settings, dir, "maps", is_shard, err);
    return status == BCAM_OK ? remove_inner(settings, dir, "overlays", is_overlay, err) : status;
}

static bcam_status write_running(const char *dir, bcam_error *err)
{
    char *path = bcam_path_join(dir, "run.json"), *text = bcam_runjson_stamp("{\"status\":\"running\"}", NULL);
    bcam_status status =
        path && text ? bcam_disk_replace(path, text, strlen(text), true, err) : bcam_fail_memory(err, 256, "run.json");
    bcam_free(text);
    bcam_free(path);
    return status;
}

bcam_status bcam_folder_take(const bcam_out_settings *settings, int *lock, bcam_error *err)
{
    struct stat st;
    bool old = stat(settings->dir, &st) == 0;
    int error = old ? 0 : make_path(settings->dir);
    if (error == ENOMEM)
        return bcam_fail_memory(err, strlen(settings->dir), "a file name");
    if (error)
        return bcam_disk_fail(err, "make the output folder", settings->dir, error);
    bcam_status status = lock_folder(settings->dir, lock, err);
    if (status == BCAM_OK && old)
        status = check_old(settings, err);
    if (status == BCAM_OK)
        status = write_running(settings->dir, err);
    if (status == BCAM_OK)
        status = remove_old(settings, *lock, err);
    if (status != BCAM_OK && *lock >= 0) {
        close(*lock);
        *lock = -1;
    }
    return status;
}
