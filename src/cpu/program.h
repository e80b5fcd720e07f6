/* program.h - what a device and a program are made of. Private to program.c, place.c, query.c and guard.c. */
#ifndef BCAM_CPU_PROGRAM_H
#define BCAM_CPU_PROGRAM_H

#include "cpu/cpu.h"

struct bcam_device {
    bcam_device_options options;          /* resolved: threads and precision are never 0 */
    void *context;                        /* of the overlay */
    bcam_cpu_verb slots[BCAM_VERB_COUNT]; /* first choice; without `run`: plain C */
    const bcam_cpu_verb *plain;
    char text[96];
};

struct bcam_program {
    bcam_device *device; /* outlives the program */
    bcam_pool pool;      /* everything below that is not a block of its own */
    int64_t k;
    bcam_value *values;   /* without their data */
    bcam_tensor *tensors; /* where each value lies; data is NULL where nothing reads or writes it */
    int *root;            /* the value whose memory a value shares; mostly itself */
    size_t value_count;
    bcam_step *steps;
    bool *alias; /* a step that moves nothing */
    size_t step_count;
    bcam_cpu_call *calls;
    const bcam_cpu_verb **slot; /* of each call; NULL: not prepared */
    int *first_call;            /* of each step, and one past the end */
    size_t call_count;
    bcam_span *spans; /* of each value in the arena; bytes is 0 for others. Offsets are those of the data */
    int *birth;       /* the first step that writes a root, or -1 */
    bool *born;       /* guard: has been written since compile */
    char *arena, *constants;
    size_t arena_bytes, constant_bytes, scratch_bytes;
    void *scratch;
};

/* query.c */

/** The shape of an operand as one run of the step sees it: an each_k step sees one k. */
bcam_tensor bcam_cpu_operand(const bcam_value *values, int64_t k, const bcam_step *step, int value);
/** Whether a step is one that plain C can do; says what is wrong with it. */
bcam_status bcam_cpu_query(const bcam_plan *plan, const bcam_step *step, bcam_error *err);

/* place.c */

/** Lays out values, steps and pool of `program`, which are copies of the plan's; allocates the memory and fills the constants. */
bcam_status bcam_cpu_place(bcam_program *program, const bcam_plan *plan, bcam_error *err);
bcam_dtype bcam_cpu_stored_dtype(const bcam_device *device, bcam_dtype dtype);

/* element.c: copying between a tensor and a dense row-major array, converting. */
void bcam_cpu_elements_read(const bcam_tensor *from, bcam_dtype as, void *to);
void bcam_cpu_elements_write(const bcam_tensor *to, bcam_dtype as, const void *from);

/* guard.c */

enum { BCAM_CPU_CANARY = 64 }; /* bytes before and behind each value */

void bcam_cpu_guard_start(bcam_program *program);
void bcam_cpu_guard_before(bcam_program *program, int step);
bcam_status bcam_cpu_guard_after(const bcam_program *program, int step, bcam_error *err);

#endif
