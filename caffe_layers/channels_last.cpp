// Enhancement (caffe_layers/enhancement_layer.hpp) on a GPU in the order and type of values that
// its bottom has (caffe/util/value_format.hpp).

#include <vector>

#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/value_format.hpp"
#include "caffe_layers/enhancement_layer.hpp"
#include "kernels/attention.hpp"

namespace caffe {
namespace {

template <typename Dtype>
class OrderedEnhancementLayer : public EnhancementLayer<Dtype> {
 public:
  using Base = EnhancementLayer<Dtype>;
  using Base::Base;
  using typename Base::Blobs;

 protected:
  void Forward_gpu(const Blobs& bottom, const Blobs& top) override {
    const Format format = data_format(*bottom[0]);
    if (format.order == Order::kNchw) return Base::Forward_gpu(bottom, top);
    with_values<Dtype>(format, [&](auto values) {
      const auto* const f = values.data(*bottom[0]);
      auto* const enhanced = values.mutable_data(top[0]);
      Dtype* const a = this->attention_.mutable_gpu_data();
      if constexpr (decltype(values)::kHalf) {
        maap::enhance_halves(shape(*bottom[0]), f, enhanced, a);
      } else {
        maap::enhance(maap::Device::kGPU, shape(*bottom[0]), f, enhanced, a);
      }
    });
    if (top.size() > 1) top[1]->CopyFrom(this->attention_);
  }

  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    const Format format = data_format(*bottom[0]);
    if (format.order == Order::kNchw) return Base::Backward_gpu(top, propagate_down, bottom);
    if (!propagate_down[0]) return;
    with_values<Dtype>(format, [&](auto values) { backward(values, top, bottom[0]); });
  }

 private:
  template <typename T>
  void backward(const Values<Dtype, T>& values, const Blobs& top, Blob<Dtype>* bottom) {
    const bool in_place = top[0] == bottom;
    const T* const f = values.data(*bottom);
    if (in_place && !this->checked_) {
      this->check_untouched(maap::Device::kGPU, first_pixels(*bottom, f), rounding(values));
    }
    const T* const gradient = values.diff(*top[0]);
    const Dtype* const a_gradient = top.size() > 1 ? top[1]->gpu_diff() : nullptr;
    const Dtype* const a = this->attention_.gpu_data();
    T* const f_gradient = values.mutable_diff(bottom);
    if constexpr (Values<Dtype, T>::kHalf) {
      maap::enhance_halves_backward(shape(*bottom), gradient, a_gradient, f, in_place, a,
                                    f_gradient);
    } else {
      maap::enhance_backward(maap::Device::kGPU, shape(*bottom), gradient, a_gradient, f, in_place,
                             a, f_gradient);
    }
  }

  std::vector<Dtype> first_pixels(const Blob<Dtype>& f, const Dtype* values) {
    return Base::first_pixels(maap::Device::kGPU, f, values, true);
  }
  /// Values of 16 bits become plain ones, once.
  template <typename T>
  std::vector<Dtype> first_pixels(const Blob<Dtype>& f, const T*) {
    return Base::first_pixels(maap::Device::kGPU, f, f.gpu_data(), false);
  }
  template <typename T>
  static double rounding(const Values<Dtype, T>& values) {
    if (!Values<Dtype, T>::kHalf) return 0;
    return values.kType == ValueType::kFloat16 ? 1. / 2048 : 1. / 256;
  }
  static maap::FeatureShape shape(const Blob<Dtype>& f) {
    return {f.shape(0), f.shape(1), f.count(2), true};
  }
};

template <typename Dtype>
shared_ptr<Layer<Dtype>> make(const LayerParameter& param) {
  return shared_ptr<Layer<Dtype>>(new OrderedEnhancementLayer<Dtype>(param));
}

const bool offered =
    (EngineChoice<float>::offer(Library::kCudnn, "Enhancement", make<float>),
     EngineChoice<double>::offer(Library::kCudnn, "Enhancement", make<double>), true);

}  // namespace
}  // namespace caffe
