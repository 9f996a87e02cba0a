#include "caffe/layers/onednn/blocked_scale.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace caffe {
namespace onednn {
namespace {

// The number of pixels summed in float before the sums are added in double.
constexpr int64_t kRun = 256;

float* values(const dnnl::memory* memory) {
  return memory == nullptr ? nullptr : static_cast<float*>(memory->get_data_handle());
}

/// dx = s dy for some pixels of one block of channels.
template <int kBlock>
void multiply(int64_t pixels, const float* s, const float* dy, float* dx) {
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int k = 0; k < kBlock; ++k) dx[p * kBlock + k] = s[k] * dy[p * kBlock + k];
  }
}

/// ds += sum of dy (x - mean) and db += sum of dy, for the same pixels.
template <int kBlock>
void add_sums(int64_t pixels, const float* x, const float* mean, const float* dy, double* ds,
              double* db) {
  float products[kBlock] = {}, sums[kBlock] = {};
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int k = 0; k < kBlock; ++k) {
      products[k] += dy[p * kBlock + k] * (x[p * kBlock + k] - mean[k]);
      sums[k] += dy[p * kBlock + k];
    }
  }
  for (int k = 0; k < kBlock; ++k) {
    ds[k] += products[k];
    db[k] += sums[k];
  }
}

/// `mean` [channels] is subtracted from x unless it is null.
template <int kBlock>
void run_blocks(const BlockedScale& scale, const float* mean) {
  const Dims dims = dims_of(scale.gradient->get_desc());  // (n, channels, height, width)
  const int images = static_cast<int>(dims[0]), channels = static_cast<int>(dims[1]);
  const int blocks = channels / kBlock;
  const int64_t pixels = dims[2] * dims[3];
  const float *const dy = values(scale.gradient), *const x = values(scale.x);
  float* const dx = values(scale.result);
  const float zeros[kBlock] = {};
  // ds and db of each image, so that the sums do not depend on the number of threads.
  std::vector<double> sums(x == nullptr ? 0 : 2 * static_cast<size_t>(images) * channels);
#pragma omp parallel for
  for (int i = 0; i < images * blocks; ++i) {
    const float* const s = scale.factors + i % blocks * kBlock;
    const float* const means = mean == nullptr ? zeros : mean + i % blocks * kBlock;
    double* const ds = x == nullptr ? nullptr : sums.data() + 2 * static_cast<int64_t>(i) * kBlock;
    for (int64_t from = 0; from < pixels; from += kRun) {
      const int64_t at = (i * pixels + from) * kBlock, size = std::min(kRun, pixels - from);
      if (x != nullptr) add_sums<kBlock>(size, x + at, means, dy + at, ds, ds + kBlock);
      if (dx != nullptr) multiply<kBlock>(size, s, dy + at, dx + at);
    }
  }
  if (x == nullptr) return;
  std::fill_n(scale.factor_gradients, channels, 0.);
  std::fill_n(scale.shift_gradients, channels, 0.);
  for (int i = 0; i < images * blocks; ++i) {
    for (int k = 0; k < kBlock; ++k) {
      scale.factor_gradients[i % blocks * kBlock + k] += sums[(2 * i) * kBlock + k];
      scale.shift_gradients[i % blocks * kBlock + k] += sums[(2 * i + 1) * kBlock + k];
    }
  }
}

/// sum += sum of x, or of (x - mean)^2, for the same pixels.
template <int kBlock, bool kSquares>
void add_powers(int64_t pixels, const float* x, const float* mean, double* sum) {
  float sums[kBlock] = {};
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int k = 0; k < kBlock; ++k) {
      const float value = x[p * kBlock + k] - (kSquares ? mean[k] : 0.f);
      sums[k] += kSquares ? value * value : value;
    }
  }
  for (int k = 0; k < kBlock; ++k) sum[k] += sums[k];
}

/// dx = s dy + t (x - mean) + u for some pixels of one block of channels.
template <int kBlock>
void combine(int64_t pixels, const float* s, const float* dy, const float* t, const float* x,
             const float* mean, const float* u, float* dx) {
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int k = 0; k < kBlock; ++k) {
      const int64_t at = p * kBlock + k;
      dx[at] = s[k] * dy[at] + (t[k] * (x[at] - mean[k]) + u[k]);
    }
  }
}

