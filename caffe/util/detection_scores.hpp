#ifndef CAFFE_UTIL_DETECTION_SCORES_HPP_
#define CAFFE_UTIL_DETECTION_SCORES_HPP_

// Average precision of detections, from the rows of a DetectionEvaluate layer: what SSD's solver
// shows when it tests with eval_type "detection".

#include <map>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/net.hpp"

namespace caffe {

/// How a curve of precision against recall becomes one number (ap_version).
enum class ApVersion {
  kElevenPoint,  // "11point": the mean, over recalls 0, 0.1 ... 1, of the best precision from there
                 // on (VOC 2007)
  kMaxIntegral,  // "MaxIntegral": the area under the best precision from there on (VOC 2012,
                 // ILSVRC)
  kIntegral      // "Integral": the area under the precision
};

/// Throws if there is no such version.
ApVersion ap_version_of(const string& name);

/// Collects the rows of all batches of a test.
class DetectionScores {
 public:
  /// Rows of 5: (-1, class, true boxes, -1, -1) for each class, (image, class, score, true
  /// positive, false positive) for each detection.
  template <typename Dtype>
  void add(const Blob<Dtype>& rows);

  /// The average precision of each class that was listed. Detections are taken by falling score;
  /// those that are neither true nor false (difficult objects) are left out. A class without true
  /// boxes or detections has 0.
  std::map<int, double> average_precisions(ApVersion version) const;
  /// Their mean over all classes listed; 0 if there are none.
  double mean(ApVersion version) const;
  /// The classes that no true box has.
  std::vector<int> classes_without_objects() const;

 private:
  struct Detection {
    float score;
    bool is_true;
  };
  struct OfClass {
    double objects = 0;
    std::vector<Detection> detections;
  };
  static double average_precision(const OfClass& of_class, ApVersion version);

  std::map<int, OfClass> classes_;
};

/// Whether a net's output, by its number among the outputs, comes from a DetectionEvaluate layer.
template <typename Dtype>
bool is_evaluation(const Net<Dtype>& net, int output);

}  // namespace caffe

#endif  // CAFFE_UTIL_DETECTION_SCORES_HPP_
