/* fake_cudart_memory.c - device memory that the host cannot touch, pinned memory, and how much there is.
 *
 * A device block ends at a page that nobody may touch; its own pages open only while the card works. Under AddressSanitizer it is an ordinary
 * block, poisoned instead, so that the sanitizer names the line. New memory holds 0xff bytes: NaN in every floating type.
 */
#include <cjson/cJSON.h>
#include <sys/mman.h>

#include "fake_cudart.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

enum { PAGE = 4096, HUGE = 2 << 20, ALIGN = 256, TAIL = 0xc3 };
#define MOST_FILLED ((size_t)256 << 20) /* of a larger block the rest stays zero, and untouched pages cost nothing */

static bcam_block *blocks;
static size_t used;
static int open_count;

static size_t up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void protect(const bcam_block *b, bool open)
{
#if defined(__SANITIZE_ADDRESS__)
    if (open)
        __asan_unpoison_memory_region(b->data, b->bytes);
    else
        __asan_poison_memory_region(b->data, b->bytes);
#else
    mprotect(b->map, b->map_bytes - PAGE, open ? PROT_READ | PROT_WRITE : PROT_NONE);
#endif
}

void bcam_fake_gate(bool open)
{
    open_count += open ? 1 : -1;
    if (open_count != (open ? 1 : 0))
        return;
    for (const bcam_block *b = blocks; b; b = b->next)
        if (!b->pinned)
            protect(b, open);
}

bcam_block *bcam_fake_block(const void *p)
{
    bcam_block *b = blocks;
    while (b && ((const char *)p < b->data || (const char *)p >= b->data + b->bytes))
        b = b->next;
    return b;
}

bool bcam_fake_is_device(const void *p, size_t bytes)
{
    bcam_fake_lock();
    const bcam_block *b = bcam_fake_block(p);
    bool is = b && !b->pinned && bytes <= (size_t)(b->data + b->bytes - (const char *)p);
    bcam_fake_leave(cudaSuccess);
    return is;
}

static size_t capacity(void)
{
    static size_t described;
    if (bcam_fake_memory)
        return bcam_fake_memory;
    if (!described) {
        char *text = bcam_fake_card("cudnn");
        cJSON *card = cJSON_Parse(text);
        described = (size_t)cJSON_GetNumberValue(cJSON_GetObjectItem(card, "totalGlobalMem"));
        cJSON_Delete(card);
        free(text);
    }
    return described;
}

/* Right-aligned to its guard page as far as CUDA's alignment allows; what that leaves behind the block is checked when it is freed. */
static bool map_device(bcam_block *b)
{
    size_t room = up(b->bytes, ALIGN), pages = up(room, PAGE);
#if defined(__SANITIZE_ADDRESS__)
    (void)pages;
    if (posix_memalign((void **)&b->data, ALIGN, b->bytes) != 0)
        return false;
    memset(b->data, 0xff, b->bytes < MOST_FILLED ? b->bytes : MOST_FILLED);
#else
    b->map_bytes = pages + PAGE;
    b->map = mmap(NULL, b->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->map == MAP_FAILED)
        return false;
    if (b->map_bytes >= HUGE)
        madvise(b->map, b->map_bytes, MADV_HUGEPAGE); /* few pages are opened and closed faster than many */
    mprotect(b->map + pages, PAGE, PROT_NONE);
    b->data = b->map + pages - room;
    memset(b->data, 0xff, b->bytes < MOST_FILLED ? b->bytes : MOST_FILLED);
    memset(b->data + b->bytes, TAIL, room - b->bytes);
#endif
    return true;
}

static bool unmap_device(bcam_block *b)
{
    bool whole = true;
    protect(b, true);
#if defined(__SANITIZE_ADDRESS__)
    free(b->data);
#else
    for (size_t i = b->bytes; i < up(b->bytes, ALIGN); i++)
        whole = whole && (unsigned char)b->data[i] == TAIL;
    munmap(b->map, b->map_bytes);
#endif
    return whole;
}

static cudaError_t allocate(void **out, size_t bytes, bool pinned)
{
    if (!out)
        return cudaErrorInvalidValue;
    *out = NULL;
    cudaError_t status = bcam_capture_forbids(cudaErrorStreamCaptureUnsupported);
    if (status != cudaSuccess || bytes == 0)
        return status;
    if (!pinned && (used > capacity() || bytes > capacity() - used))
        return cudaErrorMemoryAllocation;
    bcam_block *b = calloc(1, sizeof *b);
    b->bytes = bytes;
    b->pinned = pinned;
    if (pinned) {
        if (posix_memalign((void **)&b->data, PAGE, bytes) == 0)
            memset(b->data, 0xa5, bytes < MOST_FILLED ? bytes : MOST_FILLED);
    } else if (!map_device(b)) {
        b->data = NULL;
    }
    if (!b->data) {
        free(b);
        return cudaErrorMemoryAllocation;
    }
    used += pinned ? 0 : bytes;
    b->next = blocks;
    blocks = b;
    if (!pinned && open_count == 0)
        protect(b, false);
    bcam_fake_count(pinned ? BCAM_FAKE_PINNED_BLOCK : BCAM_FAKE_DEVICE_BLOCK, 1);
    *out = b->data;
    return cudaSuccess;
}

/* Freeing waits for the card, as CUDA's does, and is done even where the card is lost or the call fails by plan. */
static cudaError_t release(void *p, bool pinned, cudaError_t status)
{
    bcam_block **link = &blocks;
    if (!p)
        return status;
    while (*link && (*link)->data != p)
        link = &(*link)->next;
    bcam_block *b = *link;
    if (!b || b->pinned != pinned)
        return cudaErrorInvalidValue;
    cudaError_t forbidden = bcam_capture_forbids(cudaErrorStreamCaptureUnsupported);
    if (forbidden != cudaSuccess)
        return forbidden;
    cudaError_t ran = bcam_fake_run_all();
    *link = b->next;
    if (pinned) {
        free(b->data);
    } else if (!unmap_device(b)) {
        fprintf(stderr, "stand-ins: something wrote past the end of a device block of %zu bytes\n", b->bytes);
        abort();
    }
    used -= pinned ? 0 : b->bytes;
    bcam_fake_count(pinned ? BCAM_FAKE_PINNED_BLOCK : BCAM_FAKE_DEVICE_BLOCK, -1);
    free(b);
    return status != cudaSuccess ? status : ran;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    BEGIN(cudaErrorMemoryAllocation);
    return bcam_fake_leave(allocate(out, bytes, false));
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    (void)flags;
    BEGIN(cudaErrorMemoryAllocation);
    return bcam_fake_leave(allocate(out, bytes, true));
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    BEGIN(cudaErrorMemoryAllocation);
    return bcam_fake_leave(allocate(out, bytes, true));
}

cudaError_t cudaFree(void *p)
{
    return bcam_fake_leave(release(p, false, bcam_fake_begin(__func__, cudaErrorUnknown)));
}

cudaError_t cudaFreeHost(void *p)
{
    return bcam_fake_leave(release(p, true, bcam_fake_begin(__func__, cudaErrorUnknown)));
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    BEGIN(cudaErrorUnknown);
    *total = capacity();
    *available = *total > used ? *total - used : 0;
    return bcam_fake_leave(cudaSuccess);
}
