/* jpeg_scan.c - the entropy-coded data of a baseline JPEG become coefficients. */
#include <stdlib.h>
#include <string.h>

#include "in/jpeg_part.h"

#ifdef __x86_64__

static const uint8_t order[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                  58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

void bcam_jpeg_places(const uint16_t quant[64], uint32_t places[BCAM_JPEG_PLACES])
{
    for (int k = 0; k < BCAM_JPEG_PLACES; k++) {
        places[k] = k < 64 ? (uint32_t)order[k] << 16 | quant[order[k]] : 64u << 16;
    }
}

/* ---- codes ---- */

enum {
    MOST_DC_BITS = 11,
    MOST_AC_BITS = 10, /* of a value, in 8-bit JPEGs */
    SIXTEEN_ZEROS = 0xF0,
    END_OF_BLOCK = 128 /* a step that leads out of any block, and farther than damage can */
};

/** What a code of `length` bits means: an entry of the table; 0 where the value would have more bits than there can be. */
static uint32_t entry_of(int symbol, int length, bool ac)
{
    int bits = ac ? symbol & 15 : symbol, step = ac ? (symbol >> 4) + 1 : 1;
    if (ac && bits == 0 && symbol != SIXTEEN_ZEROS) { /* 0 by rights, but libjpeg takes all others for it too */
        step = END_OF_BLOCK;
    }
    if (bits > (ac ? MOST_AC_BITS : MOST_DC_BITS)) {
        return 0;
    }
    return (uint32_t)(length + bits) | (uint32_t)length << 8 | (uint32_t)bits << 16 | (uint32_t)step << 24;
}

bool bcam_jpeg_codes_make(bcam_jpeg_codes *codes, const uint8_t *counts, const uint8_t *symbols, bool ac)
{
    memset(codes->entry, 0, sizeof codes->entry);
    codes->symbols = symbols;
    codes->ac = ac;
    uint32_t code = 0;
    int used = 0;
    for (int length = 1; length <= 16; length++, code <<= 1) {
        codes->offset[length] = used - (int32_t)code;
        if (used + counts[length] > 256) {
            return false;
        }
        for (int i = 0; i < counts[length]; i++, code++, used++) {
            if (length <= BCAM_JPEG_LOOK && code < 1u << length) {
                int free_bits = BCAM_JPEG_LOOK - length;
                uint32_t entry = entry_of(symbols[used], length, ac);
                for (uint32_t e = code << free_bits; e < (code + 1) << free_bits; e++) {
                    codes->entry[e] = entry;
                }
            }
            if (!ac && symbols[used] > 15) {
                return false;
            }
        }
        if (code >= 1u << length) { /* a code of ones alone is not allowed */
            return false;
        }
        codes->end[length] = code << (16 - length);
    }
    codes->end[17] = UINT32_MAX;
    return true;
}

/** The entry of a code that is longer than the table looks; 0: there is none, or its value is too long. */
static uint32_t long_entry(const bcam_jpeg_codes *codes, uint64_t bits)
{
    uint32_t code = (uint32_t)(bits >> 48);
    int length = 1;
    while (code >= codes->end[length]) {
        length++;
    }
    if (length > 16) {
        return 0;
    }
    int32_t at = (int32_t)(code >> (16 - length)) + codes->offset[length];
    return entry_of(codes->symbols[at & 255], length, codes->ac);
}

/* ---- data ---- */

int bcam_jpeg_scan_begin(bcam_jpeg_scan *scan)
{
    uint8_t *to = scan->plain;
    int mark = 0;
    while (scan->next < scan->stop) {
        const uint8_t *from = scan->next, *ff = memchr(from, 0xFF, (size_t)(scan->stop - from));
        if (!ff || ff + 1 >= scan->stop) {
            break;
        }
        size_t bytes = (size_t)(ff - from) + (ff[1] == 0); /* FF 00 is FF; anything else behind FF is a mark */
        memcpy(to, from, bytes);
        to += bytes;
        scan->next = ff + 2;
        if (ff[1] != 0) {
            mark = ff[1];
            break;
        }
    }
    memset(to, 0, BCAM_JPEG_BEHIND);
    scan->at = scan->plain;
    scan->end = to;
    scan->bits = 0;
    scan->count = 0;
    memset(scan->dc, 0, sizeof scan->dc);
    return mark;
}

bool bcam_jpeg_scan_used_up(const bcam_jpeg_scan *scan)
{
    int64_t left = (scan->end - scan->at) * 8 + scan->count;
    return left >= 0 && left < 8;
}

/** Bits that are read next, from the highest on. How many there are stands in the low six bits of `count`; what is above means nothing. */
typedef struct reader {
    const uint8_t *at;
    uint64_t bits;
    uint32_t count;
} reader;

#define INLINE static inline __attribute__((always_inline))

/** At least 56 bits, which is enough for two codes and their values. */
INLINE void refill(reader *r)
{
    uint64_t next;
    uint32_t count = r->count & 63;
    memcpy(&next, r->at, sizeof next);
    r->bits |= __builtin_bswap64(next) >> count;
    r->at += (63 - count) >> 3;
    r->count = count | 56;
}

/** The code that comes next. Codes take turns with values, so that the way from one to the next is what decoding waits for: a look into the table
 *  and a shift. */
INLINE uint32_t look(const bcam_jpeg_codes *codes, const reader *r)
{
    uint32_t entry = codes->entry[r->bits >> (64 - BCAM_JPEG_LOOK)];
    return __builtin_expect(entry == 0, 0) ? long_entry(codes, r->bits) : entry;
}

/** A value in bits: positive where its first bit is 1, else with its bits the other way round. */
typedef struct value {
    uint32_t magnitude, sign; /* sign: 0, or all ones where it is negative */
} value;

INLINE int32_t signed_of(uint32_t magnitude, uint32_t sign)
{
    return (int32_t)((magnitude ^ sign) - sign);
}

/** Takes a code and the bits of its value. */
INLINE value take(reader *r, uint32_t entry)
{
    uint64_t bits = r->bits << (entry >> 8 & 63);
    int64_t sign = (int64_t)~bits >> 63;
    r->bits <<= entry & 63;
    r->count -= entry;
    return (value){(uint32_t)((bits ^ (uint64_t)sign) >> 1 >> (~(entry >> 16) & 63)), (uint32_t)sign};
}

/** Where the coefficients of a block go. */
typedef struct target {
    const uint32_t *places;
    int16_t *block; /* NULL: nowhere */
    uint32_t k, sum;
} target;

/** A code for zeros and the coefficient behind them. False: damaged. */
INLINE bool coefficient(reader *r, const bcam_jpeg_codes *codes, target *t)
{
    uint32_t entry = look(codes, r);
    if (__builtin_expect(entry == 0, 0)) {
        return false;
    }
    value v = take(r, entry);
    t->k += entry >> 24;
    if (t->block) {
        uint32_t place = t->places[t->k - 1], magnitude = v.magnitude * (place & 0xFFFF);
        t->sum += magnitude;
        t->block[place >> 16] = (int16_t)signed_of(magnitude, v.sign);
    }
    return true;
}

/** Twice this, so that what is not needed is not worked out: with block, and with NULL. */
INLINE bool scan_block(bcam_jpeg_scan *scan, const bcam_jpeg_codes *dc, const bcam_jpeg_codes *ac, int32_t *mean,
                       target *t)
{
    enum { MOST_DC = 1 << 20 };
    reader r = {scan->at, scan->bits, (uint32_t)scan->count};
    refill(&r);
    uint32_t entry = look(dc, &r);
    if (entry == 0 || *mean > MOST_DC || *mean < -MOST_DC) {
        return false;
    }
    value v = take(&r, entry);
    *mean += signed_of(v.magnitude, v.sign);
    do {
        if (!coefficient(&r, ac, t)) {
            return false;
        }
        refill(&r);
        if (t->k >= 64) {
            break;
        }
        if (!coefficient(&r, ac, t)) {
            return false;
        }
    } while (t->k < 64);
    scan->at = r.at;
    scan->bits = r.bits;
    scan->count = (int)(r.count & 63);
    return (t->k == 64 || t->k > END_OF_BLOCK) && r.at <= scan->end + sizeof(uint64_t);
}

BCAM_JPEG_CPU bool bcam_jpeg_skip_block(bcam_jpeg_scan *scan, const bcam_jpeg_codes *dc, const bcam_jpeg_codes *ac,
                                        int component)
{
    target t = {.k = 1};
    return scan_block(scan, dc, ac, &scan->dc[component], &t);
}

BCAM_JPEG_CPU bool bcam_jpeg_scan_block(bcam_jpeg_scan *scan, const bcam_jpeg_codes *dc, const bcam_jpeg_codes *ac,
                                        int component, const uint32_t places[BCAM_JPEG_PLACES],
                                        int16_t block[BCAM_JPEG_BLOCK], bool *flat)
{
    target t = {.places = places, .block = block, .k = 1};
    int32_t mean = scan->dc[component], quant = (int32_t)(places[0] & 0xFFFF);
    if (!scan_block(scan, dc, ac, &mean, &t)) {
        return false;
    }
    scan->dc[component] = mean;
    block[0] = (int16_t)(mean * quant);
    *flat = t.sum == 0;
    return t.sum + (uint32_t)(abs(mean) * quant) <= BCAM_JPEG_MOST;
}

#endif
