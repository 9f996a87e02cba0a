#include "caffe/util/channel_norm.hpp"

#include "caffe/util/normalised_values.hpp"

namespace caffe {

namespace {

/// A channel's values minus its first value, and the squares of these differences.
template <typename T>
struct ChannelMoments {
  using Value = T;
  int inner;
  const T* x;  // [outer, channels, inner]
  template <typename W>
  CAFFE_HD W first(int c, int i) const {
    return W(x[i]) - W(x[c * inner]);
  }
  template <typename W>
  CAFFE_HD Product<W> second(int c, int i) const {
    const W less = first<W>(c, i);
    return {less, less};
  }
};

template <typename T>
struct StoreMoments {
  int inner;
  const T* x;
  double count;  // values per channel
  T* mean;       // [channels]
  T* variance;   // [channels]
  CAFFE_HD void operator()(int c, double sum, double squares) const {
    const double less = sum / count, square = squares / count - less * less;
    mean[c] = static_cast<T>(double(x[c * inner]) + less);
    variance[c] = static_cast<T>(square < 0. ? 0. : square);
  }
};

template <typename T>
struct Normalise {
  int channels;
  const T* mean;
  const T* factor;
  const T* x;  // [outer, channels, inner]
  T* y;        // as x
  T* kept;     // as x, or null
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    const T value = (x[i] - mean[c]) * factor[c];
    y[i] = value;
    if (kept != nullptr) kept[i] = value;
  }
};

template <typename T>
struct StoreMeans {
  double count;
  const T* slope;  // [channels] or null
  T* of_dy;        // [channels]
  T* of_dy_y;      // [channels], times slope
  CAFFE_HD void operator()(int c, double sum, double product) const {
    of_dy[c] = static_cast<T>(sum / count);
    of_dy_y[c] = static_cast<T>(product / count) * (slope != nullptr ? slope[c] : T(1));
  }
};

template <typename T>
struct Gradient {
  int channels;
  NormalisedValues<T> y;
  const T* of_dy;
  const T* of_dy_y;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    dx[i] = y.factor[c] * (dy[i] - of_dy[c] - value_of(y, c, i) * of_dy_y[c]);
  }
};

}  // namespace

template <typename Dtype>
void channel_moments(const ChannelShape& shape, const Dtype* x, Dtype* mean, Dtype* variance,
                     Blob<double>* sums) {
  channel_sums(shape, ChannelMoments<Dtype>{shape.inner, x}, sums,
               StoreMoments<Dtype>{shape.inner, x, shape.per_channel(), mean, variance});
}

template <typename Dtype>
void normalise(const ChannelShape& shape, const Dtype* mean, const Dtype* factor, const Dtype* x,
               Dtype* y, Dtype* kept) {
  parallel_planes(shape.rows(), shape.inner,
                  Normalise<Dtype>{shape.channels, mean, factor, x, y, kept});
}

template <typename Dtype>
void normalise_backward(const ChannelShape& shape, const NormalisedValues<Dtype>& y,
                        const Dtype* slope, const Dtype* dy, Dtype* dx, Blob<Dtype>* means,
                        Blob<double>* sums) {
  means->Reshape({2, shape.channels});
  Dtype* const of_dy = means->mutable_active_data();
  Dtype* const of_dy_y = of_dy + shape.channels;
  channel_sums(shape, NormalisedProducts<Dtype>{y, dy}, sums,
               StoreMeans<Dtype>{shape.per_channel(), slope, of_dy, of_dy_y});
  parallel_planes(shape.rows(), shape.inner,
                  Gradient<Dtype>{shape.channels, y, of_dy, of_dy_y, dy, dx});
}

#define INSTANTIATE(T)                                                                           \
  template void channel_moments<T>(const ChannelShape&, const T*, T*, T*, Blob<double>*);        \
  template void normalise<T>(const ChannelShape&, const T*, const T*, const T*, T*, T*);         \
  template void normalise_backward<T>(const ChannelShape&, const NormalisedValues<T>&, const T*, \
                                      const T*, T*, Blob<T>*, Blob<double>*)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
