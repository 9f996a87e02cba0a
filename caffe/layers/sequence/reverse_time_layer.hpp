#ifndef CAFFE_LAYERS_SEQUENCE_REVERSE_TIME_LAYER_HPP_
#define CAFFE_LAYERS_SEQUENCE_REVERSE_TIME_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Turns each sequence of a batch around to its own length: bottom[0] is x (T, N, ..), bottom[1]
/// the lengths (N), integers in [0, T]. y[t, n] = x[length_n - 1 - t, n] for t < length_n; behind
/// that y is x with reverse_time_param's copy_remaining, else 0. The same holds for the gradient;
/// the lengths have none. From caffe_ocr.
template <typename Dtype>
class ReverseTimeLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "ReverseTime"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom_index) const override { return bottom_index == 0; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  void reverse(const Blobs& bottom, const Dtype* from, Dtype* to) const;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_REVERSE_TIME_LAYER_HPP_
