/* program.h - what a device and a program are made of. Private to program.c, calls.c, place.c, passes.c and guard.c. */
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

/** Steps first to end - 1, run for `photos` at a time. */
typedef struct bcam_cpu_range {
    int first, end;
    int64_t photos;
} bcam_cpu_range;

struct bcam_program {
    bcam_device *device; /* outlives the program */
    bcam_placement place;
    bcam_cpu_call *calls;
    const bcam_cpu_verb **slot; /* of each call; NULL: not prepared */
    int *first_call;            /* of each step, and one past the end */
    size_t call_count;
    bcam_cpu_range *ranges; /* of all steps, in order */
    size_t range_count;
    int *home;                                    /* of each root: the one range that knows it, or negative */
    int64_t photos;                               /* N */
    int64_t (*moves)[BCAM_MAX_IN + BCAM_MAX_OUT]; /* of each call: bytes by which its operands move with each pass */
    double *seconds;                              /* NULL, or where the time of each step is added up */
    bool *born;                                   /* guard: has been written since compile */
    char *arena, *constants;
    size_t arena_bytes, constant_bytes, scratch_bytes;
    void *scratch;
};

/* place.c */

/** Lays out what the initialised `program->place` holds, allocates the memory and fills the constants. */
bcam_status bcam_cpu_place(bcam_program *program, const bcam_plan *plan, bcam_error *err);

/* calls.c */

/** Binds and prepares every call, and their scratch block. */
bcam_status bcam_cpu_bind_steps(bcam_program *program, bcam_error *err);
/** Chooses a slot: the overlay's unless it will not have the step. */
bcam_status bcam_cpu_prepare_call(bcam_program *program, size_t call, bcam_error *err);
void bcam_cpu_release_call(bcam_program *program, size_t call);
/** One block for all calls, as large as the largest asks for. */
bcam_status bcam_cpu_share_scratch(bcam_program *program, bcam_error *err);

/* passes.c */

/** Finds the ranges and shrinks the spans of values that need no more than a pass. After bcam_placement_share. */
bcam_status bcam_cpu_passes(bcam_program *program, bcam_error *err);
/** Makes of an operand what one pass sees; returns the bytes by which it moves from pass to pass. */
int64_t bcam_cpu_pass_operand(const bcam_program *program, const bcam_cpu_range *range, int value,
                              bcam_tensor *operand);

/* guard.c */

enum { BCAM_CPU_CANARY = 64 }; /* bytes before and behind each value */

void bcam_cpu_guard_start(bcam_program *program);
void bcam_cpu_guard_before(bcam_program *program, int step);
bcam_status bcam_cpu_guard_after(const bcam_program *program, int step, bcam_error *err);

#endif
