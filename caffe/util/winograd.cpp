#include "caffe/util/winograd.hpp"

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "caffe/util/ceil_div.hpp"
#include "caffe/util/winograd_kernels.hpp"

namespace caffe {
namespace winograd {

namespace {

constexpr int kMostBlock = 16, kMostArea = 25;
constexpr int kChunk = 32;   // tiles that a task transforms
constexpr size_t kGap = 16;  // floats between planes, so that these do not share sets of a cache

/// Calls f(begin, end) for equal pieces of [0, count) of at most `most`.
template <typename F>
void in_pieces(int count, int most, const F& f) {
  const int pieces = ceil_div(count, most);
  for (int i = 0; i < pieces; ++i) {
    f(static_cast<int>(int64_t(count) * i / pieces),
      static_cast<int>(int64_t(count) * (i + 1) / pieces));
  }
}

/// Filters of `block` channels and `block` outputs as [channels][kernel][outputs], from the rows of
/// an array [outputs][channels][kernel] whose outputs are `stride` floats apart.
void gather_filters(const float* from, size_t stride, int block, int area, float* to) {
  for (int output = 0; output < block; ++output) {
    for (int i = 0; i < block * area; ++i) to[i * block + output] = from[output * stride + i];
  }
}

/// The same from an array [channels][outputs][kernel], with each kernel turned around.
void gather_turned_filters(const float* from, size_t stride, int block, int area, float* to) {
  for (int channel = 0; channel < block; ++channel, from += stride, to += area * block) {
    for (int output = 0; output < block; ++output) {
      for (int i = 0; i < area; ++i) {
        to[(area - 1 - i) * block + output] = from[output * area + i];
      }
    }
  }
}

/// to[k] += the sum of rows[i][k] over all i.
void add_rows(const float* rows, int count, int width, float* to) {
  for (int i = 0; i < count; ++i) {
    for (int k = 0; k < width; ++k) to[k] += rows[size_t(i) * width + k];
  }
}

}  // namespace

Shape Shape::transposed() const {
  Shape result = *this;
  result.channels = outputs;
  result.outputs = channels;
  result.height = top_height();
  result.width = top_width();
  result.pad_h = kernel - 1 - pad_h;
  result.pad_w = kernel - 1 - pad_w;
  return result;
}

const Kernels* kernels_for(Isa isa) {
#ifdef CAFFE_WINOGRAD_X86
  if (isa == Isa::kAvx512) return &kAvx512Kernels;
  if (isa == Isa::kAvx2) return &kAvx2Kernels;
#endif
  return isa == Isa::kPlain ? &kPlainKernels : nullptr;
}

bool Convolution::supports(const Shape& shape, Isa isa) {
  const Kernels* const kernels = kernels_for(isa);
  const auto fits = [&](int channels) {
    return channels % shape.groups == 0 && channels / shape.groups % kernels->block == 0;
  };
  return kernels != nullptr && (shape.kernel == 3 || shape.kernel == 5) && shape.images > 0 &&
         shape.top_height() > 0 && shape.top_width() > 0 && shape.pad_h < shape.kernel &&
         shape.pad_w < shape.kernel && fits(shape.channels) && fits(shape.outputs);
}

Convolution::Convolution(const Shape& shape, Isa isa, const Caches& caches)
    : shape_(shape),
      kernels_(kernels_for(isa)),
      caches_(caches),
      step_(kSide + 1 - shape.kernel),
      down_(ceil_div(shape.top_height(), step_)),
      across_(ceil_div(shape.top_width(), step_)),
      channels_(shape.channels / shape.groups),
      outputs_(shape.outputs / shape.groups) {}

int Convolution::block() const {
  return kernels_->block;
}

// ---- weights: for each group and point [outputs / panel][channels][panel], where a panel is
// `vectors` vectors of outputs, except for the last one if these do not fill it

size_t Convolution::weights_plane() const {
  return size_t(channels_) * outputs_ + kGap;
}

size_t Convolution::weights_size() const {
  return shape_.groups * kPoints * weights_plane();
}

void Convolution::transform_weights(const float* weights, bool transposed, float* to) const {
  const int block = kernels_->block, rows = channels_ / block, columns = outputs_ / block;
  const int panels = ceil_div(columns, kernels_->vectors);
#pragma omp parallel for schedule(static)
  for (int task = 0; task < shape_.groups * rows * panels; ++task) {
    // Successive tasks read successive weights.
    const int row = transposed ? task / panels % rows : task % rows;
    const int panel = transposed ? task % panels : task / rows % panels;
    transform_panel(weights, transposed, task / rows / panels, panel, row * block, to);
  }
}

/// Transforms the weights of `block` channels and a panel of outputs.
void Convolution::transform_panel(const float* weights, bool transposed, int group, int panel,
                                  int channel, float* to) const {
  const int block = kernels_->block, area = shape_.kernel * shape_.kernel;
  const int first = panel * kernels_->vectors;
  const int vectors = std::min(kernels_->vectors, outputs_ / block - first);
  float* const out = to + group * kPoints * weights_plane() + size_t(first) * block * channels_ +
                     size_t(channel) * vectors * block;
  for (int vector = 0; vector < vectors; ++vector) {
    const int output = (first + vector) * block;
    alignas(64) float filters[kMostBlock * kMostArea * kMostBlock];
    if (transposed) {
      const size_t stride = size_t(outputs_) * area;
      gather_turned_filters(
          weights + (size_t(group) * channels_ + channel) * stride + output * area, stride, block,
          area, filters);
    } else {
      const size_t stride = size_t(channels_) * area;
      gather_filters(weights + (size_t(group) * outputs_ + output) * stride + channel * area,
                     stride, block, area, filters);
    }
    for (int c = 0; c < block; ++c) {
      kernels_->transform_weights(filters + c * area * block, shape_.kernel,
                                  out + (size_t(c) * vectors + vector) * block, weights_plane());
    }
  }
}

// ---- parts: runs of tiles that are transformed at a time

size_t Convolution::plane(int channels, int tiles) const {
  return size_t(channels) * tiles + kGap;
}

size_t Convolution::part_workspace(int tiles) const {
  return kPoints * (plane(channels_, tiles) + plane(outputs_, tiles));
}

/// The tiles of a part whose transformed values take at most about `bytes`. The number of parts of
/// all groups is a multiple of `threads`.
int Convolution::part_tiles(size_t bytes, int threads) const {
  const size_t tile = kPoints * sizeof(float) * (channels_ + outputs_);
  const int fit = std::max<int>(1, bytes / tile / kernels_->tiles) * kernels_->tiles;
  const int all = ceil_div(shape_.groups * ceil_div(tiles(), fit), threads) * threads;
  return ceil_div(tiles(), ceil_div(all, shape_.groups));
}

bool Convolution::one_thread_per_part() const {
  return kPoints * sizeof(float) * channels_ * outputs_ <= caches_.own_weights;
}

/// The same for any number of threads, since the sums in backward_weights() depend on it.
int Convolution::shared_part_tiles() const {
  const size_t weights = kPoints * sizeof(float) * channels_ * outputs_;
  return part_tiles(
      std::min(std::max(weights, caches_.least_shared_part), caches_.most_shared_part), 1);
}

int Convolution::forward_part_tiles() const {
  return one_thread_per_part() ? part_tiles(caches_.own_part, omp_get_max_threads())
                               : shared_part_tiles();
}

/// The work on one part of one group, as tasks that threads can do at the same time: first all of
/// input(), then all of product(), then all of output().
struct Convolution::Part {
  const Convolution& of;
  const Kernels& kernels;
  int size;  // tiles for which the workspace has room
  int group, first, count;
  float *v, *m;  // the transformed bottom and top

