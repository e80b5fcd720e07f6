/* replay.c - calls a fuzz target for each file that it is given; for compilers without libFuzzer. Memory is bounded, so that an input that asks for a
 * lot of it is seen: by the system here, and under AddressSanitizer by its option max_allocation_size_mb. */
#include <sys/resource.h>

#include "fuzz.h"

static int replay(const char *path)
{
    char *text;
    size_t size;
    bcam_error err;
    if (bcam_file_read(path, (size_t)1 << 28, &text, &size, &err) != BCAM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    uint8_t *data = malloc(size ? size : 1); /* exactly as long, so that a sanitizer sees a step past the end */
    memcpy(data, text, size);
    bcam_free(text);
    fprintf(stderr, "%s\n", path); /* the last one named is the one that failed */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
#if !defined __SANITIZE_ADDRESS__ && !defined __clang__ /* which does not tell */
    const struct rlimit most = {(rlim_t)1 << 29, (rlim_t)1 << 29};
    failed |= setrlimit(RLIMIT_AS, &most) != 0;
#endif
    for (int i = 1; i < argc && !failed; i++)
        failed = replay(argv[i]);
    fprintf(stderr, "%d inputs\n", argc - 1);
    return failed;
}
