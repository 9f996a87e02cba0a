#include "caffe/layers/in_place.hpp"
#include "caffe/layers/lstm_layer.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/vector_math.hpp"
#include "kernels/sigmoid.hpp"

namespace caffe {

namespace {

/// The gates of one cell. `inputs` points to the cell's i' in a row of 4 dim values. Without a
/// branch around the sigmoid, so that the compiler vectorises it.
template <typename T>
struct Gates {
  T i, f, o, g;
  CAFFE_HD Gates(const T* inputs, int dim, T cont) {
    i = maap::sigmoid(inputs[0]);
    const T open = maap::sigmoid(inputs[dim]);
    f = cont == T(0) ? T(0) : cont * open;
    o = maap::sigmoid(inputs[2 * dim]);
    g = vector_tanh(inputs[3 * dim]);
  }
};

/// Cell k of stream n, which has the cells [n dim, (n + 1) dim), has its i' at 3 n dim + k.
template <typename T>
struct LSTMUnitForward {
  int dim;
  const T* c_before;  // [N, dim]
  const T* inputs;    // [N, 4 dim]
  const T* cont;      // [N]
  T* c;               // [N, dim]
  T* h;               // [N, dim]
  CAFFE_HD void operator()(int n, int k) const {
    const Gates<T> gate(inputs + 3 * n * dim + k, dim, cont[n]);
    const T stored = c_before[k];  // read in any case, so that the compiler vectorises the loop
    const T before = cont[n] == T(0) ? T(0) : stored;  // 0 times NaN would be NaN
    const T cell = gate.f * before + gate.i * gate.g;
    c[k] = cell;
    h[k] = gate.o * vector_tanh(cell);
  }
};

template <typename T>
struct LSTMUnitBackward {
  int dim;
  const T* c_before;  // [N, dim]
  const T* inputs;    // [N, 4 dim]
  const T* cont;      // [N]
  const T* c;         // [N, dim]
  const T* dc_above;  // [N, dim]
  const T* dh;        // [N, dim]
  T* dc_before;       // [N, dim]
  T* dinputs;         // [N, 4 dim]
  CAFFE_HD void operator()(int n, int k) const {
    const int row = 3 * n * dim + k;
    const Gates<T> gate(inputs + row, dim, cont[n]);
    const T tanh_c = vector_tanh(c[k]), above = dh[k];
    const T dc = dc_above[k] + above * gate.o * (T(1) - tanh_c * tanh_c);
    const T stored = c_before[k], passed = dc * gate.f;
    const T before = cont[n] == T(0) ? T(0) : stored;
    dc_before[k] = cont[n] == T(0) ? T(0) : passed;
    dinputs[row] = dc * gate.g * gate.i * (T(1) - gate.i);
    dinputs[row + dim] = dc * before * gate.f * (T(1) - gate.f);
    dinputs[row + 2 * dim] = above * tanh_c * gate.o * (T(1) - gate.o);
    dinputs[row + 3 * dim] = dc * gate.i * (T(1) - gate.g * gate.g);
  }
};

}  // namespace

template <typename Dtype>
void LSTMUnitLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
}

template <typename Dtype>
void LSTMUnitLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& cells = *bottom[0];
  CAFFE_CHECK(cells.num_axes() == 3 && cells.shape(0) == 1,
              this->name() << "bottom 0, the cells before the step, has shape "
                           << cells.shape_string() << " and should be 1 x N x D");
  const int streams = cells.shape(1);
  hidden_dim_ = cells.shape(2);
  CAFFE_CHECK(bottom[1]->shape() == (vector<int>{1, streams, 4 * hidden_dim_}),
              this->name() << "bottom 1, the gates' inputs, has shape " << bottom[1]->shape_string()
                           << " and should be 1 x N x 4D for cells of shape "
                           << cells.shape_string());
  CAFFE_CHECK(bottom[2]->shape() == (vector<int>{1, streams}),
              this->name() << "bottom 2, which tells where a sequence continues, has shape "
                           << bottom[2]->shape_string() << " and should be 1 x N for cells of "
                           << "shape " << cells.shape_string());
  top[0]->ReshapeLike(cells);
  top[1]->ReshapeLike(cells);
}

template <typename Dtype>
void LSTMUnitLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  parallel_planes(
      bottom[0]->shape(1), hidden_dim_,
      LSTMUnitForward<Dtype>{hidden_dim_, bottom[0]->active_data(), bottom[1]->active_data(),
                             bottom[2]->active_data(), top[0]->mutable_active_data(),
                             top[1]->mutable_active_data()});
}

template <typename Dtype>
void LSTMUnitLayer<Dtype>::Backward_any(const Blobs& top, const vector<bool>& propagate_down,
                                        const Blobs& bottom) {
  CAFFE_CHECK(!propagate_down[2], this->name() << "bottom 2, which tells where a sequence "
                                               << "continues, has no gradient");
  if (!propagate_down[0] && !propagate_down[1]) return;
  parallel_planes(
      bottom[0]->shape(1), hidden_dim_,
      LSTMUnitBackward<Dtype>{hidden_dim_, bottom[0]->active_data(), bottom[1]->active_data(),
                              bottom[2]->active_data(), top[0]->active_data(),
                              top[0]->active_diff(), top[1]->active_diff(),
                              bottom[0]->mutable_active_diff(), bottom[1]->mutable_active_diff()});
}

INSTANTIATE_CLASS(LSTMUnitLayer);
REGISTER_LAYER_CLASS(LSTMUnit);

}  // namespace caffe
