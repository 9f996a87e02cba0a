#include "caffe/net.hpp"

#include <cmath>

#include "caffe/net_error.hpp"
#include "caffe/net_memory.hpp"
#include "caffe/net_plan.hpp"
#include "caffe/util/gpu_sums.hpp"
#include "caffe/util/late_loss.hpp"

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

/// The sum of |x|, or with `squared` of x^2, over a blob's data or gradient: on the CPU at once, on
/// a GPU when `use` may be called (late_values.hpp).
template <typename Dtype>
void with_sum(const Blob<Dtype>& blob, bool diff, bool squared,
              const std::function<void(Dtype)>& use) {
  if (Caffe::mode() != Caffe::GPU) {
    if (squared) return use(diff ? blob.sumsq_diff() : blob.sumsq_data());
    return use(diff ? blob.asum_diff() : blob.asum_data());
  }
  with_late_values([&](LateValues& late) {
    const Dtype* const x = diff ? blob.gpu_diff() : blob.gpu_data();
    gpu_sum(blob.count(), x, squared ? x : nullptr,
            late.place<Dtype>(1, [use](const Dtype* sum) { use(*sum); }));
  });
}

/// Logs the mean of |x| behind the text.
template <typename Dtype>
void log_mean(const Blob<Dtype>& blob, bool diff, const string& text) {
  const int count = blob.count();
  with_sum<Dtype>(blob, diff, false, [text, count](Dtype sum) {
    LOG_IF(INFO, Caffe::root_solver()) << text << (count > 0 ? sum / count : Dtype(0));
  });
}

/// Whether there is a callback in one of both lists.
template <typename Callbacks>
bool has_any(const Callbacks& before, const Callbacks& after) {
  return !before.empty() || !after.empty();
}

