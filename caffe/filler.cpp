#include "caffe/filler.hpp"

#include <cmath>
#include <vector>

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void Filler<Dtype>::refuse_sparse() const {
  CAFFE_CHECK(filler_param_.sparse() == -1,
              "filler '" << filler_param_.type() << "' does not support 'sparse'; 'gaussian' does");
}

template <typename Dtype>
Dtype Filler<Dtype>::fan(const Blob<Dtype>& blob) const {
  CAFFE_CHECK(blob.count() > 0, "filler '" << filler_param_.type() << "': the blob is empty, shape "
                                           << blob.shape_string());
  const Dtype values = static_cast<Dtype>(blob.count());
  const Dtype fan_in = blob.num_axes() > 0 ? values / blob.shape(0) : values;
  const Dtype fan_out = blob.num_axes() > 1 ? values / blob.shape(1) : values;
  switch (filler_param_.variance_norm()) {
    case FillerParameter_VarianceNorm_FAN_OUT:
      return fan_out;
    case FillerParameter_VarianceNorm_AVERAGE:
      return (fan_in + fan_out) / Dtype(2);
    case FillerParameter_VarianceNorm_FAN_IN:
      return fan_in;
  }
  CAFFE_FAIL("filler '" << filler_param_.type() << "': variance_norm number "
                        << filler_param_.variance_norm() << " is unknown");
}

template <typename Dtype>
void ConstantFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  this->refuse_sparse();
  caffe_set(blob->count(), Dtype(this->filler_param_.value()), blob->mutable_cpu_data());
}

template <typename Dtype>
void UniformFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  this->refuse_sparse();
  caffe_rng_uniform(blob->count(), Dtype(this->filler_param_.min()),
                    Dtype(this->filler_param_.max()), blob->mutable_cpu_data());
}

template <typename Dtype>
void GaussianFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  const FillerParameter& param = this->filler_param_;
  Dtype* values = blob->mutable_cpu_data();
  caffe_rng_gaussian(blob->count(), Dtype(param.mean()), Dtype(param.std()), values);
  if (param.sparse() == -1) return;
  CAFFE_CHECK(param.sparse() >= 0,
              "filler 'gaussian': sparse is " << param.sparse() << "; it counts weights");
  const int outputs = blob->num_axes() > 0 ? blob->shape(0) : 1;
  CAFFE_CHECK(param.sparse() <= outputs, "filler 'gaussian': sparse is "
                                             << param.sparse() << ", but an input has only "
                                             << outputs << " weights (blob of shape "
                                             << blob->shape_string() << ")");
  const Dtype kept = static_cast<Dtype>(param.sparse()) / static_cast<Dtype>(outputs);
  std::vector<int> keep(blob->count());
  caffe_rng_bernoulli(blob->count(), kept, keep.data());
  for (int i = 0; i < blob->count(); ++i) values[i] = keep[i] ? values[i] : Dtype(0);
}

template <typename Dtype>
void PositiveUnitballFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  this->refuse_sparse();
  if (blob->count() == 0) return;
  Dtype* values = blob->mutable_cpu_data();
  caffe_rng_uniform(blob->count(), Dtype(0), Dtype(1), values);
  const int rows = blob->num_axes() > 0 ? blob->shape(0) : 1;
  const int length = blob->count() / rows;
  for (int row = 0; row < rows; ++row, values += length) {
    const Dtype sum = caffe_cpu_asum(length, values);
    if (sum > Dtype(0)) {
      caffe_scal(length, Dtype(1) / sum, values);
    } else {
      caffe_set(length, Dtype(1) / static_cast<Dtype>(length), values);
    }
  }
}

template <typename Dtype>
void XavierFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  this->refuse_sparse();
  const Dtype bound = std::sqrt(Dtype(3) / this->fan(*blob));
  caffe_rng_uniform(blob->count(), -bound, bound, blob->mutable_cpu_data());
}

template <typename Dtype>
void MSRAFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  this->refuse_sparse();
  const Dtype deviation = std::sqrt(Dtype(2) / this->fan(*blob));
  caffe_rng_gaussian(blob->count(), Dtype(0), deviation, blob->mutable_cpu_data());
}

template <typename Dtype>
void BilinearFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  this->refuse_sparse();
  CAFFE_CHECK(blob->num_axes() == 4 && blob->width() == blob->height(),
              "filler 'bilinear' fills square kernels, blobs of four axes; this one has shape "
                  << blob->shape_string());
  const int size = blob->width();
  const int factor = (size + 1) / 2;
  // A triangle, symmetric in the kernel: 1 at the centre, 0 at a distance of one factor.
  const double centre = (size - 1) / 2.0;
  std::vector<double> triangle(size);
  for (int i = 0; i < size; ++i) triangle[i] = 1 - std::fabs(i - centre) / factor;
  Dtype* values = blob->mutable_cpu_data();
  for (int i = 0; i < blob->count(); ++i) {
    values[i] = static_cast<Dtype>(triangle[i % size] * triangle[i / size % size]);
  }
}

namespace {

template <typename Dtype, template <typename> class Kind>
Filler<Dtype>* make_filler(const FillerParameter& param) {
  return new Kind<Dtype>(param);
}

}  // namespace

template <typename Dtype>
Filler<Dtype>* GetFiller(const FillerParameter& param) {
  typedef Filler<Dtype>* (*Maker)(const FillerParameter&);
  static const map<string, Maker> makers = {
      {"constant", make_filler<Dtype, ConstantFiller>},
      {"uniform", make_filler<Dtype, UniformFiller>},
      {"gaussian", make_filler<Dtype, GaussianFiller>},
      {"positive_unitball", make_filler<Dtype, PositiveUnitballFiller>},
      {"xavier", make_filler<Dtype, XavierFiller>},
      {"msra", make_filler<Dtype, MSRAFiller>},
      {"bilinear", make_filler<Dtype, BilinearFiller>},
  };
  const auto found = makers.find(param.type());
  if (found != makers.end()) return found->second(param);
  vector<string> types;
  for (const auto& entry : makers) types.push_back(entry.first);
  const string nearest = nearest_name(param.type(), types);
  CAFFE_FAIL("unknown filler type '" << param.type() << "'"
                                     << (nearest.empty() ? "" : "; did you mean '" + nearest + "'?")
                                     << " (known types: " << join(types) << ")");
}

#define INSTANTIATE(T)                      \
  template class Filler<T>;                 \
  template class ConstantFiller<T>;         \
  template class UniformFiller<T>;          \
  template class GaussianFiller<T>;         \
  template class PositiveUnitballFiller<T>; \
  template class XavierFiller<T>;           \
  template class MSRAFiller<T>;             \
  template class BilinearFiller<T>;         \
  template Filler<T>* GetFiller<T>(const FillerParameter&)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
