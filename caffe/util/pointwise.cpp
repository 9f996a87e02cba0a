#include "caffe/util/pointwise.hpp"

#include <algorithm>
#include <cstdint>

#include "caffe/util/ceil_div.hpp"
#include "caffe/util/winograd_kernels.hpp"

namespace caffe {

namespace {

constexpr int kMostBlock = 16, kMostVectors = 2;
/// Bytes of the weights that a task multiplies with its pixels: they stay in a core's cache while
/// successive tasks take the next pixels.
constexpr size_t kWeights = 256 << 10;
/// With fewer multiplications, one thread is done before a second one has begun.
constexpr int64_t kWorthThreads = 500000;

}  // namespace

/// A run of pixels of an image and of panels, that is, of `vectors` vectors of outputs.
struct PointwiseConvolution::Task {
  int image, first_pixel, end_pixel, first_panel, end_panel;
};

PointwiseConvolution::PointwiseConvolution(const Shape& shape, Isa isa)
    : shape_(shape), kernels_(winograd::kernels_for(isa)) {}

int PointwiseConvolution::block() const {
  return kernels_->block;
}

int PointwiseConvolution::rows() const {
  return ceil_div(shape_.channels, kernels_->block);
}

int PointwiseConvolution::columns() const {
  return ceil_div(shape_.outputs, kernels_->block);
}

// ---- weights: [outputs / panel][channels][panel]; the last panel may have fewer vectors

size_t PointwiseConvolution::weights_size() const {
  return size_t(rows()) * columns() * kernels_->block * kernels_->block;
}

void PointwiseConvolution::arrange_weights(const float* weights, float* to) const {
  const int block = kernels_->block, channels = rows() * block;
#pragma omp parallel for schedule(static)
  for (int panel = 0; panel < ceil_div(columns(), kernels_->vectors); ++panel) {
    const int first = panel * kernels_->vectors * block;
    const int width = std::min(kernels_->vectors * block, columns() * block - first);
    float* out = to + size_t(first) * channels;
    for (int c = 0; c < channels; ++c, out += width) {
      for (int i = 0; i < width; ++i) {
        const bool is_there = c < shape_.channels && first + i < shape_.outputs;
        out[i] = is_there ? weights[size_t(first + i) * shape_.channels + c] : 0.f;
      }
    }
  }
}

// ---- forward

void PointwiseConvolution::run(const Task& task, const float* bottom, const float* weights,
                               const float* bias, const Relu& relu, float* top) const {
  const int block = kernels_->block, pixels = task.end_pixel - task.first_pixel;
  const size_t plane = size_t(shape_.pixels) * block;
  const float* const from = bottom + task.image * rows() * plane + task.first_pixel * block;
  float* const to = top + task.image * columns() * plane + task.first_pixel * block;
  for (int panel = task.first_panel; panel < task.end_panel; ++panel) {
    const int column = panel * kernels_->vectors, output = column * block;
    const int vectors = std::min(kernels_->vectors, columns() - column);
    const int outputs = std::min(vectors * block, shape_.outputs - output);
    alignas(64) float aligned[kMostVectors * kMostBlock] = {};
    if (bias != nullptr) std::copy_n(bias + output, outputs, aligned);
    kernels_->product_and_bias(from, plane, weights + size_t(output) * rows() * block, rows(),
                               pixels, vectors, aligned, relu.is_there, relu.slope,
                               to + column * plane, plane);
    // A bottom that is not finite makes NaN of the outputs that only pad the block.
    for (int i = 0; outputs % block != 0 && i < pixels; ++i) {
      float* const last = to + (column + vectors - 1) * plane + i * block;
      std::fill(last + outputs % block, last + block, 0.f);
    }
  }
}

void PointwiseConvolution::forward(const float* bottom, const float* weights, const float* bias,
                                   const Relu& relu, float* top) const {
  const int runs = ceil_div(shape_.pixels, kernels_->tiles);  // of pixels in an image
  const int panels = ceil_div(columns(), kernels_->vectors);
  const size_t panel =
      sizeof(float) * rows() * kernels_->block * kernels_->vectors * kernels_->block;
  const int fit = std::max<int>(1, std::min<size_t>(panels, kWeights / panel));
  const int pieces = ceil_div(panels, fit), all_runs = shape_.images * runs;
  const int64_t products =
      int64_t(shape_.images) * shape_.pixels * shape_.channels * shape_.outputs;
#pragma omp parallel for schedule(static) if (products >= kWorthThreads)
  for (int i = 0; i < pieces * all_runs; ++i) {
    const int piece = i / all_runs, run = i % runs;
    const auto pixel = [&](int k) { return static_cast<int>(int64_t(shape_.pixels) * k / runs); };
    this->run({i % all_runs / runs, pixel(run), pixel(run + 1), piece * fit,
               std::min((piece + 1) * fit, panels)},
              bottom, weights, bias, relu, top);
  }
}

}  // namespace caffe
