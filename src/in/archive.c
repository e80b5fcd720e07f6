/* archive.c - see archive.h. libarchive is opened when the first archive is: linked, its own libraries (XML, Unicode tables) would make every start of the
 * program a third longer. Of what it reads only tar is allowed, and of packings only those that it unpacks itself. Nothing is written to disk. */
#include "in/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define LIBRARY "libarchive.so.13" /* the ABI of libarchive 3 */

#define CALLS(X)                                                                                                       \
    X(archive_entry_filetype)                                                                                          \
    X(archive_entry_hardlink)                                                                                          \
    X(archive_entry_pathname)                                                                                          \
    X(archive_entry_pathname_utf8)                                                                                     \
    X(archive_entry_size)                                                                                              \
    X(archive_errno)                                                                                                   \
    X(archive_error_string)                                                                                            \
    X(archive_read_data)                                                                                               \
    X(archive_read_free)                                                                                               \
    X(archive_read_new)                                                                                                \
    X(archive_read_next_header)                                                                                        \
    X(archive_read_open_fd)                                                                                            \
    X(archive_read_set_options)                                                                                        \
    X(archive_read_support_filter_bzip2)                                                                               \
    X(archive_read_support_filter_gzip)                                                                                \
    X(archive_read_support_filter_lz4)                                                                                 \
    X(archive_read_support_filter_xz)                                                                                  \
    X(archive_read_support_filter_zstd)                                                                                \
    X(archive_read_support_format_tar)

typedef struct calls {
#define CALL(name) __typeof__(name) *name;
    CALLS(CALL)
#undef CALL
} calls;

struct bcam_archive {
    char *called;
    char last[256]; /* the member at hand, or the one before damage; cut to fit */
    void *library;
    calls call;
    struct archive *tar;
    int fd;
    bool own; /* the descriptor */
};

enum { BLOCK = 256 << 10, SKIM_BLOCK = 4 << 10 /* what is stepped over is stepped over in blocks */ };

