#ifndef CAFFE_LAYERS_DETECTION_ANCHORS_HPP_
#define CAFFE_LAYERS_DETECTION_ANCHORS_HPP_

#include <vector>

namespace caffe {

/// A box in pixels. Both corners belong to it: it is x2 - x1 + 1 wide.
template <typename Dtype>
struct PixelBox {
  Dtype x1, y1, x2, y2;
  Dtype width() const { return x2 - x1 + Dtype(1); }
  Dtype height() const { return y2 - y1 + Dtype(1); }
};

/// The anchors of Faster R-CNN at the map's first place: for each ratio (height by width), for each
/// scale, a box around the centre of base_size x base_size pixels. Before scaling it is
/// round(sqrt(base_size^2 / ratio)) wide and round(width * ratio) high.
template <typename Dtype>
std::vector<PixelBox<Dtype>> make_anchors(int base_size, const std::vector<Dtype>& ratios,
                                          const std::vector<Dtype>& scales);

/// The indices of the boxes that stay, at most `most`, in their order: greedily, a box goes if its
/// intersection over union with one that stays exceeds `threshold`.
template <typename Dtype>
std::vector<int> suppress_overlaps(const std::vector<PixelBox<Dtype>>& boxes, Dtype threshold,
                                   int most);

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_ANCHORS_HPP_
