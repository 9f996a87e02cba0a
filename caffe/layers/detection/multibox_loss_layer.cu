#include "caffe/layers/detection/multibox_loss_layer.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "caffe/layers/detection/predictions.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// A loss and its derivative.
template <typename T>
struct Term {
  T value, slope;
};

template <typename T>
Term<T> loc_term(MultiBoxLossParameter::LocLossType type, T d) {
  const T size = std::abs(d);
  if (type == MultiBoxLossParameter::L2 || size < T(1)) return {T(0.5) * d * d, d};
  return {size - T(0.5), d < T(0) ? T(-1) : T(1)};
}

/// -log of the target's share; gradient, which may be null, becomes factor times its derivative.
template <typename T>
T softmax_loss(int classes, int target, const T* score, T factor, T* gradient) {
  const T largest = *std::max_element(score, score + classes);
  T sum = T(0);
  for (int c = 0; c < classes; ++c) sum += std::exp(score[c] - largest);
  for (int c = 0; c < classes && gradient != nullptr; ++c) {
    const T share = std::exp(score[c] - largest) / sum;
    gradient[c] = factor * (share - (c == target ? T(1) : T(0)));
  }
  return -std::log(std::max(std::exp(score[target] - largest) / sum, T(FLT_MIN)));
}

/// The sum of the classes' sigmoid cross entropies; only the target is 1.
template <typename T>
T logistic_loss(int classes, int target, const T* score, T factor, T* gradient) {
  T loss = T(0);
  for (int c = 0; c < classes; ++c) {
    const T x = score[c], wanted = c == target ? T(1) : T(0);
    const T small = std::exp(-std::abs(x));  // no overflow
    loss += std::max(x, T(0)) - x * wanted + std::log1p(small);
    if (gradient == nullptr) continue;
    const T probability = x < T(0) ? small / (T(1) + small) : T(1) / (T(1) + small);
    gradient[c] = factor * (probability - wanted);
  }
  return loss;
}

template <typename T>
bool off_image(T at) {
  return at < T(0) || at > T(1);
}

}  // namespace

/// Matches and mines image i.
template <typename Dtype>
struct MultiBoxLossLayer<Dtype>::MatchImages {
  const MultiBoxLossLayer* layer;
  const Dtype *loc, *score;
  Image* images;
  void operator()(int i) const {
    const MultiBoxLossLayer& l = *layer;
    const int64_t loc_step = int64_t(l.priors_) * l.loc_classes_ * 4;
    l.match(loc + i * loc_step, score + int64_t(i) * l.priors_ * l.classes_, images + i);
  }
};

/// The losses of image i and, unless a pointer is null, their gradients times a factor.
template <typename Dtype>
struct MultiBoxLossLayer<Dtype>::LossesOfImages {
  const MultiBoxLossLayer* layer;
  const Dtype *loc, *score;
  double *loc_loss, *conf_loss;  // [N] or null
  Dtype loc_factor, conf_factor;
  Dtype *loc_gradient, *conf_gradient;  // as loc and score, or null
  void operator()(int i) const {
    const MultiBoxLossLayer& l = *layer;
    const int64_t at = int64_t(i) * l.priors_ * l.loc_classes_ * 4;
    const int64_t conf_at = int64_t(i) * l.priors_ * l.classes_;
    const bool backward = loc_loss == nullptr;
    if (!backward || loc_gradient != nullptr) {
      const double loss =
          l.loc_losses(l.images_[i], loc + at, loc_factor, backward ? loc_gradient + at : nullptr);
      if (!backward) loc_loss[i] = loss;
    }
    if (!backward || conf_gradient != nullptr) {
      const double loss = l.conf_losses(l.images_[i], score + conf_at, conf_factor,
                                        backward ? conf_gradient + conf_at : nullptr);
      if (!backward) conf_loss[i] = loss;
    }
  }
};

