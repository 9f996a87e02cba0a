#ifndef CAFFE_LAYERS_DETECTION_REGION_BINS_HPP_
#define CAFFE_LAYERS_DETECTION_REGION_BINS_HPP_

#include <cmath>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"

namespace caffe {

/// The bins of regions, for kernels: which values of a map each bin covers. A span is two numbers,
/// the first index and the one after the last; both ascend with the bin. It may be empty.
struct Bins {
  int regions, height, width;  // height x width bins in each region
  const int* image;            // [regions], its index in the batch
  const int* rows;             // [regions, height, 2]
  const int* columns;          // [regions, width, 2]
};

/// Divides regions into bins, on the host: the roundings of ROIPooling and PSROIPooling then are
/// the same on every device.
class RegionBins {
 public:
  /// `rois` is R x 5: index of the image in the batch, x1, y1, x2, y2. `maps` is N x C x H x W, of
  /// which the bins are. Rule is
  ///   void operator()(Dtype from, Dtype to, int length, int bins, int* spans) const
  /// and writes the spans of an axis of that length, for a region from `from` to `to`. Throws an
  /// Error that names the layer, region and value if an image is not in the batch or a coordinate
  /// is not a finite number.
  template <typename Dtype, typename Rule>
  void set(const Layer<Dtype>& layer, const Blob<Dtype>& rois, const Blob<Dtype>& maps, int height,
           int width, const Rule& rule);
  /// The bins where the thread's mode computes.
  Bins active() const;
  /// Their size in bytes.
  size_t bytes() const;

 private:
  int height_ = 0, width_ = 0;
  Blob<int> image_, rows_, columns_;
};

/// Throws an Error unless maps have four axes and regions five values each, R x 5 x 1 x 1 included.
template <typename Dtype>
void check_regions(const Layer<Dtype>& layer, const Blob<Dtype>& maps, const Blob<Dtype>& rois) {
  CAFFE_CHECK(maps.num_axes() == 4, layer.name() << "bottom 0, the maps, needs four axes, N x C x "
                                                 << "H x W; it is " << maps.shape_string());
  CAFFE_CHECK(rois.num_axes() >= 2 && rois.count(1) == 5,
              layer.name() << "bottom 1, the regions, needs five values for each: image, x1, y1, "
                           << "x2, y2; it is " << rois.shape_string());
}

/// `place` as an index of an axis of that length, or as its end. NaN becomes 0.
template <typename Dtype>
int within(Dtype place, int length) {
  if (!(place > Dtype(0))) return 0;
  return place < Dtype(length) ? static_cast<int>(place) : length;
}

/// The image of region r. Throws as RegionBins::set.
template <typename Dtype>
int checked_image(const Layer<Dtype>& layer, const Dtype* roi, int r, int images) {
  for (int k = 1; k < 5; ++k) {
    CAFFE_CHECK(std::isfinite(roi[k]), layer.name() << "region " << r << " of bottom 1 has the "
                                                    << "coordinate " << roi[k]);
  }
  CAFFE_CHECK(roi[0] >= Dtype(0) && roi[0] < Dtype(images),
              layer.name() << "region " << r << " of bottom 1 is of image " << roi[0]
                           << ", and the batch has " << images << " (counted from 0)");
  return static_cast<int>(roi[0]);
}

template <typename Dtype, typename Rule>
void RegionBins::set(const Layer<Dtype>& layer, const Blob<Dtype>& rois, const Blob<Dtype>& maps,
                     int height, int width, const Rule& rule) {
  const int regions = rois.shape(0);
  height_ = height;
  width_ = width;
  image_.Reshape(vector<int>{regions});
  rows_.Reshape({regions, height, 2});
  columns_.Reshape({regions, width, 2});
  const Dtype* roi = rois.cpu_data();
  int* const image = image_.mutable_cpu_data();
  int* rows = rows_.mutable_cpu_data();
  int* columns = columns_.mutable_cpu_data();
  for (int r = 0; r < regions; ++r) {
    image[r] = checked_image(layer, roi, r, maps.shape(0));
    rule(roi[2], roi[4], maps.shape(2), height, rows);
    rule(roi[1], roi[3], maps.shape(3), width, columns);
    roi += 5;
    rows += 2 * height;
    columns += 2 * width;
  }
}

inline Bins RegionBins::active() const {
  return {image_.count(),        height_, width_, image_.active_data(), rows_.active_data(),
          columns_.active_data()};
}

inline size_t RegionBins::bytes() const {
  return sizeof(int) * (static_cast<size_t>(image_.count()) + rows_.count() + columns_.count());
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_DETECTION_REGION_BINS_HPP_
