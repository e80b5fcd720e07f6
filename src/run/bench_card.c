/* bench_card.c - what a card does at most, by little plans through the device interface: a chain of matrix products, numbers to it and back. */
#include "run/measuring.h"

enum { ROUNDS = 5, WARM = 3, CHAIN = 32 };

/* Seconds of a plan from its start to its results in host memory. */
static bcam_status time_plan(const bcam_device_api *api, bcam_device *device, const bcam_plan *plan, double *seconds,
                             bcam_error *err)
{
    double took[ROUNDS] = {0};
    bcam_program *program = NULL;
    bcam_status status = api->compile(device, plan, &program, err);
    for (int r = -WARM; status == BCAM_OK && r < ROUNDS; r++) { /* what is loaded or recorded first does not count */
        double begun = bcam_clock_seconds();
        status = api->run(program, BCAM_SEGMENTS_ALL, 0, err);
        if (status == BCAM_OK)
            status = api->wait(program, 0, err);
        if (r >= 0)
            took[r] = bcam_clock_seconds() - begun;
    }
    if (program)
        api->destroy(&program);
    *seconds = bcam_median(took, ROUNDS);
    return status;
}

/* x w w w …, as often as asked for; all (size,size). Weights of 1/size keep the numbers where they are. */
static bool plan_products(bcam_plan *plan, int64_t size, int count)
{
    const int64_t dim[2] = {size, size};
    float *weights = NULL;
    int x = bcam_plan_value(plan, "x", BCAM_ROLE_INPUT, BCAM_F32, 2, dim);
    int w = bcam_plan_const_f32(plan, "w", 2, dim, NULL, &weights);
    for (int64_t i = 0; weights && i < size * size; i++)
        weights[i] = 1.0f / (float)size;
    for (int i = 0; x >= 0 && w >= 0 && i < count; i++) {
        bool last = i == count - 1;
        int y = bcam_plan_value(plan, "y", last ? BCAM_ROLE_OUTPUT : BCAM_ROLE_WORK, BCAM_F32, 2, dim);
        bcam_step *step = y < 0 ? NULL : bcam_plan_step(plan, BCAM_VERB_GEMM, BCAM_SEGMENT_FORWARD, "product");
        if (!step)
            return false;
        step->in[0] = x;
        step->in[1] = w;
        step->out[0] = x = y;
    }
    return x >= 0 && w >= 0;
}

/* Many numbers in and their sum out, or one in and many copies of it out. */
static bool plan_copy(bcam_plan *plan, int64_t count, bool in)
{
    const int64_t many[2] = {1, count}, one[2] = {1, 1};
    int x = bcam_plan_value(plan, "x", BCAM_ROLE_INPUT, BCAM_F32, 2, in ? many : one);
    int y = bcam_plan_value(plan, "y", BCAM_ROLE_OUTPUT, BCAM_F32, 2, in ? one : many);
    bcam_step *step = x < 0 || y < 0
                          ? NULL
                          : bcam_plan_step(plan, in ? BCAM_VERB_REDUCE : BCAM_VERB_COPY, BCAM_SEGMENT_FORWARD, "move");
    if (!step)
        return false;
    step->in[0] = x;
    step->out[0] = y;
    if (in)
        step->u.reduce = (bcam_reduce_attr){.kind = BCAM_REDUCE_SUM, .axes = 2};
    else
        step->u.copy = (bcam_copy_attr){.extent = {1, count}, .axis = {-1, -1}};
    return true;
}

static bcam_status time_products(const bcam_device_api *api, bcam_device *device, int64_t size, int count,
                                 double *seconds, bcam_error *err)
{
    bcam_plan plan;
    bcam_plan_init(&plan, size, 1);
    bcam_status status = plan_products(&plan, size, count) ? time_plan(api, device, &plan, seconds, err)
                                                           : bcam_fail(err, BCAM_E_MEMORY, "out of memory");
    bcam_plan_fini(&plan);
    return status;
}

static bcam_status time_copy(const bcam_device_api *api, bcam_device *device, int64_t count, bool in, double *rate,
                             bcam_error *err)
{
    double seconds = 0;
    bcam_plan plan;
    bcam_plan_init(&plan, 1, 1);
    bcam_status status = plan_copy(&plan, count, in) ? time_plan(api, device, &plan, &seconds, err)
                                                     : bcam_fail(err, BCAM_E_MEMORY, "out of memory");
    *rate = seconds > 0 ? (double)count * sizeof(float) / seconds : 0;
    bcam_plan_fini(&plan);
    return status;
}

bcam_status bcam_bench_card(const bcam_device_api *api, bcam_device *device, int64_t size, int64_t count,
                            bcam_bench_row *row, bcam_error *err)
{
    double one = 0, all = 0;
    bcam_status status = time_products(api, device, size, 1, &one, err);
    if (status == BCAM_OK)
        status = time_products(api, device, size, CHAIN + 1, &all, err);
    if (all > one) /* copies in and out are in both */
        row->peak_flops = 2.0 * (double)size * (double)size * (double)size * CHAIN / (all - one);
    if (status == BCAM_OK)
        status = time_copy(api, device, count, true, &row->peak_pcie_in, err);
    if (status == BCAM_OK)
        status = time_copy(api, device, count, false, &row->peak_pcie_out, err);
    return status;
}
