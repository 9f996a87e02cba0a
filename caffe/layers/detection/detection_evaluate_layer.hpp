#ifndef CAFFE_LAYERS_DETECTION_DETECTION_EVALUATE_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_DETECTION_EVALUATE_LAYER_HPP_

#include <map>
#include <utility>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/detection/boxes.hpp"

namespace caffe {

/// Which detections are right: SSD's evaluation, whose rows the solver gathers into an average
/// precision (eval_type "detection", caffe/util/detection_scores.hpp).
///
///   bottom[0]  detections  (1, 1, K, 7): image, class, score, xmin, ymin, xmax, ymax; class -1: no
///              detection
///   bottom[1]  true boxes  (1, 1, G, 8): image, class, instance, xmin, ymin, xmax, ymax,
///   difficult;
///              image -1: no box
///   top[0]     (1, 1, R, 5): for each class but the background's (-1, class, true boxes, -1, -1);
///              then for each detection, by image, class and falling score, (image, class, score,
///              true positive, false positive)
///
/// A detection belongs to the true box of its image and class that it overlaps most. With an
/// overlap of overlap_threshold or more it is a true positive if no detection before it has taken
/// the box, else a false one. If the box is difficult and evaluate_difficult_gt is false, it is
/// neither, and the box does not count.
///
/// With name_size_file ("name height width", a line for each image in the order of the data) boxes
/// are taken in pixels, where overlaps differ a little (box_overlap). No gradient.
template <typename Dtype>
class DetectionEvaluateLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit DetectionEvaluateLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "DetectionEvaluate"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  struct Truth {
    Box<double> box;
    bool difficult, taken;
  };
  struct Detection {
    Dtype score;
    Box<double> box;
  };
  typedef std::pair<int, int> Place;  // image, class
  typedef std::map<Place, vector<Truth>> Truths;

  int row_classes() const;
  int read_image(Dtype value) const;
  int read_class(Dtype value, const char* of) const;
  Box<double> in_pixels(int image, const Box<double>& box) const;
  Truths read_truths(const Blob<Dtype>& blob, int* images) const;
  std::map<Place, vector<Detection>> read_detections(const Blob<Dtype>& blob, int* images) const;
  std::pair<bool, bool> judge(const Detection& detection, vector<Truth>* truths) const;
  Dtype* write_classes(const Truths& truths, Dtype* row) const;

  DetectionEvaluateParameter param_;
  vector<std::pair<int, int>> sizes_;  // height, width of each image of the data
  size_t first_ = 0;                   // of the batch's images, among all
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_DETECTION_EVALUATE_LAYER_HPP_