  Part(const Convolution& of, int size, int index, float* workspace)
      : of(of), kernels(*of.kernels_), size(size), v(workspace) {
    const int parts = ceil_div(of.tiles(), size);
    group = index / parts;
    first = index % parts * size;
    count = std::min(size, of.tiles() - first);
    m = v + kPoints * v_plane();
  }

  size_t v_plane() const { return of.plane(of.channels_, size); }
  size_t m_plane() const { return of.plane(of.outputs_, size); }
  size_t stride() const { return size_t(size) * kernels.block; }
  int chunks() const { return ceil_div(count, kChunk); }
  int inputs() const { return of.channels_ / kernels.block; }
  int outputs() const { return of.outputs_ / kernels.block; }
  int panels() const { return ceil_div(outputs(), kernels.vectors); }

  TileMap bottom_map() const {
    const Shape& s = of.shape_;
    return {s.height, s.width, of.down_, of.across_,
            of.step_, s.pad_h, s.pad_w,  size_t(s.channels) * s.height * s.width};
  }
  TileMap top_map() const {
    const Shape& s = of.shape_;
    return {s.top_height(),
            s.top_width(),
            of.down_,
            of.across_,
            of.step_,
            0,
            0,
            size_t(s.outputs) * s.top_height() * s.top_width()};
  }

