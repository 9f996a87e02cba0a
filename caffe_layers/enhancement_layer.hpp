#ifndef MAAP_LAYERS_ENHANCEMENT_LAYER_HPP_
#define MAAP_LAYERS_ENHANCEMENT_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "kernels/device.hpp"

namespace caffe {

/// Low-level attention (MAAP, eq. 1 to 3): strengthens a feature map where its channels agree.
///
///   bottom[0] F (N, C, h, w)
///   top[0]    F' = (1 + A) F, same shape; may be bottom[0] (in place)
///   top[1]    A = sigmoid(mean over the channels of F), (N, 1, h, w); optional
///
/// A is a function of F and is differentiated as one, also through top[1]:
///   dF_c = (1 + A) g_c + A (1 - A) / C * (sum_k g_k F_k + dL/dA)
/// In place, F is recovered as F' / (1 + A), so only A is kept: 1/C of the blob. That requires F'
/// as this layer wrote it. A later layer may work in place on it only if it does not change the
/// values of F' that came from F >= 0 (ReLU does not, Dropout does); the first backward pass checks
/// this and throws otherwise.
template <typename Dtype>
class EnhancementLayer : public Layer<Dtype> {
 public:
  explicit EnhancementLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const std::vector<Blob<Dtype>*>& bottom,
                  const std::vector<Blob<Dtype>*>& top) override;
  void Reshape(const std::vector<Blob<Dtype>*>& bottom,
               const std::vector<Blob<Dtype>*>& top) override;
  const char* type() const override { return "Enhancement"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }

 protected:
  void Forward_cpu(const std::vector<Blob<Dtype>*>& bottom,
                   const std::vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const std::vector<Blob<Dtype>*>& bottom,
                   const std::vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const std::vector<Blob<Dtype>*>& top, const std::vector<bool>& propagate_down,
                    const std::vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const std::vector<Blob<Dtype>*>& top, const std::vector<bool>& propagate_down,
                    const std::vector<Blob<Dtype>*>& bottom) override;

  /// The values (N, C) of each image's first pixel; `values` are those of f, plane by plane or with
  /// the channels last.
  static std::vector<Dtype> first_pixels(maap::Device device, const Blob<Dtype>& f,
                                         const Dtype* values, bool channels_last);
  /// Throws if F' is not what the forward pass wrote. `f` (N, C) has its values at each image's
  /// first pixel, each off by at most `rounding` of its size.
  void check_untouched(maap::Device device, const std::vector<Dtype>& f, double rounding = 0);

  Blob<Dtype> attention_;  // (N, 1, h, w)
  bool checked_ = false;   // whether the first backward pass in place has checked

 private:
  void forward(maap::Device device, const Blob<Dtype>& bottom,
               const std::vector<Blob<Dtype>*>& top);
  void backward(maap::Device device, const std::vector<Blob<Dtype>*>& top, Blob<Dtype>* bottom);
};

}  // namespace caffe

#endif  // MAAP_LAYERS_ENHANCEMENT_LAYER_HPP_
