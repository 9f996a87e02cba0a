#ifndef CAFFE_SOLVERS_GRADIENT_NORM_HPP_
#define CAFFE_SOLVERS_GRADIENT_NORM_HPP_

#include <memory>
#include <vector>

#include "caffe/solvers/param_arena.hpp"

namespace caffe {

/// What clip_gradients finds on the GPU: the L2 norm of all gradients, and the factor that brings
/// it down to the limit, or 1.
template <typename Dtype>
struct Clipping {
  Dtype norm, factor;
  Dtype all;  // what the gradients are to be multiplied by
};

/// Computes the norm of all gradients on the GPU, for gradients in one array or anywhere, with the
/// same result: the squares of a chunk are added first, then the chunks of a parameter, then the
/// parameters, the last two nearly as exact as in double.
template <typename Dtype>
class GradientNorm {
 public:
  /// Of diffs that lie in an arena: three kernels.
  /// With `unscale`, on the GPU, the gradients count as multiplied by *unscale.
  void measure(const ArenaView<Dtype>& arena, Dtype most, const Dtype* unscale,
               Clipping<Dtype>* result);
  /// Of the diffs of all learnable parameters that were ever written.
  void measure(const Net<Dtype>& net, Dtype most, const Dtype* unscale, Clipping<Dtype>* result);

 private:
  void add_up(const ArenaTable<Dtype>& table, Dtype most, const Dtype* unscale,
              Clipping<Dtype>* result);
  Dtype* chunk_sums(const ArenaTable<Dtype>& table);

  std::unique_ptr<ArenaTable<Dtype>> table_;  // for gradients anywhere
  std::vector<size_t> sizes_;                 // of table_'s parameters
  Blob<Dtype> chunks_;                        // [chunks]
  Blob<double> params_;                       // [parameters]
};

}  // namespace caffe

#endif  // CAFFE_SOLVERS_GRADIENT_NORM_HPP_
