#ifndef TESTS_SHADOW_HOST_MEMORY_HPP_
#define TESTS_SHADOW_HOST_MEMORY_HPP_

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace shadow {

/// The ranges of host memory that are pinned.
class PinnedMemory {
 public:
  static PinnedMemory& get();
  /// False if a part of it is pinned already.
  bool add(uintptr_t begin, size_t bytes);
  /// False if no pinned range begins there.
  bool remove(uintptr_t begin);
  /// Whether all of it lies in one pinned range.
  bool holds(uintptr_t begin, size_t bytes);

 private:
  std::mutex mutex_;
  std::map<uintptr_t, size_t> ranges_;
};

/// 4096 on x86-64, up to 65536 on ARM.
size_t page_bytes();

/// Whether this is the address of host memory that the program can write to (heap, stack, pinned
/// memory, static variables): not code, not constants, not a number that only looks like one.
bool is_writable_host_memory(uintptr_t address);

}  // namespace shadow

#endif  // TESTS_SHADOW_HOST_MEMORY_HPP_