template <typename Dtype>
bool has_callbacks(const Net<Dtype>& net) {
  return has_any(net.before_forward(), net.after_forward()) ||
         has_any(net.before_backward(), net.after_backward());
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

/// On a GPU: work(late values), then waits for them.
template <typename Dtype>
template <typename Work>
void Net<Dtype>::WaitOnce(const Work& work) {
  if (late_values_ == nullptr) late_values_ = std::make_shared<LateValues>();
  late_values_->begin();
  {
    const LateValues::Scope scope(late_values_.get());
    work(late_values_.get());
  }
  late_values_->finish();
}

/// run(), after which, on a GPU, its values are there; within a scope of late values, those come
/// with the scope's.
template <typename Dtype>
template <typename Pass>
void Net<Dtype>::RunPass(const Pass& run) {
  if (Caffe::mode() == Caffe::GPU && LateValues::current() == nullptr) {
    WaitOnce([&run](LateValues*) { run(); });
  } else {
    run();
  }
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardFromTo(int start, int end) {
  CheckRange(start, end);
  Dtype loss = 0;
  if (Caffe::mode() == Caffe::GPU) {
    WaitOnce([&](LateValues* values) {
      LateLoss<Dtype> late_loss(values);
      RunForward(start, end, &late_loss);
      late_loss.end_pass();
      late_loss.finish(false, [&loss](Dtype value) { loss = value; });
      if (end + 1 == static_cast<int>(layers_.size())) fetch_late(net_output_blobs_, kSmallOutput);
    });
    return loss;
  }
  RunLayers(start, end, [&](int i) { loss += layers_[i]->Forward(bottom_vecs_[i], top_vecs_[i]); });
  return loss;
}

/// Without the loss, or on a GPU with a late one.
template <typename Dtype>
void Net<Dtype>::RunForward(int start, int end, LateLoss<Dtype>* loss) {
  RunLayers(start, end, [&](int i) {
    layers_[i]->ForwardWithoutLoss(bottom_vecs_[i], top_vecs_[i]);
    if (loss != nullptr) loss->add(*layers_[i], top_vecs_[i]);
  });
}

/// run_layer(i) for each layer that no layer before it takes.
template <typename Dtype>
template <typename RunLayer>
void Net<Dtype>::RunLayers(int start, int end, const RunLayer& run_layer) {
  const bool is_watched = debug_info_ || (keeps_all() && has_callbacks(*this));
  const MathModeScope math(plan_->math);
  ReleasingPass<Dtype> pass(*this, plan_.get(),
                            debug_info_ || has_any(before_forward_, after_forward_));
  check_forward_has_values(*this, start, end);
  plan_->chains.begin_forward(*this, start, end);
  plan_->joins.begin_forward(*this, start, end, is_watched);
  for (int i = start; i <= end; ++i) {
    Run(before_forward_, i);
    const auto offer = plan_->chains.offer(i, is_watched ? i : end);
    in_layer_of(*this, i, [&] { run_layer(i); });
    if (debug_info_) ForwardDebugInfo(i);
    Run(after_forward_, i);
    const int first = i;
    i += plan_->chains.finish_forward(*this, i);
    for (int taken = first + 1; taken <= i; ++taken) {
      Run(before_forward_, taken);
      Run(after_forward_, taken);
    }
    pass.after_forward(first, i);
  }
  if (end + 1 == static_cast<int>(layers_.size())) pass.end();
}

template <typename Dtype>
void Net<Dtype>::ForwardWithoutLoss(int start, int end) {
  CheckRange(start, end);
  RunPass([&] { RunForward(start, end, nullptr); });
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
  RunPass([&] { RunBackward(start, end); });
}

template <typename Dtype>
void Net<Dtype>::RunBackward(int start, int end) {
  const bool is_watched = debug_info_ || (keeps_all() && has_callbacks(*this));
  const MathModeScope math(plan_->math);
  ReleasingPass<Dtype> pass(*this, plan_.get(),
                            debug_info_ || has_any(before_backward_, after_backward_));
  check_backward_has_values(*this, start, end);
  plan_->chains.begin_backward(*this, start, end, is_watched);
  for (int last = start, i; last >= end; last = i - 1) {
    i = plan_->chains.head_of(last);
    for (int joined = last; joined >= i; --joined) Run(before_backward_, joined);
    if (layer_need_backward_[last]) {
      const auto together = plan_->chains.together(*this, last);
      const auto relu = plan_->chains.offer_relu(i, end, is_watched);
      in_layer_of(*this, i, [&] {
        layers_[i]->Backward(top_vecs_[i], bottom_need_backward_[i], bottom_vecs_[i]);
      });
      if (debug_info_) BackwardDebugInfo(i);
      if (relu.is_taken()) Run(before_backward_, --i);
    }
    for (int joined = last; joined >= i; --joined) Run(after_backward_, joined);
    pass.after_backward(last, i);
    for (int joined = last; on_gradients_ && joined >= i; --joined) on_gradients_(joined);
  }
  if (end == 0) pass.end();
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
  RunPass([this] {
    BackwardTo(0);
    if (debug_info_) ParamsDebugInfo();
  });
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardBackward() {
  Dtype loss = 0;
  Forward(&loss);
  Backward();
  return loss;
}

template <typename Dtype>
void Net<Dtype>::ForwardLate(int start, int end, LateLoss<Dtype>* loss) {
  if (start <= end) RunForward(start, end, loss);
}

template <typename Dtype>
void Net<Dtype>::BackwardLate(LateLoss<Dtype>* loss) {
  loss->end_pass();
  Backward();
  loss->after_backward();
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
  const MathModeScope math(plan_->math);
  for (size_t i = 0; i < layers_.size(); ++i) {
    in_layer_of(*this, i, [&] { layers_[i]->Reshape(bottom_vecs_[i], top_vecs_[i]); });
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
vector<int> Net<Dtype>::LearntBy(int layer) const {
  CheckRange(layer, layer);
  vector<int> found;
  for (const int param : param_id_vecs_[layer]) found.push_back(learnable_param_ids_[param]);
  return found;
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
    log_mean(*top_vecs_[layer_id][i], false,
             where + ", top blob " + blob_names_[top_id_vecs_[layer_id][i]] + " data: ");
  }
  for (size_t i = 0; i < layers_[layer_id]->blobs().size(); ++i) {
    log_mean(
        *layers_[layer_id]->blobs()[i], false,
        where + ", param blob " + param_display_names_[param_id_vecs_[layer_id][i]] + " data: ");
  }
}

template <typename Dtype>
void Net<Dtype>::BackwardDebugInfo(int layer_id) const {
  const string where = "    [Backward] Layer " + layer_names_[layer_id];
  for (size_t i = 0; i < bottom_vecs_[layer_id].size(); ++i) {
    if (!bottom_need_backward_[layer_id][i]) continue;
    log_mean(*bottom_vecs_[layer_id][i], true,
             where + ", bottom blob " + blob_names_[bottom_id_vecs_[layer_id][i]] + " diff: ");
  }
  for (size_t i = 0; i < layers_[layer_id]->blobs().size(); ++i) {
    if (!layers_[layer_id]->param_propagate_down(static_cast<int>(i))) continue;
    log_mean(*layers_[layer_id]->blobs()[i], true,
             where + ", param blob " + std::to_string(i) + " diff: ");
  }
}

template <typename Dtype>
void Net<Dtype>::ParamsDebugInfo() const {
  struct Sums {
    Dtype data1 = 0, diff1 = 0, data2 = 0, diff2 = 0;
  };
  const auto sums = std::make_shared<Sums>();
  for (const Blob<Dtype>* const param : learnable_params_) {
    with_sum<Dtype>(*param, false, false, [sums](Dtype sum) { sums->data1 += sum; });
    with_sum<Dtype>(*param, true, false, [sums](Dtype sum) { sums->diff1 += sum; });
    with_sum<Dtype>(*param, false, true, [sums](Dtype sum) { sums->data2 += sum; });
    with_sum<Dtype>(*param, true, true, [sums](Dtype sum) { sums->diff2 += sum; });
  }
  after_late_values([sums] {
    LOG_IF(ERROR, Caffe::root_solver())
        << "    [Backward] All net params (data, diff): L1 norm = (" << sums->data1 << ", "
        << sums->diff1 << "); L2 norm = (" << std::sqrt(sums->data2) << ", "
        << std::sqrt(sums->diff2) << ")";
  });
}

INSTANTIATE_CLASS(Net);

}  // namespace caffe
