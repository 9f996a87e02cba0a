#include "caffe/layers/onednn/conv_folding.hpp"

#include <cmath>
#include <cstdint>

#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/dropout_layer.hpp"
#include "caffe/layers/onednn/pieces.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/scale_layer.hpp"

namespace caffe {
namespace onednn {

namespace {

template <template <typename> class Type>
bool is(const Layer<float>& layer) {
  return dynamic_cast<const Type<float>*>(&layer) != nullptr;
}

bool is_testing(const Layer<float>& layer) {
  return layer.layer_param().phase() == TEST;
}

/// A BatchNorm that takes its statistics from its blobs.
bool is_frozen_batch_norm(Layer<float>* layer) {
  const BatchNormParameter& param = layer->layer_param().batch_norm_param();
  const bool frozen = param.has_use_global_stats() ? param.use_global_stats() : is_testing(*layer);
  return is<BatchNormLayer>(*layer) && frozen && layer->blobs().size() == 3;
}

/// A Dropout while testing, unless it does more than Caffe's.
bool does_nothing(Layer<float>* layer) {
  const DropoutParameter& param = layer->layer_param().dropout_param();
  return is<DropoutLayer>(*layer) && is_testing(*layer) && param.scale_train() &&
         !param.sample_weights_test();
}

struct Factors {
  std::vector<double> s, t;  // [channels]
};

void add_batch_norm(Layer<float>* layer, Factors* factors) {
  const auto& blobs = layer->blobs();
  const float eps = layer->layer_param().batch_norm_param().eps();
  const double weight = blobs[2]->cpu_data()[0];
  const double share = weight == 0 ? 0 : 1 / weight;
  const float *const means = blobs[0]->cpu_data(), *const variances = blobs[1]->cpu_data();
  for (size_t c = 0; c < factors->s.size(); ++c) {
    const double factor = 1 / std::sqrt(share * variances[c] + eps);
    factors->s[c] *= factor;
    factors->t[c] = (factors->t[c] - share * means[c]) * factor;
  }
}

void add_scale(Layer<float>* layer, Factors* factors) {
  const auto& blobs = layer->blobs();
  const float* const scales = blobs[0]->cpu_data();
  const float* const shifts = blobs.size() > 1 ? blobs[1]->cpu_data() : nullptr;
  for (size_t c = 0; c < factors->s.size(); ++c) {
    factors->s[c] *= scales[c];
    factors->t[c] = factors->t[c] * scales[c] + (shifts == nullptr ? 0 : shifts[c]);
  }
}

/// What the followers make of a channel's values: s x + t.
Factors factors_of(const Folding& folding, int channels) {
  Factors factors = {std::vector<double>(channels, 1), std::vector<double>(channels, 0)};
  for (Layer<float>* const layer : folding.layers) {
    if (is<BatchNormLayer>(*layer)) add_batch_norm(layer, &factors);
    if (is<ScaleLayer>(*layer)) add_scale(layer, &factors);
  }
  return factors;
}

/// All blobs that the result depends on.
Unchanged::Blocks blocks_of(const Blob<float>& weights, const Blob<float>* bias,
                            const Folding& folding) {
  Unchanged::Blocks blocks = {weights.data().get()};
  if (bias != nullptr) blocks.push_back(bias->data().get());
  if (!folding.scales) return blocks;
  for (Layer<float>* const layer : folding.layers) {
    for (const auto& blob : layer->blobs()) blocks.push_back(blob->data().get());
  }
  return blocks;
}

void scale_rows(const std::vector<double>& s, const Blob<float>& weights, float* to) {
  const float* const from = weights.cpu_data();
  const int64_t row = weights.count(1);
#pragma omp parallel for
  for (int o = 0; o < weights.shape(0); ++o) {
    for (int64_t i = o * row; i < (o + 1) * row; ++i) to[i] = static_cast<float>(s[o] * from[i]);
  }
}

/// Also the values that pad a layout's channels, which are 0.
bool all_finite(const float* values, size_t count) {
  float sum = 0;  // 0 times a finite number is 0, and NaN otherwise
#pragma omp parallel for simd reduction(+ : sum) if (count > 16384)
  for (size_t i = 0; i < count; ++i) sum += 0.f * values[i];
  return sum == 0;
}

bool all_finite(const Bf16* values, size_t count) {
  constexpr Bf16 kExponent = 0x7f80;  // of infinity and NaN
  Bf16 found = 0;
#pragma omp parallel for simd reduction(| : found) if (count > 16384)
  for (size_t i = 0; i < count; ++i) found |= (values[i] & kExponent) == kExponent;
  return found == 0;
}

}  // namespace

bool all_finite(const Blob<float>& blob) {
  const auto copy = current_copy(blob);
  if (copy == nullptr) return all_finite(blob.cpu_data(), blob.count());
  const size_t count = stored_count(copy->layout());
  if (is_bf16(copy->layout())) return all_finite(bf16_values(copy->memory()), count);
  return all_finite(values(copy->memory()), count);
}

Folding fold(const Followers& followers, int channels, bool slopes, bool scales) {
  Folding folding;
  for (Layer<float>* const layer : followers) {
    const bool relu = is<ReLULayer>(*layer);
    const float slope = layer->layer_param().relu_param().negative_slope();
    const bool scale = is_frozen_batch_norm(layer) || is_channel_scale(*layer, channels);
    // Nothing but a Dropout can come behind the ReLU.
    const bool possible = scale  ? scales && !folding.relu
                          : relu ? (slopes || slope == 0) && !folding.relu
                                 : does_nothing(layer);
    if (!possible) break;
    folding.layers.push_back(layer);
    folding.scales |= scale;
    folding.relu |= relu;
    if (relu) folding.slope = slope;
  }
  return folding;
}

void FoldedWeights::forget() {
  unchanged_ = Unchanged();
  room_.reset();
}

void FoldedWeights::make(const Blob<float>& weights, const Blob<float>* bias,
                         const Convert& convert, float* to) {
  const size_t count = weights.count();
  if (!folding_.scales) {
    finite_ = all_finite(weights) && (bias == nullptr || all_finite(*bias));
    return convert(weights.cpu_data(), to);
  }
  const int channels = weights.shape(0);
  const Factors factors = factors_of(folding_, channels);
  bias_.resize(channels);
  for (int c = 0; c < channels; ++c) {
    const double b = bias == nullptr ? 0 : bias->cpu_data()[c];
    bias_[c] = static_cast<float>(factors.s[c] * b + factors.t[c]);
  }
  float* const scaled =
      convert == nullptr ? to : static_cast<float*>(scratch(Slot::kSource, sizeof(float) * count));
  scale_rows(factors.s, weights, scaled);
  finite_ = all_finite(scaled, count) && all_finite(bias_.data(), bias_.size());
  if (convert != nullptr) convert(scaled, to);
}

FoldedWeights::Values FoldedWeights::get(const Blob<float>& weights, const Blob<float>* bias,
                                         const Folding& folding, bool keep, size_t bytes,
                                         const Convert& convert) {
  const float* const plain_bias = bias == nullptr ? nullptr : bias->cpu_data();
  if (convert == nullptr && !folding.scales) {
    const bool finite = folding.relu && all_finite(weights) && (!bias || all_finite(*bias));
    return {weights.cpu_data(), plain_bias, finite};
  }
  const Unchanged::Blocks blocks = blocks_of(weights, bias, folding);
  if (!keep || (room_ != nullptr && room_->size() != bytes)) room_.reset();
  const bool same = keep && room_ != nullptr && folding == folding_ && unchanged_.holds(blocks);
  if (keep && room_ == nullptr) room_ = std::make_unique<SyncedMemory>(bytes);
  float* const to =
      static_cast<float*>(keep ? room_->overwrite_cpu_data() : scratch(Slot::kWeights, bytes));
  if (!same) {
    unchanged_ = Unchanged();  // nothing is kept if an error comes
    folding_ = folding;
    make(weights, bias, convert, to);
    if (keep) unchanged_.note(blocks);
  }
  return {to, folding.scales ? bias_.data() : plain_bias, finite_};
}

}  // namespace onednn
}  // namespace caffe
