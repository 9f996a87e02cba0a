#include "caffe/layers/detection/prior_box_layer.hpp"

#include <algorithm>
#include <climits>
#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Writes prior i with its variances.
template <typename T>
struct WritePrior {
  int priors, columns, count;  // K, W, and H W K
  T step_h, step_w, offset, image_h, image_w;
  bool clip;
  const T* sizes;     // [K, 2]
  const T* variance;  // [4]
  T* top;             // [2, count, 4]
  CAFFE_HD T share(T at) const { return !clip ? at : at < T(0) ? T(0) : at > T(1) ? T(1) : at; }
  CAFFE_HD void operator()(int i) const {
    const int cell = i / priors, k = i % priors;
    const T x = (T(cell % columns) + offset) * step_w, y = (T(cell / columns) + offset) * step_h;
    const T width = sizes[2 * k], height = sizes[2 * k + 1];
    T* const box = top + 4 * i;
    box[0] = share((x - width / T(2)) / image_w);
    box[1] = share((y - height / T(2)) / image_h);
    box[2] = share((x + width / T(2)) / image_w);
    box[3] = share((y + height / T(2)) / image_h);
    for (int v = 0; v < 4; ++v) top[4 * (count + i) + v] = variance[v];
  }
};

}  // namespace

template <typename Dtype>
void PriorBoxLayer<Dtype>::check_pairs() const {
  const PriorBoxParameter& param = this->layer_param_.prior_box_param();
  const bool image_pair = param.has_img_h() || param.has_img_w();
  const bool step_pair = param.has_step_h() || param.has_step_w();
  CAFFE_CHECK(!(param.has_img_size() && image_pair),
              this->name() << "has img_size, and img_h or img_w: give one or the other");
  CAFFE_CHECK(param.has_img_h() == param.has_img_w(),
              this->name() << "has only one of img_h and img_w: give both");
  CAFFE_CHECK(!(param.has_step() && step_pair),
              this->name() << "has step, and step_h or step_w: give one or the other");
  CAFFE_CHECK(param.has_step_h() == param.has_step_w(),
              this->name() << "has only one of step_h and step_w: give both");
  const bool image = (!param.has_img_size() || param.img_size() > 0) &&
                     (!image_pair || (param.img_h() > 0 && param.img_w() > 0));
  CAFFE_CHECK(image, this->name() << "img_size, img_h and img_w must be greater than 0");
  const bool step = (!param.has_step() || param.step() > 0) &&
                    (!step_pair || (param.step_h() > 0 && param.step_w() > 0));
  CAFFE_CHECK(step, this->name() << "step, step_h and step_w must be greater than 0");
  CAFFE_CHECK(std::isfinite(param.offset()) && std::isfinite(param.step()) &&
                  std::isfinite(param.step_h()) && std::isfinite(param.step_w()),
              this->name() << "offset, step, step_h and step_w must be finite numbers");
  CAFFE_CHECK(!param.reduce_boxes(), this->name()
                                         << "reduce_boxes is not built; remove it, or take out the "
                                         << "sizes and ratios that you do not want");
}

/// 1, and the given ratios with their inverses.
template <typename Dtype>
std::vector<float> PriorBoxLayer<Dtype>::aspect_ratios() const {
  const PriorBoxParameter& param = this->layer_param_.prior_box_param();
  std::vector<float> ratios = {1.f};
  for (const float ratio : param.aspect_ratio()) {
    CAFFE_CHECK(ratio > 0 && ratio < 1e6f, this->name() << "aspect_ratio is " << ratio
                                                        << ", and must be greater than 0 and "
                                                        << "less than 1000000");
    const bool there = std::any_of(ratios.begin(), ratios.end(),
                                   [&](float other) { return std::fabs(ratio - other) < 1e-6f; });
    if (there) continue;
    ratios.push_back(ratio);
    if (param.flip()) ratios.push_back(1.f / ratio);
  }
  return ratios;
}

