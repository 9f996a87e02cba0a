#ifndef CAFFE_LAYERS_GPU_LOSS_HPP_
#define CAFFE_LAYERS_GPU_LOSS_HPP_

// What the losses and Accuracy share on a GPU, where nothing of a batch comes back to the host: not
// its labels, which are checked there (check_labels_on_gpu), nor the divisor of a loss, nor the
// loss. For .cu files only (kernels/parallel.hpp).

#include "caffe/layers/loss_layer.hpp"
#include "caffe/util/gpu_total.hpp"
#include "caffe/util/item_teams.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

/// Like count_labels, late: an Error that names the first label out of range comes with the late
/// values, and until then kernels must expect such labels. Returns where on the GPU the number of
/// labels that are not ignored is: the first of `counts`, of which a backward pass on another
/// device asks again.
template <typename Dtype>
const int* check_labels_on_gpu(const Layer<Dtype>& layer, const Blob<Dtype>& labels,
                               const LabelRange& range, Blob<int>* counts);

/// For the same, a number that the host has counted.
inline int keep_count(int valid, Blob<int>* counts) {
  counts->Reshape({1});
  return counts->mutable_cpu_data()[0] = valid;
}

/// The number that check_labels_on_gpu or keep_count has left; `otherwise` if a derived class has a
/// forward pass of its own.
inline int kept_count(const Blob<int>& counts, int otherwise) {
  return counts.count() > 0 ? counts.cpu_data()[0] : otherwise;
}

/// The divisor of a loss, at least 1.
template <typename T>
struct LossDivisor {
  T fixed;
  const int* valid;  // on the GPU; null: fixed
  CAFFE_HD T get() const {
    if (valid == nullptr) return fixed;
    return *valid < 1 ? T(1) : T(*valid);
  }
};

/// normalizer_of for a number of valid labels that only the GPU knows.
template <typename T>
LossDivisor<T> loss_divisor(LossParameter::NormalizationMode mode, int outer, int inner,
                            const int* valid, float fixed) {
  if (mode == LossParameter::VALID) return {T(1), valid};
  return {normalizer_of<T>(mode, outer, inner, -1, fixed), nullptr};
}

/// The factor of a gradient, sign dy / divisor, which on the CPU is one number of type T.
template <typename T>
struct LossFactor {
  T sign;
  const T* dy;
  LossDivisor<T> divisor;
};

template <typename T>
CAFFE_HD inline T value_of(T factor) {
  return factor;
}
template <typename T>
CAFFE_HD inline T value_of(const LossFactor<T>& factor) {
  return factor.sign * *factor.dy / factor.divisor.get();
}

/// y = factor x.
template <typename T, typename Factor>
struct MultipleOf {
  Factor factor;
  const T* x;  // [n]
  T* y;        // [n]
  CAFFE_HD void operator()(int i) const { y[i] = value_of(factor) * x[i]; }
};

/// y = (sign dy / divisor) x with dy the gradient of the loss `top`: the gradient of a loss with
/// respect to a bottom, of its derivative x. x and y belong to the calling thread's device.
template <typename T>
void multiply_by_loss(T sign, const Blob<T>& top, T divisor, int n, const T* x, T* y) {
  if (current_device() == Device::kGPU) {
    const LossFactor<T> factor = {sign, top.gpu_diff(), {divisor, nullptr}};
    parallel_for(n, MultipleOf<T, LossFactor<T>>{factor, x, y});
  } else {
    parallel_for(n, MultipleOf<T, T>{sign * top.cpu_diff()[0] / divisor, x, y});
  }
}

/// For gpu_total: a loss is its first sum by the divisor, and by `more`.
template <typename T>
struct StoreLoss {
  LossDivisor<T> divisor;
  T more;
  T* loss;
  CAFFE_HD void operator()(int, T sum, T) const { *loss = sum / divisor.get() / more; }
};

/// For gpu_total: computes item by item with a functor that writes loss[i], and adds these up.
template <typename T, typename Item>
struct ItemLosses {
  using Value = T;
  Item item;
  const T* loss;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    item(i);
    return loss[i];
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

/// On a GPU: *top = (sum of the losses that item(i) writes to loss[i]) / divisor.
template <typename T, typename Item>
void gpu_loss(int n, const Item& item, const T* loss, const LossDivisor<T>& divisor, T* top) {
  gpu_total(n, ItemLosses<T, Item>{item, loss}, StoreLoss<T>{divisor, T(1), top});
}

/// For gpu_total: values that are there.
template <typename T>
struct Listed {
  using Value = T;
  const T* values;
  template <typename W>
  CAFFE_HD W first(int, int i) const {
    return values[i];
  }
  template <typename W>
  CAFFE_HD W second(int, int) const {
    return W(0);
  }
};

/// The same with item(i, team), for items of `length` values, `step` apart
/// (caffe/util/item_teams.hpp).
template <typename T, typename Item>
void gpu_loss_of_items(int n, int length, int step, const Item& item, const T* loss,
                       const LossDivisor<T>& divisor, T* top) {
  gpu_total_of_items(n, length, step, item, Listed<T>{loss}, StoreLoss<T>{divisor, T(1), top});
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_GPU_LOSS_HPP_
