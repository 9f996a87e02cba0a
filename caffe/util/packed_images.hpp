#ifndef CAFFE_UTIL_PACKED_IMAGES_HPP_
#define CAFFE_UTIL_PACKED_IMAGES_HPP_

// Images on their way to the GPU: as bytes, a quarter of what their values take. A data layer's
// threads copy the part of each image that is used into a batch of bytes, in the order in which it
// is stored, with what must be done to it; the GPU makes the values. They are those that
// DataTransformer::transform writes, bit for bit.

#include "caffe/blob.hpp"
#include "kernels/device.hpp"

namespace caffe {

/// How the bytes of one image become values of shape channels x height x width.
struct PackedImage {
  int interleaved;          // the bytes are pixel by pixel; otherwise plane by plane
  int mirror;               // columns, those of the mean as well, are taken from right to left
  int mean_top, mean_left;  // position of the first pixel in an image of means
  // The rows and columns that exist, the last ones excluded; all other values are 0.
  int top, left, bottom, right;
};

/// A batch of images as bytes, each in channels * height * width of them.
struct PackedBatch {
  int images, channels, height, width;
  const PackedImage* how;       // [images]
  const unsigned char* pixels;  // [images, channels * height * width]
};

/// y = (x - mean) scale for each pixel of packed images.
template <typename Dtype>
class PixelTransform {
 public:
  PixelTransform() : PixelTransform(vector<Dtype>(), Dtype(1)) {}
  /// `means`: none, one, or one per channel.
  PixelTransform(const vector<Dtype>& means, Dtype scale);
  /// `mean`: an image of 1 x channels x height x width.
  PixelTransform(const Blob<Dtype>& mean, Dtype scale);

  /// Writes images * channels * height * width values. The batch and y are on that device.
  void run(maap::Device device, const PackedBatch& batch, Dtype* y) const;

 private:
  shared_ptr<Blob<Dtype>> mean_;
  Dtype scale_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_PACKED_IMAGES_HPP_
