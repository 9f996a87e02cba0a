#ifndef CAFFE_LAYERS_SPLIT_LAYER_HPP_
#define CAFFE_LAYERS_SPLIT_LAYER_HPP_

#include <vector>

#include "caffe/layers/portable.hpp"

namespace caffe {

/// One bottom for several readers: every top has the bottom's data (the same memory), and the
/// bottom's gradient is the sum of theirs. Nets insert this layer automatically
/// (util/insert_splits.hpp).
template <typename Dtype>
class SplitLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Split"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SPLIT_LAYER_HPP_
