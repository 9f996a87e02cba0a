#ifndef CAFFE_UTIL_WINOGRAD_HPP_
#define CAFFE_UTIL_WINOGRAD_HPP_

// Convolution with stride 1 by Winograd's algorithm (Lavin and Gray, arXiv:1509.09308): 3x3 windows
// by F(4x4, 3x3) and 5x5 windows by F(2x2, 5x5), which transform the same 6x6 tiles and need 36
// multiplications where a direct convolution needs 144 and 100. The error is at
// most about 2e-6 of the largest value, and 4e-6 for the gradient of 5x5 weights (the limits of the
// tests, whose values are normally distributed). Float, on the CPU.
//
// Images are in the blocked layout [images][channels / block][height][width][block], weights row by
// row: [outputs][channels / groups][kernel][kernel]. All blocked arrays and workspaces begin at a
// multiple of 64 bytes. Results are the same bits for any number of threads.

#include <cstddef>

#include "caffe/util/cpu_isa.hpp"

namespace caffe {
namespace winograd {

struct Kernels;

struct Shape {
  int images, channels, height, width;  // of the bottom
  int outputs, groups;
  int kernel;  // 3 or 5
  int pad_h, pad_w;
  int top_height() const { return height + 2 * pad_h - kernel + 1; }
  int top_width() const { return width + 2 * pad_w - kernel + 1; }
  /// The shape of the convolution that computes the gradient of the bottom from the top's.
  Shape transposed() const;
};

/// The code for these instructions; null if this build has none.
const Kernels* kernels_for(Isa isa);

/// How the work is divided for the caches. Does not change results, except for the rounding of
/// backward_weights().
struct Caches {
  /// A convolution with no more bytes of transformed weights is computed by each thread for itself,
  /// in parts of the tiles. Otherwise all threads work on one part at a time, so that the weights
  /// are read once for each part.
  size_t own_weights = 36 * 128 * 128 * sizeof(float);
  /// Bytes of the transformed tiles of a part that a thread computes for itself.
  size_t own_part = 400 << 10;
  /// The same if threads share a part: as many as the transformed weights have, but at least and at
  /// most these.
  size_t least_shared_part = 8 << 20;
  size_t most_shared_part = 32 << 20;
  /// Bytes of the weights that a thread multiplies with all tiles of a part.
  size_t weights = 256 << 10;
};

class Convolution {
 public:
  /// Whether such a convolution can be computed: the kernel is 3 or 5, no padding reaches further
  /// than the kernel, and the channels and outputs of a group fill blocks.
  static bool supports(const Shape& shape, Isa isa);
  /// supports() must hold.
  Convolution(const Shape& shape, Isa isa, const Caches& caches = Caches());

  const Shape& shape() const { return shape_; }
  /// 6x6 tiles of the bottom, in all images.
  int tiles() const { return shape_.images * down_ * across_; }
  /// Channels in a block.
  int block() const;

  /// Floats of the transformed weights.
  size_t weights_size() const;
  /// Transforms the weights. If `transposed`, they are those of the convolution whose transposed()
  /// shape this has.
  void transform_weights(const float* weights, bool transposed, float* to) const;

  /// Floats of forward()'s workspace with the current number of threads.
  size_t forward_workspace() const;
  /// Writes the top. `weights` are transformed. bias: one value for each output, or null. If
  /// `relu`, negative values become 0.
  void forward(const float* bottom, const float* weights, const float* bias, bool relu, float* top,
               float* workspace) const;

  /// Floats of backward_weights()'s workspace.
  size_t backward_workspace() const;
  /// Adds the gradient of the weights to `weights`, which are not transformed, and that of the bias
  /// to `bias`. Either may be null.
  void backward_weights(const float* bottom, const float* top_gradient, float* weights, float* bias,
                        float* workspace) const;

 private:
  struct Part;
  int part_tiles(size_t bytes, int threads) const;
  int forward_part_tiles() const;
  bool one_thread_per_part() const;
  int shared_part_tiles() const;
  size_t plane(int channels, int tiles) const;
  size_t part_workspace(int tiles) const;
  size_t weights_plane() const;
  void transform_panel(const float* weights, bool transposed, int group, int panel, int channel,
                       float* to) const;
  void add_weights_gradient(const float* transformed, int group, float* weights) const;

  Shape shape_;
  const Kernels* kernels_;
  Caches caches_;
  int step_;                // rows and columns of the top that a tile computes
  int down_, across_;       // tiles of an image
  int channels_, outputs_;  // of a group
};

}  // namespace winograd
}  // namespace caffe

#endif  // CAFFE_UTIL_WINOGRAD_HPP_
