#include "caffe/layers/segmentation/upsample_layer.hpp"

#include <cstdint>
#include <limits>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct Repeat {
  int scale, width;  // of the top
  const T* x;
  T* y;
  CAFFE_HD void operator()(int row, int i) const {
    // Heights are multiples of the scale, so the row's plane needs no separate division.
    const int64_t from = static_cast<int64_t>(row / scale) * (width / scale);
    y[i] = x[from + (i - row * width) / scale];
  }
};

template <typename T>
struct SumOfRepeated {
  int scale, width;  // of the top
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const {
    const int w = i - row * (width / scale);
    T sum = T(0);
    for (int k = 0; k < scale; ++k) {
      const T* const from = dy + (static_cast<int64_t>(row) * scale + k) * width + w * scale;
      for (int j = 0; j < scale; ++j) sum += from[j];
    }
    dx[i] = sum;
  }
};

}  // namespace

template <typename Dtype>
void UpsampleLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs&) {
  const UpsampleParameter& p = this->layer_param_.upsample_param();
  const auto is_length = [](uint32_t value) {
    return value >= 1 && value <= static_cast<uint32_t>(std::numeric_limits<int>::max());
  };
  CAFFE_CHECK(is_length(p.scale()), this->name()
                                        << "scale is " << p.scale() << "; it must be at least 1");
  scale_ = p.has_scale() ? static_cast<int>(p.scale()) : 1;
  if (bottom.size() == 1) {
    CAFFE_CHECK(
        !p.has_scale_h() && !p.has_scale_w() && !p.pad_out_h() && !p.pad_out_w() &&
            !p.has_upsample_h() && !p.has_upsample_w(),
        this->name() << "with one bottom it repeats values `scale` times; scale_h, scale_w, "
                     << "pad_out and upsample_h, upsample_w need a second bottom, the "
                     << "places that a Pooling layer gives as its second top");
    return;
  }
  CAFFE_CHECK(p.has_upsample_h() == p.has_upsample_w(),
              this->name() << "give upsample_h and upsample_w both");
  CAFFE_CHECK(p.has_scale_h() == p.has_scale_w(), this->name() << "give scale_h and scale_w both");
  for (const uint32_t length :
       {p.has_scale_h() ? p.scale_h() : 1, p.has_scale_h() ? p.scale_w() : 1,
        p.has_upsample_h() ? p.upsample_h() : 1, p.has_upsample_h() ? p.upsample_w() : 1}) {
    CAFFE_CHECK(is_length(length), this->name()
                                       << "scale_h, scale_w, upsample_h and upsample_w must "
                                       << "be at least 1; one is " << length);
  }
}

template <typename Dtype>
std::vector<int> UpsampleLayer<Dtype>::size_of_places(int height, int width) const {
  const UpsampleParameter& p = this->layer_param_.upsample_param();
  if (p.has_upsample_h()) {
    return {static_cast<int>(p.upsample_h()), static_cast<int>(p.upsample_w())};
  }
  const int64_t down = p.has_scale_h() ? p.scale_h() : p.scale();
  const int64_t right = p.has_scale_w() ? p.scale_w() : p.scale();
  CAFFE_CHECK((!p.pad_out_h() || down == 2) && (!p.pad_out_w() || right == 2),
              this->name() << "pad_out_h and pad_out_w need a scale of 2; the scales are " << down
                           << " and " << right);
  const int64_t rows = height * down - (p.pad_out_h() ? 1 : 0);
  const int64_t columns = width * right - (p.pad_out_w() ? 1 : 0);
  const int64_t most = std::numeric_limits<int>::max();
  CAFFE_CHECK(rows <= most && columns <= most,
              this->name() << "a top of " << rows << " x " << columns << " is too large");
  return {static_cast<int>(rows), static_cast<int>(columns)};
}

template <typename Dtype>
void UpsampleLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  std::vector<int> shape = bottom[0]->shape();
  if (bottom.size() == 1) {
    CAFFE_CHECK(shape.size() >= 2, this->name()
                                       << "the bottom needs two axes at least; its shape is "
                                       << bottom[0]->shape_string());
    for (size_t a = shape.size() - 2; a < shape.size(); ++a) {
      CAFFE_CHECK(static_cast<int64_t>(shape[a]) * scale_ <= std::numeric_limits<int>::max(),
                  this->name() << "scale " << scale_ << " is too large for a bottom of shape "
                               << bottom[0]->shape_string());
      shape[a] *= scale_;
    }
    top[0]->Reshape(shape);
    return;
  }
  CAFFE_CHECK(shape.size() == 4, this->name() << "the bottom needs four axes, N x C x H x W; its "
                                              << "shape is " << bottom[0]->shape_string());
  CAFFE_CHECK(bottom[1]->shape() == shape,
              this->name() << "bottom 1, the places, has shape " << bottom[1]->shape_string()
                           << " and must have that of bottom 0, " << bottom[0]->shape_string());
  const std::vector<int> size = size_of_places(shape[2], shape[3]);
  shape[2] = size[0];
  shape[3] = size[1];
  top[0]->Reshape(shape);
}

template <typename Dtype>
void UpsampleLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  if (bottom.size() > 1) return places_.forward(this->name(), *bottom[0], *bottom[1], top[0]);
  if (top[0]->count() == 0) return;
  const int width = top[0]->shape(-1);
  parallel_planes(
      top[0]->count() / width, width,
      Repeat<Dtype>{scale_, width, bottom[0]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void UpsampleLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                        const Blobs& bottom) {
  zero_gradients(propagate_down, 1, bottom);
  if (!propagate_down[0] || bottom[0]->count() == 0) return;
  if (bottom.size() > 1) return places_.backward(*bottom[1], *top[0], bottom[0]);
  const int width = bottom[0]->shape(-1);
  parallel_planes(bottom[0]->count() / width, width,
                  SumOfRepeated<Dtype>{scale_, top[0]->shape(-1), top[0]->active_diff(),
                                       bottom[0]->mutable_active_diff()});
}

INSTANTIATE_CLASS(UpsampleLayer);
REGISTER_LAYER_CLASS(Upsample);

}  // namespace caffe
