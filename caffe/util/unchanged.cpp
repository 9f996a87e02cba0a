// A block forgets its foreign copy at every change. So a foreign copy without values, a mark, is
// current as long as nothing has changed. Whoever finds a current mark uses it, so that nets which
// share blocks do not take each other's away.

#include "caffe/util/unchanged.hpp"

#include <cstddef>
#include <mutex>

#include "kernels/fork.hpp"

namespace caffe {

namespace {

class Mark : public ForeignCopy {
 public:
  void copy_to(void*) const override { CAFFE_FAIL("a mark has no values"); }
};

std::mutex& marks_mutex() {
  static auto* const mutex = new std::mutex;  // never destroyed: other threads may still run
  return *mutex;
}

bool has_mark(const SyncedMemory& block) {
  return block.foreign_is_current() && dynamic_cast<const Mark*>(block.foreign().get()) != nullptr;
}

}  // namespace

void Unchanged::note(const Blocks& blocks) {
  const maap::NoFork while_locked;
  const std::lock_guard<std::mutex> lock(marks_mutex());
  marks_.clear();
  for (SyncedMemory* const block : blocks) {
    if (!has_mark(*block)) block->foreign_filled(std::make_shared<Mark>());
    marks_.push_back(block->foreign());
  }
}

bool Unchanged::holds(const Blocks& blocks) const {
  const maap::NoFork while_locked;
  const std::lock_guard<std::mutex> lock(marks_mutex());
  if (marks_.size() != blocks.size()) return false;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i]->foreign() != marks_[i] || !blocks[i]->foreign_is_current()) return false;
  }
  return !blocks.empty();
}

}  // namespace caffe
