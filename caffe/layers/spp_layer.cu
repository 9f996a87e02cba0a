#include "caffe/layers/spp_layer.hpp"

#include "caffe/layers/in_place.hpp"
#include "caffe/util/copy_rows.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct Add {
  const T* x;
  T* sum;
  CAFFE_HD void operator()(int i) const { sum[i] += x[i]; }
};

/// How `bins` windows cover a length.
struct Bins {
  int kernel, pad;
  Bins(int length, int bins)
      : kernel(length / bins + (length % bins != 0)), pad((kernel * bins - length + 1) / 2) {}
};

}  // namespace

template <typename Dtype>
void SPPLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs&) {
  CAFFE_CHECK(this->layer_param_.spp_param().pyramid_height() > 0,
              this->name() << "pyramid_height is missing or 0");
  levels_.clear();
}

template <typename Dtype>
std::shared_ptr<typename SPPLayer<Dtype>::Level> SPPLayer<Dtype>::make_level(int index, int height,
                                                                             int width) const {
  const Bins rows(height, 1 << index), columns(width, 1 << index);
  CAFFE_CHECK(rows.pad < rows.kernel && columns.pad < columns.kernel,
              this->name() << "planes of " << height << " x " << width << " are too small for "
                           << this->layer_param_.spp_param().pyramid_height() << " levels: level "
                           << index << " has " << (1 << index) << " x " << (1 << index)
                           << " bins; lower pyramid_height to " << index << " or less");
  LayerParameter param(this->layer_param_);
  param.set_type("Pooling");
  param.clear_loss_weight();
  param.clear_spp_param();
  const SPPParameter& spp = this->layer_param_.spp_param();
  PoolingParameter* const pooling = param.mutable_pooling_param();
  pooling->Clear();
  pooling->set_pool(static_cast<PoolingParameter::PoolMethod>(spp.pool()));
  pooling->set_engine(static_cast<PoolingParameter::Engine>(spp.engine()));
  pooling->set_kernel_h(rows.kernel);
  pooling->set_stride_h(rows.kernel);
  pooling->set_pad_h(rows.pad);
  pooling->set_kernel_w(columns.kernel);
  pooling->set_stride_w(columns.kernel);
  pooling->set_pad_w(columns.pad);
  auto level = std::make_shared<Level>();
  level->pooling = LayerRegistry<Dtype>::CreateLayer(param);
  level->bottom = {&level->input};
  level->top = {&level->output};
  return level;
}

template <typename Dtype>
void SPPLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom[0]->num_axes() == 4 && bottom[0]->count() > 0,
              this->name() << "takes a blob of four axes, N x C x H x W, that is not empty; the "
                           << "bottom is " << bottom[0]->shape_string());
  const int height = bottom[0]->shape(2), width = bottom[0]->shape(3);
  const bool changed = levels_.empty() || height != height_ || width != width_;
  if (changed) {
    std::vector<std::shared_ptr<Level>> levels;
    const unsigned count = this->layer_param_.spp_param().pyramid_height();
    for (unsigned l = 0; l < count; ++l) levels.push_back(make_level(l, height, width));
    levels_.swap(levels);
    height_ = height;
    width_ = width;
  }
  int64_t length = 0;
  for (const auto& level : levels_) {
    level->input.ReshapeLike(*bottom[0]);
    if (changed) {
      level->pooling->SetUp(level->bottom, level->top);
    } else {
      level->pooling->Reshape(level->bottom, level->top);
    }
    length += level->output.count(1);
  }
  CAFFE_CHECK(length <= INT_MAX, this->name() << "axis 1 would be " << length << " long");
  std::vector<int> shape = {bottom[0]->shape(0), static_cast<int>(length)};
  if (levels_.size() == 1) shape.insert(shape.end(), {1, 1});
  top[0]->Reshape(shape);
}

template <typename Dtype>
void SPPLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  Dtype* y = top[0]->mutable_active_data();
  for (const auto& level : levels_) {
    level->input.ShareData(*bottom[0]);
    level->pooling->Forward(level->bottom, level->top);
    const int length = level->output.count(1);
    copy_rows(level->output.shape(0), length, level->output.active_data(), length, y,
              top[0]->count(1));
    y += length;
  }
}

template <typename Dtype>
void SPPLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                   const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* dy = top[0]->active_diff();
  Dtype* dx = nullptr;
  for (const auto& level : levels_) {
    const int length = level->output.count(1);
    copy_rows(level->output.shape(0), length, dy, top[0]->count(1),
              level->output.mutable_active_diff(), length);
    dy += length;
    if (dx == nullptr) {  // the first level writes, the others add
      level->pooling->Backward(level->top, {true}, {bottom[0]});
      dx = bottom[0]->mutable_active_diff();
    } else {
      level->pooling->Backward(level->top, {true}, level->bottom);
      parallel_for(bottom[0]->count(), Add<Dtype>{level->input.active_diff(), dx});
    }
  }
}

INSTANTIATE_CLASS(SPPLayer);
REGISTER_LAYER_CLASS(SPP);

}  // namespace caffe
