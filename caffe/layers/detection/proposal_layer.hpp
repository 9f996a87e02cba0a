#ifndef CAFFE_LAYERS_DETECTION_PROPOSAL_LAYER_HPP_
#define CAFFE_LAYERS_DETECTION_PROPOSAL_LAYER_HPP_

#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layers/detection/anchors.hpp"

namespace caffe {

/// Regions from the maps of a region proposal network (Faster R-CNN; PVANet's layer in C++). With A
/// anchors, as many as ratio has values times scale: bottom[0] is N x 2A x H x W, of which the last
/// A channels score objects; bottom[1] N x 4A x H x W: dx, dy, log dw, log dh of each anchor;
/// bottom[2] the images' height, width and scale, and a second scale for x if the first is for y
/// alone: N rows, or one for all. top[0] is R x 5: index of the image in the batch, x1, y1, x2, y2
/// in pixels of the net's input; top[1], optional, R scores.
///
/// In each image the anchors, moved by feat_stride at each place of the map, become boxes, which
/// are cut at the image's edges. A box less than min_size * scale wide or high gets score 0, as
/// does one whose score is NaN. The pre_nms_topn of the greatest score (of equal ones, the first in
/// the order row, column, anchor) go through suppress_overlaps with nms_thresh; at most
/// post_nms_topn stay. No gradient: it is 0. Runs on the host.
template <typename Dtype>
class ProposalLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  using Layer<Dtype>::Layer;
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  void Reshape(const Blobs& bottom, const Blobs& top) override;
  const char* type() const override { return "Proposal"; }
  int ExactNumBottomBlobs() const override { return 3; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }
  bool AllowForceBackward(int) const override { return false; }

 protected:
  struct Candidate {
    Dtype score;
    int order;
    PixelBox<Dtype> box;
  };
  /// An image's size and the smallest sides that count.
  struct Limits {
    Dtype height, width, least_height, least_width;
  };

  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Backward_cpu(const Blobs& top, const std::vector<bool>& propagate_down,
                    const Blobs& bottom) override;

 private:
  Limits limits(const Blob<Dtype>& info, int image) const;
  std::vector<Candidate> candidates(const Blobs& bottom, int image) const;
  /// The best candidates of an image that do not overlap, the greatest score first.
  std::vector<Candidate> proposals(const Blobs& bottom, int image) const;

  std::vector<PixelBox<Dtype>> anchors_;
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_PROPOSAL_LAYER_HPP_
