#include "tests/shadow/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

#include "tests/shadow/control.hpp"
#include "tests/shadow/host_memory.hpp"

namespace shadow {

namespace {

constexpr size_t kAlignment = 16;
constexpr size_t kMostOpen = 16384;  // blocks; each may need two mappings of the 65530
/// Addresses, not memory: as many as the thread sanitizer allows. Freed ones come again only when
/// all were used.
constexpr size_t kAddresses = size_t(256) << 30;

size_t round_up(size_t value, size_t to) {
  return (value + to - 1) / to * to;
}

std::string overwritten_text(const Block& block, uintptr_t at) {
  std::ostringstream text;
  if (at < block.begin) {
    text << "wrote " << block.begin - at << " bytes before the start";
  } else {
    text << "wrote " << at - block.end << " bytes past the end";
  }
  text << " of a block of " << block.end - block.begin << " bytes";
  return text.str();
}

/// The first address in [begin, end) that does not hold the pattern, or 0. The pattern's phase is
/// that of the addresses.
uintptr_t first_change(uintptr_t begin, uintptr_t end) {
  for (uintptr_t at = begin; at < end; ++at) {
    const unsigned char expected = static_cast<unsigned char>(kPattern >> (8 * (at % 4)));
    if (*reinterpret_cast<const volatile unsigned char*>(at) != expected) return at;
  }
  return 0;
}

bool is_of(const Block& block, int device) {
  return device == kAnyDevice || block.device == device;
}

/// Bytes between an address and a block; 0 inside.
uintptr_t distance(const Block& block, uintptr_t address) {
  if (address < block.begin) return block.begin - address;
  return address < block.end ? 0 : address - block.end + 1;
}

void restore(uintptr_t begin, uintptr_t end) {
  for (uintptr_t at = begin; at < end; ++at) {
    *reinterpret_cast<unsigned char*>(at) = static_cast<unsigned char>(kPattern >> (8 * (at % 4)));
  }
}

/// Checks up to `before` bytes in front of an open block, and all behind it. Each change is
/// reported once.
std::string check(const Block& block, size_t before) {
  const uintptr_t front = std::max(block.first_page, block.begin - before);
  uintptr_t changed = first_change(front, block.begin);
  if (changed == 0) changed = first_change(block.end, block.last_page);
  if (changed == 0) return "";
  restore(front, block.begin);
  restore(block.end, block.last_page);
  return overwritten_text(block, changed);
}

}  // namespace

void fill_with_pattern(void* begin, size_t bytes) {
  const uint32_t pattern = kPattern;
  unsigned char* const out = static_cast<unsigned char*>(begin);
  const size_t whole = bytes / sizeof pattern * sizeof pattern;
  for (size_t i = 0; i < whole; i += sizeof pattern) std::memcpy(out + i, &pattern, sizeof pattern);
  std::memcpy(out + whole, &pattern, bytes - whole);
}

Memory& Memory::get() {
  static Memory& made = *new Memory;  // never destroyed: threads may still use it
  return made;
}

Memory::Memory() {
  void* const mapped =
      mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw Fault("the shadow device cannot reserve addresses");
  low_ = reinterpret_cast<uintptr_t>(mapped);
  high_ = low_ + kAddresses;
  next_ = low_ + page_bytes();
}

/// The block that an address belongs to, its rest of a page included.
Memory::Blocks::iterator Memory::block_at(uintptr_t address) {
  Blocks::iterator found = blocks_.upper_bound(address);
  if (found == blocks_.begin()) return blocks_.end();
  --found;
  return address <= found->second.last_page ? found : blocks_.end();
}

/// An address with room for `span` bytes and a closed page before and after; 0 if there is none.
/// Blocks that were freed long ago make room.
uintptr_t Memory::place_for(size_t span) {
  bool wrapped = false;
  uintptr_t place = next_;
  for (;;) {
    if (place + span + page_bytes() > high_) {
      if (wrapped) return 0;
      wrapped = true;
      place = low_ + page_bytes();
    }
    Blocks::iterator inside = blocks_.lower_bound(place - page_bytes());
    if (inside != blocks_.begin() && std::prev(inside)->second.last_page > place - page_bytes())
      --inside;
    bool is_free = true;
    while (inside != blocks_.end() && inside->first < place + span + page_bytes()) {
      if (inside->second.state != Block::kFreed) {
        place = inside->second.last_page + page_bytes();
        is_free = false;
        break;
      }
      inside = blocks_.erase(inside);
    }
    if (is_free) return place;
  }
}

uintptr_t Memory::allocate(size_t bytes, int device, Block::State state) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t aligned = round_up(bytes, kAlignment), span = round_up(aligned, page_bytes());
  const uintptr_t place = place_for(span);
  if (place == 0) return 0;
  next_ = place + span + page_bytes();
  const uintptr_t begin = place + span - aligned;
  blocks_[place] =
      Block{begin, begin + bytes, place, place + span, device, state, false, false, false};
  return begin;
}

void Memory::begin_life(uintptr_t address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Blocks::iterator found = block_at(address);
  if (found != blocks_.end()) found->second.state = Block::kLive;
}

