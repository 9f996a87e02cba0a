#ifndef CAFFE_LAYERS_DETECTION_BOX_ANNOTATOR_OHEM_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_BOX_ANNOTATOR_OHEM_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"

namespace caffe {

/// Keeps the regions of the greatest loss for training (R-FCN; Shrivastava et al., "Training
/// Region-based Object Detectors with Online Hard Example Mining"). bottom[0] N x 5 x H x W, of
/// which the first channel is the image's index; bottom[1] N x 1 x H x W losses; bottom[2]
/// N x 1 x H x W labels; bottom[3] N x K x H x W weights. Of each image, the roi_per_img places of
/// the greatest loss (of equal ones the first, NaN last) keep their label in top[0] and their
/// weights in top[1]; the others get ignore_label and 0. The tops have the shapes of labels and
/// weights. No gradient: it is 0. Runs on the host.
template <typename Dtype>
class BoxAnnotatorOHEMLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Layer<Dtype>::Layer;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "BoxAnnotatorOHEM"; }
  int ExactNumBottomBlobs() const override { return 4; }
  int ExactNumTopBlobs() const override { return 2; }
  bool AllowForceBackward(int) const override { return false; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  /// The places to keep.
  std::vector<int> hardest(const Blob<Dtype>& regions, const Blob<Dtype>& losses) const;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_BOX_ANNOTATOR_OHEM_LAYER_HPP_
