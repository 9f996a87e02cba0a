#include "tests/shadow/team.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/stack_context.hpp>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tests/shadow/control.hpp"
#include "tests/shadow/host_memory.hpp"
#include "tests/shadow/logical_threads.hpp"
#include "tests/shadow/memory.hpp"
#include "tests/shadow/queue.hpp"
#include "tests/shadow/random.hpp"

namespace shadow {

namespace {

using boost::context::fiber;
using boost::context::stack_context;

#if defined(__SANITIZE_ADDRESS__) || defined(SHADOW_THREAD_SANITIZER)
constexpr size_t kStackBytes = 256 << 10;
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

/// Gives a fiber a stack that exists already.
struct OwnStack {
  stack_context stack;
  stack_context allocate() { return stack; }
  void deallocate(stack_context&) noexcept {}
};

/// The stacks of a block's fibers, each with a closed page below it. Made once: only one operation
/// runs at a time.
class Stacks {
 public:
  static Stacks& get() {
    static Stacks& made = *new Stacks;
    return made;
  }
  void* bottom(int rank) const { return memory_ + rank * (kStackBytes + guard_) + guard_; }
  OwnStack of(int rank) const {
    stack_context stack;
    // Not all at one offset in their pages: they would compete for a few lines of the cache.
    const size_t unused = rank % 32 * 128;
    stack.sp = static_cast<char*>(bottom(rank)) + kStackBytes - unused;
    stack.size = kStackBytes - unused;
    return OwnStack{stack};
  }

 private:
  Stacks() {
    const size_t bytes = kTeamThreads * (kStackBytes + guard_);
    void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
      throw Fault("the shadow device has no memory for its threads' stacks");
    memory_ = static_cast<char*>(mapped);
    for (int rank = 0; rank < kTeamThreads; ++rank) {
      if (mprotect(memory_ + rank * (kStackBytes + guard_), guard_, PROT_NONE) != 0)
        throw Fault("the shadow device cannot close a page below a stack");
    }
  }
  const size_t guard_ = page_bytes();
  char* memory_;
};

struct Thread {
  enum State { kReady, kAtBarrier, kAtWarpBarrier, kEnded };
  int rank = 0;
  State state = kReady;
  const char* file = nullptr;  // of the barrier
  int line = 0;
  fiber own, host;  // where to continue the thread, and who runs it
  std::unique_ptr<LogicalThread> logical;
  std::exception_ptr thrown;
};

/// What orders a barrier's threads for the race detector: all that came before the barrier happens
/// before all that follows, but threads between two barriers are not ordered. Hence two tokens in
/// turn: one for those that arrive, one for those that have continued.
class BarrierToken {
 public:
  char* next() { return &tokens_[(phase_ + 1) % 2]; }
  void continued() { ++phase_; }

 private:
  char tokens_[2] = {0, 0};
  unsigned phase_ = 0;
};

/// One block at a time.
class Team {
 public:
  Team(size_t shared_bytes, uint64_t seed);
  ~Team();
  void run(int block, const std::function<void(const BlockMemory&)>& body);
  void pause(Thread::State state, const char* file, int line);
  int rank() const { return current_->rank; }
  bool wants_to_yield() { return random_.below(8) == 0; }

 private:
  void start(const BlockMemory& memory, const std::function<void(const BlockMemory&)>& body);
  void resume(Thread* thread);
  void run_ready();
  void release(int first, int count, Thread::State state);
  bool release_warps();
  bool all_ended() const;
  [[noreturn]] void diverged(int first, int count) const;

