#include "caffe_layers/enhancement_layer.hpp"

#include <cmath>

#include "caffe_layers/layer_support.hpp"
#include "kernels/attention.hpp"
#include "kernels/parallel.hpp"

namespace caffe {

using maap::Device;

namespace {

template <typename Dtype>
maap::FeatureShape feature_shape(const Blob<Dtype>& f) {
  return {f.shape(0), f.shape(1), f.count(2)};
}

template <typename T>
struct FirstPixel {
  int channels;
  int64_t image_step, channel_step;  // between neighbours of x
  const T* x;
  T* y;  // [images, channels]
  MAAP_HD void operator()(int i) const {
    y[i] = x[i / channels * image_step + i % channels * channel_step];
  }
};

}  // namespace

template <typename Dtype>
void EnhancementLayer<Dtype>::LayerSetUp(const std::vector<Blob<Dtype>*>& bottom,
                                         const std::vector<Blob<Dtype>*>& top) {
  if (top.size() > 1 && (top[1] == bottom[0] || top[1] == top[0])) {
    throw maap::Error(
        maap::name_of(this->layer_param_) +
        "top[1] receives the attention and needs a name of its own; only top[0] may be the "
        "bottom");
  }
}

template <typename Dtype>
void EnhancementLayer<Dtype>::Reshape(const std::vector<Blob<Dtype>*>& bottom,
                                      const std::vector<Blob<Dtype>*>& top) {
  const Blob<Dtype>& f = *bottom[0];
  maap::require_image_blob(this->layer_param_, f, 0, "a feature map");
  if (top[0] != bottom[0]) top[0]->ReshapeLike(f);
  const std::vector<int> shape = {f.shape(0), 1, f.shape(2), f.shape(3)};
  attention_.Reshape(shape);
  if (top.size() > 1) top[1]->Reshape(shape);
}

template <typename Dtype>
void EnhancementLayer<Dtype>::forward(Device device, const Blob<Dtype>& bottom,
                                      const std::vector<Blob<Dtype>*>& top) {
  maap::enhance(device, feature_shape(bottom), maap::data(bottom, device),
                maap::mutable_data(top[0], device), maap::mutable_data(&attention_, device));
  if (top.size() > 1) top[1]->CopyFrom(attention_);
}

template <typename Dtype>
void EnhancementLayer<Dtype>::backward(Device device, const std::vector<Blob<Dtype>*>& top,
                                       Blob<Dtype>* bottom) {
  const bool in_place = top[0] == bottom;
  if (in_place && !checked_) {
    check_untouched(device, first_pixels(device, *bottom, maap::data(*bottom, device), false));
  }
  maap::enhance_backward(device, feature_shape(*bottom), maap::diff(*top[0], device),
                         top.size() > 1 ? maap::diff(*top[1], device) : nullptr,
                         maap::data(*bottom, device), in_place, maap::data(attention_, device),
                         maap::mutable_diff(bottom, device));
}

/// Of a whole blob on a GPU nothing else is copied to the host.
template <typename Dtype>
std::vector<Dtype> EnhancementLayer<Dtype>::first_pixels(Device device, const Blob<Dtype>& f,
                                                         const Dtype* values, bool channels_last) {
  const int planes = f.count(0, 2);
  Blob<Dtype> first(std::vector<int>{planes});
  maap::parallel_for(device, planes,
                     FirstPixel<Dtype>{f.shape(1), f.count(1), channels_last ? 1 : f.count(2),
                                       values, maap::mutable_data(&first, device)});
  return std::vector<Dtype>(first.cpu_data(), first.cpu_data() + planes);
}

/// The attention of the recovered F at each image's first pixel must equal the attention that was
/// kept.
template <typename Dtype>
void EnhancementLayer<Dtype>::check_untouched(Device device, const std::vector<Dtype>& f,
                                              double rounding) {
  checked_ = true;
  const std::vector<Dtype> attention =
      first_pixels(device, attention_, maap::data(attention_, device), false);
  const int images = attention_.shape(0);
  const size_t channels = f.size() / images;
  for (int n = 0; n < images; ++n) {
    const double a = attention[n];
    double sum = 0, sizes = 0;
    for (size_t c = 0; c < channels; ++c) {
      sum += f[n * channels + c] / (1 + a);
      sizes += std::abs(f[n * channels + c]);
    }
    // The logistic function's slope is at most 1/4.
    const double allowed = 1e-3 + rounding * sizes / static_cast<double>(channels) / 4;
    const double again = 1 / (1 + std::exp(-sum / static_cast<double>(channels)));
    if (std::abs(again - a) > allowed) {
      throw maap::Error(
          maap::name_of(this->layer_param_) + "works in place on '" + this->layer_param_.top(0) +
          "', but a later layer has changed that blob in place (image " + std::to_string(n) +
          ": attention " + std::to_string(a) + " in forward, " + std::to_string(again) +
          " recovered), so the gradient would be wrong. Give this layer's top, or the later "
          "layer's, a name of its own");
    }
  }
}

template <typename Dtype>
void EnhancementLayer<Dtype>::Forward_cpu(const std::vector<Blob<Dtype>*>& bottom,
                                          const std::vector<Blob<Dtype>*>& top) {
  forward(Device::kCPU, *bottom[0], top);
}

template <typename Dtype>
void EnhancementLayer<Dtype>::Forward_gpu(const std::vector<Blob<Dtype>*>& bottom,
                                          const std::vector<Blob<Dtype>*>& top) {
  forward(Device::kGPU, *bottom[0], top);
}

template <typename Dtype>
void EnhancementLayer<Dtype>::Backward_cpu(const std::vector<Blob<Dtype>*>& top,
                                           const std::vector<bool>& propagate_down,
                                           const std::vector<Blob<Dtype>*>& bottom) {
  if (propagate_down[0]) backward(Device::kCPU, top, bottom[0]);
}

template <typename Dtype>
void EnhancementLayer<Dtype>::Backward_gpu(const std::vector<Blob<Dtype>*>& top,
                                           const std::vector<bool>& propagate_down,
                                           const std::vector<Blob<Dtype>*>& bottom) {
  if (propagate_down[0]) backward(Device::kGPU, top, bottom[0]);
}

INSTANTIATE_CLASS(EnhancementLayer);

}  // namespace caffe
