#ifndef CAFFE_LAYERS_SEQUENCE_TRANSPOSE_LAYER_HPP_
#define CAFFE_LAYERS_SEQUENCE_TRANSPOSE_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// Reorders the axes: top.shape[i] = bottom.shape[dim[i]], as NumPy's transpose. transpose_param's
/// dim names each axis of the bottom once. From caffe_ocr and textspotter.
template <typename Dtype>
class TransposeLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Transpose"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  std::vector<int> dim_, back_;  // the bottom's axis for each of the top's, and the other way
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_SEQUENCE_TRANSPOSE_LAYER_HPP_