  Random random_;
  Thread threads_[kTeamThreads];
  LogicalThread host_;
  Thread* current_ = nullptr;
  BarrierToken block_barrier_, warp_barriers_[kTeamThreads / kWarpThreads];
  char end_token_ = 0;
  size_t shared_bytes_;
  std::vector<char> shared_;
};

thread_local Team* team_of_host_thread = nullptr;

Team::Team(size_t shared_bytes, uint64_t seed)
    : random_(seed), shared_bytes_(shared_bytes), shared_(shared_bytes + 64) {
  for (int rank = 0; rank < kTeamThreads; ++rank) {
    threads_[rank].rank = rank;
    threads_[rank].logical.reset(new LogicalThread(Stacks::get().bottom(rank), kStackBytes));
  }
}

/// Ends threads that a fault has left waiting: their objects are destroyed.
Team::~Team() {
  for (Thread& thread : threads_) {
    if (!thread.own) continue;
    LogicalThread::release(&end_token_);
    thread.logical->enter(&host_);
    thread.own = fiber();
    host_.entered(thread.logical.get());
    LogicalThread::acquire(&end_token_);
  }
}

void Team::start(const BlockMemory& memory, const std::function<void(const BlockMemory&)>& body) {
  char* const start_token = block_barrier_.next();
  LogicalThread::release(start_token);
  block_barrier_.continued();
  for (Thread& thread : threads_) {
    thread.state = Thread::kReady;
    thread.own = fiber(std::allocator_arg, Stacks::get().of(thread.rank),
                       [this, &thread, &body, &memory, start_token](fiber&& host) {
                         thread.host = std::move(host);
                         thread.logical->entered(&host_);
                         LogicalThread::acquire(start_token);
                         try {
                           body(memory);
                         } catch (const boost::context::detail::forced_unwind&) {
                           LogicalThread::release(&end_token_);
                           host_.enter(thread.logical.get(), true);
                           LogicalThread::acquire(&end_token_);
                           throw;
                         } catch (...) {
                           thread.thrown = std::current_exception();
                         }
                         thread.state = Thread::kEnded;
                         LogicalThread::release(&end_token_);
                         host_.enter(thread.logical.get(), true);
                         return std::move(thread.host);
                       });
  }
}

void Team::resume(Thread* thread) {
  current_ = thread;
  thread->logical->enter(&host_);
  thread->own = std::move(thread->own).resume();
  host_.entered(thread->logical.get());
  current_ = nullptr;
  if (thread->thrown != nullptr) std::rethrow_exception(std::exchange(thread->thrown, nullptr));
}

/// Called by a fiber: gives way until the team continues it.
void Team::pause(Thread::State state, const char* file, int line) {
  Thread* const self = current_;
  self->state = state;
  self->file = file;
  self->line = line;
  char* const token = state == Thread::kAtBarrier
                          ? block_barrier_.next()
                          : warp_barriers_[self->rank / kWarpThreads].next();
  if (state != Thread::kReady) LogicalThread::release(token);
  host_.enter(self->logical.get());
  try {
    self->host = std::move(self->host).resume();
  } catch (...) {  // the team ends before the thread does
    self->logical->entered(&host_);
    LogicalThread::acquire(&end_token_);
    throw;
  }
  self->logical->entered(&host_);
  if (state != Thread::kReady) LogicalThread::acquire(token);
}

/// Runs the threads that can run, in a random order, until none can.
void Team::run_ready() {
  std::vector<Thread*> ready;
  do {
    ready.clear();
    for (Thread& thread : threads_) {
      if (thread.state == Thread::kReady) ready.push_back(&thread);
    }
    switch (random_.below(4)) {
      case 0:
        break;
      case 1:
        std::reverse(ready.begin(), ready.end());
        break;
      default:
        std::shuffle(ready.begin(), ready.end(), random_);
    }
    for (Thread* const thread : ready) resume(thread);
  } while (!ready.empty());
}

bool Team::all_ended() const {
  for (const Thread& thread : threads_) {
    if (thread.state != Thread::kEnded) return false;
  }
  return true;
}

void Team::diverged(int first, int count) const {
  std::string text = running_operation()->name + ": not all threads reach the same barrier:";
  const Thread* shown = nullptr;
  for (int rank = first; rank < first + count; ++rank) {
    const Thread& thread = threads_[rank];
    if (shown != nullptr && shown->state == thread.state &&
        (thread.state == Thread::kEnded || shown->line == thread.line)) {
      continue;
    }
    shown = &thread;
    text += " thread " + std::to_string(rank) +
            (thread.state == Thread::kEnded ? " has ended,"
                                            : " waits in " + std::string(thread.file) + ":" +
                                                  std::to_string(thread.line) + ",");
  }
  text.pop_back();
  throw Fault(text);
}

/// Continues threads that all wait at one barrier.
void Team::release(int first, int count, Thread::State state) {
  const Thread& one = threads_[first];
  for (int rank = first; rank < first + count; ++rank) {
    const Thread& thread = threads_[rank];
    if (thread.state != state || thread.line != one.line ||
        (thread.file != one.file && std::strcmp(thread.file, one.file) != 0)) {
      diverged(first, count);
    }
  }
  for (int rank = first; rank < first + count; ++rank) threads_[rank].state = Thread::kReady;
}

/// Continues the warps that wait at a barrier of theirs; false if there is none.
bool Team::release_warps() {
  bool any = false;
  for (int first = 0; first < kTeamThreads; first += kWarpThreads) {
    bool waits = false;
    for (int rank = first; rank < first + kWarpThreads; ++rank) {
      waits = waits || threads_[rank].state == Thread::kAtWarpBarrier;
    }
    if (!waits) continue;
    release(first, kWarpThreads, Thread::kAtWarpBarrier);
    warp_barriers_[first / kWarpThreads].continued();
    any = true;
  }
  return any;
}

void Team::run(int block, const std::function<void(const BlockMemory&)>& body) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(shared_.data());
  void* const shared = reinterpret_cast<void*>((begin + 63) / 64 * 64);
  fill_with_pattern(shared, shared_bytes_);
  const BlockMemory memory = {block, shared};
  start(memory, body);
  for (;;) {
    run_ready();
    if (all_ended()) break;
    if (release_warps()) continue;
    release(0, kTeamThreads, Thread::kAtBarrier);
    block_barrier_.continued();
  }
  LogicalThread::acquire(&end_token_);
}

/// Sets the team whose thread the calling host thread runs.
class TeamOfHostThread {
 public:
  explicit TeamOfHostThread(Team* team) { team_of_host_thread = team; }
  ~TeamOfHostThread() { team_of_host_thread = nullptr; }
};

}  // namespace

int thread_rank() {
  return team_of_host_thread->rank();
}

void barrier(const char* file, int line) {
  team_of_host_thread->pause(Thread::kAtBarrier, file, line);
}

void warp_barrier(const char* file, int line) {
  team_of_host_thread->pause(Thread::kAtWarpBarrier, file, line);
}

void maybe_yield() {
  Team* const team = team_of_host_thread;
  if (team != nullptr && team->wants_to_yield()) team->pause(Thread::kReady, "", 0);
}

void run_teams(int blocks, size_t shared_bytes, uint64_t seed,
               const std::function<void(const BlockMemory&)>& thread) {
  Random random(seed);
  std::vector<int> order(blocks);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  const std::unique_ptr<Team> team(new Team(shared_bytes, random()));
  const TeamOfHostThread set(team.get());
  for (const int block : order) team->run(block, thread);
}

}  // namespace shadow
