/* select.cu - SELECT: which classes, between a network's two halves.
 *
 *   select_classes   a block takes a photo: class ids by number or rank, their logits, probabilities and the gradient's
 *                    seed. Reads the logits once a pass (a maximum, a sum, one pass a rank: from the cache), writes K
 *                    seed rows
 */
#include "box.h"

namespace bcam {

constexpr int kept_ranks = 64;
constexpr int64_t most_shared_classes = 32 * 1024 * 8; /* a bit each */

struct SelectArgs {
    const void *logits; /* (N,M) */
    const int *request, *first;
    int *ids;
    float *logit, *probability;
    void *seed;
    unsigned *named; /* a bit for each class and photo, where shared memory is too small */
    int64_t logits_stride[2], request_stride[2], id_stride[2], logit_stride[2], probability_stride[2], seed_stride[2];
    int64_t classes, places, k, photos;
    bcam_activation activation;
};

/* Whether class a with logit x stands before b with y: descending, equal logits by index, NaN last. */
__device__ __forceinline__ bool stands_before(float x, int a, float y, int b)
{
    if (x != y && (x == x || y == y))
        return y != y || x > y;
    return a < b;
}

/* A class and its logit; -1: none. */
struct Candidate {
    float logit;
    int number;
};

__device__ __forceinline__ Candidate better(Candidate p, Candidate q)
{
    return p.number < 0 || (q.number >= 0 && stands_before(q.logit, q.number, p.logit, p.number)) ? q : p;
}

/* The first class of all that stand behind `above` (or of all), to every thread. */
template <typename T> __device__ Candidate next_class(const SelectArgs &a, const T *logits, Candidate above)
{
    BCAM_SHARED(float, values, threads_of_block / warp);
    BCAM_SHARED(int, numbers, threads_of_block / warp);
    Candidate best = {0, -1};
    for (int64_t c = threadIdx.x; c < a.classes; c += threads_of_block) {
        const Candidate here = {to_float(logits[c * a.logits_stride[1]]), (int)c};
        if (above.number < 0 || stands_before(above.logit, above.number, here.logit, here.number))
            best = better(best, here);
    }
    for (int d = warp / 2; d > 0; d >>= 1) {
        const Candidate other = {__shfl_xor_sync(all_lanes, best.logit, d), __shfl_xor_sync(all_lanes, best.number, d)};
        best = better(best, other);
    }
    __syncthreads();
    if (threadIdx.x % warp == 0) {
        values[threadIdx.x / warp] = best.logit;
        numbers[threadIdx.x / warp] = best.number;
    }
    __syncthreads();
    for (int i = 0; i < threads_of_block / warp; i++)
        best = better(best, {values[i], numbers[i]});
    return best;
}

/* Classes by rank: those found so far, so that a rank costs one pass. Past `kept_ranks` each rank costs as many passes
 * as it lies behind. */
struct Ranking {
    int *order; /* shared */
    int known;
};

template <typename T> __device__ int class_of_rank(const SelectArgs &a, const T *logits, Ranking &r, int64_t rank)
{
    if (rank < r.known)
        return r.order[rank];
    Candidate at = {0, -1};
    if (r.known > 0) {
        at.number = r.order[r.known - 1];
        at.logit = to_float(logits[at.number * a.logits_stride[1]]);
    }
    for (int64_t i = r.known; i <= rank; i++) {
        at = next_class(a, logits, at);
        if (i < kept_ranks) {
            if (threadIdx.x == 0)
                r.order[i] = at.number;
            r.known = (int)i + 1;
        }
    }
    __syncthreads();
    return at.number;
}

struct SoftmaxNorm {
    float max, sum;
};

template <typename T> __device__ SoftmaxNorm norm_of(const SelectArgs &a, const T *logits)
{
    BCAM_SHARED(float, maxima, threads_of_block / warp);
    BCAM_SHARED(float, sums, threads_of_block / warp);
    SoftmaxNorm norm = {-INFINITY, 0};
    for (int64_t c = threadIdx.x; c < a.classes; c += threads_of_block) {
        const float v = to_float(logits[c * a.logits_stride[1]]);
        norm.max = v > norm.max ? v : norm.max;
    }
    norm.max = max_of_lanes(norm.max);
    if (threadIdx.x % warp == 0)
        maxima[threadIdx.x / warp] = norm.max;
    __syncthreads();
    for (int i = 0; i < threads_of_block / warp; i++)
        norm.max = larger(maxima[i], norm.max);
    for (int64_t c = threadIdx.x; c < a.classes; c += threads_of_block)
        norm.sum += expf(to_float(logits[c * a.logits_stride[1]]) - norm.max);
    norm.sum = sum_of_block(norm.sum, sums);
    return norm;
}

__device__ __forceinline__ float probability_of(bcam_activation activation, SoftmaxNorm norm, float logit)
{
    return activation == BCAM_ACTIVATION_SOFTMAX   ? expf(logit - norm.max) / norm.sum
           : activation == BCAM_ACTIVATION_SIGMOID ? 1 / (1 + expf(-logit))
                                                   : logit;
}

/* Place k of photo n. */
template <typename T>
__device__ void write_place(const SelectArgs &a, const T *logits, SoftmaxNorm norm, int64_t k, int64_t n,
                            int64_t number)
{
    const float value = number < 0 ? 0 : to_float(logits[number * a.logits_stride[1]]);
    if (threadIdx.x == 0) {
        a.ids[k * a.id_stride[0] + n * a.id_stride[1]] = (int)number;
        if (a.logit)
            a.logit[k * a.logit_stride[0] + n * a.logit_stride[1]] = value;
        if (a.probability)
            a.probability[k * a.probability_stride[0] + n * a.probability_stride[1]] =
                number < 0 ? 0 : probability_of(a.activation, norm, value);
    }
    T *seed = static_cast<T *>(a.seed) + (k * a.photos + n) * a.seed_stride[0];
    for (int64_t c = threadIdx.x; a.seed && c < a.classes; c += threads_of_block)
        seed[c * a.seed_stride[1]] = from_float<T>(c == number ? 1.0f : 0.0f);
}

template <typename T> __global__ void BCAM_BOUNDS select_classes(SelectArgs a)
{
    BCAM_DYNAMIC_SHARED(unsigned, bits);
    BCAM_SHARED(int, order, kept_ranks);
    const int64_t n = blockIdx.x, words = (a.classes + 31) / 32;
    const T *logits = static_cast<const T *>(a.logits) + n * a.logits_stride[0];
    unsigned *named = a.named ? a.named + n * words : bits;
    Ranking ranking = {order, 0};
    SoftmaxNorm norm = {};
    if (a.activation == BCAM_ACTIVATION_SOFTMAX && a.probability)
        norm = norm_of(a, logits);
    for (int64_t i = threadIdx.x; i < words; i += threads_of_block)
        named[i] = 0;
    const int64_t first = *a.first < 0 ? 0 : min((int64_t)*a.first, a.places);
    /* Places before `first` count too: what they name is not named again. Places past the requests are empty. */
    for (int64_t place = 0; place < first + a.k; place++) {
        int64_t number = -1;
        if (place < a.places)
            number = a.request[n * a.request_stride[0] + place * a.request_stride[1]];
        if (number < -1)
            number = -2 - number < a.classes ? class_of_rank(a, logits, ranking, -2 - number) : -1;
        number = number < a.classes ? number : -1;
        __syncthreads();
        const bool again = number >= 0 && named[number / 32] >> (number % 32) & 1;
        __syncthreads();
        number = again ? -1 : number;
        if (number >= 0 && threadIdx.x == 0)
            named[number / 32] |= 1u << (number % 32);
        if (place >= first)
            write_place(a, logits, norm, place - first, n, number);
    }
}

} // namespace bcam