template <typename Dtype>
void PriorBoxLayer<Dtype>::set_sizes() {
  const PriorBoxParameter& param = this->layer_param_.prior_box_param();
  CAFFE_CHECK(param.min_size_size() > 0, this->name() << "needs at least one min_size");
  CAFFE_CHECK(param.max_size_size() == 0 || param.max_size_size() == param.min_size_size(),
              this->name() << "has " << param.min_size_size() << " min_size and "
                           << param.max_size_size()
                           << " max_size: give a max_size for each min_size, or none");
  std::vector<Dtype> sizes;
  const auto add = [&](Dtype width, Dtype height) {
    sizes.push_back(width);
    sizes.push_back(height);
  };
  const std::vector<float> ratios = aspect_ratios();
  for (int s = 0; s < param.min_size_size(); ++s) {
    const float least = param.min_size(s);
    CAFFE_CHECK(least >= 1 && least < 1e6f,
                this->name() << "min_size is " << least << ", and must be 1 pixel or more");
    const Dtype size = std::floor(least);  // whole pixels
    add(size, size);
    if (param.max_size_size() > 0) {
      const float most = param.max_size(s);
      CAFFE_CHECK(most > least && most < 1e6f, this->name() << "max_size is " << most
                                                            << ", and must be greater than its "
                                                            << "min_size, " << least);
      const Dtype middle = std::sqrt(size * std::floor(most));
      add(middle, middle);
    }
    for (size_t r = 1; r < ratios.size(); ++r) {
      const Dtype root = std::sqrt(Dtype(ratios[r]));
      add(size * root, size / root);
    }
  }
  sizes_.Reshape({static_cast<int>(sizes.size()) / 2, 2});
  std::copy(sizes.begin(), sizes.end(), sizes_.mutable_cpu_data());
}

template <typename Dtype>
void PriorBoxLayer<Dtype>::set_variances() {
  const PriorBoxParameter& param = this->layer_param_.prior_box_param();
  const int given = param.variance_size();
  CAFFE_CHECK(given == 0 || given == 1 || given == 4,
              this->name() << "has " << given << " variances: give four, or one for all");
  variances_.Reshape({4});
  for (int v = 0; v < 4; ++v) {
    const float variance = given == 0 ? 0.1f : param.variance(given == 1 ? 0 : v);
    CAFFE_CHECK(variance > 0 && std::isfinite(variance),
                this->name() << "variance is " << variance << ", and must be greater than 0");
    variances_.mutable_cpu_data()[v] = variance;
  }
}

template <typename Dtype>
void PriorBoxLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  check_pairs();
  set_sizes();
  set_variances();
}

template <typename Dtype>
void PriorBoxLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  for (const Blob<Dtype>* blob : {bottom[0], bottom[1]}) {
    CAFFE_CHECK(blob->num_axes() == 4, this->name() << "its bottoms are a map and an image with "
                                                    << "four axes; one has the shape "
                                                    << blob->shape_string());
  }
  const PriorBoxParameter& param = this->layer_param_.prior_box_param();
  CAFFE_CHECK(param.has_img_size() || param.has_img_h() || bottom[1]->count(2) > 0,
              this->name() << "the image, bottom 1, has no pixels; its shape is "
                           << bottom[1]->shape_string());
  const int64_t values = int64_t(4) * bottom[0]->count(2) * sizes_.shape(0);
  CAFFE_CHECK(values <= INT_MAX / 2,
              this->name() << "makes " << values / 4 << " boxes, more than a blob can hold");
  top[0]->Reshape({1, 2, static_cast<int>(values)});
}

template <typename Dtype>
void PriorBoxLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const PriorBoxParameter& param = this->layer_param_.prior_box_param();
  const int rows = bottom[0]->shape(2), columns = bottom[0]->shape(3);
  const auto chosen = [](float one, float both, int otherwise) {
    return Dtype(one > 0 ? one : both > 0 ? both : static_cast<float>(otherwise));
  };
  const Dtype image_h = chosen(param.img_h(), param.img_size(), bottom[1]->shape(2));
  const Dtype image_w = chosen(param.img_w(), param.img_size(), bottom[1]->shape(3));
  const float step = param.has_step() ? param.step() : 0;
  WritePrior<Dtype> write = {};
  write.priors = sizes_.shape(0);
  write.columns = columns;
  write.count = top[0]->count() / 8;
  write.step_h = param.has_step_h() ? Dtype(param.step_h())
                 : step > 0         ? Dtype(step)
                                    : image_h / rows;
  write.step_w = param.has_step_w() ? Dtype(param.step_w())
                 : step > 0         ? Dtype(step)
                                    : image_w / columns;
  write.offset = param.offset();
  write.image_h = image_h;
  write.image_w = image_w;
  write.clip = param.clip();
  write.sizes = sizes_.active_data();
  write.variance = variances_.active_data();
  write.top = top[0]->mutable_active_data();
  parallel_for(write.count, write);
}

template <typename Dtype>
void PriorBoxLayer<Dtype>::Backward_any(const Blobs&, const std::vector<bool>& propagate_down,
                                        const Blobs& bottom) {
  zero_gradients(propagate_down, 0, bottom);
}

INSTANTIATE_CLASS(PriorBoxLayer);
REGISTER_LAYER_CLASS(PriorBox);

}  // namespace caffe
