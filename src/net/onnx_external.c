/* onnx_external.c - the model's own bytes, and tensors kept in other files of its folder. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/onnx_parts.h"

/* ---- reading ---- */

static struct bcam_held_file *find_held(const bcam_graph *graph, const struct stat *info)
{
    struct bcam_held_file *at = graph->files;
    while (at && (at->device != (uint64_t)info->st_dev || at->inode != (uint64_t)info->st_ino)) {
        at = at->next;
    }
    return at;
}

static bcam_status check_kind(const bcam_reader *reader, int file, const char *name, struct stat *info)
{
    const char *shown = name ? name : reader->graph->path;
    if (fstat(file, info) != 0) {
        return bcam_fail(reader->err, BCAM_E_IO, "cannot look at %s: %s", shown, strerror(errno));
    }
    const char *kind = S_ISDIR(info->st_mode) ? "a folder" : "a device or pipe";
    if (!S_ISREG(info->st_mode)) {
        return name ? bcam_read_fail(reader, BCAM_E_IO, "its external data file '%.200s' is %s", shown, kind)
                    : bcam_fail(reader->err, BCAM_E_IO, "%s is %s, not a model; the ONNX file is to be named first",
                                shown, kind);
    }
    if (name && info->st_nlink != 1) {
        return bcam_read_fail(reader, BCAM_E_MODEL,
                              "its external data file '%.200s' is a hard link that other folders may share; put a copy "
                              "beside the model",
                              shown);
    }
    return BCAM_OK;
}

/* A file may claim any size without taking room on the disk. */
static bcam_status check_size(const bcam_reader *reader, const char *name, const struct stat *info)
{
    if (!name && info->st_size > INT32_MAX) {
        return bcam_read_fail(reader, BCAM_E_MODEL,
                              "it has %lld bytes, and no ONNX file can have more than 2^31; "
                              "larger models keep their weights as external data",
                              (long long)info->st_size);
    }
    if ((uint64_t)info->st_size > bcam_memory_of_machine()) {
        return bcam_read_fail(reader, BCAM_E_MEMORY, "%s%.200s has %lld bytes, more than this machine has memory",
                              name ? "its external data file " : "it", name ? name : "", (long long)info->st_size);
    }
    return BCAM_OK;
}

static bcam_status read_bytes(const bcam_reader *reader, int file, const struct bcam_held_file *held)
{
    const char *shown = held->name ? held->name : reader->graph->path;
    size_t done = 0;
    while (done < held->bytes) {
        ssize_t got = read(file, held->data + done, held->bytes - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return bcam_fail(reader->err, BCAM_E_IO, "cannot read %s: %s", shown, strerror(errno));
        }
        if (got == 0) {
            return bcam_fail(reader->err, BCAM_E_IO, "%s became shorter while it was read; wait until it is written",
                             shown);
        }
        done += (size_t)got;
    }
    return BCAM_OK;
}

bcam_status bcam_read_file(bcam_reader *reader, int file, const char *name, struct bcam_held_file **out)
{
    bcam_graph *graph = reader->graph;
    struct bcam_held_file *held = NULL;
    struct stat info;
    bcam_status status = check_kind(reader, file, name, &info);
    held = status ? NULL : find_held(graph, &info);
    if (status || held) {
        goto out;
    }
    status = check_size(reader, name, &info);
    held = status ? NULL : bcam_read_alloc(reader, 1, sizeof *held);
    if (!held) {
        status = status ? status : BCAM_E_MEMORY;
        goto out;
    }
    *held = (struct bcam_held_file){
        .next = graph->files, .name = name, .bytes = (size_t)info.st_size, .device = info.st_dev, .inode = info.st_ino};
    held->data = bcam_alloc_aligned(held->bytes);
    if (!held->data) {
        status = bcam_fail_memory(reader->err, held->bytes, name ? name : graph->path);
        goto out;
    }
    graph->files = held;
    status = read_bytes(reader, file, held);
out:
    close(file);
    *out = held;
    return status;
}

void bcam_read_release(bcam_graph *graph)
{
    for (struct bcam_held_file *at = graph->files; at; at = at->next) {
        bcam_free(at->data);
    }
    graph->files = NULL;
}

/* ---- finding the file ---- */

/** Opens a file below `folder`, component by component and following no link, so that nothing outside can be named.
 *  The caller has refused absolute locations and "..". -1 and errno on failure. */
static int open_beneath(int folder, const char *location)
{
    char part[NAME_MAX + 2]; /* one more than the system takes, so that it refuses what is cut off here */
    int at = folder;
    while (*location) {
        size_t size = strcspn(location, "/");
        const char *next = location + size + strspn(location + size, "/");
        size_t kept = size < sizeof part ? size : sizeof part - 1;
        memcpy(part, location, kept);
        part[kept] = 0;
        int below = openat(at, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (*next ? O_DIRECTORY : 0));
        int saved = errno;
        if (at != folder) {
            close(at);
        }
        errno = saved;
        if (below < 0) {
            return -1;
        }
        at = below;
        location = next;
    }
    return at;
}

