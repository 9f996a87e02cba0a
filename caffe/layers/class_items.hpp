#ifndef CAFFE_LAYERS_CLASS_ITEMS_HPP_
#define CAFFE_LAYERS_CLASS_ITEMS_HPP_

// What the losses of labelled items share. For .cu files only (kernels/parallel.hpp).

#include <cstdint>

#include "caffe/layers/gpu_loss.hpp"
#include "caffe/util/parallel.hpp"

namespace caffe {

/// Items with a probability for each class, and a label.
template <typename T>
struct ClassItems {
  Divisor classes, inner;
  bool has_ignore;
  int ignore;
  const T* prob;   // [outer x classes x inner]
  const T* label;  // [outer x inner]
  /// The offset of class c of item i = (outer, inner).
  CAFFE_HD int64_t at(int i, int c) const {
    return (static_cast<int64_t>(i / inner) * classes + c) * inner + i % inner;
  }
  /// The label, or -1 if it is ignored or no class: on a GPU wrong labels are found late.
  CAFFE_HD int label_of(int i) const {
    const int l = static_cast<int>(label[i]);
    const bool is_class = static_cast<unsigned>(l) < static_cast<unsigned>(classes);
    return is_class & !(has_ignore & (l == ignore)) ? l : -1;
  }
};

/// A factor of each item's gradient.
template <typename T>
struct ItemFactors {
  const T* factors;  // as the labels
};

template <typename T>
CAFFE_HD inline T factor_of(T factor, int) {
  return factor;
}
template <typename T>
CAFFE_HD inline T factor_of(const LossFactor<T>& factor, int) {
  return value_of(factor);
}
template <typename T>
CAFFE_HD inline T factor_of(const ItemFactors<T>& items, int i) {
  return items.factors[i];
}

/// The gradient of losses of a softmax: factor (p - 1 at the label, p elsewhere), and 0 for an item
/// without a label.
template <typename T, typename Factor>
struct LabelGradient {
  ClassItems<T> items;
  Factor factor;
  T* dx;
  CAFFE_HD T value(bool counts, T by, bool is_label, int64_t at) const {
    const T slope = by * (items.prob[at] - (is_label ? T(1) : T(0)));
    return counts ? slope : T(0);
  }
  /// All classes of item i.
  CAFFE_HD void operator()(int i) const {
    const int label = items.label_of(i);
    const T by = factor_of(factor, i);
    for (int c = 0; c < items.classes; ++c) {
      const int64_t at = items.at(i, c);
      dx[at] = value(label >= 0, by, c == label, at);
    }
  }
  /// The value at `at`, in row (outer, class).
  CAFFE_HD void operator()(int row, int at) const {
    const int outer = row / items.classes, c = row - outer * items.classes;
    const int i = outer * items.inner + (at - row * items.inner);
    const int label = items.label_of(i);
    dx[at] = value(label >= 0, factor_of(factor, i), c == label, at);
  }
};

/// Whether a thread takes an item with all its classes, and not an element. On a GPU, if
/// neighbours' values are neighbours and the items keep it busy: then a label is read once. On the
/// CPU, if inner is small: planes are vectorised, and for 16 x 21 x 65536 scores take a twelfth of
/// the time, but short ones are slower than items.
inline bool thread_for_each_item(int outer, int inner) {
  constexpr int kPlane = 128, kSideBySide = 32;
  constexpr int64_t kBusy = 65536;
  if (current_device() == Device::kCPU) return inner < kPlane;
  return inner >= kSideBySide && static_cast<int64_t>(outer) * inner >= kBusy;
}

/// dx = the gradient of all classes of outer x items.inner items.
template <typename T, typename Factor>
void label_gradient(int outer, const ClassItems<T>& items, const Factor& factor, T* dx) {
  const LabelGradient<T, Factor> gradient = {items, factor, dx};
  if (thread_for_each_item(outer, items.inner)) {
    parallel_rows(static_cast<int64_t>(outer) * items.inner, items.classes, gradient);
  } else {
    parallel_planes(outer * items.classes, items.inner, gradient);
  }
}

}  // namespace caffe

#endif  // CAFFE_LAYERS_CLASS_ITEMS_HPP_
