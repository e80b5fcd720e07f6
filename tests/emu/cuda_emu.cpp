/* cuda_emu.cpp - the run time behind cuda_emu.h and emu_run.h. With EMU_TSAN it tells the race detector what is ordered and what is not; it is
 * itself compiled without that instrumentation. */
#include "cuda_emu.h"

#include <cxxabi.h>
#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef EMU_TSAN
extern "C" {
void *__tsan_get_current_fiber();
void *__tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *address);
void __tsan_release(void *address);
}
#define ACQUIRE(address) __tsan_acquire(address)
#define RELEASE(address) __tsan_release(address)
#else
#define ACQUIRE(address) ((void)0)
#define RELEASE(address) ((void)0)
#endif

/* ---- switching stacks: what a function call keeps is kept ---- */

#ifdef __x86_64__
extern "C" void emu_switch(void **save, void *load);
asm(R"(
    .text
    .globl emu_switch
    .type emu_switch, @function
emu_switch:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
    .size emu_switch, . - emu_switch
)");
#else
#include <ucontext.h>
#endif

namespace cuemu {
namespace {

constexpr size_t stack_bytes = 64 * 1024, page = 4096;

enum class State { ready, at_barrier, in_warp, done };

struct Fiber {
    Thread thread{};
    State state = State::done;
    char *stack = nullptr; /* of its slot */
#ifdef __x86_64__
    void *saved = nullptr;
#else
    ucontext_t context;
#endif
    void *fake_stack = nullptr; /* ASan's */
    void *shadow = nullptr;     /* TSan's fiber, of its slot */
};

/* What a thread runs on. TSan sees a block's threads beside those of the three blocks before: they must share neither. */
struct Slot {
    char *stack;
    void *shadow;
};
#ifdef EMU_TSAN
constexpr unsigned slot_sets = 4;
#else
constexpr unsigned slot_sets = 1;
#endif

struct Meeting { /* of the lanes of one mask */
    unsigned mask, here, round;
    const char *what;
    int line;
    uint64_t words[2][32];
};

struct Warp { /* allocated by the host, never by a thread: its memory must not look like a race */
    Meeting meetings[4];
    unsigned used;
};

struct Piece {
    const void *key;
    void *memory;
};

struct Machine {
    std::vector<Fiber> fibers;
    std::vector<unsigned> order;
    unsigned count = 0, done = 0, waiting = 0, position = 0;
    int barrier_line = 0;
    std::vector<Warp> warps;
    std::vector<Piece> shared;
    void *dynamic = nullptr;
    const emu_kernel *kernel = nullptr;
    void *captured = nullptr;
    Fiber host, *now = nullptr;
    size_t host_stack_bytes = 0;
    Block block{};
    uint64_t seed = 0, grids = 0, blocks = 0, threads = 0;
    unsigned limit = 0;
    char *marks = nullptr;              /* of this block: addresses that stand for its barrier and its warps */
    std::vector<void *> garbage;        /* of this block; under TSan of the whole grid, for blocks are not ordered to each other */
    std::vector<Slot> slots[slot_sets];
    uint64_t begins = 0, ends = 0;
};

Machine &machine()
{
    static Machine m;
    static bool first = true;
    if (first) {
        const char *text = getenv("EMU_SEED");
        m.seed = text ? strtoull(text, nullptr, 0) : 0;
        first = false;
    }
    return m;
}

unsigned below(Machine &m, unsigned n)
{
    m.seed = m.seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((m.seed >> 33) % n);
}

void shuffle_order(Machine &m, std::vector<unsigned> &order)
{
    for (unsigned i = (unsigned)order.size(); i-- > 1;)
        std::swap(order[i], order[below(m, i + 1)]);
}

void jump(Machine &m, Fiber *to)
{
    Fiber *from = m.now;
    m.now = to;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(from->state == State::done ? nullptr : &from->fake_stack, to->stack,
                                   to == &m.host ? m.host_stack_bytes : stack_bytes);
#endif
#ifdef EMU_TSAN
    __tsan_switch_to_fiber(to->shadow, 1); /* orders nothing: CUDA threads run beside each other */
#endif
#ifdef __x86_64__
    emu_switch(&from->saved, to->saved);
#else
    swapcontext(&from->context, &to->context);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(from->fake_stack, nullptr, nullptr);
#endif
}

Fiber *next_ready(Machine &m)
{
    if (m.seed)
        m.position = below(m, m.count);
    for (unsigned i = 0; i < m.count; i++) {
        m.position = m.position + 1 == m.count ? 0 : m.position + 1;
        Fiber *f = &m.fibers[m.order[m.position]];
        if (f->state == State::ready)
            return f;
    }
    return nullptr;
}

[[noreturn]] void deadlock(const Machine &m)
{
    unsigned at_barrier = 0, in_warp = 0;
    for (unsigned i = 0; i < m.count; i++) {
        at_barrier += m.fibers[i].state == State::at_barrier;
        in_warp += m.fibers[i].state == State::in_warp;
    }
    fail("deadlock: of %u threads %u wait at __syncthreads, %u in a warp operation, %u have returned", m.count, at_barrier,
         in_warp, m.done);
}

void give_way(Machine &m)
{
    Fiber *f = next_ready(m);
    if (!f)
        deadlock(m);
    if (f != m.now)
        jump(m, f);
}

extern "C" void emu_fiber_main()
{
    Machine &m = machine();
#ifdef __SANITIZE_ADDRESS__
    const void *bottom = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (!m.host.stack) { /* the grid's first thread: it was the host that gave way */
        m.host.stack = static_cast<char *>(const_cast<void *>(bottom));
        m.host_stack_bytes = bytes;
    }
#endif
    ACQUIRE(&m.begins);
    m.kernel->run(m.captured);
    RELEASE(&m.ends);
    if (m.waiting)
        fail("returns while %u others wait at __syncthreads (line %d)", m.waiting, m.barrier_line);
    m.now->state = State::done;
    m.done++;
    Fiber *f = next_ready(m);
    if (!f && m.done != m.count)
        deadlock(m);
    jump(m, f ? f : &m.host);
    abort();
}

Slot new_slot()
{
    /* Below the stack lies a page that nothing may touch. */
    void *p = mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        fail("no memory for a thread's stack");
    mprotect(p, page, PROT_NONE);
    Slot slot = {(char *)p + page, nullptr};
#ifdef EMU_TSAN
    slot.shadow = __tsan_create_fiber(0);
#endif
    return slot;
}

void make_fiber(Machine &m, Fiber &f)
{
    std::vector<Slot> &slots = m.slots[m.blocks % slot_sets];
    while (slots.size() <= f.thread.number)
        slots.push_back(new_slot());
    f.stack = slots[f.thread.number].stack;
    f.shadow = slots[f.thread.number].shadow;
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(f.stack + stack_bytes - page, page); /* of the last run's frame, which never returned */
#endif
#ifdef __x86_64__
    void **top = (void **)(f.stack + stack_bytes);
    *--top = nullptr;
    *--top = (void *)&emu_fiber_main;
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    f.saved = top;
#else
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = stack_bytes;
    f.context.uc_link = nullptr;
    makecontext(&f.context, emu_fiber_main, 0);
#endif
}

void sweep(Machine &m)
{
    for (void *p : m.garbage)
        free(p);
    m.garbage.clear();
}

void *poisoned(Machine &m, size_t bytes)
{
    void *p = nullptr;
    if (posix_memalign(&p, 16, bytes))
        fail("no memory for %zu bytes of shared memory", bytes);
    memset(p, 0xff, bytes); /* NaN, so that reading before writing shows */
    (void)m;
    return p;
}

void run_block(Machine &m, size_t shared)
{
    const dim3 size = m.block.size;
    if (m.seed)
        shuffle_order(m, m.order);
    m.dynamic = shared ? poisoned(m, shared) : nullptr;
    m.marks = (char *)malloc(8 * 40);
    m.done = m.waiting = 0;
    m.position = m.count - 1;
    for (Warp &w : m.warps)
        w.used = 0;
    for (unsigned i = 0; i < m.count; i++) {
        Fiber &f = m.fibers[i];
        f.thread = Thread{uint3{i % size.x, i / size.x % size.y, i / size.x / size.y}, i};
        f.state = State::ready;
        make_fiber(m, f);
    }
    RELEASE(&m.begins);
    jump(m, next_ready(m));
    for (const Piece &p : m.shared)
        m.garbage.push_back(p.memory);
    m.shared.clear();
    m.garbage.push_back(m.dynamic);
    m.garbage.push_back(m.marks);
    m.blocks++;
    m.threads += m.count;
#ifndef EMU_TSAN
    sweep(m);
#endif
}

void end_grid(Machine &m)
{
    ACQUIRE(&m.ends);
    sweep(m);
    m.now = nullptr;
    m.grids++;
}

emu_kernel *kernels;
emu_launch_fn on_launch;
void *on_launch_data;

/* "cuemu::Tag<&(void bcam::unary<float>(bcam::Args))>" → "void bcam::unary<float>(bcam::Args)" */
const char *readable_name(emu_kernel *k)
{
    if (k->name)
        return k->name;
    int status = 0;
    char *text = abi::__cxa_demangle(k->type_name, nullptr, nullptr, &status);
    std::string name = text ? text : k->type_name;
    free(text);
    size_t first = name.find('<'), last = name.rfind('>');
    if (first != std::string::npos && last != std::string::npos)
        name = name.substr(first + 1, last - first - 1);
    if (!name.empty() && name[0] == '&')
        name = name.substr(1);
    if (name.size() > 2 && name[0] == '(' && name.back() == ')')
        name = name.substr(1, name.size() - 2);
    k->name = strdup(name.c_str());
    return k->name;
}

} // namespace

const Thread *thread()
{
    return &machine().now->thread;
}

const Block *block()
{
    return &machine().block;
}

void fail(const char *format, ...)
{
    const Machine &m = machine();
    va_list args;
    fprintf(stderr, "emu: ");
    if (m.now && m.now != &m.host) {
        const uint3 b = m.block.index, t = m.now->thread.index;
        fprintf(stderr, "%s, block (%u,%u,%u), thread (%u,%u,%u): ", readable_name(const_cast<emu_kernel *>(m.kernel)), b.x, b.y,
                b.z, t.x, t.y, t.z);
    }
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

void barrier(int line)
{
    Machine &m = machine();
    if (m.waiting && line != m.barrier_line)
        fail("is at the __syncthreads of line %d, others wait at that of line %d", line, m.barrier_line);
    m.barrier_line = line;
    if (m.done)
        fail("is at the __syncthreads of line %d, but %u threads have returned", line, m.done);
    RELEASE(m.marks);
    if (++m.waiting == m.count) {
        m.waiting = 0;
        for (unsigned i = 0; i < m.count; i++)
            if (m.fibers[i].state == State::at_barrier)
                m.fibers[i].state = State::ready;
    } else {
        m.now->state = State::at_barrier;
        give_way(m);
    }
    ACQUIRE(m.marks);
}

const uint64_t *meet(unsigned mask, uint64_t word, const char *what, int line)
{
    Machine &m = machine();
    const unsigned me = lane(), warp = m.now->thread.number / 32, first = warp * 32;
    const unsigned lanes = m.count - first < 32 ? m.count - first : 32, all = lanes == 32 ? ~0u : (1u << lanes) - 1;
    unsigned gone = 0;
    for (unsigned i = 0; i < lanes; i++)
        gone |= m.fibers[first + i].state == State::done ? 1u << i : 0;
    if (!(mask >> me & 1u))
        fail("line %d: %s with the mask %08x, which leaves the caller out", line, what, mask);
    if (mask & gone)
        fail("line %d: %s with the mask %08x, but lanes %08x have returned", line, what, mask, mask & gone);
    Meeting *meeting = nullptr;
    Warp &w = m.warps[warp];
    for (unsigned i = 0; i < w.used; i++)
        if (w.meetings[i].mask == mask)
            meeting = &w.meetings[i];
    if (!meeting) {
        if (w.used == sizeof w.meetings / sizeof *w.meetings)
            fail("line %d: more than %u masks in one warp", line, w.used);
        meeting = &w.meetings[w.used++];
        *meeting = Meeting{mask, 0, 0, what, line, {}};
    }
    if (meeting->here && (meeting->line != line || strcmp(meeting->what, what)))
        fail("is in %s of line %d, other lanes of the mask %08x in %s of line %d", what, line, mask, meeting->what, meeting->line);
    meeting->what = what;
    meeting->line = line;
    const unsigned round = meeting->round;
    meeting->words[round & 1][me] = word;
    meeting->here |= 1u << me;
    RELEASE(m.marks + 8 + 8 * warp);
    if (meeting->here == (mask & all)) {
        meeting->here = 0;
        meeting->round++;
        for (unsigned i = 0; i < lanes; i++)
            if (mask >> i & 1u && m.fibers[first + i].state == State::in_warp)
                m.fibers[first + i].state = State::ready;
    } else {
        m.now->state = State::in_warp;
        give_way(m);
        while (meeting->round == round) { /* woken by a meeting of other lanes */
            m.now->state = State::in_warp;
            give_way(m);
        }
    }
    ACQUIRE(m.marks + 8 + 8 * warp);
    return meeting->words[round & 1];
}

void *shared_memory(const void *key, size_t bytes)
{
    Machine &m = machine();
    for (const Piece &p : m.shared)
        if (p.key == key) {
            ACQUIRE(p.memory);
            return p.memory;
        }
    void *memory = poisoned(m, bytes);
    RELEASE(memory);
    m.shared.push_back(Piece{key, memory});
    return memory;
}

void *dynamic_shared_memory()
{
    Machine &m = machine();
    if (!m.dynamic)
        fail("uses dynamic shared memory, but was launched with 0 bytes of it");
    return m.dynamic;
}

unsigned grid_limit()
{
    return machine().limit;
}

void enrol(emu_kernel *kernel)
{
    kernel->next = kernels;
    kernels = kernel;
}

cudaError_t launch(const emu_kernel *kernel, dim3 grid, dim3 block, void *const *args, size_t shared, cudaStream_t stream)
{
    if (on_launch)
        return on_launch(on_launch_data, kernel, grid, block, args, shared, stream);
    void *captured = kernel->capture(args);
    cudaError_t error = emu_kernel_run(kernel, captured, grid, block, shared);
    kernel->release(captured);
    return error;
}

} // namespace cuemu

using namespace cuemu;

const emu_kernel *emu_kernel_at(size_t i)
{
    const emu_kernel *k = kernels;
    while (k && i-- > 0)
        k = k->next;
    return k;
}

const char *emu_kernel_name(const emu_kernel *kernel)
{
    return readable_name(const_cast<emu_kernel *>(kernel));
}

/* A kernel that is no template is called without its arguments here. */
static bool is_called(const char *own, const char *name)
{
    size_t length = strlen(own);
    return strncmp(own, name, length) == 0 && (name[length] == '\0' || (name[length] == '(' && !strchr(own, '(')));
}

const emu_kernel *emu_kernel_find(const char *name)
{
    int status = 0;
    char *text = strncmp(name, "_Z", 2) == 0 ? abi::__cxa_demangle(name, nullptr, nullptr, &status) : nullptr;
    const emu_kernel *k = kernels;
    while (k && !is_called(emu_kernel_name(k), text ? text : name))
        k = k->next;
    free(text);
    return k;
}

void *emu_kernel_capture(const emu_kernel *kernel, void *const *args)
{
    try {
        return kernel->capture(args);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

void emu_kernel_release(const emu_kernel *kernel, void *captured)
{
    if (captured)
        kernel->release(captured);
}

cudaError_t emu_kernel_run(const emu_kernel *kernel, void *captured, dim3 grid, dim3 block, size_t shared)
{
    Machine &m = machine();
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    const unsigned most = 65535;
    if (threads == 0 || threads > 1024 || block.z > 64 || !grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu ||
        grid.y > most || grid.z > most)
        return cudaErrorInvalidConfiguration;
    if (shared > 48 * 1024) /* more must be asked for */
        return cudaErrorInvalidValue;
    if (m.now)
        fail("a kernel was launched while another one runs");
    m.count = (unsigned)threads;
    if (m.fibers.size() < m.count)
        m.fibers.resize(m.count);
    m.order.resize(m.count);
    m.warps.resize((m.count + 31) / 32);
    m.shared.reserve(64);
    for (unsigned i = 0; i < m.count; i++)
        m.order[i] = i;
    m.kernel = kernel;
    m.captured = captured;
    m.now = &m.host;
    m.host.stack = nullptr;
#ifdef EMU_TSAN
    m.host.shadow = __tsan_get_current_fiber();
#endif
    m.block.grid = grid;
    m.block.size = block;
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    const bool mixed = m.seed && blocks <= 1u << 20;
    std::vector<unsigned> order;
    for (uint64_t i = 0; mixed && i < blocks; i++)
        order.push_back((unsigned)i);
    if (mixed)
        shuffle_order(m, order);
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t b = mixed ? order[i] : i;
        m.block.index = uint3{(unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y), (unsigned)(b / grid.x / grid.y)};
        run_block(m, shared);
    }
    end_grid(m);
    return cudaSuccess;
}

void emu_on_launch(emu_launch_fn fn, void *data)
{
    on_launch = fn;
    on_launch_data = data;
}

void emu_set_seed(uint64_t seed)
{
    machine().seed = seed;
}

void emu_set_grid_limit(unsigned blocks)
{
    machine().limit = blocks;
}

void emu_counts(uint64_t *grids, uint64_t *blocks, uint64_t *threads)
{
    const Machine &m = machine();
    *grids = m.grids;
    *blocks = m.blocks;
    *threads = m.threads;
}