template <typename Dtype>
void MultiBoxLossLayer<Dtype>::check_param() const {
  const int background = static_cast<int>(param().background_label_id());
  CAFFE_CHECK(classes_ > 0, this->name()
                                << "multibox_loss_param needs num_classes, the "
                                << "background's class included; it is " << param().num_classes());
  CAFFE_CHECK(background >= 0 && background < classes_,
              this->name() << "background_label_id is " << background << ", and there are "
                           << classes_ << " classes");
  CAFFE_CHECK(!param().map_object_to_agnostic() || background + 1 < classes_,
              this->name() << "map_object_to_agnostic needs a class behind the background's: set "
                           << "num_classes to 2 and background_label_id to 0");
  const bool mines = mining_.type != MultiBoxLossParameter::NONE;
  CAFFE_CHECK(!param().has_do_neg_mining() || param().do_neg_mining() == mines,
              this->name() << "do_neg_mining contradicts mining_type: remove do_neg_mining");
  CAFFE_CHECK(!mines || param().share_location(),
              this->name() << "share_location: false works only with mining_type: NONE");
  CAFFE_CHECK(mining_.type != MultiBoxLossParameter::MAX_NEGATIVE || mining_.neg_pos_ratio >= 0,
              this->name() << "neg_pos_ratio is " << mining_.neg_pos_ratio
                           << ", and must not be less than 0");
  CAFFE_CHECK(
      mining_.type != MultiBoxLossParameter::HARD_EXAMPLE || mining_.sample_size > 0,
      this->name() << "sample_size is " << mining_.sample_size << ", and must be greater than 0");
  CAFFE_CHECK(!param().ignore_difficult_gt(),
              this->name() << "ignore_difficult_gt is not built: use_difficult_gt: false leaves "
                           << "difficult objects out");
}

template <typename Dtype>
void MultiBoxLossLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  classes_ = static_cast<int>(param().num_classes());
  loc_classes_ = param().share_location() ? 1 : classes_;
  code_ = {param().code_type(), param().encode_variance_in_target()};
  mining_ = Mining(param());
  check_param();
}

template <typename Dtype>
void MultiBoxLossLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  LossLayer<Dtype>::Reshape(bottom, top);
  const bool priors = bottom[2]->num_axes() == 3 && bottom[2]->shape(0) == 1 &&
                      bottom[2]->shape(1) == 2 && bottom[2]->shape(2) > 0 &&
                      bottom[2]->shape(2) % 4 == 0;
  CAFFE_CHECK(priors, this->name() << "the priors, bottom 2, are PriorBox's, of shape 1 2 4P; "
                                   << "their shape is " << bottom[2]->shape_string());
  priors_ = bottom[2]->shape(2) / 4;
  check_predictions(*this, bottom, bottom[0]->shape(0), priors_, loc_classes_, classes_);
}

template <typename Dtype>
vector<vector<Truth<Dtype>>> MultiBoxLossLayer<Dtype>::truths_of(const Blob<Dtype>& labels,
                                                                 int items) const {
  vector<vector<Truth<Dtype>>> truths =
      read_truths(*this, labels, items, static_cast<int>(param().background_label_id()));
  for (vector<Truth<Dtype>>& image : truths) {
    for (const Truth<Dtype>& truth : image) {
      CAFFE_CHECK(param().map_object_to_agnostic() || truth.label < classes_,
                  this->name() << "a true box has the label " << truth.label << ", and there are "
                               << classes_ << " classes, the background's included");
    }
    if (param().use_difficult_gt()) continue;
    image.erase(std::remove_if(image.begin(), image.end(),
                               [](const Truth<Dtype>& truth) { return truth.difficult; }),
                image.end());
  }
  return truths;
}

// ---- which box stands for what ------------------------------------------------------------------

/// The boxes at the predicted offsets of an image and class.
template <typename Dtype>
vector<Box<Dtype>> MultiBoxLossLayer<Dtype>::decoded(const Dtype* loc, int loc_class) const {
  vector<Box<Dtype>> boxes;
  for (int p = 0; p < priors_; ++p) {
    const Dtype* const t = loc + (p * loc_classes_ + loc_class) * 4;
    boxes.push_back(decode_box(code_, prior_boxes_.boxes[p], prior_boxes_.variances[p],
                               {t[0], t[1], t[2], t[3]}));
  }
  return boxes;
}

/// Matches boxes with the true boxes of a label, or with all for label -1.
template <typename Dtype>
BoxMatches<Dtype> MultiBoxLossLayer<Dtype>::match_label(const Image& image,
                                                        const vector<Box<Dtype>>& boxes,
                                                        int label) const {
  vector<Box<Dtype>> truths;
  vector<int> index;
  for (size_t g = 0; g < image.truths.size(); ++g) {
    if (label != -1 && image.truths[g].label != label) continue;
    truths.push_back(image.truths[g].box);
    index.push_back(static_cast<int>(g));
  }
  BoxMatches<Dtype> matches = match_boxes(
      truths, boxes,
      {param().match_type(), param().overlap_threshold(), param().ignore_cross_boundary_bbox()});
  for (int& truth : matches.truth) {
    if (truth >= 0) truth = index[truth];
  }
  return matches;
}

