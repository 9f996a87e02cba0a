#ifndef CAFFE_LAYERS_ONEDNN_BLOCKED_ROOM_HPP_
#define CAFFE_LAYERS_ONEDNN_BLOCKED_ROOM_HPP_

// Where convolutions write for a Concat behind them (caffe/layers/joins_bottoms.hpp). In a blocked
// layout whose blocks are full, the channels of one image's bottoms lie one behind the other in
// the top. With more images they do not, and there is no place.

#include <memory>
#include <vector>

#include "caffe/layers/joins_bottoms.hpp"
#include "caffe/layers/onednn/memory.hpp"

namespace caffe {
namespace onednn {

class BlockedRoom : public JoinedRoom {
 public:
  typedef std::vector<Blob<float>*> Blobs;

  /// The Concat has these blobs; `is_possible`: it joins channels.
  void set_blobs(const Blobs& bottom, Blob<float>* top, bool is_possible);
  void open(bool is_open) override;
  /// Memory for a bottom of that layout; null if it has no place.
  std::shared_ptr<OneDnnCopy> place(int bottom, const Layout& layout);
  /// What this pass's places are in; null if there are none. There are no more of them then.
  std::shared_ptr<OneDnnCopy> take();

 private:
  int offset_of(int bottom, int block) const;

  Blobs bottoms_;
  Blob<float>* top_ = nullptr;
  bool is_possible_ = false, is_open_ = false;
  std::shared_ptr<OneDnnCopy> joined_;
};

/// Memory for the top of a layer that may have a room.
inline Output output_in(const std::shared_ptr<JoinedRoom>& room, int index, Blob<float>* top,
                        const Layout& layout) {
  const auto blocked = std::dynamic_pointer_cast<BlockedRoom>(room);
  const auto place = blocked == nullptr ? nullptr : blocked->place(index, layout);
  return place == nullptr ? Output(top, Part::kData, layout) : Output(top, Part::kData, place);
}

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_BLOCKED_ROOM_HPP_
