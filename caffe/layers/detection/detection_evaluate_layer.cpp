#include "caffe/layers/detection/detection_evaluate_layer.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "caffe/util/image_changes.hpp"

namespace caffe {

namespace {

constexpr int kMost = 1000000;  // classes, and images of a batch

/// Heights and widths from lines of "name height width".
vector<std::pair<int, int>> read_sizes(const string& file) {
  std::ifstream stream(file);
  CAFFE_CHECK(stream.good(), "name_size_file '" << file << "' cannot be read");
  vector<std::pair<int, int>> sizes;
  int number = 0;
  for (string line; std::getline(stream, line);) {
    ++number;
    std::istringstream words(line);
    string name;
    int height = 0, width = 0;
    if (!(words >> name)) continue;
    CAFFE_CHECK((words >> height >> width) && height > 0 && width > 0,
                "name_size_file '" << file << "', line " << number << ": '" << line
                                   << "' is not: name height width");
    sizes.emplace_back(height, width);
  }
  CAFFE_CHECK(!sizes.empty(), "name_size_file '" << file << "' is empty");
  return sizes;
}

template <typename Dtype>
Box<double> box_at(const Dtype* corners) {
  return {double(corners[0]), double(corners[1]), double(corners[2]), double(corners[3])};
}

void check_rows(const string& name, const char* what, const vector<int>& shape, int length) {
  CAFFE_CHECK(shape.size() == 4 && shape[0] == 1 && shape[1] == 1 && shape[3] == length,
              name << "the " << what << " have shape " << shape_text(shape) << ": they must be (1, "
                   << "1, rows, " << length << ")");
}

}  // namespace

template <typename Dtype>
void DetectionEvaluateLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  (void)top;
  param_ = this->layer_param_.detection_evaluate_param();
  CAFFE_CHECK(param_.num_classes() > 0 && param_.num_classes() <= kMost,
              this->name() << "detection_evaluate_param.num_classes is " << param_.num_classes()
                           << ": give the number of classes, the background included");
  CAFFE_CHECK(param_.overlap_threshold() > 0 && param_.overlap_threshold() <= 1,
              this->name() << "overlap_threshold is " << param_.overlap_threshold()
                           << ": give more than 0, up to 1");
  if (param_.has_resize_param()) check_resize(param_.resize_param());
  if (!param_.name_size_file().empty()) sizes_ = read_sizes(param_.name_size_file());
}

/// Classes that have a row.
template <typename Dtype>
int DetectionEvaluateLayer<Dtype>::row_classes() const {
  return param_.num_classes() - (param_.background_label_id() < param_.num_classes() ? 1 : 0);
}

template <typename Dtype>
void DetectionEvaluateLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  check_rows(this->name(), "detections (bottom 0)", bottom[0]->shape(), 7);
  check_rows(this->name(), "true boxes (bottom 1)", bottom[1]->shape(), 8);
  top[0]->Reshape({1, 1, row_classes() + bottom[0]->shape(2), 5});
}

template <typename Dtype>
int DetectionEvaluateLayer<Dtype>::read_image(Dtype value) const {
  CAFFE_CHECK(value < kMost, this->name() << "a row is of image " << value);
  return static_cast<int>(value);
}

template <typename Dtype>
int DetectionEvaluateLayer<Dtype>::read_class(Dtype value, const char* of) const {
  const int background = static_cast<int>(param_.background_label_id());
  CAFFE_CHECK(std::fabs(value) < kMost, this->name() << of << " has class " << value);
  const int number = static_cast<int>(value);
  CAFFE_CHECK(number >= 0 && number < static_cast<int>(param_.num_classes()),
              this->name() << of << " has class " << number << ", but num_classes is "
                           << param_.num_classes());
  CAFFE_CHECK(number != background,
              this->name() << of << " has class " << number << ", which is background_label_id");
  return number;
}

/// With name_size_file, the box in pixels of the image as it was before resize_param.
template <typename Dtype>
Box<double> DetectionEvaluateLayer<Dtype>::in_pixels(int image, const Box<double>& box) const {
  if (sizes_.empty()) return box;
  const size_t at = (first_ + image) % sizes_.size();  // the data starts again at its end
  const double height = sizes_[at].first, width = sizes_[at].second;
  Window shown;
  if (param_.has_resize_param()) {
    shown = resize_window(param_.resize_param(), sizes_[at].first, sizes_[at].second);
  }
  const Box<double> share = box_out_of({shown.xmin, shown.ymin, shown.xmax, shown.ymax}, box);
  return {share.xmin * width, share.ymin * height, share.xmax * width, share.ymax * height};
}