  /// f(block of channels, first tile in the part, tiles) for a task.
  template <typename F>
  void chunk(int task, const F& f) const {
    const int begin = task % chunks() * kChunk;
    f(task / chunks(), begin, std::min(kChunk, count - begin));
  }

  int input_tasks() const { return inputs() * chunks(); }
  void input(int task, const float* bottom) const {
    const TileMap map = bottom_map();
    chunk(task, [&](int block, int begin, int tiles) {
      const size_t image = size_t(map.height) * map.width * kernels.block;
      kernels.transform_input(map, bottom + (size_t(group) * inputs() + block) * image,
                              first + begin, tiles, v + block * stride() + begin * kernels.block,
                              v_plane());
    });
  }

  /// Panels of weights that a task multiplies with all tiles.
  int task_panels() const {
    const size_t panel = sizeof(float) * of.channels_ * kernels.vectors * kernels.block;
    return std::max<int>(1, std::min<size_t>(panels(), of.caches_.weights / panel));
  }
  int product_pieces() const { return ceil_div(panels(), task_panels()); }
  int product_tasks() const { return kPoints * product_pieces(); }
  void product(int task, const float* weights) const {
    const int point = task / product_pieces(), piece = task % product_pieces();
    const int begin = piece * task_panels(), end = std::min(begin + task_panels(), panels());
    const float* const u = weights + (size_t(group) * kPoints + point) * of.weights_plane();
    const float* const from = v + point * v_plane();
    float* const to = m + point * m_plane();
    in_pieces(count, kernels.tiles, [&](int t0, int t1) {
      for (int panel = begin; panel < end; ++panel) {
        const int column = panel * kernels.vectors;
        kernels.product(from + t0 * kernels.block, stride(),
                        u + size_t(column) * kernels.block * of.channels_, inputs(), t1 - t0,
                        std::min(kernels.vectors, outputs() - column),
                        to + column * stride() + t0 * kernels.block, stride());
      }
    });
  }

  int output_tasks() const { return outputs() * chunks(); }
  void output(int task, const float* bias, bool relu, float* top) const {
    const TileMap map = top_map();
    chunk(task, [&](int block, int begin, int tiles) {
      const int index = group * outputs() + block;
      const size_t image = size_t(map.height) * map.width * kernels.block;
      alignas(64) float aligned[kMostBlock];
      if (bias != nullptr) std::copy_n(bias + index * kernels.block, kernels.block, aligned);
      kernels.transform_output(map, m + block * stride() + begin * kernels.block, m_plane(),
                               first + begin, tiles, bias == nullptr ? nullptr : aligned, relu,
                               top + index * image);
    });
  }

  int gradient_tasks() const { return output_tasks(); }
  /// Transforms the top's gradient, into `m`. A row of `sums` ([chunks][outputs]) gets the sums of
  /// the values in a chunk of the part.
  void gradient(int task, const float* top_gradient, float* sums) const {
    const TileMap map = top_map();
    chunk(task, [&](int block, int begin, int tiles) {
      const size_t image = size_t(map.height) * map.width * kernels.block;
      kernels.transform_gradient(
          map, top_gradient + (size_t(group) * outputs() + block) * image, first + begin, tiles,
          m + block * stride() + begin * kernels.block, m_plane(),
          sums + size_t(begin / kChunk) * of.outputs_ + block * kernels.block);
    });
  }