static bool has_parent_step(const char *location)
{
    for (const char *at = location; *at; at += strspn(at, "/")) {
        size_t size = strcspn(at, "/");
        if (size == 2 && at[0] == '.' && at[1] == '.') {
            return true;
        }
        at += size;
    }
    return false;
}

static bcam_status open_folder(bcam_reader *reader)
{
    if (reader->folder >= 0) {
        return BCAM_OK;
    }
    char *name = bcam_path_dir(reader->graph->path);
    if (!name) {
        return bcam_fail_memory(reader->err, strlen(reader->graph->path), "the name of the model's folder");
    }
    reader->folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bcam_status status = BCAM_OK;
    if (reader->folder < 0) {
        status = bcam_fail(reader->err, BCAM_E_IO, "cannot open the model's folder %s: %s", name, strerror(errno));
    }
    bcam_free(name);
    return status;
}

static bcam_status read_location(bcam_reader *reader, const char *location, const char *label,
                                 struct bcam_held_file **out)
{
    if (!location[0] || location[0] == '/' || has_parent_step(location)) {
        return bcam_read_fail(
            reader, BCAM_E_MODEL,
            "%s lies in '%.200s', which is not below the model's folder; external data is read only from there", label,
            location);
    }
    for (*out = reader->graph->files; *out; *out = (*out)->next) {
        if ((*out)->name && strcmp((*out)->name, location) == 0) {
            return BCAM_OK;
        }
    }
    bcam_status status = open_folder(reader);
    if (status) {
        return status;
    }
    int file = open_beneath(reader->folder, location);
    if (file < 0 && (errno == ELOOP || errno == ENOTDIR)) {
        return bcam_read_fail(
            reader, BCAM_E_MODEL,
            "%s lies in '%.200s', which is or passes through a link; put the file itself beside the model", label,
            location);
    }
    if (file < 0) {
        return bcam_read_fail(reader, BCAM_E_IO, "%s lies in '%.200s' beside the model, which cannot be opened: %s",
                              label, location, strerror(errno));
    }
    return bcam_read_file(reader, file, location, out);
}

/* ---- the tensor's place in it ---- */

typedef struct place {
    bcam_pair location;
    uint64_t offset, length;
    bool has_length;
} place;

static bcam_status parse_number(const bcam_reader *reader, const bcam_pair *pair, const char *label, uint64_t *out)
{
    uint64_t sum = 0;
    bool good = pair->value[0] != 0;
    for (const char *at = pair->value; *at && good; at++) {
        good = *at >= '0' && *at <= '9' && !__builtin_mul_overflow(sum, (uint64_t)10, &sum) &&
               !__builtin_add_overflow(sum, (uint64_t)(*at - '0'), &sum);
    }
    *out = sum;
    return good ? BCAM_OK
                : bcam_read_fail(reader, BCAM_E_MODEL, "%s has '%.60s' for the %s of its external data", label,
                                 pair->value, pair->key);
}

static bcam_status read_place(bcam_reader *reader, bcam_wire wire, const char *label, place *out)
{
    bcam_field field;
    bcam_pair pair;
    bcam_status status = BCAM_OK;
    while (!status && bcam_wire_next(&wire, &field)) {
        if (field.key != BCAM_BYTES(13)) {
            continue;
        }
        status = bcam_read_pair(reader, &field, &pair);
        if (status) {
            return status;
        }
        if (strcmp(pair.key, "location") == 0) {
            out->location = pair;
        } else if (strcmp(pair.key, "offset") == 0) {
            status = parse_number(reader, &pair, label, &out->offset);
        } else if (strcmp(pair.key, "length") == 0) {
            status = parse_number(reader, &pair, label, &out->length);
            out->has_length = true;
        }
    }
    return status;
}

bcam_status bcam_read_external(bcam_reader *reader, bcam_wire tensor_wire, const char *label, bcam_onnx_tensor *tensor)
{
    place at = {.location = {"", ""}};
    struct bcam_held_file *held = NULL;
    bcam_status status = read_place(reader, tensor_wire, label, &at);
    if (status) {
        return status;
    }
    if (at.has_length && at.length != tensor->bytes) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "%s has %llu bytes of external data, and its dimensions take %zu",
                              label, (unsigned long long)at.length, tensor->bytes);
    }
    status = read_location(reader, at.location.value, label, &held);
    if (status || tensor->bytes == 0) {
        return status;
    }
    if (at.offset > held->bytes || tensor->bytes > held->bytes - at.offset) {
        return bcam_read_fail(reader, BCAM_E_MODEL, "%s takes %zu bytes from byte %llu on in '%.200s', which has %zu",
                              label, tensor->bytes, (unsigned long long)at.offset, at.location.value, held->bytes);
    }
    tensor->data = held->data + at.offset;
    return BCAM_OK;
}
