/* program.h - what a device and a program are made of. Private to program.c, place.c and guard.c. */
#ifndef BCAM_CPU_PROGRAM_H
#define BCAM_CPU_PROGRAM_H

#include "cpu/cpu.h"
#include "dev/place.h"

struct bcam_device {
    bcam_device_options options;          /* resolved: threads and precision are never 0 */
    void *context;                        /* of the overlay */
    bcam_cpu_verb slots[BCAM_VERB_COUNT]; /* first choice; without `run`: plain C */
    const bcam_cpu_verb *plain;
    char text[96];
};

struct bcam_program {
    bcam_device *device; /* outlives the program */
    bcam_placement place;
    bcam_cpu_call *calls;
    const bcam_cpu_verb **slot; /* of each call; NULL: not prepared */
    int *first_call;            /* of each step, and one past the end */
    size_t call_count;
    bool *born; /* guard: has been written since compile */
    char *arena, *constants;
    size_t arena_bytes, constant_bytes, scratch_bytes;
    void *scratch;
};

/* place.c */

/** Lays out what the initialised `program->place` holds, allocates the memory and fills the constants. */
bcam_status bcam_cpu_place(bcam_program *program, const bcam_plan *plan, bcam_error *err);

/* guard.c */

enum { BCAM_CPU_CANARY = 64 }; /* bytes before and behind each value */

void bcam_cpu_guard_start(bcam_program *program);
void bcam_cpu_guard_before(bcam_program *program, int step);
bcam_status bcam_cpu_guard_after(const bcam_program *program, int step, bcam_error *err);

#endif
