#ifndef CAFFE_LAYERS_DETECTION_PRIOR_BOX_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_PRIOR_BOX_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/portable.hpp"

namespace caffe {

/// The default boxes of SSD (W. Liu et al., ECCV 2016, section 2.2): K boxes around the centre of
/// each cell of a map. bottom[0] is the map, bottom[1] the image, of which only the heights and
/// widths count. top[0] is (1, 2, 4 H W K): the corners, in shares of the image, by row, column
/// and box; then the four variances of each box.
///
/// For each min_size s, with its max_size m: s x s; sqrt(s m) x sqrt(s m), if there is an m; and
/// s sqrt(r) x s / sqrt(r) for each aspect ratio r other than 1. The ratios are those given and,
/// with flip, their inverses; one that is already there is left out. Sizes count in whole pixels:
/// 10.5 is 10, as in SSD.
template <typename Dtype>
class PriorBoxLayer : public Portable<Layer<Dtype>> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Portable<Layer<Dtype>>::Portable;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "PriorBox"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_any(const Blobs& bottom, const Blobs& top) override;
  /// The boxes do not depend on the bottoms' values: the gradients are 0.
  void Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  std::vector<float> aspect_ratios() const;
  void set_sizes();
  void set_variances();
  void check_pairs() const;

  Blob<Dtype> sizes_;      // [K, 2]: widths and heights in pixels
  Blob<Dtype> variances_;  // [4]
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_PRIOR_BOX_LAYER_HPP_
