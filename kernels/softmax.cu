/* softmax.cu - SOFTMAX and its gradient: three passes over a row (two, backwards), of which the cache serves all but
 * the first.
 *
 * A warp takes a row that is contiguous, a thread one that is not.
 */
#include "box.h"

namespace bcam {

struct SoftmaxArgs {
    Box<3> rows; /* y, x; backwards dx, dy, y */
    void *out;
    const void *in, *y;
    int64_t length, out_step, in_step, y_step; /* along the axis */
    int lanes;                                 /* that share a row: 32 where it is contiguous, else 1 */
    bool log;
};

template <typename T> __global__ void BCAM_BOUNDS softmax(SoftmaxArgs a)
{
    const int lane = threadIdx.x % a.lanes;
    for (int64_t row = first_of_grid() / a.lanes; row < a.rows.count; row += stride_of_grid() / a.lanes) {
        int64_t at[3];
        a.rows.locate(row, at);
        const T *x = static_cast<const T *>(a.in) + at[1];
        T *y = static_cast<T *>(a.out) + at[0];
        float max = -INFINITY, sum = 0, lost = 0;
        for (int64_t i = lane; i < a.length; i += a.lanes)
            max = larger(to_float(x[i * a.in_step]), max);
        if (a.lanes == warp)
            max = max_of_lanes(max);
        for (int64_t i = lane; i < a.length;
             i += a.lanes) { /* a lane may have the whole row: what an addition loses is kept */
            const float e = expf(to_float(x[i * a.in_step]) - max) - lost, next = sum + e;
            lost = next - sum - e;
            sum = next;
        }
        sum = sum_of_lanes(sum, a.lanes);
        const float log_sum = logf(sum);
        for (int64_t i = lane; i < a.length; i += a.lanes) {
            const float v = to_float(x[i * a.in_step]) - max;
            y[i * a.out_step] = from_float<T>(a.log ? v - log_sum : expf(v) / sum);
        }
    }
}

/* dx = y (dy - sum of dy y), or dy - e^y sum of dy for the logarithm. */
template <typename T> __global__ void BCAM_BOUNDS softmax_bwd(SoftmaxArgs a)
{
    const int lane = threadIdx.x % a.lanes;
    for (int64_t row = first_of_grid() / a.lanes; row < a.rows.count; row += stride_of_grid() / a.lanes) {
        int64_t at[3];
        a.rows.locate(row, at);
        const T *dy = static_cast<const T *>(a.in) + at[1], *y = static_cast<const T *>(a.y) + at[2];
        T *dx = static_cast<T *>(a.out) + at[0];
        float sum = 0;
        for (int64_t i = lane; i < a.length; i += a.lanes) {
            const float g = to_float(dy[i * a.in_step]);
            sum += a.log ? g : g * to_float(y[i * a.y_step]);
        }
        sum = sum_of_lanes(sum, a.lanes);
        for (int64_t i = lane; i < a.length; i += a.lanes) {
            const float g = to_float(dy[i * a.in_step]), v = to_float(y[i * a.y_step]);
            dx[i * a.out_step] = from_float<T>(a.log ? g - expf(v) * sum : v * (g - sum));
        }
    }
}

} // namespace bcam

using namespace bcam;

/* ---- launchers ---- */

/* Rows are everything but the axis. */
static SoftmaxArgs softmax_args(const bcam_kernel_call *call, const bcam_tensor *in, const bcam_tensor *y,
                                const bcam_tensor *out)
{
    const bcam_softmax_attr *attr = &call->step->u.softmax;
    int64_t dim[BCAM_MAX_RANK];
    for (int a = 0; a < out->rank; a++)
        dim[a] = a == attr->axis ? 1 : out->dim[a];
    const View views[3] = {view_of(out), view_of(in), view_of(y)};
    int lanes = in->stride[attr->axis] == 1 ? warp : 1;
    return {box_of(out->rank, dim, views),
            out->data,
            in->data,
            y->data,
            out->dim[attr->axis],
            out->stride[attr->axis],
            in->stride[attr->axis],
            y->stride[attr->axis],
            lanes,
            attr->log};
}

extern "C" cudaError_t bcam_kernel_SOFTMAX(const bcam_kernel_call *call, cudaStream_t stream)
{
    SoftmaxArgs args = softmax_args(call, &call->in[0], &call->in[0], &call->out[0]);
    return by_type(call->out[0].dtype, [&](auto type) {
        return launch<softmax<typename decltype(type)::type>>(blocks_for(args.rows.count * args.lanes),
                                                              threads_of_block, 0, stream, args);
    });
}

extern "C" cudaError_t bcam_kernel_SOFTMAX_BWD(const bcam_kernel_call *call, cudaStream_t stream)
{
    SoftmaxArgs args = softmax_args(call, &call->in[0], &call->in[1], &call->out[0]);
    return by_type(call->out[0].dtype, [&](auto type) {
        return launch<softmax_bwd<typename decltype(type)::type>>(blocks_for(args.rows.count * args.lanes),
                                                                  threads_of_block, 0, stream, args);
    });
}
