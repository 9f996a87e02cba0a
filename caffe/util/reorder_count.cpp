#include "caffe/util/reorder_count.hpp"

#include <atomic>

namespace caffe {

namespace {
std::atomic<int64_t> reorders{0};
}  // namespace

int64_t reorder_count() {
  return reorders.load(std::memory_order_relaxed);
}

void count_reorder() {
  reorders.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace caffe