size_t Memory::release(uintptr_t address, int* device) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Blocks::iterator found = block_at(address);
  if (found == blocks_.end() || found->second.begin != address || found->second.released) return 0;
  found->second.released = true;
  *device = found->second.device;
  return found->second.end - found->second.begin;
}

void Memory::end_life(uintptr_t address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Blocks::iterator found = block_at(address);
  if (found == blocks_.end()) return;
  Block& block = found->second;
  std::string wrong;
  if (block.is_open) {
    wrong = close(&block);
    open_.erase(std::remove(open_.begin(), open_.end(), &block), open_.end());
  }
  if (block.is_filled) {
    madvise(reinterpret_cast<void*>(block.first_page), block.last_page - block.first_page,
            MADV_DONTNEED);
  }
  block.state = Block::kFreed;
  if (!wrong.empty()) throw Fault("a kernel " + wrong);
}

bool Memory::find(uintptr_t address, Block* block) {
  if (!is_device(address)) return false;
  const std::lock_guard<std::mutex> lock(mutex_);
  const Blocks::iterator found = block_at(address);
  if (found == blocks_.end()) return false;
  *block = found->second;
  return true;
}

std::string Memory::what_is_wrong_with(uintptr_t address, size_t bytes) {
  Block block;
  const bool known = find(address, &block);
  if (known && !block.released && address >= block.begin && address + bytes <= block.end) return "";
  std::ostringstream text;
  text << bytes << " bytes from " << describe(address);
  return text.str();
}

void Memory::open(Block* block) {
  // The kernel limits the number of mappings; what is closed here opens again when it is touched.
  if (open_.size() >= kMostOpen) close_open_ones();
  if (mprotect(reinterpret_cast<void*>(block->first_page), block->last_page - block->first_page,
               PROT_READ | PROT_WRITE) != 0) {
    std::fprintf(stderr, "shadow device: mprotect failed: %s\n", std::strerror(errno));
    std::abort();
  }
  if (!block->is_filled) {
    fill_with_pattern(reinterpret_cast<void*>(block->first_page),
                      block->last_page - block->first_page);
  }
  block->is_open = block->is_filled = true;
  open_.push_back(block);
}

std::string Memory::close(Block* block) {
  const std::string wrong = check(*block, page_bytes());
  mprotect(reinterpret_cast<void*>(block->first_page), block->last_page - block->first_page,
           PROT_NONE);
  block->is_open = false;
  return wrong;
}

void Memory::open(uintptr_t address, int device) {
  if (is_device(address)) open_after_fault(address, device);
}

bool Memory::open_after_fault(uintptr_t address, int device) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Blocks::iterator found = block_at(address);
  if (found == blocks_.end()) return false;
  Block* const block = &found->second;
  if (block->state != Block::kLive || block->is_open || !is_of(*block, device)) return false;
  if (address >= block->last_page) return false;
  open(block);
  return true;
}

std::string Memory::overwritten(const std::vector<uintptr_t>& addresses) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const uintptr_t address : addresses) {
    const Blocks::iterator found = block_at(address);
    if (found == blocks_.end() || !found->second.is_open) continue;
    const std::string wrong = check(found->second, 64);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

void Memory::close_open_ones() {
  for (Block* const block : open_) {
    const std::string wrong = close(block);
    if (overwritten_.empty()) overwritten_ = wrong;
  }
  open_.clear();
}

std::string Memory::close_all() {
  const std::lock_guard<std::mutex> lock(mutex_);
  close_open_ones();
  return std::exchange(overwritten_, "");
}

std::string Memory::describe(uintptr_t address) {
  std::ostringstream text;
  text << "address 0x" << std::hex << address << std::dec;
  if (!is_device(address)) return text.str() + ", which is not memory of a device";
  const std::lock_guard<std::mutex> lock(mutex_);
  Blocks::iterator next = blocks_.upper_bound(address);
  const Block* nearest = nullptr;
  if (next != blocks_.begin()) nearest = &std::prev(next)->second;
  if (next != blocks_.end() &&
      (nearest == nullptr || distance(next->second, address) < distance(*nearest, address))) {
    nearest = &next->second;
  }
  if (nearest == nullptr) return text.str() + ", where no block has been";
  if (address < nearest->begin) {
    text << ", " << nearest->begin - address << " bytes before the start of ";
  } else if (address >= nearest->end) {
    text << ", " << address - nearest->end << " bytes past the end of ";
  } else {
    text << ", byte " << address - nearest->begin << " of ";
  }
  text << "a block of " << nearest->end - nearest->begin << " bytes on device " << nearest->device;
  if (nearest->released || nearest->state == Block::kFreed) text << ", which was freed";
  if (nearest->state == Block::kPlanned) text << ", whose stream has not reached its allocation";
  return text.str();
}

void expect_on_device(const char* who, const void* memory, size_t bytes) {
  const std::string wrong =
      Memory::get().what_is_wrong_with(reinterpret_cast<uintptr_t>(memory), bytes);
  if (!wrong.empty()) throw Fault(std::string("shadow device: ") + who + " was given " + wrong);
}

}  // namespace shadow
