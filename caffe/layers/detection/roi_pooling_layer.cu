#include "caffe/layers/detection/roi_pooling_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// The spans of the bins of one axis, for RegionBins.
template <typename T>
struct WholeBins {
  T scale;
  void operator()(T from, T to, int length, int bins, int* spans) const {
    const T start = std::round(from * scale);
    const T size = std::max(std::round(to * scale) - start + T(1), T(1)) / static_cast<T>(bins);
    for (int p = 0; p < bins; ++p) {
      spans[2 * p] = within(start + std::floor(static_cast<T>(p) * size), length);
      spans[2 * p + 1] = within(start + std::ceil(static_cast<T>(p + 1) * size), length);
    }
  }
};

/// The largest value of one bin, for the GPU.
template <typename T>
struct LargestOfBin {
  Bins bins;
  int channels, height, width;
  const T* x;  // [num, channels, height, width]
  T* y;        // [regions, channels, bins]
  int* index;  // as y
  CAFFE_HD void operator()(int i) const {
    const int channel = i / bins.width / bins.height % channels;
    const int region = i / bins.width / bins.height / channels;
    const int* const rows = bins.rows + 2 * (region * bins.height + i / bins.width % bins.height);
    const int* const columns = bins.columns + 2 * (region * bins.width + i % bins.width);
    find(plane(region, channel), rows, columns, i);
  }
  CAFFE_HD const T* plane(int region, int channel) const {
    return x + (static_cast<int64_t>(bins.image[region]) * channels + channel) * height * width;
  }
  /// In two spans of `from`, for result i. Without branches on values: which is the largest cannot
  /// be predicted.
  CAFFE_HD void find(const T* from, const int* rows, const int* columns, int64_t i) const {
    T best = T(-INFINITY);
    int where = -1;
    for (int row = rows[0]; row < rows[1]; ++row) {
      for (int column = columns[0]; column < columns[1]; ++column) {
        const int at = row * width + column;
        const bool better = from[at] > best;
        best = better ? from[at] : best;
        where = better ? at : where;
      }
    }
    if (where < 0) {  // empty, or nothing but NaN and -inf
      const bool empty = rows[0] >= rows[1] || columns[0] >= columns[1];
      where = empty ? -1 : rows[0] * width + columns[0];
      best = empty ? T(0) : from[where];
    }
    y[i] = best;
    index[i] = where;
  }
};

/// All bins of one channel of a region, for the CPU: four divisions for each bin take longer than
/// its values.
template <typename T>
struct LargestOfBins {
  LargestOfBin<T> bin;
  CAFFE_HD void operator()(int i) const {
    const Bins& bins = bin.bins;
    const int region = i / bin.channels;
    const T* const from = bin.plane(region, i % bin.channels);
    const int* const rows = bins.rows + 2 * region * bins.height;
    const int* const columns = bins.columns + 2 * region * bins.width;
    int64_t at = static_cast<int64_t>(i) * bins.height * bins.width;
    for (int ph = 0; ph < bins.height; ++ph) {
      for (int pw = 0; pw < bins.width; ++pw, ++at) {
        bin.find(from, rows + 2 * ph, columns + 2 * pw, at);
      }
    }
  }
};

/// dx of one plane from its regions, for the CPU.
template <typename T>
struct ScatterMaxima {
  Bins bins;
  int channels, size;  // size = height * width
  const T* dy;         // [regions, channels, bins]
  const int* index;    // as dy
  T* dx;               // [num, channels, size]
  CAFFE_HD void operator()(int plane) const {
    const int image = plane / channels, channel = plane % channels;
    const int parts = bins.height * bins.width;
    T* const out = dx + static_cast<int64_t>(plane) * size;
    for (int i = 0; i < size; ++i) out[i] = T(0);
    for (int region = 0; region < bins.regions; ++region) {
      if (bins.image[region] != image) continue;
      const int64_t from = (static_cast<int64_t>(region) * channels + channel) * parts;
      for (int64_t i = from; i < from + parts; ++i) {
        if (index[i] >= 0) out[index[i]] += dy[i];
      }
    }
  }
};

