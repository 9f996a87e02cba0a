#ifndef CAFFE_LAYERS_MOBILE_INNER_CONVOLUTION_HPP_
#define CAFFE_LAYERS_MOBILE_INNER_CONVOLUTION_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/needs_gpu_memory.hpp"

namespace caffe {

/// A layer that is a Convolution with other parameters: it makes that Convolution at set-up, whose
/// learnt blobs are its own, and gives it all work. So it computes as fast, by the library that
/// the field `engine` of convolution_param chooses.
template <typename Dtype>
class InnerConvolutionLayer : public Layer<Dtype>, public NeedsGpuMemory {
 public:
  using typename Layer<Dtype>::Blobs;
  using Layer<Dtype>::Layer;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override { inner_->Reshape(bottom, top); }
  int MinBottomBlobs() const override { return 1; }
  int MinTopBlobs() const override { return 1; }
  bool EqualNumBottomTopBlobs() const override { return true; }
  size_t own_bytes() const override { return own_bytes_of(*inner_); }
  size_t workspace_bytes() const override { return workspace_bytes_of(*inner_); }

 protected:
  // The Convolution chooses the device by the thread's mode, for these and for Forward_gpu and
  // Backward_gpu, which call them.
  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

  /// Changes the layer's own parameters to those of the Convolution.
  virtual void change(const Blobs& bottom, ConvolutionParameter* param) const = 0;

 private:
  shared_ptr<Layer<Dtype>> inner_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_MOBILE_INNER_CONVOLUTION_HPP_
