#ifndef CAFFE_LAYERS_DETECTION_DETECTION_OUTPUT_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_DETECTION_OUTPUT_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/detection/boxes.hpp"
#include "caffe/layers/detection/detection_files.hpp"

namespace caffe {

/// The objects that SSD finds (W. Liu et al., ECCV 2016, section 2.1).
///
/// bottom[0]: the predicted offsets of each prior, N x (4 L P), by prior and class (L is 1 with
/// share_location, else the number of classes). bottom[1]: scores, N x (P classes), already
/// probabilities. bottom[2]: PriorBox's (1, 2, 4 P). bottom[3], the image, is not used.
///
/// Of each image and class but the background's, boxes with a score greater than
/// confidence_threshold (all without one) are decoded and sorted by score, the best
/// nms_param.top_k kept, and suppressed (boxes.hpp); of all classes of an image, the best
/// keep_top_k are kept. A score that is NaN finds nothing.
///
/// top[0]: (1, 1, K, 7), rows of image, label, score, xmin, ymin, xmax, ymax in shares of the
/// image, by image, label and falling score. If nothing is found in the whole batch, there is a row
/// of -1 for each image, which begins with its number. Before the first pass K is 1.
///
/// With save_output_param.output_directory, the detections are also written to files
/// (detection_files.hpp). Computes on the host and has no gradient.
template <typename Dtype>
class DetectionOutputLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Layer<Dtype>::Layer;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "DetectionOutput"; }
  int MinBottomBlobs() const override { return 3; }
  int MaxBottomBlobs() const override { return 4; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  /// Throws if a gradient is wanted.
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  /// A box that was found.
  struct Found {
    int label;
    Dtype score;
    Box<Dtype> box;
  };
  vector<vector<Found>> find(const Blobs& bottom) const;
  void keep_best(vector<Found>* found) const;
  void save(const vector<Found>& found);

  int classes_ = 0, loc_classes_ = 0, priors_ = 0;
  std::unique_ptr<DetectionFiles> files_;  // with save_output_param.output_directory
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_DETECTION_OUTPUT_LAYER_HPP_
