// What a net may leave out, join or overwrite.

#include "caffe/net_plan.hpp"

#include <algorithm>

#include "caffe/layers/relu_layer.hpp"
#include "caffe/net.hpp"

namespace caffe {

template <typename Dtype>
void Net<Dtype>::KeepOnly(const vector<string>& blobs) {
  for (const string& blob : blobs) {
    CAFFE_CHECK(has_blob(blob), "net '" << name_ << "' has no blob '" << blob << "' to keep");
  }
  plan_->keeps_all = false;
  plan_->kept.insert(blobs.begin(), blobs.end());
}

template <typename Dtype>
bool Net<Dtype>::keeps_all() const {
  return plan_->keeps_all;
}

template <typename Dtype>
bool Net<Dtype>::is_kept(int blob) const {
  const auto among = [blob](const vector<int>& list) {
    return std::find(list.begin(), list.end(), blob) != list.end();
  };
  return keeps_all() || plan_->kept.count(blob_names_[blob]) > 0 ||
         among(net_input_blob_indices_) || among(net_output_blob_indices_);
}

/// A layer whose only top is changed in place by a plain ReLU right behind it may compute the ReLU
/// itself: no layer reads the values in between.
template <typename Dtype>
void Net<Dtype>::FindFusions() {
  plan_->takes_relu.assign(layers_.size(), nullptr);
  for (size_t i = 0; i + 1 < layers_.size(); ++i) {
    const Layer<Dtype>& next = *layers_[i + 1];
    const bool is_relu = dynamic_cast<const ReLULayer<Dtype>*>(&next) != nullptr &&
                         next.layer_param().relu_param().negative_slope() == 0;
    const bool is_in_place = top_vecs_[i].size() == 1 && bottom_vecs_[i + 1] == top_vecs_[i] &&
                             top_vecs_[i + 1] == top_vecs_[i];
    const bool has_loss = layers_[i]->loss(0) != 0 || next.loss(0) != 0;
    if (is_relu && is_in_place && !has_loss) {
      plan_->takes_relu[i] = dynamic_cast<TakesReLU*>(layers_[i].get());
    }
  }
}

#define INSTANTIATE(Dtype)                                   \
  template void Net<Dtype>::KeepOnly(const vector<string>&); \
  template bool Net<Dtype>::keeps_all() const;               \
  template bool Net<Dtype>::is_kept(int) const;              \
  template void Net<Dtype>::FindFusions()
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
