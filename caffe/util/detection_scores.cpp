#include "caffe/util/detection_scores.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace caffe {

ApVersion ap_version_of(const string& name) {
  if (name == "11point") return ApVersion::kElevenPoint;
  if (name == "MaxIntegral") return ApVersion::kMaxIntegral;
  if (name == "Integral") return ApVersion::kIntegral;
  CAFFE_FAIL("ap_version is '" << name << "': give 11point, MaxIntegral or Integral");
}

template <typename Dtype>
void DetectionScores::add(const Blob<Dtype>& rows) {
  CAFFE_CHECK(rows.num_axes() == 4 && rows.shape(3) == 5,
              "detections to evaluate have shape " << rows.shape_string()
                                                   << ", but need rows of 5: the output of a "
                                                   << "DetectionEvaluate layer");
  const Dtype* row = rows.cpu_data();
  for (int i = 0; i < rows.count() / 5; ++i, row += 5) {
    OfClass& of_class = classes_[static_cast<int>(row[1])];
    if (row[0] < 0) {
      of_class.objects += row[2];
    } else if (row[3] != 0 || row[4] != 0) {
      const float score = static_cast<float>(row[2]);
      of_class.detections.push_back(
          {std::isnan(score) ? -std::numeric_limits<float>::max() : score, row[3] != 0});
    }
  }
}

namespace {

/// Precision after each detection, and the recall that it has reached.
struct Curve {
  std::vector<double> recall, precision;
};

double eleven_points(const Curve& curve) {
  double sum = 0;
  for (int point = 0; point <= 10; ++point) {
    double best = 0;
    for (size_t i = 0; i < curve.recall.size(); ++i) {
      if (curve.recall[i] >= point / 10.) best = std::max(best, curve.precision[i]);
    }
    sum += best;
  }
  return sum / 11;
}

double max_integral(const Curve& curve) {
  double area = 0, best = 0;
  for (size_t i = curve.recall.size(); i-- > 0;) {
    best = std::max(best, curve.precision[i]);
    const double step = curve.recall[i] - (i > 0 ? curve.recall[i - 1] : 0);
    if (step > 1e-6) area += best * step;
  }
  return area;
}

double integral(const Curve& curve) {
  double area = 0, before = 0;
  for (size_t i = 0; i < curve.recall.size(); ++i) {
    area += curve.precision[i] * (curve.recall[i] - before);
    before = curve.recall[i];
  }
  return area;
}

}  // namespace

double DetectionScores::average_precision(const OfClass& of_class, ApVersion version) {
  if (of_class.objects <= 0) return 0;
  std::vector<Detection> detections = of_class.detections;
  std::stable_sort(detections.begin(), detections.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  Curve curve;
  double found = 0, shown = 0;
  for (const Detection& detection : detections) {
    found += detection.is_true;
    shown += 1;
    curve.recall.push_back(found / of_class.objects);
    curve.precision.push_back(found / shown);
  }
  switch (version) {
    case ApVersion::kElevenPoint:
      return eleven_points(curve);
    case ApVersion::kMaxIntegral:
      return max_integral(curve);
    case ApVersion::kIntegral:
      return integral(curve);
  }
  CAFFE_FAIL("unknown ap_version");
}

std::map<int, double> DetectionScores::average_precisions(ApVersion version) const {
  std::map<int, double> result;
  for (const auto& of_class : classes_) {
    result[of_class.first] = average_precision(of_class.second, version);
  }
  return result;
}

double DetectionScores::mean(ApVersion version) const {
  if (classes_.empty()) return 0;
  double sum = 0;
  for (const auto& one : average_precisions(version)) sum += one.second;
  return sum / static_cast<double>(classes_.size());
}

std::vector<int> DetectionScores::classes_without_objects() const {
  std::vector<int> classes;
  for (const auto& of_class : classes_) {
    if (of_class.second.objects <= 0) classes.push_back(of_class.first);
  }
  return classes;
}

template <typename Dtype>
bool is_evaluation(const Net<Dtype>& net, int output) {
  const Blob<Dtype>* const blob = net.output_blobs()[output];
  for (size_t i = 0; i < net.layers().size(); ++i) {
    const auto& tops = net.top_vecs()[i];
    if (std::find(tops.begin(), tops.end(), blob) == tops.end()) continue;
    return string(net.layers()[i]->type()) == "DetectionEvaluate";
  }
  return false;
}

template void DetectionScores::add(const Blob<float>& rows);
template void DetectionScores::add(const Blob<double>& rows);
template bool is_evaluation(const Net<float>& net, int output);
template bool is_evaluation(const Net<double>& net, int output);

}  // namespace caffe
