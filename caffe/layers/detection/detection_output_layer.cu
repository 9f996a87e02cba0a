#include "caffe/layers/detection/detection_output_layer.hpp"

#include <algorithm>
#include <climits>
#include <limits>

#include "caffe/layers/detection/predictions.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// What is found of one class in one image: priors by falling score, and where their boxes are.
template <typename T>
struct ClassBoxes {
  vector<int> kept;
  vector<Box<T>> boxes;  // as kept
};

/// Finds the boxes of class c of image n, for i = n classes + c. On the host.
template <typename T>
struct FindClass {
  int classes, loc_classes, background;
  const NonMaximumSuppressionParameter* nms;
  BoxCode code;
  T threshold;
  const Priors<T>* priors;
  const T* loc;    // [N, P, loc_classes, 4]
  const T* score;  // [N, P, classes]
  ClassBoxes<T>* found;
  void operator()(int i) const {
    const int image = i / classes, label = i % classes;
    if (label == background) return;
    const int count = static_cast<int>(priors->boxes.size());
    vector<T> scores(count);
    for (int p = 0; p < count; ++p) {
      scores[p] = score[(static_cast<int64_t>(image) * count + p) * classes + label];
    }
    const vector<int> order = by_score(scores, threshold, nms->has_top_k() ? nms->top_k() : -1);
    vector<Box<T>> boxes(count);
    for (const int p : order) {
      const int c = loc_classes == 1 ? 0 : label;
      const T* const t = loc + ((static_cast<int64_t>(image) * count + p) * loc_classes + c) * 4;
      boxes[p] = decode_box(code, priors->boxes[p], priors->variances[p], {t[0], t[1], t[2], t[3]});
    }
    found[i].kept = suppressed(boxes, order, T(nms->nms_threshold()), T(nms->eta()));
    for (const int p : found[i].kept) found[i].boxes.push_back(boxes[p]);
  }
};

}  // namespace

template <typename Dtype>
void DetectionOutputLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  const DetectionOutputParameter& param = this->layer_param_.detection_output_param();
  CAFFE_CHECK(param.num_classes() > 0 && param.num_classes() <= INT_MAX,
              this->name() << "detection_output_param needs num_classes, the background's class "
                           << "included; it is " << param.num_classes());
  classes_ = static_cast<int>(param.num_classes());
  loc_classes_ = param.share_location() ? 1 : classes_;
  const NonMaximumSuppressionParameter& nms = param.nms_param();
  CAFFE_CHECK(nms.nms_threshold() >= 0, this->name() << "nms_threshold is " << nms.nms_threshold()
                                                     << ", and must not be less than 0");
  CAFFE_CHECK(nms.eta() > 0 && nms.eta() <= 1,
              this->name() << "eta is " << nms.eta() << ", and must be in (0, 1]");
  if (!param.save_output_param().output_directory().empty()) {
    files_.reset(
        new DetectionFiles(param.save_output_param(), classes_, param.background_label_id()));
  }
  if (param.visualize()) {
    LOG(WARNING) << this->name() << "visualize has no effect here";
  }
}

template <typename Dtype>
void DetectionOutputLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  CAFFE_CHECK(
      bottom[2]->num_axes() == 3 && bottom[2]->shape(1) == 2 && bottom[2]->shape(2) % 4 == 0,
      this->name() << "the priors, bottom 2, are PriorBox's, of shape 1 2 4P; their shape is "
                   << bottom[2]->shape_string());
  priors_ = bottom[2]->shape(2) / 4;
  check_predictions(*this, bottom, bottom[0]->num(), priors_, loc_classes_, classes_);
  top[0]->Reshape({1, 1, 1, 7});
}

template <typename Dtype>
auto DetectionOutputLayer<Dtype>::find(const Blobs& bottom) const -> vector<vector<Found>> {
  const DetectionOutputParameter& param = this->layer_param_.detection_output_param();
  const int items = bottom[0]->shape(0);
  if (priors_ == 0) return vector<vector<Found>>(items);
  const Priors<Dtype> priors = read_priors(bottom[2]->cpu_data(), priors_);
  vector<ClassBoxes<Dtype>> boxes(items * classes_);
  const Dtype lowest = std::numeric_limits<Dtype>::lowest();
  const FindClass<Dtype> work = {
      classes_,
      loc_classes_,
      param.background_label_id(),
      &param.nms_param(),
      {param.code_type(), param.variance_encoded_in_target()},
      param.has_confidence_threshold() ? Dtype(param.confidence_threshold()) : lowest,
      &priors,
      bottom[0]->cpu_data(),
      bottom[1]->cpu_data(),
      boxes.data()};
  maap::internal::cpu_for(items * classes_, priors_, work);
  vector<vector<Found>> found(items);
  for (int i = 0; i < items * classes_; ++i) {
    const int image = i / classes_, label = i % classes_;
    for (size_t k = 0; k < boxes[i].kept.size(); ++k) {
      const int64_t row = static_cast<int64_t>(image) * priors_ + boxes[i].kept[k];
      found[image].push_back({label, work.score[row * classes_ + label], boxes[i].boxes[k]});
    }
  }
  for (vector<Found>& one : found) keep_best(&one);
  return found;
}

/// Keeps the keep_top_k best of an image, in their order.
template <typename Dtype>
void DetectionOutputLayer<Dtype>::keep_best(vector<Found>* found) const {
  const int most = this->layer_param_.detection_output_param().keep_top_k();
  if (most < 0 || static_cast<int>(found->size()) <= most) return;
  vector<Dtype> scores;
  for (const Found& one : *found) scores.push_back(one.score);
  vector<int> best = by_score(scores, -std::numeric_limits<Dtype>::infinity(), most);
  std::sort(best.begin(), best.end());
  vector<Found> kept;
  for (const int i : best) kept.push_back((*found)[i]);
  found->swap(kept);
}

template <typename Dtype>
void DetectionOutputLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  const vector<vector<Found>> found = find(bottom);
  const int items = static_cast<int>(found.size());
  int rows = 0;
  for (const vector<Found>& one : found) rows += static_cast<int>(one.size());
  top[0]->Reshape({1, 1, rows > 0 ? rows : items, 7});
  Dtype* row = top[0]->mutable_cpu_data();
  if (rows == 0) std::fill_n(row, top[0]->count(), Dtype(-1));
  for (int image = 0; image < items; ++image) {
    if (rows == 0) row[7 * image] = Dtype(image);
    for (const Found& one : found[image]) {
      const Dtype values[7] = {Dtype(image), Dtype(one.label), one.score,   one.box.xmin,
                               one.box.ymin, one.box.xmax,     one.box.ymax};
      row = std::copy(values, values + 7, row);
    }
    if (files_ != nullptr) save(found[image]);
  }
}

template <typename Dtype>
void DetectionOutputLayer<Dtype>::save(const vector<Found>& found) {
  for (const Found& one : found) {
    files_->add(
        one.label, one.score,
        {double(one.box.xmin), double(one.box.ymin), double(one.box.xmax), double(one.box.ymax)});
  }
  files_->next_image();
}

template <typename Dtype>
void DetectionOutputLayer<Dtype>::Backward_cpu(const Blobs&, const vector<bool>& propagate_down,
                                               const Blobs&) {
  CAFFE_CHECK(std::find(propagate_down.begin(), propagate_down.end(), true) == propagate_down.end(),
              this->name() << "has no gradient: it cannot be part of a loss");
}

INSTANTIATE_CLASS(DetectionOutputLayer);
REGISTER_LAYER_CLASS(DetectionOutput);

}  // namespace caffe
