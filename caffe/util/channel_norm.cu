#include "caffe/util/channel_norm.hpp"

#include "caffe/util/normalised_values.hpp"

namespace caffe {

namespace {

/// A channel's values minus its first value, and the squares of these differences.
template <typename T>
struct ChannelMoments {
  using Value = maap::Computed<T>;
  int inner;
  const T* x;  // [outer, channels, inner]
  template <typename W>
  CAFFE_HD W first(int c, int i) const {
    return W(Value(x[i])) - W(Value(x[c * inner]));
  }
  template <typename W>
  CAFFE_HD Product<W> second(int c, int i) const {
    const W less = first<W>(c, i);
    return {less, less};
  }
};

template <typename T>
struct StoreMoments {
  using C = maap::Computed<T>;
  int inner;
  const T* x;
  double count;  // values per channel
  C* mean;       // [channels]
  C* variance;   // [channels]
  CAFFE_HD void operator()(int c, double sum, double squares) const {
    const double less = sum / count, square = squares / count - less * less;
    mean[c] = static_cast<C>(double(C(x[c * inner])) + less);
    variance[c] = static_cast<C>(square < 0. ? 0. : square);
  }
};

template <typename T>
struct Normalise {
  using C = maap::Computed<T>;
  Divisor channels;
  const C* mean;
  const C* factor;
  const T* x;  // [outer, channels, inner]
  T* y;        // as x
  T* kept;     // as x, or null
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    const C value = (x[i] - mean[c]) * factor[c];
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
  using C = maap::Computed<T>;
  Divisor channels;
  NormalisedValues<T> y;
  const C* of_dy;
  const C* of_dy_y;
  const T* dy;
  T* dx;
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    dx[i] = y.factor[c] * (dy[i] - of_dy[c] - value_of(y, c, i) * of_dy_y[c]);
  }
};

}  // namespace

template <typename T>
void channel_moments(const ChannelShape& shape, const T* x, maap::Computed<T>* mean,
                     maap::Computed<T>* variance, Blob<double>* sums) {
  channel_sums(shape, ChannelMoments<T>{shape.inner, x}, sums,
               StoreMoments<T>{shape.inner, x, shape.per_channel(), mean, variance});
}

template <typename T>
void normalise(const ChannelShape& shape, const maap::Computed<T>* mean,
               const maap::Computed<T>* factor, const T* x, T* y, T* kept) {
  parallel_planes(shape.rows(), shape.inner,
                  Normalise<T>{shape.channels, mean, factor, x, y, kept});
}

template <typename T>
void normalise_backward(const ChannelShape& shape, const NormalisedValues<T>& y,
                        const maap::Computed<T>* slope, const T* dy, T* dx,
                        Blob<maap::Computed<T>>* means, Blob<double>* sums) {
  using C = maap::Computed<T>;
  means->Reshape({2, shape.channels});
  C* const of_dy = means->mutable_active_data();
  C* const of_dy_y = of_dy + shape.channels;
  channel_sums(shape, NormalisedProducts<T>{y, dy}, sums,
               StoreMeans<C>{shape.per_channel(), slope, of_dy, of_dy_y});
  parallel_planes(shape.rows(), shape.inner,
                  Gradient<T>{shape.channels, y, of_dy, of_dy_y, dy, dx});
}

#define INSTANTIATE(T, C)                                                                        \
  template void channel_moments<T>(const ChannelShape&, const T*, C*, C*, Blob<double>*);        \
  template void normalise<T>(const ChannelShape&, const C*, const C*, const T*, T*, T*);         \
  template void normalise_backward<T>(const ChannelShape&, const NormalisedValues<T>&, const C*, \
                                      const T*, T*, Blob<C>*, Blob<double>*)
INSTANTIATE(float, float);
INSTANTIATE(double, double);
INSTANTIATE(maap::Float16, float);
INSTANTIATE(maap::Bfloat16, float);
#undef INSTANTIATE

}  // namespace caffe
