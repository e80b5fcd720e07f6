/* tar_build.h - tar files made by hand, block after block, so that what reads them is tested against the format and not against itself. */
#ifndef BCAM_TESTS_TAR_BUILD_H
#define BCAM_TESTS_TAR_BUILD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

typedef struct tar_file {
    unsigned char *data;
    size_t size;
} tar_file;

enum { TAR_BLOCK = 512 };

/** How a name that may be long is written: in the header, in a member of GNU tar's or of pax's before it. */
typedef enum tar_style { TAR_PLAIN, TAR_GNU, TAR_PAX } tar_style;

static inline void tar_put_bytes(tar_file *tar, const void *data, size_t bytes)
{
    size_t padded = (bytes + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    tar->data = realloc(tar->data, tar->size + padded + 1);
    cr_assert_not_null(tar->data);
    memset(tar->data + tar->size, 0, padded);
    if (data && bytes)
        memcpy(tar->data + tar->size, data, bytes);
    tar->size += padded;
}

/** A header alone; `bytes` need not be what follows. */
static inline void tar_put_header(tar_file *tar, const char *name, char type, const char *link,
                                  unsigned long long bytes)
{
    char block[TAR_BLOCK + 1] = "";
    unsigned sum = 0;
    memcpy(block, name, strlen(name) < 100 ? strlen(name) : 100);
    snprintf(block + 100, 25, "%07o%c%07o%c%07o", 0644, 0, 0, 0, 0);
    snprintf(block + 124, 25, "%011llo%c%011o", bytes, 0, 0);
    memset(block + 148, ' ', 8);
    block[156] = type;
    memcpy(block + 157, link, strlen(link));
    memcpy(block + 257, "ustar\00000", 8);
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    tar_put_bytes(tar, block, TAR_BLOCK);
}

static inline void tar_put(tar_file *tar, tar_style style, const char *name, const void *data, size_t bytes)
{
    char record[2048];
    size_t length = strlen(name) + strlen(" path=\n");
    if (style == TAR_GNU) {
        tar_put_header(tar, "././@LongLink", 'L', "", strlen(name) + 1);
        tar_put_bytes(tar, name, strlen(name) + 1);
    } else if (style == TAR_PAX) { /* "LENGTH path=NAME\n", LENGTH with its own digits */
        size_t all = length + (length + 1 < 10 ? 1 : length + 2 < 100 ? 2 : 3);
        cr_assert_eq(snprintf(record, sizeof record, "%zu path=%s\n", all, name), all);
        tar_put_header(tar, "PaxHeaders/it", 'x', "", all);
        tar_put_bytes(tar, record, all);
    }
    tar_put_header(tar, style == TAR_PLAIN ? name : "elsewhere.txt", '0', "", bytes);
    tar_put_bytes(tar, data, bytes);
}

static inline void tar_put_text(tar_file *tar, const char *name, const char *text)
{
    tar_put(tar, TAR_PLAIN, name, text, strlen(text));
}

/** The two empty blocks that end it. */
static inline void tar_end(tar_file *tar)
{
    tar_put_bytes(tar, NULL, 0);
    unsigned char empty[2 * TAR_BLOCK] = {0};
    tar_put_bytes(tar, empty, sizeof empty);
}

static inline void tar_write(const char *path, const tar_file *tar, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fwrite(tar->data, 1, bytes, file), bytes);
    cr_assert_eq(fclose(file), 0);
}

static inline void tar_fini(tar_file *tar)
{
    free(tar->data);
    *tar = (tar_file){0};
}

/** The bytes come through a pipe on standard input, in pieces of odd sizes. The process that writes them ends by itself. */
static inline pid_t tar_pipe(const tar_file *tar, size_t bytes)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(ends[0]);
        for (size_t at = 0, piece = 1; at < bytes; at += piece, piece = piece * 7 % 5003) {
            piece = piece < bytes - at ? piece : bytes - at;
            if (write(ends[1], tar->data + at, piece) != (ssize_t)piece)
                break;
        }
        _exit(0);
    }
    close(ends[1]);
    if (ends[0] != STDIN_FILENO) {
        cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
        close(ends[0]);
    }
    return child;
}

#endif
