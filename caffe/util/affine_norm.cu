#include "caffe/util/affine_norm.hpp"

#include "caffe/util/normalised_values.hpp"

namespace caffe {

namespace {

/// scale y + shift, for a y of channel c.
template <typename T>
CAFFE_HD inline maap::Computed<T> behind_value(const Affine<T>& behind, int c,
                                               maap::Computed<T> y) {
  using C = maap::Computed<T>;
  const C scaled = behind.scale != nullptr ? y * behind.scale[c] : y;
  return behind.shift != nullptr ? scaled + behind.shift[c] : scaled;
}

template <typename T>
struct AffineNormalise {
  using C = maap::Computed<T>;
  Divisor channels;
  const C* mean;
  const C* factor;
  Affine<T> behind;
  const T* x;  // [outer, channels, inner]
  T* z;        // as x
  T* kept;     // as x, or null
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    // Rounded as a layer of its own would store it: the gradient finds the same sign.
    const T y = (x[i] - mean[c]) * factor[c];
    const C value = behind_value(behind, c, C(y));
    z[i] = behind.relu && value < C(0) ? C(0) : value;  // NaN stays
    if (kept != nullptr) kept[i] = y;
  }
};

/// The gradient behind the ReLU.
template <typename T>
struct ThroughRelu {
  using C = maap::Computed<T>;
  AffineValues<T> values;
  const T* dz;  // [outer, channels, inner]
  CAFFE_HD C y(int c, int i) const { return C(T(value_of(values.y, c, i))); }
  CAFFE_HD C operator()(int c, int i) const {
    if (!values.behind.relu) return dz[i];
    const C z = values.z != nullptr ? C(values.z[i]) : behind_value(values.behind, c, y(c, i));
    return z > C(0) ? C(dz[i]) : C(0);
  }
};

/// For channel_sums: the gradients of the shift and the scale.
template <typename T>
struct AffineProducts {
  using Value = maap::Computed<T>;
  ThroughRelu<T> gradient;
  bool knows_y;
  template <typename W>
  CAFFE_HD W first(int c, int i) const {
    return W(gradient(c, i));
  }
  template <typename W>
  CAFFE_HD Product<W> second(int c, int i) const {
    return knows_y ? Product<W>{W(gradient(c, i)), W(gradient.y(c, i))} : Product<W>{W(0), W(0)};
  }
};

template <typename T>
struct StoreAffine {
  double count;
  const T* scale;  // [channels] or null
  T* of_dy;        // [channels] or null: the mean of dy
  T* of_dy_y;      // [channels] or null: the mean of dy y
  T* d_scale;      // [channels] or null, added to
  T* d_shift;      // [channels] or null, added to
  CAFFE_HD void operator()(int c, double sum, double product) const {
    if (d_scale != nullptr) d_scale[c] += static_cast<T>(product);
    if (d_shift != nullptr) d_shift[c] += static_cast<T>(sum);
    if (of_dy == nullptr) return;
    const T s = scale != nullptr ? scale[c] : T(1);
    of_dy[c] = s * static_cast<T>(sum / count);
    of_dy_y[c] = s * static_cast<T>(product / count);
  }
};

/// factor (dy - mean of dy - y mean of dy y), with dy the gradient behind the scale.
template <typename T>
struct AffineGradient {
  using C = maap::Computed<T>;
  Divisor channels;
  ThroughRelu<T> gradient;
  const C* scale;    // [channels] or null
  const C* factor;   // [channels] or null
  const C* of_dy;    // [channels], or null for given statistics
  const C* of_dy_y;  // [channels] or null
  T* dx;             // [outer, channels, inner]
  CAFFE_HD void operator()(int row, int i) const {
    const int c = row % channels;
    C dy = gradient(c, i);
    if (scale != nullptr) dy *= scale[c];
    if (of_dy != nullptr) dy = dy - of_dy[c] - gradient.y(c, i) * of_dy_y[c];
    dx[i] = factor != nullptr ? factor[c] * dy : dy;
  }
};

}  // namespace

template <typename T>
void affine_normalise(const ChannelShape& shape, const maap::Computed<T>* mean,
                      const maap::Computed<T>* factor, const Affine<T>& behind, const T* x, T* z,
                      T* kept) {
  parallel_planes(shape.rows(), shape.inner,
                  AffineNormalise<T>{shape.channels, mean, factor, behind, x, z, kept});
}

template <typename T>
void affine_backward(const ChannelShape& shape, const AffineValues<T>& values, const T* dz,
                     const AffineGradients<T>& wanted, Blob<maap::Computed<T>>* means,
                     Blob<double>* sums) {
  using C = maap::Computed<T>;
  const ThroughRelu<T> gradient = {values, dz};
  C *of_dy = nullptr, *of_dy_y = nullptr;
  if (wanted.by_batch && wanted.dx != nullptr) {
    means->Reshape({2, shape.channels});
    of_dy = means->mutable_active_data();
    of_dy_y = of_dy + shape.channels;
  }
  if (of_dy != nullptr || wanted.d_scale != nullptr || wanted.d_shift != nullptr) {
    channel_sums(shape, AffineProducts<T>{gradient, values.knows_y()}, sums,
                 StoreAffine<C>{shape.per_channel(), values.behind.scale, of_dy, of_dy_y,
                                wanted.d_scale, wanted.d_shift});
  }
  if (wanted.dx == nullptr) return;
  parallel_planes(shape.rows(), shape.inner,
                  AffineGradient<T>{shape.channels, gradient, values.behind.scale, values.y.factor,
                                    of_dy, of_dy_y, wanted.dx});
}

template <typename T>
void affine_leave(const ChannelShape& shape, const AffineValues<T>& values, bool scaled,
                  const T* dz, T* to) {
  parallel_planes(
      shape.rows(), shape.inner,
      AffineGradient<T>{shape.channels, ThroughRelu<T>{values, dz},
                        scaled ? values.behind.scale : nullptr, nullptr, nullptr, nullptr, to});
}

#define INSTANTIATE(T, C)                                                                      \
  template void affine_normalise<T>(const ChannelShape&, const C*, const C*, const Affine<T>&, \
                                    const T*, T*, T*);                                         \
  template void affine_backward<T>(const ChannelShape&, const AffineValues<T>&, const T*,      \
                                   const AffineGradients<T>&, Blob<C>*, Blob<double>*);        \
  template void affine_leave<T>(const ChannelShape&, const AffineValues<T>&, bool, const T*, T*)
INSTANTIATE(float, float);
INSTANTIATE(double, double);
INSTANTIATE(maap::Float16, float);
INSTANTIATE(maap::Bfloat16, float);
#undef INSTANTIATE

}  // namespace caffe
