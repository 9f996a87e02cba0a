// Enhancement (caffe_layers/enhancement_layer.hpp) on a GPU in the order of values that its bottom
// has (caffe/util/value_order.hpp).

#include <vector>

#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/value_order.hpp"
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
    if (data_order(*bottom[0]) == Order::kNchw) return Base::Forward_gpu(bottom, top);
    const Dtype* const f = data_in(Order::kNhwc, *bottom[0]);
    maap::enhance(maap::Device::kGPU, shape(*bottom[0]), f, mutable_data_in(Order::kNhwc, top[0]),
                  this->attention_.mutable_gpu_data());
    if (top.size() > 1) top[1]->CopyFrom(this->attention_);
  }

  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    if (data_order(*bottom[0]) == Order::kNchw) {
      return Base::Backward_gpu(top, propagate_down, bottom);
    }
    if (!propagate_down[0]) return;
    const bool in_place = top[0] == bottom[0];
    const Dtype* const f = data_in(Order::kNhwc, *bottom[0]);
    if (in_place && !this->checked_) {
      this->check_untouched(maap::Device::kGPU,
                            this->first_pixels(maap::Device::kGPU, *bottom[0], f, true));
    }
    const Dtype* const gradient = diff_in(Order::kNhwc, *top[0]);
    maap::enhance_backward(maap::Device::kGPU, shape(*bottom[0]), gradient,
                           top.size() > 1 ? top[1]->gpu_diff() : nullptr, f, in_place,
                           this->attention_.gpu_data(), mutable_diff_in(Order::kNhwc, bottom[0]));
  }

 private:
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
