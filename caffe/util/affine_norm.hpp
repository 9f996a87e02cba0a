#ifndef CAFFE_UTIL_AFFINE_NORM_HPP_
#define CAFFE_UTIL_AFFINE_NORM_HPP_

// A normalisation together with what is behind it: y = (x - mean) factor as in channel_norm.hpp,
// then z = scale y + shift with a scale and a shift for each channel, and a ReLU. Forward that is
// one sweep over the values, backward one for the sums and one for the gradient. Layer by layer it
// is three, and five.
//
// For GPUs. On a CPU the tests of the ReLU and of pointers in these loops keep the compiler from
// vectorising: the backward pass of 16 x 63 x 56 x 56 values took 23 ms, and 3 layer by layer. So
// channel_norm.hpp and the layers have loops of their own.

#include "caffe/blob.hpp"
#include "caffe/util/channel_norm.hpp"
#include "caffe/util/channel_shape.hpp"
#include "kernels/half.hpp"

namespace caffe {

/// What is behind y.
template <typename T>
struct Affine {
  const maap::Computed<T>* scale;  // [channels], or null for 1
  const maap::Computed<T>* shift;  // [channels], or null for 0
  bool relu;
};

/// Sets z; y goes to `kept` unless that is null. z may be x. The values are those of layer by
/// layer, also in 16 bits.
template <typename T>
void affine_normalise(const ChannelShape& shape, const maap::Computed<T>* mean,
                      const maap::Computed<T>* factor, const Affine<T>& behind, const T* x, T* z,
                      T* kept);

/// What a backward pass goes through.
template <typename T>
struct AffineValues {
  Affine<T> behind;
  NormalisedValues<T> y;  // kept and x both null: not known
  const T* z;             // [outer, channels, inner]; needed with a ReLU if y is not known
  bool knows_y() const { return y.kept != nullptr || y.x != nullptr; }
};

/// Where the gradients go; a null pointer: not wanted.
template <typename T>
struct AffineGradients {
  bool by_batch;               // mean and factor depend on x
  T* dx;                       // [outer, channels, inner], may be dz
  maap::Computed<T>* d_scale;  // [channels], added to
  maap::Computed<T>* d_shift;  // [channels], added to
};

/// The gradients of z with respect to x, scale and shift times dz. With by_batch, or for d_scale, y
/// must be known. `means` and `sums` are memory kept between calls.
template <typename T>
void affine_backward(const ChannelShape& shape, const AffineValues<T>& values, const T* dz,
                     const AffineGradients<T>& wanted, Blob<maap::Computed<T>>* means,
                     Blob<double>* sums);

/// The gradient behind the ReLU or, if `scaled`, behind the scale. `to` may be dz.
template <typename T>
void affine_leave(const ChannelShape& shape, const AffineValues<T>& values, bool scaled,
                  const T* dz, T* to);

}  // namespace caffe

#endif  // CAFFE_UTIL_AFFINE_NORM_HPP_
