#ifndef TESTS_SHADOW_LOGICAL_THREADS_HPP_
#define TESTS_SHADOW_LOGICAL_THREADS_HPP_

// What the sanitizers are told about fibers. To the thread sanitizer every fiber is a thread of its
// own, and a barrier is what orders them: so it finds a missing sync() in a team, and two elements
// of a kernel that touch the same value, without a second thread and in every run alike. (Real
// threads would show a race only when they happen to collide, and 256 of them are slow.)

#include <cstddef>
#include <cstdint>
#include <functional>

namespace shadow {

#ifdef SHADOW_THREAD_SANITIZER
constexpr bool kHasRaceDetector = true;
#else
constexpr bool kHasRaceDetector = false;
#endif

/// A fiber, as the sanitizers know it.
class LogicalThread {
 public:
  /// The calling thread of the host.
  LogicalThread();
  /// A fiber with this stack.
  LogicalThread(void* stack, size_t bytes);
  ~LogicalThread();
  LogicalThread(const LogicalThread&) = delete;
  LogicalThread& operator=(const LogicalThread&) = delete;

  /// To be called immediately before the host switches from `from` to this one. `from_ends`: it is
  /// never continued.
  void enter(LogicalThread* from, bool from_ends = false);
  /// To be called first thing after a switch from `from` to this one.
  void entered(LogicalThread* from);

  /// Everything that happened before in the running fiber happens before what follows acquire().
  static void release(void* token);
  static void acquire(void* token);

 private:
  const void* stack_;
  size_t bytes_;
  void* fiber_ = nullptr;       // the thread sanitizer's
  void* fake_stack_ = nullptr;  // the address sanitizer's
  bool is_fiber_;
};

/// run_elements() with elements divided among a few logical threads.
void run_elements_as_threads(
    int64_t n, uint64_t seed,
    const std::function<void(int64_t begin, int64_t end, bool backwards)>& chunk);

}  // namespace shadow

#endif  // TESTS_SHADOW_LOGICAL_THREADS_HPP_