/// The matches of each class that has offsets of its own.
template <typename Dtype>
vector<BoxMatches<Dtype>> MultiBoxLossLayer<Dtype>::match_classes(const Image& image,
                                                                  const Dtype* loc) const {
  vector<BoxMatches<Dtype>> matches;
  if (!param().use_prior_for_matching()) {
    for (int c = 0; c < loc_classes_; ++c) {
      matches.push_back(match_label(image, decoded(loc, c), loc_classes_ == 1 ? -1 : c));
    }
    return matches;
  }
  matches.assign(loc_classes_, match_label(image, prior_boxes_.boxes, -1));
  for (int c = 0; c < loc_classes_ && loc_classes_ > 1; ++c) {
    for (int& truth : matches[c].truth) {
      if (truth >= 0 && image.truths[truth].label != c) truth = kUnmatched;
    }
  }
  return matches;
}

/// The loss of each box, by which mining chooses.
template <typename Dtype>
vector<Dtype> MultiBoxLossLayer<Dtype>::ranks(const Image& image, const Dtype* loc,
                                              const Dtype* score) const {
  vector<Dtype> losses(priors_);
  const bool hard = mining_.type == MultiBoxLossParameter::HARD_EXAMPLE;
  for (int p = 0; p < priors_; ++p) {
    losses[p] = conf_loss(target_of(image, p), score + p * classes_, Dtype(0), nullptr);
    if (!hard || image.matches[0].truth[p] < 0) continue;
    losses[p] += loc_loss(image, 0, p, loc, Dtype(0), nullptr);
  }
  return losses;
}

template <typename Dtype>
void MultiBoxLossLayer<Dtype>::match(const Dtype* loc, const Dtype* score, Image* image) const {
  image->matches = match_classes(*image, loc);
  if (mining_.type == MultiBoxLossParameter::NONE || image->truths.empty()) return;
  vector<Box<Dtype>> boxes;
  if (mining_.suppress) {
    boxes = param().use_prior_for_nms() ? prior_boxes_.boxes : decoded(loc, 0);
  }
  image->negatives = mine(mining_, ranks(*image, loc, score), boxes, &image->matches[0]);
}

// ---- losses -------------------------------------------------------------------------------------

template <typename Dtype>
int MultiBoxLossLayer<Dtype>::target_of(const Image& image, int prior) const {
  const int background = static_cast<int>(param().background_label_id());
  int target = background;
  for (const BoxMatches<Dtype>& matches : image.matches) {
    const int truth = matches.truth[prior];
    if (truth < 0) continue;
    target = param().map_object_to_agnostic() ? background + 1 : image.truths[truth].label;
  }
  return target;
}

/// Of a matched box; gradient, of all boxes of the image, may be null.
template <typename Dtype>
Dtype MultiBoxLossLayer<Dtype>::loc_loss(const Image& image, int loc_class, int prior,
                                         const Dtype* loc, Dtype factor, Dtype* gradient) const {
  const Box<Dtype>& box = prior_boxes_.boxes[prior];
  const Offsets<Dtype>& variance = prior_boxes_.variances[prior];
  const Truth<Dtype>& truth = image.truths[image.matches[loc_class].truth[prior]];
  const Offsets<Dtype> target = encode_box(code_, box, variance, truth.box);
  const int at = (prior * loc_classes_ + loc_class) * 4;
  const Offsets<Dtype> t = {loc[at], loc[at + 1], loc[at + 2], loc[at + 3]};
  const Box<Dtype> matched =
      param().use_prior_for_matching() ? box : decode_box(code_, box, variance, t);
  const bool fixed[4] = {off_image(matched.xmin), off_image(matched.ymin), off_image(matched.xmax),
                         off_image(matched.ymax)};
  Dtype loss = 0;
  for (int k = 0; k < 4; ++k) {
    const Dtype unit = code_.variance_in_target ? variance[k] : Dtype(1);
    const bool inside = !param().bp_inside() || !fixed[k];
    const Dtype d = inside ? (t[k] - target[k]) / unit : Dtype(0);
    const Term<Dtype> term = loc_term(param().loc_loss_type(), d);
    loss += term.value;
    if (gradient != nullptr) gradient[at + k] = factor * term.slope / unit;
  }
  return loss;
}

template <typename Dtype>
Dtype MultiBoxLossLayer<Dtype>::conf_loss(int target, const Dtype* score, Dtype factor,
                                          Dtype* gradient) const {
  return param().conf_loss_type() == MultiBoxLossParameter::SOFTMAX
             ? softmax_loss(classes_, target, score, factor, gradient)
             : logistic_loss(classes_, target, score, factor, gradient);
}

