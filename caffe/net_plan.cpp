// What a net may leave out, join or overwrite.

#include "caffe/net_plan.hpp"

#include <algorithm>

#include "caffe/layers/keeps_weights.hpp"
#include "caffe/net.hpp"

namespace caffe {

template <typename Dtype>
void Net<Dtype>::KeepOnly(const vector<string>& blobs) {
  for (const string& blob : blobs) {
    CAFFE_CHECK(has_blob(blob), "net '" << name_ << "' has no blob '" << blob << "' to keep");
  }
  plan_->keeps_all = false;
  plan_->kept.insert(blobs.begin(), blobs.end());
  plan_->liveness = Liveness<Dtype>();
  plan_->buffers = BufferCache::common();
  for (const auto& layer : layers_) {
    if (auto* const keeper = dynamic_cast<KeepsWeights*>(layer.get())) keeper->allow_keeping();
  }
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

#define INSTANTIATE(Dtype)                                   \
  template void Net<Dtype>::KeepOnly(const vector<string>&); \
  template bool Net<Dtype>::keeps_all() const;               \
  template bool Net<Dtype>::is_kept(int) const
INSTANTIATE(float);
INSTANTIATE(double);
#undef INSTANTIATE

}  // namespace caffe