/// One value of dx from the bins that cover it, in ScatterMaxima's order, for the GPU: there a
/// plane is too much work for a thread.
template <typename T>
struct GatherMaxima {
  Bins bins;
  int channels, height, width;
  const T* dy;
  const int* index;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const int column = i % width, row = i / width % height;
    const int channel = i / width / height % channels, image = i / width / height / channels;
    T sum = T(0);
    for (int region = 0; region < bins.regions; ++region) {
      const int* const rows = bins.rows + 2 * region * bins.height;
      const int* const columns = bins.columns + 2 * region * bins.width;
      if (bins.image[region] != image || row < rows[0] || row >= rows[2 * bins.height - 1] ||
          column < columns[0] || column >= columns[2 * bins.width - 1]) {
        continue;
      }
      const int64_t from =
          (static_cast<int64_t>(region) * channels + channel) * bins.height * bins.width;
      for (int ph = 0; ph < bins.height; ++ph) {
        if (row < rows[2 * ph] || row >= rows[2 * ph + 1]) continue;
        for (int pw = 0; pw < bins.width; ++pw) {
          const int64_t at = from + ph * bins.width + pw;
          if (index[at] == row * width + column) sum += dy[at];
        }
      }
    }
    dx[i] = sum;
  }
};

}  // namespace

template <typename Dtype>
void ROIPoolingLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const ROIPoolingParameter& param = this->layer_param_.roi_pooling_param();
  CAFFE_CHECK(param.pooled_h() > 0 && param.pooled_w() > 0 && param.pooled_h() <= 1024 &&
                  param.pooled_w() <= 1024,
              this->name() << "roi_pooling_param needs pooled_h and pooled_w, from 1 to 1024; they "
                           << "are " << param.pooled_h() << " and " << param.pooled_w());
  pooled_h_ = static_cast<int>(param.pooled_h());
  pooled_w_ = static_cast<int>(param.pooled_w());
  spatial_scale_ = param.spatial_scale();
  CAFFE_CHECK(std::isfinite(spatial_scale_), this->name() << "spatial_scale is " << spatial_scale_);
}

template <typename Dtype>
void ROIPoolingLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  check_regions(*this, *bottom[0], *bottom[1]);
  const std::vector<int> shape = {bottom[1]->shape(0), bottom[0]->shape(1), pooled_h_, pooled_w_};
  top[0]->Reshape(shape);
  index_.Reshape(shape);
}

template <typename Dtype>
void ROIPoolingLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& maps = *bottom[0];
  bins_.set(*this, *bottom[1], maps, pooled_h_, pooled_w_, WholeBins<Dtype>{spatial_scale_});
  const LargestOfBin<Dtype> bin = {bins_.active(),
                                   maps.shape(1),
                                   maps.shape(2),
                                   maps.shape(3),
                                   maps.active_data(),
                                   top[0]->mutable_active_data(),
                                   index_.mutable_active_data()};
  parallel_for(current_device(), top[0]->count(0, 2), maps.count(2) + top[0]->count(2),
               LargestOfBins<Dtype>{bin}, top[0]->count(), bin);
}

template <typename Dtype>
void ROIPoolingLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                          const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  if (!propagate_down[0]) return;
  const Blob<Dtype>& maps = *bottom[0];
  const Dtype* const dy = top[0]->active_diff();
  const int* const index = index_.active_data();
  const Bins bins = bins_.active();
  const int channels = maps.shape(1), height = maps.shape(2), width = maps.shape(3);
  Dtype* const dx = bottom[0]->mutable_active_diff();
  parallel_for(current_device(), maps.count(0, 2), maps.count(2) + top[0]->count(2) * bins.regions,
               ScatterMaxima<Dtype>{bins, channels, height * width, dy, index, dx}, maps.count(),
               GatherMaxima<Dtype>{bins, channels, height, width, dy, index, dx});
}

INSTANTIATE_CLASS(ROIPoolingLayer);
REGISTER_LAYER_CLASS(ROIPooling);

}  // namespace caffe
