#include "caffe/layers/tile_layer.hpp"

#include "caffe/layers/axis.hpp"
#include "caffe/layers/in_place.hpp"
#include "caffe/util/copy_rows.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// One value of the bottom.
template <typename T>
struct SumOfTiles {
  int tiles, length;
  const T* dy;  // [rows, tiles, length]
  T* dx;        // [rows, length]
  CAFFE_HD void operator()(int i) const {
    const T* const from = dy + (i / length * tiles) * length + i % length;
    T sum = from[0];
    for (int t = 1; t < tiles; ++t) sum += from[t * length];
    dx[i] = sum;
  }
};

/// One row of the bottom, tile by tile: the compiler vectorises this, which takes a quarter of the
/// time.
template <typename T>
struct RowOfTiles {
  int tiles, length;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row) const {
    T* const to = dx + row * length;
    for (int t = 0; t < tiles; ++t) {
      const T* const from = dy + (row * tiles + t) * length;
      MAAP_SIMD for (int i = 0; i < length; ++i) to[i] = t == 0 ? from[i] : to[i] + from[i];
    }
  }
};

}  // namespace

template <typename Dtype>
void TileLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const int tiles = this->layer_param_.tile_param().tiles();
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(tiles >= 1, this->name()
                              << "tile_param.tiles is " << tiles << "; it must be at least 1");
}

template <typename Dtype>
void TileLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const TileParameter& param = this->layer_param_.tile_param();
  axis_ = axis_of(*this, *bottom[0], param.axis());
  std::vector<int> shape = bottom[0]->shape();
  const int64_t length = static_cast<int64_t>(shape[axis_]) * param.tiles();
  CAFFE_CHECK(length <= INT_MAX, this->name()
                                     << "axis " << axis_ << " would be " << length << " long");
  shape[axis_] = static_cast<int>(length);
  top[0]->Reshape(shape);
}

template <typename Dtype>
void TileLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const int tiles = this->layer_param_.tile_param().tiles();
  const int length = bottom[0]->count(axis_), rows = bottom[0]->count(0, axis_);
  Dtype* const y = top[0]->mutable_active_data();
  for (int t = 0; t < tiles; ++t) {
    copy_rows(rows, length, bottom[0]->active_data(), length, y + t * length, tiles * length);
  }
}

template <typename Dtype>
void TileLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const int length = bottom[0]->count(axis_), rows = bottom[0]->count(0, axis_);
  const int tiles = this->layer_param_.tile_param().tiles();
  const Dtype* const dy = top[0]->active_diff();
  Dtype* const dx = bottom[0]->mutable_active_diff();
  parallel_for(current_device(), rows, static_cast<int64_t>(tiles) * length,
               RowOfTiles<Dtype>{tiles, length, dy, dx}, bottom[0]->count(),
               SumOfTiles<Dtype>{tiles, length, dy, dx});
}

INSTANTIATE_CLASS(TileLayer);
REGISTER_LAYER_CLASS(Tile);

}  // namespace caffe