  int sum_pieces() const { return ceil_div(outputs(), kernels.columns); }
  int sum_tasks() const { return kPoints * sum_pieces(); }
  /// du (for each point [outputs / block][channels][block]) = or += V^T Z.
  void sum(int task, float* du) const {
    const int point = task / sum_pieces(), piece = task % sum_pieces();
    const int begin = outputs() * piece / sum_pieces();
    const int columns = outputs() * (piece + 1) / sum_pieces() - begin;
    const int block = kernels.block;
    float* const to = du + point * of.weights_plane() + size_t(begin) * of.channels_ * block;
    for (int c = 0; c < of.channels_; c += kernels.rows) {
      kernels.accumulate(v + point * v_plane() + c / block * stride() + c % block,
                         m + point * m_plane() + begin * stride(), stride(), count, columns,
                         first > 0, to + size_t(c) * block, size_t(of.channels_) * block, block);
    }
  }
};

// ---- forward

size_t Convolution::forward_workspace() const {
  const size_t one = part_workspace(forward_part_tiles());
  return one_thread_per_part() ? omp_get_max_threads() * one : one;
}

void Convolution::forward(const float* bottom, const float* weights, const float* bias, bool relu,
                          float* top, float* workspace) const {
  const int size = forward_part_tiles();
  const int parts = shape_.groups * ceil_div(tiles(), size);
  if (one_thread_per_part()) {
#pragma omp parallel
    {
      float* const mine = workspace + omp_get_thread_num() * part_workspace(size);
#pragma omp for schedule(static)
      for (int index = 0; index < parts; ++index) {
        const Part part(*this, size, index, mine);
        for (int i = 0; i < part.input_tasks(); ++i) part.input(i, bottom);
        for (int i = 0; i < part.product_tasks(); ++i) part.product(i, weights);
        for (int i = 0; i < part.output_tasks(); ++i) part.output(i, bias, relu, top);
      }
    }
    return;
  }
#pragma omp parallel
  for (int index = 0; index < parts; ++index) {
    const Part part(*this, size, index, workspace);
#pragma omp for schedule(static)
    for (int i = 0; i < part.input_tasks(); ++i) part.input(i, bottom);
#pragma omp for schedule(static)
    for (int i = 0; i < part.product_tasks(); ++i) part.product(i, weights);
#pragma omp for schedule(static)
    for (int i = 0; i < part.output_tasks(); ++i) part.output(i, bias, relu, top);
  }
}

// ---- the gradient of weights and bias

size_t Convolution::backward_workspace() const {
  const int size = shared_part_tiles();
  return kPoints * weights_plane() + part_workspace(size) +
         size_t(ceil_div(size, kChunk)) * outputs_;
}

void Convolution::backward_weights(const float* bottom, const float* top_gradient, float* weights,
                                   float* bias, float* workspace) const {
  const int size = shared_part_tiles();
  const int parts = ceil_div(tiles(), size);
  float* const du = workspace;
  float* const space = du + kPoints * weights_plane();
  float* const sums = space + part_workspace(size);
  for (int group = 0; group < shape_.groups; ++group) {
#pragma omp parallel
    for (int index = group * parts; index < (group + 1) * parts; ++index) {
      const Part part(*this, size, index, space);
      if (weights != nullptr) {
#pragma omp for schedule(static) nowait
        for (int i = 0; i < part.input_tasks(); ++i) part.input(i, bottom);
      }
#pragma omp for schedule(static)
      for (int i = 0; i < part.gradient_tasks(); ++i) part.gradient(i, top_gradient, sums);
      if (weights != nullptr) {
#pragma omp for schedule(static) nowait
        for (int i = 0; i < part.sum_tasks(); ++i) part.sum(i, du);
      }
#pragma omp single
      if (bias != nullptr) add_rows(sums, part.chunks(), outputs_, bias + group * outputs_);
    }
    if (weights != nullptr) add_weights_gradient(du, group, weights);
  }
}

void Convolution::add_weights_gradient(const float* du, int group, float* weights) const {
  const int block = kernels_->block, area = shape_.kernel * shape_.kernel;
  const int columns = outputs_ / block, rows = channels_ / block;  // in blocks
#pragma omp parallel for schedule(static)
  for (int task = 0; task < columns * rows; ++task) {
    const int column = task / rows, c0 = task % rows * block;
    alignas(64) float filters[kMostBlock * kMostArea * kMostBlock];  // [channels][kernel][outputs]
    for (int c = 0; c < block; ++c) {
      kernels_->transform_weights_back(du + (size_t(column) * channels_ + c0 + c) * block,
                                       weights_plane(), shape_.kernel, filters + c * area * block);
    }
    for (int k = 0; k < block; ++k) {
      float* const to =
          weights + ((size_t(group) * outputs_ + column * block + k) * channels_ + c0) * area;
      for (int i = 0; i < block * area; ++i) to[i] += filters[i * block + k];
    }
  }
}

}  // namespace winograd
}  // namespace caffe
