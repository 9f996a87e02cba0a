#ifndef CAFFE_UTIL_CHANNEL_NORM_HPP_
#define CAFFE_UTIL_CHANNEL_NORM_HPP_

// y = (x - mean) factor, with a mean and a factor for each channel: what BatchNorm and MVN have in
// common. All pointers belong to the device that the thread's mode selects; `sums` is memory kept
// between calls. x, y and their gradients may have 16 bits each (kernels/half.hpp), on a GPU.

#include "caffe/blob.hpp"
#include "caffe/util/channel_shape.hpp"
#include "kernels/half.hpp"

namespace caffe {

/// Mean and (biased) variance of each channel, both [channels]. Makes one pass over x, in double,
/// after subtracting each channel's first value, so that a mean far from 0 costs no precision. Each
/// channel must have at least one value.
template <typename T>
void channel_moments(const ChannelShape& shape, const T* x, maap::Computed<T>* mean,
                     maap::Computed<T>* variance, Blob<double>* sums);

/// `kept` gets a copy of y unless it is null; y may be x.
template <typename T>
void normalise(const ChannelShape& shape, const maap::Computed<T>* mean,
               const maap::Computed<T>* factor, const T* x, T* y, T* kept = nullptr);

/// The y of a forward pass: `kept` or, if that is null, computed again from x.
template <typename T>
struct NormalisedValues {
  const T* kept;
  const T* x;                       // [outer, channels, inner]
  const maap::Computed<T>* mean;    // [channels]
  const maap::Computed<T>* factor;  // [channels]
};

/// dx = factor (dy - mean(dy) - slope y mean(dy y)), with means over each channel: the gradient if
/// mean and factor depend on x. slope [channels] is -factor'(d) / (factor^2 d), where d is the
/// standard deviation; null means 1, the slope for factor = 1 / sqrt(d^2 + eps). dx may be dy;
/// `means` is memory kept between calls.
template <typename T>
void normalise_backward(const ChannelShape& shape, const NormalisedValues<T>& y,
                        const maap::Computed<T>* slope, const T* dy, T* dx,
                        Blob<maap::Computed<T>>* means, Blob<double>* sums);

}  // namespace caffe

#endif  // CAFFE_UTIL_CHANNEL_NORM_HPP_
