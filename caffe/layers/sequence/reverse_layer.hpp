#ifndef CAFFE_LAYERS_SEQUENCE_REVERSE_LAYER_HPP_
#define CAFFE_LAYERS_SEQUENCE_REVERSE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Turns one axis around: y[.., i, ..] = x[.., length - 1 - i, ..] along reverse_param's axis,
/// which may be negative. Any shape; the gradient is turned around as well. For a second LSTM that
/// reads a sequence (T, N, ..) from its end. From the Caffe of Christoph Wick, TextBoxes and
/// caffe_ocr.
template <typename Dtype>
class ReverseLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Reverse"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  void reverse(const Blob<Dtype>& shape, const Dtype* from, Dtype* to) const;
  int axis_ = 0;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_REVERSE_LAYER_HPP_
