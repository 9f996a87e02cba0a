#include "caffe/net.hpp"

#include <cmath>

#include "caffe/net_error.hpp"

namespace caffe {

namespace {

/// Sets a gradient to 0 on the device that the thread's mode selects. A gradient that was never
/// written is 0 already and gets no memory.
template <typename Dtype>
void clear_diff(Blob<Dtype>* blob) {
  if (blob->diff()->head() == SyncedMemory::UNINITIALIZED) return;
  if (Caffe::mode() == Caffe::GPU) {
    caffe_gpu_set(blob->count(), Dtype(0), blob->mutable_gpu_diff());
  } else {
    caffe_set(blob->count(), Dtype(0), blob->mutable_cpu_diff());
  }
}

template <typename Dtype>
Dtype mean_absolute(Dtype sum, const Blob<Dtype>& blob) {
  return blob.count() > 0 ? sum / blob.count() : Dtype(0);
}

}  // namespace

// ---- forward

template <typename Dtype>
void Net<Dtype>::CheckRange(int first, int last) const {
  CAFFE_CHECK(
      first >= 0 && last < static_cast<int>(layers_.size()),
      "net '" << name_ << "': layers " << first << " to " << last << " of " << layers_.size());
}

template <typename Dtype>
void Net<Dtype>::Run(const vector<Callback*>& callbacks, int layer) {
  for (Callback* const callback : callbacks) callback->run(layer);
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardFromTo(int start, int end) {
  CheckRange(start, end);
  Dtype loss = 0;
  for (int i = start; i <= end; ++i) {
    Run(before_forward_, i);
    loss +=
        in_layer(*layers_[i], [&] { return layers_[i]->Forward(bottom_vecs_[i], top_vecs_[i]); });
    if (debug_info_) ForwardDebugInfo(i);
    Run(after_forward_, i);
  }
  return loss;
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardFrom(int start) {
  return ForwardFromTo(start, static_cast<int>(layers_.size()) - 1);
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardTo(int end) {
  return ForwardFromTo(0, end);
}

template <typename Dtype>
const vector<Blob<Dtype>*>& Net<Dtype>::Forward(Dtype* loss) {
  const Dtype total = ForwardFrom(0);
  if (loss != nullptr) *loss = total;
  return net_output_blobs_;
}

template <typename Dtype>
const vector<Blob<Dtype>*>& Net<Dtype>::Forward(const vector<Blob<Dtype>*>& bottom, Dtype* loss) {
  CAFFE_CHECK(bottom.size() == net_input_blobs_.size(),
              "net '" << name_ << "' has " << net_input_blobs_.size() << " inputs and was given "
                      << bottom.size() << " blobs");
  for (size_t i = 0; i < bottom.size(); ++i) net_input_blobs_[i]->CopyFrom(*bottom[i]);
  return Forward(loss);
}

// ---- backward

template <typename Dtype>
void Net<Dtype>::BackwardFromTo(int start, int end) {
  CheckRange(end, start);
  for (int i = start; i >= end; --i) {
    Run(before_backward_, i);
    if (layer_need_backward_[i]) {
      in_layer(*layers_[i], [&] {
        layers_[i]->Backward(top_vecs_[i], bottom_need_backward_[i], bottom_vecs_[i]);
      });
      if (debug_info_) BackwardDebugInfo(i);
    }
    Run(after_backward_, i);
  }
}

template <typename Dtype>
void Net<Dtype>::BackwardFrom(int start) {
  BackwardFromTo(start, 0);
}

template <typename Dtype>
void Net<Dtype>::BackwardTo(int end) {
  BackwardFromTo(static_cast<int>(layers_.size()) - 1, end);
}

template <typename Dtype>
void Net<Dtype>::Backward() {
  BackwardTo(0);
  if (debug_info_) ParamsDebugInfo();
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardBackward() {
  Dtype loss = 0;
  Forward(&loss);
  Backward();
  return loss;
}

template <typename Dtype>
void Net<Dtype>::ClearParamDiffs() {
  for (Blob<Dtype>* const param : learnable_params_) clear_diff(param);
}

template <typename Dtype>
void Net<Dtype>::Update() {
  for (Blob<Dtype>* const param : learnable_params_) param->Update();
}

template <typename Dtype>
void Net<Dtype>::Reshape() {
  for (size_t i = 0; i < layers_.size(); ++i) {
    in_layer(*layers_[i], [&] { layers_[i]->Reshape(bottom_vecs_[i], top_vecs_[i]); });
  }
}

// ---- look-ups

template <typename Dtype>
const vector<int>& Net<Dtype>::bottom_ids(int layer) const {
  CheckRange(layer, layer);
  return bottom_id_vecs_[layer];
}

template <typename Dtype>
const vector<int>& Net<Dtype>::top_ids(int layer) const {
  CheckRange(layer, layer);
  return top_id_vecs_[layer];
}

template <typename Dtype>
bool Net<Dtype>::has_blob(const string& blob_name) const {
  return blob_names_index_.count(blob_name) > 0;
}

template <typename Dtype>
shared_ptr<Blob<Dtype>> Net<Dtype>::blob_by_name(const string& blob_name) const {
  const auto found = blob_names_index_.find(blob_name);
  if (found != blob_names_index_.end()) return blobs_[found->second];
  LOG(WARNING) << "Unknown blob name " << blob_name;
  return nullptr;
}

template <typename Dtype>
bool Net<Dtype>::has_layer(const string& layer_name) const {
  return layer_names_index_.count(layer_name) > 0;
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> Net<Dtype>::layer_by_name(const string& layer_name) const {
  const auto found = layer_names_index_.find(layer_name);
  if (found != layer_names_index_.end()) return layers_[found->second];
  LOG(WARNING) << "Unknown layer name " << layer_name;
  return nullptr;
}

// ---- debug_info: the lines of Caffe's log

template <typename Dtype>
void Net<Dtype>::ForwardDebugInfo(int layer_id) const {
  const string where = "    [Forward] Layer " + layer_names_[layer_id];
  for (size_t i = 0; i < top_vecs_[layer_id].size(); ++i) {
    const Blob<Dtype>& blob = *top_vecs_[layer_id][i];
    LOG_IF(INFO, Caffe::root_solver())
        << where << ", top blob " << blob_names_[top_id_vecs_[layer_id][i]]
        << " data: " << mean_absolute(blob.asum_data(), blob);
  }
  for (size_t i = 0; i < layers_[layer_id]->blobs().size(); ++i) {
    const Blob<Dtype>& blob = *layers_[layer_id]->blobs()[i];
    LOG_IF(INFO, Caffe::root_solver())
        << where << ", param blob " << param_display_names_[param_id_vecs_[layer_id][i]]
        << " data: " << mean_absolute(blob.asum_data(), blob);
  }
}

template <typename Dtype>
void Net<Dtype>::BackwardDebugInfo(int layer_id) const {
  const string where = "    [Backward] Layer " + layer_names_[layer_id];
  for (size_t i = 0; i < bottom_vecs_[layer_id].size(); ++i) {
    if (!bottom_need_backward_[layer_id][i]) continue;
    const Blob<Dtype>& blob = *bottom_vecs_[layer_id][i];
    LOG_IF(INFO, Caffe::root_solver())
        << where << ", bottom blob " << blob_names_[bottom_id_vecs_[layer_id][i]]
        << " diff: " << mean_absolute(blob.asum_diff(), blob);
  }
  for (size_t i = 0; i < layers_[layer_id]->blobs().size(); ++i) {
    if (!layers_[layer_id]->param_propagate_down(static_cast<int>(i))) continue;
    const Blob<Dtype>& blob = *layers_[layer_id]->blobs()[i];
    LOG_IF(INFO, Caffe::root_solver())
        << where << ", param blob " << i << " diff: " << mean_absolute(blob.asum_diff(), blob);
  }
}

template <typename Dtype>
void Net<Dtype>::ParamsDebugInfo() const {
  Dtype data1 = 0, diff1 = 0, data2 = 0, diff2 = 0;
  for (const Blob<Dtype>* const param : learnable_params_) {
    data1 += param->asum_data();
    diff1 += param->asum_diff();
    data2 += param->sumsq_data();
    diff2 += param->sumsq_diff();
  }
  LOG(ERROR) << "    [Backward] All net params (data, diff): L1 norm = (" << data1 << ", " << diff1
             << "); L2 norm = (" << std::sqrt(data2) << ", " << std::sqrt(diff2) << ")";
}

INSTANTIATE_CLASS(Net);

}  // namespace caffe
