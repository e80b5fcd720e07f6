/* fuzz.h - what all fuzz targets share. A target is one function over bytes; libFuzzer or replay.c calls it. */
#ifndef BCAM_TESTS_FUZZ_H
#define BCAM_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline _Noreturn void fuzz_fail(const char *why)
{
    fprintf(stderr, "does not hold: %s\n", why);
    abort();
}

#define FUZZ_CHECK(holds)                                                                                              \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/** A failing call says why, a good one says nothing. */
static inline void fuzz_check_status(bcam_status status, const bcam_error *err)
{
    FUZZ_CHECK(status != BCAM_E_MEMORY);
    FUZZ_CHECK((status == BCAM_OK) == (err->message[0] == 0));
    FUZZ_CHECK(memchr(err->message, 0, sizeof err->message));
}

/** Reads every byte, so that a sanitizer sees a pointer that leads astray: it looks at whole ranges in memcpy and strlen, which is fast. */
static inline void fuzz_touch(const void *data, size_t bytes)
{
    static uint8_t to[4096];
    for (size_t at = 0; at < bytes; at += sizeof to) {
        memcpy(to, (const uint8_t *)data + at, bytes - at < sizeof to ? bytes - at : sizeof to);
        __asm__ volatile("" : : "r"(to) : "memory"); /* not to be left out */
    }
}

static inline void fuzz_touch_text(const char *text)
{
    size_t length = strlen(text);
    __asm__ volatile("" : : "r"(length));
}

/** Bytes of the input, one after the other; zeros once they are used up. */
typedef struct fuzz_bytes {
    const uint8_t *at;
    size_t left;
} fuzz_bytes;

static inline uint8_t fuzz_byte(fuzz_bytes *from)
{
    return from->left ? (from->left--, *from->at++) : 0;
}

/** A number from `low` to `high`. */
static inline int fuzz_number(fuzz_bytes *from, int low, int high)
{
    unsigned value = fuzz_byte(from);
    value |= high - low > 255 ? (unsigned)fuzz_byte(from) << 8 : 0;
    return low + (int)(value % (unsigned)(high - low + 1));
}

#endif
