#include "caffe/layers/split_layer.hpp"

#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/value_format.hpp"
#include "kernels/half.hpp"

namespace caffe {

namespace {

template <typename T>
struct CopyOne {
  const T* a;  // [count]
  T* y;        // [count]
  CAFFE_HD void operator()(int i) const { y[i] = a[i]; }
};

template <typename T>
struct AddTwo {
  const T* a;  // [count]
  const T* b;  // [count]
  T* y;        // [count], may be a
  CAFFE_HD void operator()(int i) const { y[i] = a[i] + b[i]; }
};

/// Whether the gradient was ever written; if not, it is 0 and takes no memory.
template <typename Dtype>
bool has_gradient(const Blob<Dtype>& blob) {
  return blob.diff()->head() != SyncedMemory::UNINITIALIZED;
}

}  // namespace

template <typename Dtype>
void SplitLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  for (Blob<Dtype>* const each : top) {
    CAFFE_CHECK(each != bottom[0], this->name() << "cannot work in place: the gradient of a top "
                                                << "would be overwritten by the sum; give each "
                                                << "top a name of its own");
    each->ReshapeLike(*bottom[0]);
  }
}

template <typename Dtype>
void SplitLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  for (Blob<Dtype>* const each : top) each->ShareData(*bottom[0]);
}

template <typename Dtype>
void SplitLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  if (!propagate_down[0]) return;
  Blobs added;
  for (Blob<Dtype>* const each : top) {
    if (has_gradient(*each)) added.push_back(each);
  }
  if (added.empty()) added.push_back(top[0]);
  const int count = bottom[0]->count();
  with_values<Dtype>(common_diff_format(added), [&](auto values) {
    using T = typename decltype(values)::Type;
    const T* const first = values.diff(*added[0]);
    T* const sum = values.mutable_diff(bottom[0]);  // [count]
    if (added.size() == 1) parallel_for(count, CopyOne<T>{first, sum});
    for (size_t i = 1; i < added.size(); ++i) {
      const T* const diff = values.diff(*added[i]);
      parallel_for(count, AddTwo<T>{i == 1 ? first : sum, diff, sum});
    }
  });
}

INSTANTIATE_CLASS(SplitLayer);
REGISTER_LAYER_WITH_ADAPTER(Split);

}  // namespace caffe
