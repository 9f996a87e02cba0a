#include "caffe/util/pointwise_gradients.hpp"

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "caffe/util/ceil_div.hpp"
#include "caffe/util/winograd_kernels.hpp"

namespace caffe {
namespace pointwise {

using winograd::Kernels;

namespace {

constexpr int kMostBlock = 16;
// Bytes of the weights that stay in a core's second cache while they meet all pixels.
constexpr size_t kWeights = 256 << 10;
// The pixels whose products are summed in registers. More lose digits.
constexpr int kRun = 128;
// The rows of a gradient of weights that meet a run of pixels while it is in the first cache.
constexpr int kRows = 64;

/// The beginning of piece i of [0, count) in `pieces` equal ones.
int cut(int count, int i, int pieces) {
  return static_cast<int>(int64_t(count) * i / pieces);
}

/// Asks for the `lines` cache lines at p.
void prefetch(const float* p, int lines) {
  for (int i = 0; i < lines; ++i) __builtin_prefetch(p + i * 16);
}

/// A product of packed weights with all pixels of some images.
struct Product {
  const Kernels& kernels;
  int images, pixels, inputs, outputs;  // the last two in blocks
  const float *from, *weights;
  float* to;

  int panels() const { return ceil_div(outputs, kernels.vectors); }
  /// Panels of weights that stay in a cache.
  int group() const {
    const size_t panel = sizeof(float) * inputs * kernels.block * kernels.vectors * kernels.block;
    return std::max<int>(1, std::min<size_t>(panels(), kWeights / panel));
  }
  int pieces() const { return ceil_div(pixels, kernels.tiles); }
  int tasks() const { return ceil_div(panels(), group()) * images * pieces(); }

  /// Some panels of the weights with some pixels of an image.
  void run(int task) const {
    const int piece = task % pieces(), image = task / pieces() % images;
    const int first = task / pieces() / images * group();
    const int begin = cut(pixels, piece, pieces()), end = cut(pixels, piece + 1, pieces());
    const int block = kernels.block;
    const size_t stride = size_t(pixels) * block;
    const float* const v = from + size_t(image) * inputs * stride + size_t(begin) * block;
    if (piece + 1 < pieces()) {
      const int next = cut(pixels, piece + 2, pieces()) - end;
      for (int i = 0; i < inputs; ++i) {
        prefetch(v + i * stride + size_t(end - begin) * block, ceil_div(next * block, 16));
      }
    }
    for (int panel = first; panel < std::min(first + group(), panels()); ++panel) {
      const int column = panel * kernels.vectors;
      const int vectors = std::min(kernels.vectors, outputs - column);
      float* const m = to + (size_t(image) * outputs + column) * stride + size_t(begin) * block;
      kernels.product(v, stride, weights + size_t(column) * block * inputs * block, inputs,
                      end - begin, vectors, m, stride);
    }
  }

