/* fuzz_file.h - for what is read by name: the input as a file, in a folder that goes when the program ends. */
#ifndef BCAM_TESTS_FUZZ_FILE_H
#define BCAM_TESTS_FUZZ_FILE_H

#include <unistd.h>

#include "fuzz.h"

static char fuzz_folder[64], fuzz_path[80];

static void remove_folder(void)
{
    unlink(fuzz_path);
    rmdir(fuzz_folder);
}

/** Writes the input to a file with this ending, in place of the one before. */
static const char *fuzz_file(const uint8_t *data, size_t size, const char *ending)
{
    if (!*fuzz_folder) {
        const char *base = getenv("TMPDIR");
        snprintf(fuzz_folder, sizeof fuzz_folder, "%.30s/batchcam-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(fuzz_folder))
            exit(1);
        atexit(remove_folder);
    }
    if (*fuzz_path)
        unlink(fuzz_path);
    snprintf(fuzz_path, sizeof fuzz_path, "%s/f%s", fuzz_folder, ending);
    FILE *file = fopen(fuzz_path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        exit(1);
    return fuzz_path;
}

#endif