/// With f = 1 / sqrt(variance + eps) and means over the channel:
/// dx = f (dy - mean of dy) - f^3 (x - mean) (mean of dy (x - mean)).
template <int kBlock>
void normalization_blocks(const dnnl::memory& gradient, const dnnl::memory& input,
                          const float* mean, const float* variance, float eps,
                          const dnnl::memory& result) {
  const Dims dims = dims_of(gradient.get_desc());
  const int images = static_cast<int>(dims[0]), channels = static_cast<int>(dims[1]);
  const int blocks = channels / kBlock;
  const int64_t pixels = dims[2] * dims[3];
  const float *const dy = values(&gradient), *const x = values(&input);
  float* const dx = values(&result);
  std::vector<double> products(channels), sums(channels);
  run_blocks<kBlock>({variance, &gradient, nullptr, &input, products.data(), sums.data()}, mean);
  std::vector<float> s, t, u;
  const double count = static_cast<double>(images) * static_cast<double>(pixels);
  for (int c = 0; c < channels; ++c) {
    const double f = 1 / std::sqrt(static_cast<double>(variance[c]) + eps);
    s.push_back(static_cast<float>(f));
    t.push_back(static_cast<float>(-f * f * f * products[c] / count));
    u.push_back(static_cast<float>(-f * sums[c] / count));
  }
#pragma omp parallel for
  for (int i = 0; i < images * blocks; ++i) {
    const int c = i % blocks * kBlock;
    const int64_t at = i * pixels * kBlock;
    combine<kBlock>(pixels, &s[c], dy + at, &t[c], x + at, mean + c, &u[c], dx + at);
  }
}

/// The mean over each channel of x, or of (x - mean)^2.
template <int kBlock, bool kSquares>
void take_means(const dnnl::memory& input, const float* mean, float* result) {
  const Dims dims = dims_of(input.get_desc());
  const int images = static_cast<int>(dims[0]), channels = static_cast<int>(dims[1]);
  const int blocks = channels / kBlock;
  const int64_t pixels = dims[2] * dims[3];
  const float* const x = values(&input);
  std::vector<double> sums(static_cast<size_t>(images) * channels);  // of each image
#pragma omp parallel for
  for (int i = 0; i < images * blocks; ++i) {
    const float* const means = kSquares ? mean + i % blocks * kBlock : nullptr;
    for (int64_t from = 0; from < pixels; from += kRun) {
      add_powers<kBlock, kSquares>(std::min(kRun, pixels - from), x + (i * pixels + from) * kBlock,
                                   means, &sums[static_cast<size_t>(i) * kBlock]);
    }
  }
  for (int c = 0; c < channels; ++c) {
    double total = 0;
    for (int n = 0; n < images; ++n) total += sums[static_cast<size_t>(n) * channels + c];
    result[c] = static_cast<float>(total / images / static_cast<double>(pixels));
  }
}

template <int kBlock>
void normalise_blocks(const dnnl::memory& input, float* mean, float* variance, float eps,
                      const dnnl::memory& output) {
  take_means<kBlock, false>(input, nullptr, mean);
  take_means<kBlock, true>(input, mean, variance);
  const Dims dims = dims_of(input.get_desc());
  const int blocks = static_cast<int>(dims[1]) / kBlock;
  const int64_t pixels = dims[2] * dims[3];
  std::vector<float> factors;
  for (int c = 0; c < dims[1]; ++c) factors.push_back(1 / std::sqrt(variance[c] + eps));
  const float* const x = values(&input);
  float* const y = values(&output);
#pragma omp parallel for
  for (int i = 0; i < static_cast<int>(dims[0]) * blocks; ++i) {
    const float *const means = mean + i % blocks * kBlock, *const s = &factors[i % blocks * kBlock];
    for (int64_t p = 0; p < pixels; ++p) {
      const int64_t at = (i * pixels + p) * kBlock;
#pragma omp simd
      for (int k = 0; k < kBlock; ++k) y[at + k] = (x[at + k] - means[k]) * s[k];
    }
  }
}

}  // namespace

void scale_backward(const BlockedScale& scale) {
  if (channel_block(scale.gradient->get_desc()) == 16) {
    run_blocks<16>(scale, nullptr);
  } else {
    run_blocks<8>(scale, nullptr);
  }
}

void normalization_forward(const dnnl::memory& x, float* mean, float* variance, float eps,
                           const dnnl::memory& y) {
  if (channel_block(x.get_desc()) == 16) {
    normalise_blocks<16>(x, mean, variance, eps, y);
  } else {
    normalise_blocks<8>(x, mean, variance, eps, y);
  }
}

void normalization_backward(const dnnl::memory& gradient, const dnnl::memory& x, const float* mean,
                            const float* variance, float eps, const dnnl::memory& result) {
  if (channel_block(gradient.get_desc()) == 16) {
    normalization_blocks<16>(gradient, x, mean, variance, eps, result);
  } else {
    normalization_blocks<8>(gradient, x, mean, variance, eps, result);
  }
}

}  // namespace onednn
}  // namespace caffe
