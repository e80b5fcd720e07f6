/* mem.c - counted allocation that can be made to fail, and the pool. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

/* The only state of the library: three counters that tests read and set. They never change what a call computes. */
static _Atomic int64_t live_blocks, calls, fail_at;
static _Atomic bool fail_persists;

int64_t bcam_alloc_live(void)
{
    return live_blocks;
}

int64_t bcam_alloc_calls(void)
{
    return calls;
}

void bcam_alloc_fail_at(int64_t nth, bool persist)
{
    fail_persists = persist;
    fail_at = nth > 0 ? calls + nth : 0;
}

static bool must_fail(void)
{
    int64_t call = ++calls, at = fail_at;
    return at != 0 && (call == at || (call > at && fail_persists));
}

static void *counted(void *block)
{
    if (block)
        live_blocks++;
    return block;
}

void *bcam_alloc(size_t count, size_t size)
{
    if (must_fail())
        return NULL;
    return counted(calloc(count ? count : 1, size ? size : 1));
}

void *bcam_realloc(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || !bcam_mul_size(count, size, &bytes))
        return NULL;
    if (!block)
        return counted(malloc(bytes ? bytes : 1));
    return realloc(block, bytes ? bytes : 1);
}

void *bcam_alloc_aligned(size_t bytes)
{
    if (must_fail() || bytes > SIZE_MAX - 64)
        return NULL;
    return counted(aligned_alloc(64, (bytes + 64) / 64 * 64));
}

size_t bcam_memory_of_machine(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? (size_t)pages * (size_t)bytes : SIZE_MAX;
}

void bcam_free(void *block)
{
    if (block)
        live_blocks--;
    free(block);
}

char *bcam_strndup(const char *text, size_t length)
{
    char *copy = bcam_alloc(length + 1, 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

char *bcam_strdup(const char *text)
{
    return bcam_strndup(text, strlen(text));
}

char *bcam_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : bcam_alloc((size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

bool bcam_grow(void *array_pointer, size_t *capacity, size_t count, size_t element_size)
{
    if (count < *capacity)
        return true;
    void *array;
    memcpy(&array, array_pointer, sizeof array);
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = bcam_realloc(array, wanted, element_size);
    if (!grown)
        return false;
    memcpy(array_pointer, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

/* ---- the pool ---- */

struct bcam_pool_block {
    struct bcam_pool_block *next;
    size_t size;
    max_align_t data[];
};

void *bcam_pool_alloc(bcam_pool *pool, size_t count, size_t size)
{
#ifdef BCAM_FUZZING /* a block for each piece, so that a sanitizer sees where it ends */
    enum { USUAL = 0, STEP = 1 };
#else
    enum { USUAL = 64 * 1024, STEP = 16 };
#endif
    size_t bytes;
    if (!bcam_mul_size(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + STEP - 1) / STEP * STEP;
    if (!pool->blocks || pool->blocks->size - pool->used < bytes) {
        size_t room = bytes > USUAL ? bytes : USUAL;
        struct bcam_pool_block *block = bcam_alloc(1, sizeof *block + room);
        if (!block)
            return NULL;
        block->next = pool->blocks;
        block->size = room;
        pool->blocks = block;
        pool->used = 0;
        pool->bytes += room;
    }
    void *piece = (char *)pool->blocks->data + pool->used;
    pool->used += bytes;
    return piece;
}

char *bcam_pool_strndup(bcam_pool *pool, const char *text, size_t length)
{
    char *copy = bcam_pool_alloc(pool, length + 1, 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

char *bcam_pool_strdup(bcam_pool *pool, const char *text)
{
    return bcam_pool_strndup(pool, text, strlen(text));
}

char *bcam_pool_format(bcam_pool *pool, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : bcam_pool_alloc(pool, (size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void bcam_pool_fini(bcam_pool *pool)
{
    struct bcam_pool_block *block = pool->blocks;
    while (block) {
        struct bcam_pool_block *next = block->next;
        bcam_free(block);
        block = next;
    }
    *pool = (bcam_pool){0};
}