bool bcam_archive_is_name(const char *path)
{
    static const char *const suffixes[] = {".tar",    ".tar.gz", ".tgz",     ".tar.zst", ".tzst",
                                           ".tar.xz", ".txz",    ".tar.bz2", ".tbz2",    ".tar.lz4"};
    const char *base = bcam_path_base(path);
    for (size_t i = 0, length = strlen(base); i < BCAM_COUNT(suffixes); i++) {
        size_t tail = strlen(suffixes[i]);
        if (length > tail && strcasecmp(base + length - tail, suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- opening ---- */

static bcam_status load_library(bcam_archive *archive, bcam_error *err)
{
    static const char *const names[] = {
#define NAME(name) #name,
        CALLS(NAME)
#undef NAME
    };
    _Static_assert(sizeof(calls) == sizeof(void *) * BCAM_COUNT(names), "a table of functions, and their names");
    archive->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    for (size_t i = 0; archive->library && i < BCAM_COUNT(names); i++) {
        void *symbol = dlsym(archive->library, names[i]);
        if (!symbol) {
            return bcam_fail(err, BCAM_E_UNSUPPORTED, LIBRARY " has no %s, which reading %s needs", names[i],
                             archive->called);
        }
        memcpy((char *)&archive->call + i * sizeof(symbol), &symbol, sizeof(symbol));
    }
    return archive->library
               ? BCAM_OK
               : bcam_fail(err, BCAM_E_UNSUPPORTED, "reading %s needs libarchive: %s", archive->called, dlerror());
}

/** A sentence about what libarchive could not do. */
static bcam_status fail(bcam_archive *archive, bcam_error *err)
{
    const char *why = archive->call.archive_error_string(archive->tar);
    if (archive->call.archive_errno(archive->tar) == ENOMEM) {
        return bcam_fail_memory(err, BLOCK, archive->called);
    }
    if (!*archive->last) {
        return bcam_fail(err, BCAM_E_INPUT, "%s cannot be read as a tar file: %s", archive->called,
                         why ? why : "it is damaged");
    }
    return bcam_fail(err, BCAM_E_INPUT, "%s is damaged or cut off at or behind its member '%s': %s", archive->called,
                     archive->last, why ? why : "what follows cannot be read");
}

static bcam_status open_tar(bcam_archive *archive, bool skim, bcam_error *err)
{
    const calls *call = &archive->call;
    struct archive *tar = archive->tar = call->archive_read_new();
    if (!tar) {
        return bcam_fail_memory(err, BLOCK, archive->called);
    }
    call->archive_read_support_filter_gzip(tar);
    call->archive_read_support_filter_bzip2(tar);
    call->archive_read_support_filter_xz(tar);
    call->archive_read_support_filter_zstd(tar);
    call->archive_read_support_filter_lz4(tar);
    /* Archives one behind the other, as `cat a.tar b.tar` makes them, are read to their end: nothing is left out in silence. */
    bool fine = call->archive_read_support_format_tar(tar) == ARCHIVE_OK &&
                call->archive_read_set_options(tar, "read_concatenated_archives") == ARCHIVE_OK &&
                call->archive_read_open_fd(tar, archive->fd, skim ? SKIM_BLOCK : BLOCK) == ARCHIVE_OK;
    return fine ? BCAM_OK : fail(archive, err);
}

bcam_status bcam_archive_open(const char *path, bool skim, bcam_archive **out, bcam_error *err)
{
    bool standard_input = strcmp(path, "-") == 0;
    char text[128];
    bcam_archive *archive = *out = bcam_alloc(1, sizeof(*archive));
    if (!archive) {
        return bcam_fail_memory(err, sizeof(*archive), path);
    }
    archive->own = !standard_input;
    archive->fd = -1;
    archive->called = standard_input ? bcam_strdup("standard input") : bcam_format("'%s'", path);
    bcam_status status = archive->called ? load_library(archive, err) : bcam_fail_memory(err, strlen(path), path);
    if (status == BCAM_OK) {
        archive->fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        status = archive->fd >= 0 ? open_tar(archive, skim, err)
                                  : bcam_fail(err, BCAM_E_INPUT, "%s cannot be read: %s", archive->called,
                                              strerror_r(errno, text, sizeof(text)));
    }
    if (status != BCAM_OK) {
        bcam_archive_close(out);
    }
    return status;
}

const char *bcam_archive_called(const bcam_archive *archive)
{
    return archive->called;
}

void bcam_archive_close(bcam_archive **archive)
{
    bcam_archive *a = *archive;
    if (!a) {
        return;
    }
    if (a->tar) {
        a->call.archive_read_free(a->tar);
    }
    if (a->own && a->fd >= 0) {
        close(a->fd);
    }
    if (a->library) {
        dlclose(a->library);
    }
    bcam_free(a->called);
    bcam_free(a);
    *archive = NULL;
}

/* ---- reading ---- */

bcam_status bcam_archive_next(bcam_archive *archive, bcam_member *member, bool *end, bcam_error *err)
{
    const calls *call = &archive->call;
    struct archive_entry *entry = NULL;
    int result = call->archive_read_next_header(archive->tar, &entry);
    *end = result == ARCHIVE_EOF;
    if (*end) {
        return BCAM_OK;
    }
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
        return fail(archive, err);
    }
    const char *name = call->archive_entry_pathname(entry);
    if (!name) { /* it says that it is UTF-8, and the locale cannot say the same */
        name = call->archive_entry_pathname_utf8(entry);
    }
    *member = (bcam_member){.name = name ? name : "", .bytes = call->archive_entry_size(entry)};
    unsigned type = (unsigned)call->archive_entry_filetype(entry);
    member->kind = type == AE_IFDIR                                           ? BCAM_MEMBER_FOLDER
                   : type == AE_IFREG && !call->archive_entry_hardlink(entry) ? BCAM_MEMBER_FILE
                                                                              : BCAM_MEMBER_OTHER;
    snprintf(archive->last, sizeof(archive->last), "%s", *member->name ? member->name : "(without a name)");
    return BCAM_OK;
}

bcam_status bcam_archive_read(bcam_archive *archive, uint8_t *data, size_t bytes, bcam_error *err)
{
    for (size_t done = 0; done < bytes;) {
        la_ssize_t got = archive->call.archive_read_data(archive->tar, data + done, bytes - done);
        if (got <= 0) {
            return fail(archive, err);
        }
        done += (size_t)got;
    }
    return BCAM_OK;
}
