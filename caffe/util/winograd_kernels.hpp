#ifndef CAFFE_UTIL_WINOGRAD_KERNELS_HPP_
#define CAFFE_UTIL_WINOGRAD_KERNELS_HPP_

// The parts of Winograd's convolution (winograd.hpp) that are compiled once for each set of
// instructions. `Vec` below is a vector of `block` floats, the values of that many channels.
//
// Includes no header of C++'s library: a file compiled with AVX-512 must not offer the linker an
// inline function that other files use.

#include <stddef.h>

namespace caffe {
namespace winograd {

constexpr int kSide = 6;                // of a transformed tile
constexpr int kPoints = kSide * kSide;  // its values

/// Where the tiles of a batch lie in a blocked array of images. Tile (n, i, j) begins in row
/// i * step - pad_h and column j * step - pad_w of image n; what lies outside reads as 0 and is
/// not written.
struct TileMap {
  int height, width;
  int down, across;  // tiles
  int step;
  int pad_h, pad_w;
  size_t image;  // floats from one image to the next
};

struct Kernels {
  int block;    // floats in a vector
  int tiles;    // the most tiles that product() takes at a time
  int vectors;  // of outputs in a panel of product()
  int rows;     // channels that accumulate() takes at a time
  int columns;  // the most vectors of outputs that accumulate() takes at a time

  /// The functions below that have `images` take the plane of one block of channels in image 0,
  /// and a pointer to the first tile of that block of channels at point 0.

  /// to = B^T d B for 6x6 values d of each tile in [first, first + count).
  void (*transform_input)(const TileMap& map, const float* images, int first, int count, float* to,
                          size_t plane);
  /// images = A^T m A + bias, at least 0 if `relu`; bias: `block` values or null.
  void (*transform_output)(const TileMap& map, const float* from, size_t plane, int first,
                           int count, const float* bias, bool relu, float* images);
  /// to = A d A^T for the step x step values d of each tile; sums: `block` sums of all values.
  void (*transform_gradient)(const TileMap& map, const float* images, int first, int count,
                             float* to, size_t plane, float* sums);

  /// m[j][t] = sum over channels c of v[c][t] u[c][j] for `tiles` tiles and `vectors` vectors j.
  /// v: [blocks][v_stride], u: [channels][vectors][block], m: [vectors][m_stride].
  void (*product)(const float* v, size_t v_stride, const float* u, int blocks, int tiles,
                  int vectors, float* m, size_t m_stride);
  /// du[j][r] = (add ? du[j][r] : 0) + sum over tiles t of v[t][r] z[j][t] for `rows` channels r
  /// and `columns` vectors j. z: [columns][z_stride], du: [columns][du_stride], where successive
  /// rows are `du_row` floats apart, at any address.
  void (*accumulate)(const float* v, const float* z, size_t z_stride, int tiles, int columns,
                     bool add, float* du, size_t du_stride, size_t du_row);

  /// The same as product(), plus bias: [vectors][block], and then, if `relu`, Caffe's ReLU
  /// with that negative slope.
  void (*product_and_bias)(const float* v, size_t v_stride, const float* u, int blocks, int tiles,
                           int vectors, const float* bias, bool relu, float slope, float* m,
                           size_t m_stride);

  /// to = G w G^T for filters w (kernel x kernel vectors, row by row); `points` of `to` are `plane`
  /// floats apart.
  void (*transform_weights)(const float* filter, int kernel, float* to, size_t plane);
  /// filter = G^T u G.
  void (*transform_weights_back)(const float* from, size_t plane, int kernel, float* filter);
};

/// The code for AVX-512, for AVX2 with FMA, and for any processor.
extern const Kernels kAvx512Kernels, kAvx2Kernels, kPlainKernels;

}  // namespace winograd
}  // namespace caffe

#endif  // CAFFE_UTIL_WINOGRAD_KERNELS_HPP_
