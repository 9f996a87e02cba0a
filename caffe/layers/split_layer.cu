#include "caffe/layers/split_layer.hpp"

#include "caffe/layers/engine_choice.hpp"
#include "caffe/util/parallel.hpp"

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
  const int count = bottom[0]->count();
  Dtype* const sum = bottom[0]->mutable_active_diff();  // [count]
  const Dtype* first = nullptr;
  int added = 0;
  for (Blob<Dtype>* const each : top) {
    if (!has_gradient(*each)) continue;
    const Dtype* const diff = each->active_diff();  // [count]
    if (added == 0) first = diff;
    if (added == 1) parallel_for(count, AddTwo<Dtype>{first, diff, sum});
    if (added > 1) parallel_for(count, AddTwo<Dtype>{sum, diff, sum});
    ++added;
  }
  if (added == 0) first = top[0]->active_diff();
  if (added <= 1) parallel_for(count, CopyOne<Dtype>{first, sum});
}

INSTANTIATE_CLASS(SplitLayer);
REGISTER_LAYER_WITH_ADAPTER(Split);

}  // namespace caffe
