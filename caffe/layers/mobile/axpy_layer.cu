#include "caffe/layers/mobile/axpy_layer.hpp"

#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

template <typename T>
struct AxpyForward {
  const T* a;  // [rows]
  const T* x;  // [rows, inner]
  const T* y;  // as x
  T* sum;      // as x
  CAFFE_HD void operator()(int row, int i) const { sum[i] = a[row] * x[i] + y[i]; }
};

template <typename T>
struct TimesA {
  const T* a;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const { dx[i] = a[row] * dy[i]; }
};

/// For channel_sums: dy x.
template <typename T>
struct TermsOfA {
  using Value = T;
  const T* x;
  const T* dy;
  template <typename W>
  CAFFE_HD Product<W> first(int, int i) const {
    return {W(dy[i]), W(x[i])};
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

template <typename T>
struct StoreOfA {
  T* da;
  CAFFE_HD void operator()(int row, double sum, double) const { da[row] = static_cast<T>(sum); }
};

}  // namespace

template <typename Dtype>
void AxpyLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>&a = *bottom[0], &x = *bottom[1], &y = *bottom[2];
  CAFFE_CHECK(x.num_axes() >= 2 && y.shape() == x.shape(),
              this->name() << "bottom 1 has shape " << x.shape_string() << " and bottom 2 "
                           << y.shape_string() << "; both must be N x C x ... of one shape");
  CAFFE_CHECK(a.num_axes() >= 2 && a.shape(0) == x.shape(0) && a.shape(1) == x.shape(1) &&
                  a.count() == x.count(0, 2),
              this->name() << "bottom 0 has shape " << a.shape_string() << "; it must have one "
                           << "value for each channel of bottom 1, " << x.shape(0) << " x "
                           << x.shape(1) << " or " << x.shape(0) << " x " << x.shape(1)
                           << " x 1 x 1");
  CAFFE_CHECK(top[0] != bottom[0] && top[0] != bottom[1],
              this->name() << "can work in place of its third bottom only, as its gradient needs "
                           << "the others: give its top a different name");
  if (top[0] != bottom[2]) top[0]->ReshapeLike(x);
}

template <typename Dtype>
void AxpyLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& x = *bottom[1];
  parallel_planes(x.count(0, 2), x.count(2),
                  AxpyForward<Dtype>{bottom[0]->active_data(), x.active_data(),
                                     bottom[2]->active_data(), top[0]->mutable_active_data()});
}

template <typename Dtype>
void AxpyLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  const Blob<Dtype>& x = *bottom[1];
  const int rows = x.count(0, 2), inner = x.count(2);
  const Dtype* const dy = top[0]->active_diff();
  if (propagate_down[0]) {
    channel_sums({1, rows, inner}, TermsOfA<Dtype>{x.active_data(), dy}, &sums_,
                 StoreOfA<Dtype>{bottom[0]->mutable_active_diff()});
  }
  if (propagate_down[1]) {
    parallel_planes(rows, inner,
                    TimesA<Dtype>{bottom[0]->active_data(), dy, bottom[1]->mutable_active_diff()});
  }
  if (propagate_down[2] && top[0] != bottom[2]) {
    caffe_copy(x.count(), dy, bottom[2]->mutable_active_diff());
  }
}

INSTANTIATE_CLASS(AxpyLayer);
REGISTER_LAYER_CLASS(Axpy);

}  // namespace caffe
