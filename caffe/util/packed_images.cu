#include "caffe/util/packed_images.hpp"

#include <algorithm>

#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Means as one array: an image of them, or, with steps of 0, one per channel or one for all.
template <typename T>
struct Means {
  int plane, row, column;  // steps
  const T* values;
};

template <typename T>
struct PixelToValue {
  Divisor channels, height, width;
  Divisor area, image;          // height * width, channels * height * width
  const PackedImage* how;       // [images]
  const unsigned char* pixels;  // [images, channels * height * width]
  Means<T> means;
  T scale;
  T* y;  // [images, channels, height, width]
  CAFFE_HD void operator()(int i) const {
    const int n = i / image, c = i / area % channels, h = i / width % height, column = i % width;
    const PackedImage its = how[n];
    if (h < its.top || h >= its.bottom || column < its.left || column >= its.right) {
      y[i] = T(0);
      return;
    }
    const int w = its.mirror ? width - 1 - column : column;
    const int at = its.interleaved ? (h * width + w) * channels + c : c * area + h * width + w;
    const T mean = means.values[c * means.plane + (its.mean_top + h) * means.row +
                                (its.mean_left + w) * means.column];
    y[i] = (static_cast<T>(pixels[n * image + at]) - mean) * scale;
  }
};

}  // namespace

template <typename Dtype>
PixelTransform<Dtype>::PixelTransform(const vector<Dtype>& means, Dtype scale)
    : mean_(new Blob<Dtype>({std::max(1, static_cast<int>(means.size()))})), scale_(scale) {
  std::copy(means.begin(), means.end(), mean_->mutable_cpu_data());
}

template <typename Dtype>
PixelTransform<Dtype>::PixelTransform(const Blob<Dtype>& mean, Dtype scale)
    : mean_(new Blob<Dtype>(mean.shape())), scale_(scale) {
  std::copy_n(mean.cpu_data(), mean.count(), mean_->mutable_cpu_data());
}

template <typename Dtype>
void PixelTransform<Dtype>::run(maap::Device device, const PackedBatch& batch, Dtype* y) const {
  Means<Dtype> means{mean_->count() > 1 ? 1 : 0, 0, 0,
                     device == Device::kGPU ? mean_->gpu_data() : mean_->cpu_data()};
  if (mean_->num_axes() == 4) {
    means.plane = mean_->height() * mean_->width();
    means.row = mean_->width();
    means.column = 1;
  }
  const int area = batch.height * batch.width, image = batch.channels * area;
  parallel_for(device, int64_t(batch.images) * image,
               PixelToValue<Dtype>{batch.channels, batch.height, batch.width, area, image,
                                   batch.how, batch.pixels, means, scale_, y});
}

template class PixelTransform<float>;
template class PixelTransform<double>;

}  // namespace caffe