template <typename Dtype>
double MultiBoxLossLayer<Dtype>::loc_losses(const Image& image, const Dtype* loc, Dtype factor,
                                            Dtype* gradients) const {
  double sum = 0;
  for (int c = 0; c < loc_classes_; ++c) {
    for (int p = 0; p < priors_; ++p) {
      if (image.matches[c].truth[p] < 0) continue;
      sum += loc_loss(image, c, p, loc, factor, gradients);
    }
  }
  return sum;
}

template <typename Dtype>
double MultiBoxLossLayer<Dtype>::conf_losses(const Image& image, const Dtype* score, Dtype factor,
                                             Dtype* gradients) const {
  double sum = 0;
  const auto add = [&](int p) {
    const int at = p * classes_;
    sum += conf_loss(target_of(image, p), score + at, factor,
                     gradients == nullptr ? nullptr : gradients + at);
  };
  if (mining_.type == MultiBoxLossParameter::NONE) {
    for (int p = 0; p < priors_; ++p) add(p);
    return sum;
  }
  for (int p = 0; p < priors_; ++p) {
    if (image.matches[0].truth[p] >= 0) add(p);
  }
  for (const int p : image.negatives) add(p);
  return sum;
}

/// Whether a bottom's loss is part of the top.
template <typename Dtype>
bool MultiBoxLossLayer<Dtype>::counts(int bottom) const {
  return this->layer_param_.propagate_down_size() == 0 || this->layer_param_.propagate_down(bottom);
}

template <typename Dtype>
void MultiBoxLossLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  const int items = bottom[0]->shape(0);
  const Dtype* const loc = bottom[0]->cpu_data();
  const Dtype* const score = bottom[1]->cpu_data();
  prior_boxes_ = read_priors(bottom[2]->cpu_data(), priors_);
  vector<vector<Truth<Dtype>>> truths = truths_of(*bottom[3], items);
  images_.assign(items, Image());
  for (int i = 0; i < items; ++i) images_[i].truths.swap(truths[i]);
  const int64_t work = int64_t(priors_) * classes_;
  maap::internal::cpu_for(items, work, MatchImages{this, loc, score, images_.data()});
  int matched = 0;
  for (const Image& image : images_) {
    for (const BoxMatches<Dtype>& matches : image.matches) {
      matched += static_cast<int>(std::count_if(matches.truth.begin(), matches.truth.end(),
                                                [](int truth) { return truth >= 0; }));
    }
  }
  normalizer_ =
      normalizer_of<Dtype>(normalization_of(this->layer_param_.loss_param()), items, priors_,
                           matched, this->layer_param_.loss_param().pre_fixed_normalizer());
  vector<double> loc_sums(items), conf_sums(items);
  maap::internal::cpu_for(
      items, work,
      LossesOfImages{this, loc, score, loc_sums.data(), conf_sums.data(), 0, 0, nullptr, nullptr});
  double loss = 0;
  for (int i = 0; i < items; ++i) {
    if (counts(0)) loss += param().loc_weight() * loc_sums[i];
    if (counts(1)) loss += conf_sums[i];
  }
  top[0]->mutable_cpu_data()[0] = static_cast<Dtype>(loss / normalizer_);
}

template <typename Dtype>
void MultiBoxLossLayer<Dtype>::Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  for (int b = 2; b < 4; ++b) {
    const bool asked = this->layer_param_.propagate_down_size() > b && propagate_down[b];
    CAFFE_CHECK(!asked, this->name() << "there is no gradient for bottom " << b
                                     << (b == 2 ? ", the priors" : ", the true boxes")
                                     << ": set propagate_down: false for it");
  }
  for (int b = 0; b < 4; ++b) {
    if (propagate_down[b]) caffe_set(bottom[b]->count(), Dtype(0), bottom[b]->mutable_cpu_diff());
  }
  const Dtype factor = top[0]->cpu_diff()[0] / normalizer_;
  maap::internal::cpu_for(
      bottom[0]->shape(0), int64_t(priors_) * classes_,
      LossesOfImages{this, bottom[0]->cpu_data(), bottom[1]->cpu_data(), nullptr, nullptr,
                     factor * Dtype(param().loc_weight()), factor,
                     propagate_down[0] ? bottom[0]->mutable_cpu_diff() : nullptr,
                     propagate_down[1] ? bottom[1]->mutable_cpu_diff() : nullptr});
}

INSTANTIATE_CLASS(MultiBoxLossLayer);
REGISTER_LAYER_CLASS(MultiBoxLoss);

}  // namespace caffe
