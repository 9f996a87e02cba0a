#include "tests/shadow/host_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>

namespace shadow {

PinnedMemory& PinnedMemory::get() {
  static PinnedMemory& made = *new PinnedMemory;  // never destroyed
  return made;
}

bool PinnedMemory::add(uintptr_t begin, size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto next = ranges_.lower_bound(begin);
  if (next != ranges_.end() && next->first < begin + bytes) return false;
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second > begin) return false;
  }
  ranges_[begin] = bytes;
  return true;
}

bool PinnedMemory::remove(uintptr_t begin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ranges_.erase(begin) != 0;
}

bool PinnedMemory::holds(uintptr_t begin, size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto next = ranges_.upper_bound(begin);
  if (next == ranges_.begin()) return false;
  --next;
  return begin + bytes <= next->first + next->second;
}

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

bool is_writable_host_memory(uintptr_t address) {
  constexpr uintptr_t kLowest = 65536, kHighest = uintptr_t(1) << 52;  // 47 on x86-64, 48 on ARM
  if (address < kLowest || address >= kHighest) return false;
  unsigned char resident = 0;
  void* const page = reinterpret_cast<void*>(address / page_bytes() * page_bytes());
  if (mincore(page, page_bytes(), &resident) != 0) return false;  // not mapped: the cheap answer
  constexpr uintptr_t kSanitizers = uintptr_t(64) << 30;          // theirs alone are as large
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    char writable = '-';
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %*c%c", &begin, &end, &writable) ==
            3 &&
        begin <= address && address < end) {
      return writable == 'w' && end - begin < kSanitizers;
    }
  }
  return false;
}

}  // namespace shadow
