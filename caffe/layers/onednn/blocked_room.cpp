#include "caffe/layers/onednn/blocked_room.hpp"

#include <utility>

namespace caffe {
namespace onednn {

void BlockedRoom::set_blobs(const Blobs& bottom, Blob<float>* top, bool is_possible) {
  bottoms_ = bottom;
  top_ = top;
  is_possible_ = is_possible && bottom.size() > 1;
}

/// The place of a bottom, in values from the beginning; -1 if the shapes do not fit together, which
/// they do not until all layers have seen a new shape of the net's input.
int BlockedRoom::offset_of(int bottom, int block) const {
  const Blob<float>& top = *top_;
  if (top.num_axes() != 4 || top.shape(0) != 1 || top.count() == 0) return -1;
  int channels = 0, offset = 0;
  for (size_t i = 0; i < bottoms_.size(); ++i) {
    const Blob<float>& each = *bottoms_[i];
    const bool fits = each.num_axes() == 4 && each.shape(0) == 1 && each.shape(1) % block == 0 &&
                      each.shape(2) == top.shape(2) && each.shape(3) == top.shape(3);
    if (!fits) return -1;
    if (static_cast<int>(i) == bottom) offset = channels * each.count(2);
    channels += each.shape(1);
  }
  return channels == top.shape(1) ? offset : -1;
}

void BlockedRoom::open(bool is_open) {
  is_open_ = is_open;
  joined_ = nullptr;
}

std::shared_ptr<OneDnnCopy> BlockedRoom::place(int bottom, const Layout& layout) {
  const int block = channel_block(layout);
  if (!is_open_ || !is_possible_ || block == 0) return nullptr;
  if (dims_of(layout) != dims_of(*bottoms_[bottom])) return nullptr;
  const int offset = offset_of(bottom, block);
  if (offset < 0) return nullptr;
  const Layout whole = blocked_layout(dims_of(*top_), block);
  if (joined_ == nullptr) {
    const auto old = std::dynamic_pointer_cast<OneDnnCopy>(top_->data()->foreign());
    const bool fits = old != nullptr && !old->is_place() && old->layout() == whole;
    joined_ = fits ? old : OneDnnCopy::make(whole);
  }
  if (joined_->layout() != whole) return nullptr;
  return OneDnnCopy::place_in(*joined_, offset * sizeof(float), layout);
}

std::shared_ptr<OneDnnCopy> BlockedRoom::take() {
  is_open_ = false;
  return std::move(joined_);
}

}  // namespace onednn
}  // namespace caffe
