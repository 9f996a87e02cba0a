#ifndef CAFFE_LAYERS_ONEDNN_CONV_FOLDING_HPP_
#define CAFFE_LAYERS_ONEDNN_CONV_FOLDING_HPP_

// What a convolution computes for the layers behind it. A ReLU comes at the end of the same kernel.
// While testing, BatchNorm with its stored statistics and Scale are y = s x + t by channel, so the
// convolution computes them with weights s w and bias s b + t; and Dropout does nothing.
//
// oneDNN's kernel makes 0 of NaN in a ReLU, where Caffe's layer leaves NaN. So the ReLU is left to
// its layer if a value of the bottom, the weights or the bias is not finite. The engine's own
// convolution (winograd.hpp) leaves NaN as well.

#include <functional>
#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/util/unchanged.hpp"

namespace caffe {
namespace onednn {

typedef std::vector<Layer<float>*> Followers;

/// The followers that a convolution computes.
struct Folding {
  Followers layers;
  bool scales = false;  // s and t are not 1 and 0
  bool relu = false;
  float slope = 0;  // of the ReLU for negative values

  bool operator==(const Folding& other) const { return layers == other.layers; }
};

/// As many of the followers from the front as can be computed. `slopes`: a ReLU may have a
/// negative_slope. `scales`: the weights may be scaled.
Folding fold(const Followers& followers, int channels, bool slopes, bool scales);

/// Whether no value of the blob's data is NaN or infinite, in any layout.
bool all_finite(const Blob<float>& blob);

/// The weights and the bias of a convolution with its followers, in the form that its library
/// takes: made in each pass or, if they may be kept, once for the same values.
class FoldedWeights {
 public:
  struct Values {
    const float* weights;
    const float* bias;  // null: none
    bool finite;        // all of them
  };
  /// Writes weights that are given row by row in another form.
  typedef std::function<void(const float* plain, float* to)> Convert;

  /// What was kept has another form from now on.
  void forget();
  /// `bias` may be null. `bytes`: of the result of `convert`, which is null if the weights stay as
  /// they are. The result is valid until the next call, or until the values change.
  Values get(const Blob<float>& weights, const Blob<float>* bias, const Folding& folding, bool keep,
             size_t bytes, const Convert& convert);

 private:
  void make(const Blob<float>& weights, const Blob<float>* bias, const Convert& convert, float* to);

  Folding folding_;
  Unchanged unchanged_;
  std::unique_ptr<SyncedMemory> room_;  // the kept weights
  std::vector<float> bias_;             // s b + t
  bool finite_ = false;
};

}  // namespace onednn
}  // namespace caffe

#endif  // CAFFE_LAYERS_ONEDNN_CONV_FOLDING_HPP_
