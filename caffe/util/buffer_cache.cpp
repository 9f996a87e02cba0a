#include "caffe/util/buffer_cache.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace caffe {

namespace {

constexpr size_t kAlignment = 64, kPage = 4096;
/// Smaller buffers are the business of malloc, which keeps them.
constexpr size_t kWorthKeeping = 16 * kPage;
/// Forward and backward passes, of any net, after which an idle buffer is freed. More than one
/// iteration of training has, with a test in between.
constexpr uint64_t kPasses = 8;

thread_local BufferCache* current = nullptr;
std::atomic<bool> poisons(false);

void* allocate(size_t bytes) {
  void* memory = nullptr;
  CAFFE_CHECK(posix_memalign(&memory, kAlignment, std::max(bytes, kAlignment)) == 0,
              "cannot allocate " << bytes << " bytes of memory: use a smaller batch_size, or free "
                                 << "memory on this machine");
  return memory;
}

}  // namespace

std::shared_ptr<BufferCache> BufferCache::common() {
  static std::mutex mutex;
  static std::weak_ptr<BufferCache> existing;
  const std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<BufferCache> cache = existing.lock();
  if (cache == nullptr) existing = cache = std::make_shared<BufferCache>();
  return cache;
}

BufferCache::~BufferCache() {
  clear();
}

std::shared_ptr<void> BufferCache::take(size_t bytes) {
  if (bytes < kWorthKeeping) return own_buffer(bytes);
  size_t room = (bytes + kPage - 1) / kPage * kPage;
  void* memory = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = idle_.lower_bound(room);
    if (found != idle_.end() && found->first <= room + room / 8) {
      room = found->first;
      memory = found->second.back().memory;
      found->second.pop_back();
      if (found->second.empty()) idle_.erase(found);
      idle_bytes_ -= room;
    } else {
      make_room(room);
    }
    used_bytes_ += room;
    most_used_ = std::max(most_used_, used_bytes_);
  }
  if (memory == nullptr) {
    try {
      memory = allocate(room);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      used_bytes_ -= room;
      throw;
    }
  }
  const std::weak_ptr<BufferCache> home = shared_from_this();
  return std::shared_ptr<void>(memory, [home, room](void* mine) {
    const std::shared_ptr<BufferCache> cache = home.lock();
    if (cache == nullptr) return std::free(mine);
    cache->give_back(mine, room);
  });
}

void BufferCache::give_back(void* memory, size_t room) {
  if (poisons) std::memset(memory, 0xff, room);
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_[room].push_back({memory, pass_});
  idle_bytes_ += room;
  used_bytes_ -= room;
}

/// Before a new buffer: in nets whose shapes change, old sizes must not pile up.
void BufferCache::make_room(size_t room) {
  const size_t most = 2 * std::max(most_used_, used_bytes_ + room) + (size_t{64} << 20);
  for (uint64_t age = kPasses + 1; age-- > 0 && used_bytes_ + idle_bytes_ + room > most;) {
    if (pass_ >= age) free_before(pass_ - age + 1);
  }
}

/// Frees the idle buffers that came back before that pass.
void BufferCache::free_before(uint64_t pass) {
  for (auto size = idle_.begin(); size != idle_.end();) {
    std::vector<Idle>& same = size->second;
    const auto young =
        std::find_if(same.begin(), same.end(), [=](const Idle& one) { return one.pass >= pass; });
    for (auto one = same.begin(); one != young; ++one) std::free(one->memory);
    idle_bytes_ -= size->first * static_cast<size_t>(young - same.begin());
    same.erase(same.begin(), young);
    size = same.empty() ? idle_.erase(size) : std::next(size);
  }
}

void BufferCache::end_pass() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++pass_;
  if (pass_ > kPasses) free_before(pass_ - kPasses);
}

void BufferCache::clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  free_before(UINT64_MAX);
  most_used_ = used_bytes_;
}

size_t BufferCache::idle() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return idle_bytes_;
}

void BufferCache::poison(bool value) {
  poisons = value;
}

BufferCache::Scope::Scope(BufferCache* cache) : before_(current) {
  if (cache != nullptr) current = cache;
}

BufferCache::Scope::~Scope() {
  current = before_;
}

std::shared_ptr<void> host_buffer(size_t bytes) {
  if (current != nullptr) return current->take(bytes);
  return own_buffer(bytes);
}

std::shared_ptr<void> own_buffer(size_t bytes) {
  return std::shared_ptr<void>(allocate(bytes), std::free);
}

}  // namespace caffe
