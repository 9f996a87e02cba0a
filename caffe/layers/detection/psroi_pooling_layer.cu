#include "caffe/layers/detection/psroi_pooling_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// The spans of the bins of one axis, for RegionBins.
template <typename T>
struct FractionalBins {
  T scale;
  void operator()(T from, T to, int length, int bins, int* spans) const {
    const T start = std::round(from) * scale, end = (std::round(to) + T(1)) * scale;
    const T size = std::max(end - start, T(0.1)) / static_cast<T>(bins);
    for (int p = 0; p < bins; ++p) {
      spans[2 * p] = within(std::floor(static_cast<T>(p) * size + start), length);
      spans[2 * p + 1] = within(std::ceil(static_cast<T>(p + 1) * size + start), length);
    }
  }
};

/// Which values of a map a bin reads.
struct BinPart {
  const int *rows, *columns;  // two spans
  CAFFE_HD BinPart(const Bins& bins, int region, int ph, int pw)
      : rows(bins.rows + 2 * (region * bins.height + ph)),
        columns(bins.columns + 2 * (region * bins.width + pw)) {}
  CAFFE_HD bool holds(int row, int column) const {
    return row >= rows[0] && row < rows[1] && column >= columns[0] && column < columns[1];
  }
  CAFFE_HD int area() const {
    const bool empty = rows[1] <= rows[0] || columns[1] <= columns[0];
    return empty ? 0 : (rows[1] - rows[0]) * (columns[1] - columns[0]);
  }
};

template <typename T>
struct MeanOfBin {
  Bins bins;
  int outputs, height, width;
  const T* x;  // [num, outputs * bins, height, width]
  T* y;        // [regions, outputs, bins]
  CAFFE_HD void operator()(int i) const {
    const int channels = outputs * bins.height * bins.width;
    const int region = i / channels, channel = i % channels;
    const BinPart part(bins, region, i / bins.width % bins.height, i % bins.width);
    const T* const plane =
        x + (static_cast<int64_t>(bins.image[region]) * channels + channel) * height * width;
    T sum = T(0);
    for (int row = part.rows[0]; row < part.rows[1]; ++row) {
      for (int column = part.columns[0]; column < part.columns[1]; ++column) {
        sum += plane[row * width + column];
      }
    }
    const int area = part.area();
    y[i] = area == 0 ? T(0) : sum / static_cast<T>(area);
  }
};

/// dx of one plane from its regions, for the CPU.
template <typename T>
struct ScatterPlane {
  Bins bins;
  int channels, height, width;
  const T* dy;  // [regions, channels]
  T* dx;        // [num, channels, height, width]
  CAFFE_HD void operator()(int plane) const {
    const int image = plane / channels, channel = plane % channels;
    T* const out = dx + static_cast<int64_t>(plane) * height * width;
    for (int i = 0; i < height * width; ++i) out[i] = T(0);
    for (int region = 0; region < bins.regions; ++region) {
      if (bins.image[region] != image) continue;
      const BinPart part(bins, region, channel / bins.width % bins.height, channel % bins.width);
      const int area = part.area();
      if (area == 0) continue;
      const T share = dy[static_cast<int64_t>(region) * channels + channel] / static_cast<T>(area);
      for (int row = part.rows[0]; row < part.rows[1]; ++row) {
        for (int column = part.columns[0]; column < part.columns[1]; ++column) {
          out[row * width + column] += share;
        }
      }
    }
  }
};

/// One value of dx from the bins that cover it, in ScatterPlane's order, for the GPU: there a plane
/// is too much work for a thread.
template <typename T>
struct GatherBins {
  Bins bins;
  int channels, height, width;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int i) const {
    const int column = i % width, row = i / width % height;
    const int channel = i / width / height % channels, image = i / width / height / channels;
    T sum = T(0);
    for (int region = 0; region < bins.regions; ++region) {
      const BinPart part(bins, region, channel / bins.width % bins.height, channel % bins.width);
      if (bins.image[region] != image || !part.holds(row, column)) continue;
      sum += dy[static_cast<int64_t>(region) * channels + channel] / static_cast<T>(part.area());
    }
    dx[i] = sum;
  }
};

}  // namespace

template <typename Dtype>
void PSROIPoolingLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const PSROIPoolingParameter& param = this->layer_param_.psroi_pooling_param();
  CAFFE_CHECK(param.has_spatial_scale() && std::isfinite(param.spatial_scale()) &&
                  param.output_dim() > 0 && param.group_size() > 0 && param.group_size() <= 1024,
              this->name() << "psroi_pooling_param needs spatial_scale, output_dim (> 0) and "
                              "group_size (1 to 1024)");
  output_dim_ = param.output_dim();
  group_size_ = param.group_size();
  spatial_scale_ = param.spatial_scale();
}

template <typename Dtype>
void PSROIPoolingLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  check_regions(*this, *bottom[0], *bottom[1]);
  const int64_t channels = int64_t(output_dim_) * group_size_ * group_size_;
  CAFFE_CHECK(bottom[0]->shape(1) == channels,
              this->name() << "bottom 0 needs output_dim * group_size^2 = " << channels
                           << " channels; it is " << bottom[0]->shape_string());
  top[0]->Reshape({bottom[1]->shape(0), output_dim_, group_size_, group_size_});
}

template <typename Dtype>
void PSROIPoolingLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& maps = *bottom[0];
  bins_.set(*this, *bottom[1], maps, group_size_, group_size_,
            FractionalBins<Dtype>{spatial_scale_});
  const int inside = maps.count(2) / (group_size_ * group_size_) + 1;
  parallel_rows(top[0]->count(), inside,
                MeanOfBin<Dtype>{bins_.active(), output_dim_, maps.shape(2), maps.shape(3),
                                 maps.active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void PSROIPoolingLayer<Dtype>::Backward_any(const Blobs& top,
                                            const std::vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  if (!propagate_down[0]) return;
  const Blob<Dtype>& maps = *bottom[0];
  const Bins bins = bins_.active();
  const int channels = maps.shape(1), height = maps.shape(2), width = maps.shape(3);
  const Dtype* const dy = top[0]->active_diff();
  Dtype* const dx = bottom[0]->mutable_active_diff();
  parallel_for(current_device(), maps.count(0, 2), maps.count(2) + bins.regions,
               ScatterPlane<Dtype>{bins, channels, height, width, dy, dx}, maps.count(),
               GatherBins<Dtype>{bins, channels, height, width, dy, dx});
}

INSTANTIATE_CLASS(PSROIPoolingLayer);
REGISTER_LAYER_CLASS(PSROIPooling);

}  // namespace caffe
