#include "tests/shadow/logical_threads.hpp"

#include <memory>
#include <vector>

#include "tests/shadow/random.hpp"

#ifdef SHADOW_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace shadow {

LogicalThread::LogicalThread() : stack_(nullptr), bytes_(0), is_fiber_(false) {
#ifdef SHADOW_THREAD_SANITIZER
  fiber_ = __tsan_get_current_fiber();
#endif
}

LogicalThread::LogicalThread(void* stack, size_t bytes)
    : stack_(stack), bytes_(bytes), is_fiber_(true) {
#ifdef SHADOW_THREAD_SANITIZER
  fiber_ = __tsan_create_fiber(0);
#endif
}

LogicalThread::~LogicalThread() {
#ifdef SHADOW_THREAD_SANITIZER
  if (is_fiber_) __tsan_destroy_fiber(fiber_);
#endif
}

void LogicalThread::enter(LogicalThread* from, bool from_ends) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(from_ends ? nullptr : &from->fake_stack_, stack_, bytes_);
#endif
#ifdef SHADOW_THREAD_SANITIZER
  __tsan_switch_to_fiber(fiber_, __tsan_switch_to_fiber_no_sync);
#endif
  (void)from;
  (void)from_ends;
}

void LogicalThread::entered(LogicalThread* from) {
#ifdef __SANITIZE_ADDRESS__
  const void* stack = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack_, &stack, &bytes);
  if (!from->is_fiber_) {  // only the sanitizer knows it
    from->stack_ = stack;
    from->bytes_ = bytes;
  }
#endif
  (void)from;
}

void LogicalThread::release(void* token) {
#ifdef SHADOW_THREAD_SANITIZER
  __tsan_release(token);
#endif
  (void)token;
}

void LogicalThread::acquire(void* token) {
#ifdef SHADOW_THREAD_SANITIZER
  __tsan_acquire(token);
#endif
  (void)token;
}

void run_elements_as_threads(
    int64_t n, uint64_t seed,
    const std::function<void(int64_t begin, int64_t end, bool backwards)>& chunk) {
  constexpr int kThreads = 7;  // prime: neighbours in no usual layout belong to one thread
  const int shift = static_cast<int>(Random(seed).below(kThreads));
  LogicalThread host;
  // Made once, as they are costly; only one operation runs at a time.
  static std::vector<std::unique_ptr<LogicalThread>>& threads =
      *new std::vector<std::unique_ptr<LogicalThread>>;
  while (threads.size() < kThreads) threads.emplace_back(new LogicalThread(nullptr, 0));
  char start = 0, end = 0;
  LogicalThread::release(&start);
  for (int t = 0; t < kThreads; ++t) {
    threads[t]->enter(&host);
    LogicalThread::acquire(&start);
    for (int64_t i = (t + shift) % kThreads; i < n; i += kThreads) chunk(i, i + 1, false);
    LogicalThread::release(&end);
    host.enter(threads[t].get());
  }
  LogicalThread::acquire(&end);
}

}  // namespace shadow
