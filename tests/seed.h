/* seed.h - random inputs that can be had again: BCAM_SEED repeats a run. */
#ifndef BCAM_TEST_SEED_H
#define BCAM_TEST_SEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/** BCAM_SEED, or a new one; never 0. */
static inline uint64_t new_seed(void)
{
    const char *text = getenv("BCAM_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
    return seed ? seed : 1;
}

/** The same, said. */
static inline uint64_t test_seed(void)
{
    uint64_t seed = new_seed();
    fprintf(stderr, "BCAM_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
