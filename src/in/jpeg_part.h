/* jpeg_part.h - the usual kind of JPEG, decoded only where it is needed, to the bytes of libjpeg-turbo. Private to src/in and its tests.
 *
 * What is taken: 8-bit baseline, one scan, grey or YCbCr at 4:4:4, 4:2:2 or 4:2:0, nothing damaged, on a processor with AVX2. All else is left
 * to libjpeg, and so is every verdict on what is wrong with a file: the least surprise on the way, and nothing of it counts. */
#ifndef BCAM_IN_JPEG_PART_H
#define BCAM_IN_JPEG_PART_H

#include "in/in.h"

typedef struct bcam_jpeg_component {
    int h, v;              /* sampling factors */
    const uint16_t *quant; /* (64) by rows */
    const uint8_t *dc_counts, *dc_symbols, *ac_counts,
        *ac_symbols; /* Huffman codes: how many of each length 1 … 16, at [length]; symbols in order */
} bcam_jpeg_component;

typedef struct bcam_jpeg_frame {
    int width, height, components; /* 1 or 3 */
    int reduction;                 /* 1, 2, 4, 8: how many times shorter each side of the picture becomes, rounded up */
    bcam_jpeg_component component[3];
    int restart;         /* MCUs between restart marks, or 0 */
    const uint8_t *data; /* behind the head of the scan */
    size_t bytes;
} bcam_jpeg_frame;

typedef enum bcam_jpeg_verdict {
    BCAM_JPEG_DECODED,
    BCAM_JPEG_LEFT, /* not taken, or not without a doubt; rgb may have been written to */
    BCAM_JPEG_MEMORY
} bcam_jpeg_verdict;

/** Writes the part's pixels to their place in rgb (height, width, 3), both reduced. `scratch` is grown as needed. */
bcam_jpeg_verdict bcam_jpeg_decode_part(const bcam_jpeg_frame *frame, bcam_part part, uint8_t *rgb, uint8_t **scratch,
                                        size_t *scratch_capacity);

/* ---- what it is made of; only for x86-64 with AVX2, BMI and BMI2 ---- */

#define BCAM_JPEG_CPU __attribute__((target("avx2,bmi,bmi2")))

enum { BCAM_JPEG_LOOK = 10 }; /* bits that a table of codes looks at */

/** Codes of up to BCAM_JPEG_LOOK bits by their first bits, longer ones by comparison. */
typedef struct bcam_jpeg_codes {
    uint32_t entry
        [1
         << BCAM_JPEG_LOOK]; /* bits with those of the value | bits of the code << 8 | bits of the value << 16 | step << 24; 0: longer */
    uint32_t end[18];   /* codes of `length` bits are below end[length], as 16 bits; end[17] is above all */
    int32_t offset[17]; /* symbol of a code: symbols[code + offset[length]] */
    const uint8_t *symbols;
    bool ac;
} bcam_jpeg_codes;

/** False: no proper codes. */
bool bcam_jpeg_codes_make(bcam_jpeg_codes *codes, const uint8_t *counts, const uint8_t *symbols, bool ac);

typedef struct bcam_jpeg_scan {
    const uint8_t *next, *stop; /* of the file */
    uint8_t *plain;             /* the data up to the next mark without what was stuffed into them */
    const uint8_t *at, *end;    /* in plain */
    uint64_t bits;
    int count;
    int dc[3];
} bcam_jpeg_scan;

enum { BCAM_JPEG_BEHIND = 256 }; /* bytes of room behind `plain`: more than a block can read beyond its end */

/** Makes the data up to the next mark ready and returns the mark, or 0 where there is none. */
int bcam_jpeg_scan_begin(bcam_jpeg_scan *scan);
/** Whether all data up to the mark were used, but for the bits that fill the last byte. */
bool bcam_jpeg_scan_used_up(const bcam_jpeg_scan *scan);

enum {
    BCAM_JPEG_BLOCK = 72,  /* 64 coefficients, and a place for what belongs nowhere */
    BCAM_JPEG_PLACES = 192 /* more than the largest step leads to */
};

/** Of the k-th coefficient: its place by rows << 16 | its factor, for factors by rows. From 64 on: nowhere, 0. */
void bcam_jpeg_places(const uint16_t quant[64], uint32_t places[BCAM_JPEG_PLACES]);

enum { BCAM_JPEG_MOST = 5800 };

/** Decodes a block's coefficients, times their factors, into block (by rows; zeros before). *flat: there is but the mean. False: damaged, or their
 *  magnitudes add up to more than BCAM_JPEG_MOST: up to that, nothing overflows 16 bits in the inverse DCT (4 * 1.3871 * 5800 < 2^15), and all
 *  versions of libjpeg agree on what comes out. */
bool bcam_jpeg_scan_block(bcam_jpeg_scan *scan, const bcam_jpeg_codes *dc, const bcam_jpeg_codes *ac, int component,
                          const uint32_t places[BCAM_JPEG_PLACES], int16_t block[BCAM_JPEG_BLOCK], bool *flat);
/** Goes on to the next block; scan->dc is then the mean of this one, without its factor. False: damaged. */
bool bcam_jpeg_skip_block(bcam_jpeg_scan *scan, const bcam_jpeg_codes *dc, const bcam_jpeg_codes *ac, int component);

/** The "slow integer" inverse DCT; out: 8 rows, `stride` apart. */
void bcam_jpeg_idct(const int16_t block[64], uint8_t *out, size_t stride);
/** The same to 4 x 4 or 2 x 2 samples. */
void bcam_jpeg_idct_small(const int16_t block[64], int length, uint8_t *out, size_t stride);
/** Where there is but the mean, to any number of samples. */
void bcam_jpeg_idct_flat(int mean, int length, uint8_t *out, size_t stride);

/** "Fancy" upsampling of `count` samples to 2 * count; in[-1] and in[count] are read, as 16 bits where rows were added up before. */
void bcam_jpeg_widen(const uint8_t *in, int count, uint8_t *out);
void bcam_jpeg_widen_sums(const uint16_t *in, int count, uint8_t *out);
/** 3 * near + far. */
void bcam_jpeg_add_rows(const uint8_t *near, const uint8_t *far, int count, uint16_t *out);
/** YCbCr to RGB. */
void bcam_jpeg_colour(const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int count, uint8_t *rgb);

#endif
