#ifndef CAFFE_FILLER_HPP_
#define CAFFE_FILLER_HPP_

#include <memory>
#include <string>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/math_functions.hpp"

namespace caffe {

/// Sets the initial values of a parameter blob. For weights, axis 0 is the output: an output has
/// count / shape(0) inputs (fan-in), and an input has count / shape(1) outputs (fan-out).
template <typename Dtype>
class Filler {
 public:
  explicit Filler(const FillerParameter& param) : filler_param_(param) {}
  virtual ~Filler() = default;
  virtual void Fill(Blob<Dtype>* blob) = 0;

 protected:
  /// Throws when `sparse` is set, which only the gaussian filler supports.
  void refuse_sparse() const;
  /// FAN_IN, FAN_OUT or the AVERAGE of both, as variance_norm says.
  Dtype fan(const Blob<Dtype>& blob) const;

  FillerParameter filler_param_;
};

/// All values are `value`.
template <typename Dtype>
class ConstantFiller : public Filler<Dtype> {
 public:
  using Filler<Dtype>::Filler;
  void Fill(Blob<Dtype>* blob) override;
};

/// Uniform in [min, max).
template <typename Dtype>
class UniformFiller : public Filler<Dtype> {
 public:
  using Filler<Dtype>::Filler;
  void Fill(Blob<Dtype>* blob) override;
};

/// Normal with `mean` and `std`. With `sparse` = k, each input keeps k weights on average; the
/// others are 0.
template <typename Dtype>
class GaussianFiller : public Filler<Dtype> {
 public:
  using Filler<Dtype>::Filler;
  void Fill(Blob<Dtype>* blob) override;
};

/// Non-negative; the values of each index of axis 0 add up to 1.
template <typename Dtype>
class PositiveUnitballFiller : public Filler<Dtype> {
 public:
  using Filler<Dtype>::Filler;
  void Fill(Blob<Dtype>* blob) override;
};

/// Uniform in [-a, a), a = sqrt(3 / n): variance 1 / n (Glorot and Bengio 2010; n is FAN_IN here by
/// default, the AVERAGE there).
template <typename Dtype>
class XavierFiller : public Filler<Dtype> {
 public:
  using Filler<Dtype>::Filler;
  void Fill(Blob<Dtype>* blob) override;
};

/// Normal with variance 2 / n, for layers followed by a ReLU (He, Zhang, Ren and Sun 2015).
template <typename Dtype>
class MSRAFiller : public Filler<Dtype> {
 public:
  using Filler<Dtype>::Filler;
  void Fill(Blob<Dtype>* blob) override;
};

/// Weights of a Deconvolution that enlarges bilinearly by f: kernel 2 f - f % 2, stride f, pad
/// ceil((f - 1) / 2), group = num_output = channels. The kernels must be square.
template <typename Dtype>
class BilinearFiller : public Filler<Dtype> {
 public:
  using Filler<Dtype>::Filler;
  void Fill(Blob<Dtype>* blob) override;
};

/// The filler that param.type() names. The caller owns it. For an unknown type, throws an Error
/// that lists the known types.
template <typename Dtype>
Filler<Dtype>* GetFiller(const FillerParameter& param);

}  // namespace caffe

#endif  // CAFFE_FILLER_HPP_
