// What a solver does when several ranks train one net.

#include <google/protobuf/text_format.h>

#include "caffe/parallel/data_parallel.hpp"
#include "caffe/solver.hpp"

namespace caffe {

namespace {

/// The settings that an update and the order of events depend on. Paths may differ.
SolverParameter common_settings(SolverParameter param) {
  param.clear_net();
  param.clear_net_param();
  param.clear_train_net();
  param.clear_train_net_param();
  param.clear_test_net();
  param.clear_test_net_param();
  param.clear_test_state();
  param.clear_weights();
  param.clear_snapshot_prefix();
  param.clear_snapshot_format();
  param.clear_device_id();
  param.clear_debug_info();
  return param;
}

/// Whether a layer draws its order of records from the solver's seed.
bool draws_records(const LayerParameter& layer) {
  return layer.data_param().rand_skip() > 0 || layer.image_data_param().rand_skip() > 0 ||
         layer.image_data_param().shuffle() || layer.hdf5_data_param().shuffle();
}

/// Images in each rank's batch: the first dimension of what the first data layer makes; 0 if there
/// is none.
template <typename Dtype>
int batch_of(const Net<Dtype>& net) {
  for (size_t i = 0; i < net.layers().size(); ++i) {
    if (!net.bottom_vecs()[i].empty() || net.top_vecs()[i].empty()) continue;
    const Blob<Dtype>& data = *net.top_vecs()[i][0];
    return data.num_axes() > 0 ? data.shape(0) : 0;
  }
  return 0;
}

/// Once, what a batch and a learning rate are now.
template <typename Dtype>
void log_ranks(const Net<Dtype>& net, const SolverParameter& param, int ranks) {
  const int batch = batch_of(net), passes = param.iter_size();
  ostringstream text;
  text << ranks << " ranks";
  if (batch > 0) {
    text << " x batch " << batch;
    if (passes > 1) text << " x iter_size " << passes;
    text << " = " << int64_t(ranks) * batch * passes << " images an iteration";
  }
  LOG(INFO) << text.str() << "; base_lr " << param.base_lr() << " is left as it is";
}

string list_of(const std::vector<int>& ranks) {
  ostringstream text;
  for (size_t i = 0; i < ranks.size(); ++i) {
    text << (i == 0 ? "" : i + 1 == ranks.size() ? " and " : ", ") << ranks[i];
  }
  return (ranks.size() == 1 ? "rank " : "ranks ") + text.str();
}

}  // namespace

template <typename Dtype>
void Solver<Dtype>::TrainTogether(shared_ptr<Communicator> ranks) {
  together_.reset();  // it must let go of the net first
  has_begun_together_ = false;
  if (ranks == nullptr) return;
  const auto together = std::make_shared<DataParallel<Dtype>>(
      net_.get(), ranks, [this](int param) { return GradientRoom(param); });
  CAFFE_CHECK(made_as_rank_ == ranks->rank() && made_of_ranks_ == ranks->size(),
              "rank " << ranks->rank() << " of " << ranks->size()
                      << ": the solver was made as rank " << made_as_rank_ << " of "
                      << made_of_ranks_
                      << ", and its data layers read that rank's records: call become_rank() (in "
                         "Python caffe.ranks.world()) before the solver is made");
  together_ = together;
}

template <typename Dtype>
void Solver<Dtype>::BroadcastState(DataParallel<Dtype>* ranks) {
  ranks->broadcast(&iter_);
  ranks->broadcast(&current_step_);
  ranks->broadcast(net_->learnable_params());
}

/// Everything that the ranks must have in common, one thing a line.
template <typename Dtype>
string Solver<Dtype>::describe_for_ranks() const {
  string text;
  google::protobuf::TextFormat::PrintToString(common_settings(param_), &text);
  text += "type " + string(type()) + "\n";
  for (size_t i = 0; i < net_->learnable_params().size(); ++i) {
    text += "parameter " + std::to_string(i) + ": " + net_->learnable_params()[i]->shape_string() +
            ", lr_mult " + std::to_string(net_->params_lr()[i]) + ", decay_mult " +
            std::to_string(net_->params_weight_decay()[i]) + "\n";
  }
  return text;
}

template <typename Dtype>
void Solver<Dtype>::begin_together() {
  if (has_begun_together_) return;
  together_->check_same(describe_for_ranks());
  for (const auto& layer : net_->layers()) {
    CAFFE_CHECK(param_.random_seed() >= 0 || together_->ranks().size() == 1 ||
                    !draws_records(layer->layer_param()),
                layer->name() << "the ranks must choose their records in the same random order: "
                                 "set random_seed in the solver, or call become_rank() before "
                                 "the solver is made");
  }
  BroadcastState(together_.get());
  if (together_->is_root()) log_ranks(*net_, param_, together_->ranks().size());
  has_begun_together_ = true;
}

template <typename Dtype>
void Solver<Dtype>::test_together() {
  if (together_ == nullptr) {
    if (Caffe::root_solver()) TestAll();
    return;
  }
  if (param_.test_iter_size() == 0) return;
  together_->average_statistics();
  if (together_->is_root()) TestAll();
  together_->broadcast(&requested_early_exit_);
}

template <typename Dtype>
void Solver<Dtype>::snapshot_together() {
  if (together_ != nullptr || Caffe::root_solver()) Snapshot();
}

template <typename Dtype>
void Solver<Dtype>::begin_pass(int pass) {
  if (together_ == nullptr || pass + 1 < param_.iter_size()) return;
  together_->begin_last_pass(display_is_due() && param_.debug_info());
}

template <typename Dtype>
void Solver<Dtype>::request_together() {
  take_request();
  together_->request(stop_requested_, snapshot_requested_);
}

template <typename Dtype>
void Solver<Dtype>::show_together(const RankVerdict<Dtype>& verdict) {
  if (!verdict.failed.empty()) together_->throw_error_of(verdict);
  stop_requested_ = verdict.stop;
  snapshot_requested_ = verdict.snapshot;
  show(verdict.loss, verdict.not_finite.empty() ? "" : " on " + list_of(verdict.not_finite));
  if (!display_is_due()) return;
  const string waits = together_->describe_waits();
  LOG_IF(INFO, together_->is_root() && !waits.empty()) << waits;
}

#define INSTANTIATE_RANKS(Dtype)                                        \
  template void Solver<Dtype>::TrainTogether(shared_ptr<Communicator>); \
  template void Solver<Dtype>::BroadcastState(DataParallel<Dtype>*);    \
  template string Solver<Dtype>::describe_for_ranks() const;            \
  template void Solver<Dtype>::begin_together();                        \
  template void Solver<Dtype>::test_together();                         \
  template void Solver<Dtype>::snapshot_together();                     \
  template void Solver<Dtype>::begin_pass(int);                         \
  template void Solver<Dtype>::request_together();                      \
  template void Solver<Dtype>::show_together(const RankVerdict<Dtype>&)
INSTANTIATE_RANKS(float);
INSTANTIATE_RANKS(double);

}  // namespace caffe
