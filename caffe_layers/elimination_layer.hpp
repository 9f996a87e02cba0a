#ifndef MAAP_LAYERS_ELIMINATION_LAYER_HPP_
#define MAAP_LAYERS_ELIMINATION_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/syncedmem.hpp"
#include "kernels/device.hpp"
#include "kernels/region.hpp"
#include "kernels/render.hpp"

namespace caffe {

/// High-level attention (MAAP, eq. 4 to 8): finds the region that a high layer attends to and
/// removes the rest from the input.
///
///   bottom[0] F (N, C, h, w), of a high layer
///   bottom[1] D (N, K, H, W), the input data
///   top[0]    D* = A* D (N, K, H, W), A* by elimination_param.a_star
///   top[1]    R (N, 4): x1, y1, x2, y2 in pixels of D, half-open; optional
///   top[2]    A (N, 1, H, W): sigmoid of F's mean over channels, bilinear at D's size; optional
///   top[3]    S (N, 5), optional: threshold, least and greatest value of the map, pixels of the
///             component, 1 if the map was flat and R is therefore the whole image (else 0)
///
/// region.hpp says how R is found, and what the other fields of elimination_param change in that; a
/// value that none of them may have throws maap::Error. A and R are constants in the backward pass:
/// dD = A* dD* (for ROI the adjoint of crop and resize). F gets no gradient, and gradients of R, A
/// and S are ignored. No top may be a bottom. A NaN or an infinity in a map throws maap::Error,
/// which names the layer and the image.
template <typename Dtype>
class EliminationLayer : public Layer<Dtype> {
 public:
  explicit EliminationLayer(const LayerParameter& param) : Layer<Dtype>(param) {}
  void LayerSetUp(const std::vector<Blob<Dtype>*>& bottom,
                  const std::vector<Blob<Dtype>*>& top) override;
  void Reshape(const std::vector<Blob<Dtype>*>& bottom,
               const std::vector<Blob<Dtype>*>& top) override;
  const char* type() const override { return "Elimination"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 4; }
  bool AllowForceBackward(const int bottom_index) const override { return bottom_index == 1; }

 protected:
  void Forward_cpu(const std::vector<Blob<Dtype>*>& bottom,
                   const std::vector<Blob<Dtype>*>& top) override;
  void Forward_gpu(const std::vector<Blob<Dtype>*>& bottom,
                   const std::vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const std::vector<Blob<Dtype>*>& top, const std::vector<bool>& propagate_down,
                    const std::vector<Blob<Dtype>*>& bottom) override;
  void Backward_gpu(const std::vector<Blob<Dtype>*>& top, const std::vector<bool>& propagate_down,
                    const std::vector<Blob<Dtype>*>& bottom) override;

 private:
  void forward(maap::Device device, const std::vector<Blob<Dtype>*>& bottom,
               const std::vector<Blob<Dtype>*>& top);
  void backward(maap::Device device, const Blob<Dtype>& top,
                const std::vector<bool>& propagate_down, const std::vector<Blob<Dtype>*>& bottom);

  maap::AStar a_star_ = maap::AStar::kRoi;
  maap::RegionRule rule_;
  maap::RegionShape shape_ = {0, 0, 0, 0, 0};
  Blob<Dtype> map_;                    // (N, 1, h, w)
  Blob<Dtype> attention_;              // (N, 1, H, W)
  Blob<Dtype> regions_;                // (N, 4)
  Blob<Dtype> stats_;                  // (N, 5)
  std::unique_ptr<SyncedMemory> bad_;  // N ints
  std::unique_ptr<SyncedMemory> workspace_;
};

}  // namespace caffe

#endif  // MAAP_LAYERS_ELIMINATION_LAYER_HPP_
