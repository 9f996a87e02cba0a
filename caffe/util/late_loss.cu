#include "caffe/util/late_loss.hpp"

#include <algorithm>

#include "caffe/util/parallel.hpp"

namespace caffe {

namespace {

/// Adds value times weight of one top.
template <typename T>
struct AddTop {
  int n;
  const T* value;   // [n]
  const T* weight;  // [n]
  bool first_of_pass, first_of_layer, last_of_layer;
  LossSums<T>* sums;
  template <typename Team>
  CAFFE_HD void operator()(int, const Team& team) const {
    T sum = T(0);
    for (int64_t i = team.rank(); i < n; i += Team::size()) sum += value[i] * weight[i];
    sum = team.sum(sum);
    if (team.rank() != 0) return;
    sums->layer = (first_of_layer ? T(0) : sums->layer) + sum;
    if (last_of_layer) sums->pass = (first_of_pass ? T(0) : sums->pass) + sums->layer;
  }
};

/// diff = weight, or weight times *factor.
template <typename T>
struct PlaceWeight {
  T weight;
  const T* factor;  // null: 1
  T* diff;          // [n]
  CAFFE_HD void operator()(int i) const { diff[i] = factor != nullptr ? weight * *factor : weight; }
};

template <typename T>
struct EndPass {
  bool has_loss, first;
  LossSums<T>* sums;
  CAFFE_HD void operator()(int) const {
    sums->all = (first ? T(0) : sums->all) + (has_loss ? sums->pass : T(0));
  }
};

/// The mean over the passes.
template <typename T>
struct TakeMean {
  int passes;
  LossSums<T>* sums;  // null: no layer has a loss
  int* stop;          // null: nothing stops
  T* place;           // null: nobody else asks for it
  CAFFE_HD void operator()(int) const {
    const T mean = sums == nullptr ? T(0) : sums->all / T(passes);
    if (sums != nullptr) sums->mean = mean;
    if (stop != nullptr && !(mean - mean == T(0))) *stop = 1;
    if (place != nullptr) *place = mean;
  }
};

/// The values of several blobs, one behind the other.
template <typename T>
struct Gather {
  static constexpr int kMost = 16;
  int blobs;
  const T* from[kMost];
  int begin[kMost];  // the place of a blob's first value in `to`
  T* to;
  CAFFE_HD void operator()(int i) const {
    int b = 0;
    while (b + 1 < blobs && begin[b + 1] <= i) ++b;
    to[i] = from[b][i - begin[b]];
  }
};

}  // namespace

template <typename Dtype>
void LateLoss<Dtype>::add(const Layer<Dtype>& layer, const Blobs& tops) {
  vector<int> with_loss;
  for (size_t i = 0; i < tops.size(); ++i) {
    if (layer.loss(static_cast<int>(i)) != Dtype(0)) with_loss.push_back(static_cast<int>(i));
  }
  if (with_loss.empty()) return;
  if (now_.sums == nullptr) {
    const auto mean = now_.mean = std::make_shared<Dtype>(Dtype(0));
    now_.sums = values_->place<LossSums<Dtype>>(
        1, [mean](const LossSums<Dtype>* sums) { *mean = sums->mean; });
  }
  for (const int i : with_loss) {
    parallel_teams(
        Device::kGPU, 1, tops[i]->count(),
        AddTop<Dtype>{tops[i]->count(), tops[i]->gpu_data(), tops[i]->gpu_diff(), !now_.in_pass,
                      i == with_loss.front(), i == with_loss.back(), now_.sums});
  }
  now_.in_pass = true;
  for (const int i : with_loss) {
    if (factor_ != nullptr) now_.tops.push_back({tops[i], layer.loss(i)});
  }
}

template <typename Dtype>
void LateLoss<Dtype>::place_weights(const Dtype* factor) {
  if (factor == nullptr && !now_.is_scaled) return;
  for (const Weighted& each : now_.tops) {
    parallel_for(Device::kGPU, each.top->count(),
                 PlaceWeight<Dtype>{each.weight, factor, each.top->mutable_gpu_diff()});
  }
  now_.is_scaled = factor != nullptr;
  if (!now_.is_scaled) now_.tops.clear();
}

/// After an error in the backward pass the weights must still be the net's own.
template <typename Dtype>
LateLoss<Dtype>::~LateLoss() {
  try {
    after_backward();
  } catch (const std::exception&) {  // the GPU is unusable
  }
}

template <typename Dtype>
void LateLoss<Dtype>::end_pass() {
  ++now_.passes;
  if (factor_ != nullptr) place_weights(factor_);
  if (now_.sums == nullptr) return;
  parallel_for(Device::kGPU, 1, EndPass<Dtype>{now_.in_pass, !now_.in_earlier_pass, now_.sums});
  now_.in_earlier_pass = true;
  now_.in_pass = false;
}

template <typename Dtype>
void LateLoss<Dtype>::finish(bool stops, std::function<void(Dtype)> then) {
  if (now_.sums == nullptr) {
    values_->then([then = std::move(then)] { then(Dtype(0)); });
    return;
  }
  parallel_for(Device::kGPU, 1,
               TakeMean<Dtype>{now_.passes, now_.sums, stops ? values_->stop() : nullptr, nullptr});
  values_->then([then = std::move(then), mean = now_.mean] { then(*mean); });
}

template <typename Dtype>
void LateLoss<Dtype>::finish_at(Dtype* place) {
  parallel_for(Device::kGPU, 1, TakeMean<Dtype>{now_.passes, now_.sums, nullptr, place});
}

template <typename Dtype>
void fetch_late(const vector<Blob<Dtype>*>& blobs, size_t most_bytes) {
  Gather<Dtype> gather = {};
  vector<shared_ptr<SyncedMemory>> memories;
  int count = 0;
  const auto launch = [&] {
    if (gather.blobs == 0) return;
    gather.to = LateValues::current()->place<Dtype>(count, [memories](const Dtype* values) {
      for (const shared_ptr<SyncedMemory>& memory : memories) {
        memory->cpu_copy_is(values);
        values += memory->size() / sizeof(Dtype);
      }
    });
    parallel_for(Device::kGPU, count, gather);
    gather = {};
    memories.clear();
    count = 0;
  };
  for (const Blob<Dtype>* const blob : blobs) {
    const shared_ptr<SyncedMemory>& memory = blob->data();
    if (memory->head() != SyncedMemory::HEAD_AT_GPU || memory->size() > most_bytes) continue;
    if (memory->size() == 0) continue;
    if (gather.blobs == Gather<Dtype>::kMost) launch();
    gather.from[gather.blobs] = blob->gpu_data();
    gather.begin[gather.blobs++] = count;
    memories.push_back(memory);
    count += static_cast<int>(memory->size() / sizeof(Dtype));
  }
  launch();
}

#define INSTANTIATE(T)        \
  template class LateLoss<T>; \
  template void fetch_late<T>(const vector<Blob<T>*>&, size_t)
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