using namespace bcam;

/* ---- launchers ---- */

extern "C" size_t bcam_kernel_scratch_select(const bcam_kernel_call *call)
{
    int64_t photos = call->in[0].dim[0], classes = call->in[0].dim[1];
    return classes > most_shared_classes ? (size_t)(photos * ((classes + 31) / 32)) * sizeof(unsigned) : 0;
}

extern "C" cudaError_t bcam_kernel_SELECT(const bcam_kernel_call *call, cudaStream_t stream)
{
    const bcam_tensor *logits = &call->in[0], *request = &call->in[1];
    const bcam_tensor *ids = &call->out[0], *logit = &call->out[1], *probability = &call->out[2], *seed = &call->out[3];
    SelectArgs args = {};
    args.logits = logits->data;
    args.request = static_cast<const int *>(request->data);
    args.first = static_cast<const int *>(call->in[2].data);
    args.ids = static_cast<int *>(ids->data);
    args.logit = static_cast<float *>(logit->data);
    args.probability = static_cast<float *>(probability->data);
    args.seed = seed->data;
    take_strides(args.logits_stride, logits);
    take_strides(args.request_stride, request);
    take_strides(args.id_stride, ids);
    take_strides(args.logit_stride, logit);
    take_strides(args.probability_stride, probability);
    take_strides(args.seed_stride, seed);
    args.classes = logits->dim[1];
    args.places = request->dim[1];
    args.k = ids->dim[0];
    args.photos = ids->dim[1];
    args.activation = call->step->u.select.activation;
    const bool shared = args.classes <= most_shared_classes;
    args.named = shared ? nullptr : reinterpret_cast<unsigned *>(call->scratch);
    size_t bytes = shared ? (size_t)((args.classes + 31) / 32) * sizeof(unsigned) : sizeof(unsigned);
    return by_type(logits->dtype, [&](auto type) {
        return launch<select_classes<typename decltype(type)::type>>(args.photos, threads_of_block, bytes, stream,
                                                                     args);
    });
}
