#include "caffe/layers/onednn/blocked_scale.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace caffe {
namespace onednn {
namespace {

// Pixels whose sums are made in float before they are added in double.
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

/// ds += sum of dy x and db += sum of dy, likewise.
template <int kBlock>
void add_sums(int64_t pixels, const float* x, const float* dy, double* ds, double* db) {
  float products[kBlock] = {}, sums[kBlock] = {};
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int k = 0; k < kBlock; ++k) {
      products[k] += dy[p * kBlock + k] * x[p * kBlock + k];
      sums[k] += dy[p * kBlock + k];
    }
  }
  for (int k = 0; k < kBlock; ++k) {
    ds[k] += products[k];
    db[k] += sums[k];
  }
}

template <int kBlock>
void run_blocks(const BlockedScale& scale) {
  const Dims dims = dims_of(scale.gradient->get_desc());  // (n, channels, height, width)
  const int images = static_cast<int>(dims[0]), channels = static_cast<int>(dims[1]);
  const int blocks = channels / kBlock;
  const int64_t pixels = dims[2] * dims[3];
  const float *const dy = values(scale.gradient), *const x = values(scale.x);
  float* const dx = values(scale.result);
  // Of each image, ds and db, so that the sums do not depend on the number of threads.
  std::vector<double> sums(x == nullptr ? 0 : 2 * static_cast<size_t>(images) * channels);
#pragma omp parallel for
  for (int i = 0; i < images * blocks; ++i) {
    const float* const s = scale.factors + i % blocks * kBlock;
    double* const ds = x == nullptr ? nullptr : sums.data() + 2 * static_cast<int64_t>(i) * kBlock;
    for (int64_t from = 0; from < pixels; from += kRun) {
      const int64_t at = (i * pixels + from) * kBlock, size = std::min(kRun, pixels - from);
      if (x != nullptr) add_sums<kBlock>(size, x + at, dy + at, ds, ds + kBlock);
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

}  // namespace

void scale_backward(const BlockedScale& scale) {
  if (channel_block(scale.gradient->get_desc()) == 16) {
    run_blocks<16>(scale);
  } else {
    run_blocks<8>(scale);
  }
}

}  // namespace onednn
}  // namespace caffe