  void run() const {
#pragma omp parallel for schedule(static)
    for (int task = 0; task < tasks(); ++task) run(task);
  }
};

}  // namespace

bool Gradients::supports(const Shape& shape, Isa isa) {
  const Kernels* const kernels = winograd::kernels_for(isa);
  if (kernels == nullptr) return false;
  const int block = kernels->block;
  return shape.images > 0 && shape.height > 0 && shape.width > 0 && shape.stride > 0 &&
         shape.channels > 0 && shape.outputs > 0 && shape.channels % block == 0 &&
         shape.outputs % block == 0;
}

Gradients::Gradients(const Shape& shape, Isa isa)
    : shape_(shape), kernels_(winograd::kernels_for(isa)) {}

int Gradients::block() const {
  return kernels_->block;
}

// ---- the gradient of the bottom

/// To [channels / panel][outputs][panel], where a panel is `vectors` vectors of channels, except
/// for the last one if these do not fill it.
void Gradients::pack(const float* weights, float* to) const {
  const int block = kernels_->block, rows = shape_.outputs, columns = shape_.channels / block;
  const int panels = ceil_div(columns, kernels_->vectors), pieces = rows / block;
#pragma omp parallel for schedule(static)
  for (int task = 0; task < panels * pieces; ++task) {
    const int first = task / pieces * kernels_->vectors, row = task % pieces * block;
    const int width = std::min(kernels_->vectors, columns - first) * block;
    float* const out = to + size_t(first) * block * rows + size_t(row) * width;
    for (int i = 0; i < block; ++i) {
      std::copy_n(weights + size_t(row + i) * shape_.channels + size_t(first) * block, width,
                  out + size_t(i) * width);
    }
  }
}

void Gradients::backward_data(const float* top_gradient, const float* weights,
                              float* bottom_gradient, float* packed) const {
  const Shape& s = shape_;
  const int block = kernels_->block;
  pack(weights, packed);
  Product{*kernels_,          s.images,     pixels(), s.outputs / block,
          s.channels / block, top_gradient, packed,   bottom_gradient}
      .run();
}

// ---- the gradient of the weights and the bias

size_t Gradients::workspace() const {
  return shape_.stride == 1 ? 0 : size_t(shape_.images) * shape_.channels * pixels();
}

/// The pixels that the stride takes, as images of their own.
const float* Gradients::taken_pixels(const float* bottom, float* workspace) const {
  const Shape& s = shape_;
  if (s.stride == 1) return bottom;
  const int block = kernels_->block, wide = s.top_width();
#pragma omp parallel for schedule(static)
  for (int i = 0; i < s.images * (s.channels / block); ++i) {
    const float* const from = bottom + size_t(i) * s.height * s.width * block;
    float* to = workspace + size_t(i) * pixels() * block;
    for (int y = 0; y < s.top_height(); ++y) {
      const float* const row = from + size_t(y) * s.stride * s.width * block;
      for (int x = 0; x < wide; ++x, to += block) {
        std::copy_n(row + size_t(x) * s.stride * block, block, to);
      }
    }
  }
  return workspace;
}

void Gradients::backward_weights(const float* bottom, const float* top_gradient, float* weights,
                                 float* bias, float* workspace) const {
  if (weights != nullptr) {
    add_weights(taken_pixels(bottom, workspace), top_gradient, weights);
  }
  if (bias != nullptr) add_bias(top_gradient, bias);
}

void Gradients::add_weights(const float* bottom, const float* top_gradient, float* weights) const {
  const Shape& s = shape_;
  const int block = kernels_->block, columns = s.channels / block, all = pixels();
  const size_t stride = size_t(all) * block;
  const int pieces = ceil_div(columns, kernels_->columns), runs = ceil_div(all, kRun);
  const int threads = omp_get_max_threads();
  // Rows of a task: fewer, if there would not be enough tasks.
  const int rows = std::min(kRows, std::max(block, s.outputs * pieces / (4 * threads)));
  const int parts = ceil_div(s.outputs, rows / block * block);
#pragma omp parallel for schedule(static)
  for (int task = 0; task < pieces * parts; ++task) {
    const int piece = task / parts, part = task % parts;
    const int column = cut(columns, piece, pieces), next = cut(columns, piece + 1, pieces);
    const int first = cut(s.outputs / block, part, parts) * block;
    const int last = cut(s.outputs / block, part + 1, parts) * block;
    for (int run = 0; run < s.images * runs; ++run) {
      const int image = run / runs, begin = cut(all, run % runs, runs);
      const int count = cut(all, run % runs + 1, runs) - begin;
      const float* const z =
          bottom + (size_t(image) * columns + column) * stride + size_t(begin) * block;
      for (int row = first; row < last; row += kernels_->rows) {
        const float* const v = top_gradient +
                               (size_t(image) * (s.outputs / block) + row / block) * stride +
                               size_t(begin) * block + row % block;
        kernels_->accumulate(v, z, stride, count, next - column, true,
                             weights + size_t(row) * s.channels + size_t(column) * block, block,
                             s.channels);
      }
    }
  }
}

void Gradients::add_bias(const float* top_gradient, float* bias) const {
  const int block = kernels_->block, outputs = shape_.outputs / block, all = pixels();
  const int runs = ceil_div(all, kRun);
#pragma omp parallel for schedule(static)
  for (int column = 0; column < outputs; ++column) {
    double totals[kMostBlock] = {};
    for (int run = 0; run < shape_.images * runs; ++run) {
      const float* const from =
          top_gradient + (size_t(run / runs) * outputs + column) * all * block;
      float sums[kMostBlock] = {};
      for (int i = cut(all, run % runs, runs); i < cut(all, run % runs + 1, runs); ++i) {
        for (int k = 0; k < block; ++k) sums[k] += from[size_t(i) * block + k];
      }
      for (int k = 0; k < block; ++k) totals[k] += sums[k];
    }
    for (int k = 0; k < block; ++k) {
      float* const to = bias + column * block + k;
      *to = static_cast<float>(*to + totals[k]);
    }
  }
}

}  // namespace pointwise
}  // namespace caffe
