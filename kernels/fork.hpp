#ifndef KERNELS_FORK_HPP_
#define KERNELS_FORK_HPP_

// What fork() means for a library with threads. A child has a copy of the memory and one thread,
// the one that forked. Threads that its memory speaks of do not exist there, and a lock that
// another thread held stays locked for ever.
//
// Handlers for fork() are registered when the library is loaded. Before a fork, the threads of
// OpenMP that belong to the forking thread end: parent and child make new ones at their next loop,
// in 0.1 ms. (GNU's runtime would wait for the old ones for ever in the child.) Then the fork
// waits, at most 10 s, until no other thread is in a NoFork section. In the child,
// process_generation() grows by one.
//
// Objects with threads or condition variables are kept in an OfProcess, which says in the child
// that they are the parent's, and never destroys those. Programs that fork in other ways than with
// fork(), vfork() before exec() among them, need nothing of this.

#include <atomic>
#include <thread>

namespace maap {

/// 0; in a forked child one more than in its parent.
int process_generation();

/// In a forked child, whether the thread with this number is the one that forked, which lives on
/// under its old number.
bool has_forked(std::thread::id thread);

/// While it exists, no other thread forks: for code that holds a lock of a library. Do not wait for
/// another thread in such a section. Costs 20 ns; sections may contain others.
class NoFork {
 public:
  NoFork();
  ~NoFork();
  NoFork(const NoFork&) = delete;
  NoFork& operator=(const NoFork&) = delete;

 private:
  bool locked_;
};

/// An object of which a forked child can tell that its parent made it.
template <typename T>
class OfProcess {
 public:
  /// Empty.
  OfProcess() = default;
  explicit OfProcess(T* object) : object_(object), made_in_(process_generation()) {}
  ~OfProcess() { reset(); }
  OfProcess(const OfProcess&) = delete;
  OfProcess& operator=(const OfProcess&) = delete;

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  /// False in a forked child if the parent made the object.
  bool is_ours() const { return made_in_ == process_generation(); }
  /// Deletes the object, or in a forked child forgets the parent's.
  void reset(T* object = nullptr) {
    if (is_ours()) delete object_;
    object_ = object;
    made_in_ = process_generation();
  }

 private:
  T* object_ = nullptr;
  std::atomic<int> made_in_{process_generation()};
};

}  // namespace maap

#endif  // KERNELS_FORK_HPP_
