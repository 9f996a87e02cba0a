#ifndef CAFFE_UTIL_LATE_LOSS_HPP_
#define CAFFE_UTIL_LATE_LOSS_HPP_

#include <functional>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/util/late_values.hpp"

namespace caffe {

/// What LateLoss keeps on the GPU.
template <typename Dtype>
struct LossSums {
  Dtype layer, pass, all, mean;
};

/// The loss of one or more forward passes, added up on the GPU in the order in which Net and Solver
/// add it up on the CPU. Used within a LateValues::Scope.
template <typename Dtype>
class LateLoss {
 public:
  typedef vector<Blob<Dtype>*> Blobs;
  explicit LateLoss(LateValues* values) : values_(values) {}
  ~LateLoss();

  /// Adds the loss of a layer that has run: the sum of value times loss weight over its tops.
  void add(const Layer<Dtype>& layer, const Blobs& tops);
  /// Now the backward pass may begin.
  void end_pass();
  /// The loss weights in the diffs of the tops, with which the backward pass begins, are multiplied
  /// by *factor, on the GPU, from each end_pass() to the next after_backward(). Null: they stay.
  void scale_gradients(const Dtype* factor) { factor_ = factor; }
  void after_backward() { place_weights(nullptr); }
  /// After the last pass: `then` gets the mean over the passes. With `stops`, the weights stay as
  /// they are if it is not finite.
  void finish(bool stops, std::function<void(Dtype)> then);
  /// After the last pass: writes the mean to this place on the GPU.
  void finish_at(Dtype* place);

  /// How far it has come.
  struct Weighted {
    Blob<Dtype>* top;
    Dtype weight;
  };
  struct Progress {
    vector<Weighted> tops;  // of this pass, with a factor
    bool is_scaled = false;
    LossSums<Dtype>* sums = nullptr;  // on the GPU; null until a layer has a loss
    shared_ptr<Dtype> mean;           // on the host, after LateValues::finish()
    bool in_pass = false;             // whether this pass had a loss
    bool in_earlier_pass = false;
    int passes = 0;
  };
  const Progress& progress() const { return now_; }
  /// Of the same layers, with the same late values.
  void set_progress(const Progress& progress) { now_ = progress; }

 private:
  void place_weights(const Dtype* factor);

  LateValues* const values_;
  const Dtype* factor_ = nullptr;  // on the GPU
  Progress now_;

  DISABLE_COPY_AND_ASSIGN(LateLoss);
};

/// In bytes: outputs of a net that are read after every pass, such as losses, accuracies and
/// Elimination's statistics.
constexpr size_t kSmallOutput = 8192;

/// Copies the values of small blobs on the GPU to the host, together with the late values of the
/// thread's scope: cpu_data() then copies nothing.
template <typename Dtype>
void fetch_late(const vector<Blob<Dtype>*>& blobs, size_t most_bytes);

}  // namespace caffe

#endif  // CAFFE_UTIL_LATE_LOSS_HPP_