template <typename Dtype>
typename DetectionEvaluateLayer<Dtype>::Truths DetectionEvaluateLayer<Dtype>::read_truths(
    const Blob<Dtype>& blob, int* images) const {
  Truths truths;
  const Dtype* row = blob.cpu_data();
  for (int i = 0; i < blob.shape(2); ++i, row += 8) {
    if (row[0] < 0) continue;
    const int image = read_image(row[0]), label = read_class(row[1], "a true box");
    *images = std::max(*images, image + 1);
    truths[{image, label}].push_back({in_pixels(image, box_at(row + 3)), row[7] != 0, false});
  }
  return truths;
}

template <typename Dtype>
std::map<typename DetectionEvaluateLayer<Dtype>::Place,
         vector<typename DetectionEvaluateLayer<Dtype>::Detection>>
DetectionEvaluateLayer<Dtype>::read_detections(const Blob<Dtype>& blob, int* images) const {
  std::map<Place, vector<Detection>> detections;
  const Dtype* row = blob.cpu_data();
  for (int i = 0; i < blob.shape(2); ++i, row += 7) {
    if (row[0] < 0) continue;
    const int image = read_image(row[0]);
    *images = std::max(*images, image + 1);
    if (row[1] < 0) continue;
    const int label = read_class(row[1], "a detection");
    const Dtype score = std::isnan(row[2]) ? -std::numeric_limits<Dtype>::max() : row[2];
    detections[{image, label}].push_back({score, in_pixels(image, box_at(row + 3))});
  }
  for (auto& of_class : detections) {
    std::stable_sort(of_class.second.begin(), of_class.second.end(),
                     [](const Detection& a, const Detection& b) { return a.score > b.score; });
  }
  return detections;
}

/// (true positive, false positive)
template <typename Dtype>
std::pair<bool, bool> DetectionEvaluateLayer<Dtype>::judge(const Detection& detection,
                                                           vector<Truth>* truths) const {
  Truth* best = nullptr;
  double largest = -1;
  for (Truth& truth : *truths) {
    const double overlap = box_overlap(detection.box, truth.box, !sizes_.empty());
    if (!(overlap > largest)) continue;  // nor if it is NaN
    largest = overlap;
    best = &truth;
  }
  if (best == nullptr || largest < param_.overlap_threshold()) return {false, true};
  if (best->difficult && !param_.evaluate_difficult_gt()) return {false, false};
  const bool first = !best->taken;
  best->taken = true;
  return {first, !first};
}

/// Returns the row behind those of the classes.
template <typename Dtype>
Dtype* DetectionEvaluateLayer<Dtype>::write_classes(const Truths& truths, Dtype* row) const {
  vector<int> counts(param_.num_classes(), 0);
  for (const auto& of_class : truths) {
    for (const Truth& truth : of_class.second) {
      counts[of_class.first.second] += !truth.difficult || param_.evaluate_difficult_gt();
    }
  }
  for (int label = 0; label < static_cast<int>(counts.size()); ++label) {
    if (label == static_cast<int>(param_.background_label_id())) continue;
    const int values[] = {-1, label, counts[label], -1, -1};
    row = std::transform(values, values + 5, row, [](int x) { return static_cast<Dtype>(x); });
  }
  return row;
}

template <typename Dtype>
void DetectionEvaluateLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  int images = 0;
  Truths truths = read_truths(*bottom[1], &images);
  const auto detections = read_detections(*bottom[0], &images);
  size_t rows = row_classes();
  for (const auto& of_class : detections) rows += of_class.second.size();
  top[0]->Reshape({1, 1, static_cast<int>(rows), 5});
  Dtype* row = write_classes(truths, top[0]->mutable_cpu_data());
  for (const auto& of_class : detections) {
    vector<Truth>* const of_the_class = &truths[of_class.first];
    for (const Detection& detection : of_class.second) {
      const std::pair<bool, bool> verdict = judge(detection, of_the_class);
      const Dtype values[] = {Dtype(of_class.first.first), Dtype(of_class.first.second),
                              detection.score, Dtype(verdict.first), Dtype(verdict.second)};
      row = std::copy(values, values + 5, row);
    }
  }
  if (!sizes_.empty()) first_ = (first_ + images) % sizes_.size();
}

template <typename Dtype>
void DetectionEvaluateLayer<Dtype>::Backward_cpu(const Blobs& top,
                                                 const vector<bool>& propagate_down,
                                                 const Blobs& bottom) {
  (void)top;
  (void)bottom;
  for (const bool wanted : propagate_down) {
    CAFFE_CHECK(!wanted, this->name() << "it has no gradient");
  }
}

INSTANTIATE_CLASS(DetectionEvaluateLayer);
REGISTER_LAYER_CLASS(DetectionEvaluate);

}  // namespace caffe
