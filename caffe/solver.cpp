#include "caffe/solver.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/layer_names.hpp"
#include "caffe/parallel/data_parallel.hpp"
#include "caffe/solver_nets.hpp"
#include "caffe/util/detection_scores.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/math_mode.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "google/protobuf/text_format.h"

namespace caffe {

namespace {

string as_text(const SolverParameter& param) {
  string text;
  google::protobuf::TextFormat::PrintToString(param, &text);
  return text;
}

vector<string> split_list(const string& list, char separator) {
  vector<string> parts;
  std::stringstream stream(list);
  for (string part; std::getline(stream, part, separator);) {
    const size_t first = part.find_first_not_of(" \t");
    if (first == string::npos) continue;
    parts.push_back(part.substr(first, part.find_last_not_of(" \t") - first + 1));
  }
  return parts;
}

/// " (* 0.5 = 0.25 loss)"; "" if there is no loss weight.
template <typename Dtype>
string loss_part(Dtype weight, Dtype value) {
  if (weight == 0) return "";
  ostringstream text;
  text << " (* " << weight << " = " << weight * value << " loss)";
  return text.str();
}

/// The mode of the solver's nets: that of its field or, without the field, the thread's.
MathMode chosen_math_mode(const SolverParameter& param) {
  if (!param.has_math_mode()) return math_mode();
  return math_mode_of(SolverParameter::MathMode_Name(param.math_mode()));
}

bool tests_detections(const SolverParameter& param) {
  CAFFE_CHECK(param.eval_type() == "classification" || param.eval_type() == "detection",
              "eval_type is '" << param.eval_type() << "': give classification or detection");
  return param.eval_type() == "detection";
}

/// Which outputs of a test net are rows of detections to evaluate; none unless eval_type says so.
template <typename Dtype>
vector<bool> evaluations(const Net<Dtype>& net, const SolverParameter& param) {
  vector<bool> found(net.num_outputs(), false);
  if (!tests_detections(param)) return found;
  for (size_t i = 0; i < found.size(); ++i) found[i] = is_evaluation(net, static_cast<int>(i));
  CAFFE_CHECK(std::find(found.begin(), found.end(), true) != found.end(),
              "eval_type is detection, but no output of the test net comes from a layer of type "
              "DetectionEvaluate");
  return found;
}

/// SSD's line of a test, and one for each class if wanted.
void log_detections(const DetectionScores& scores, const SolverParameter& param, int index,
                    const string& output) {
  const ApVersion version = ap_version_of(param.ap_version());
  for (const int label : scores.classes_without_objects()) {
    LOG(WARNING) << "class" << label << ": no object in the test; it counts as 0";
  }
  if (param.show_per_class_result()) {
    for (const auto& one : scores.average_precisions(version)) {
      LOG(INFO) << "class" << one.first << ": " << one.second;
    }
  }
  LOG(INFO) << "    Test net output #" << index << ": " << output << " = " << scores.mean(version);
}

}  // namespace

template <typename Dtype>
Solver<Dtype>::Solver(const SolverParameter& param) {
  Init(param);
}

template <typename Dtype>
Solver<Dtype>::Solver(const string& param_file) {
  SolverParameter param;
  ReadSolverParamsFromTextFileOrDie(param_file, &param);
  Init(param);
}

template <typename Dtype>
void Solver<Dtype>::Init(const SolverParameter& param) {
  LOG_IF(INFO, Caffe::root_solver()) << "Initializing solver from parameters: " << std::endl
                                     << as_text(param);
  param_ = param;
  made_as_rank_ = Caffe::solver_rank();
  made_of_ranks_ = Caffe::solver_count();
  CAFFE_CHECK(param_.average_loss() >= 1,
              "average_loss is " << param_.average_loss() << ": it must be 1 or more");
  CAFFE_CHECK(param_.iter_size() >= 1,
              "iter_size is " << param_.iter_size() << ": it must be 1 or more");
  if (tests_detections(param_)) ap_version_of(param_.ap_version());  // throws now, not in a test
  if (param_.snapshot() > 0) CheckSnapshotWritePermissions();
  // All ranks make the same nets, in which data layers draw the order of their records.
  const bool has_seed = param_.random_seed() >= 0;
  const unsigned int seed = static_cast<unsigned int>(param_.random_seed());
  if (has_seed) Caffe::set_random_seed(seed);
  const MathModeScope math(chosen_math_mode(param_));
  if (param_.has_math_mode() || math_mode() != MathMode::kFloat) {
    param_.set_math_mode(static_cast<SolverParameter::MathMode>(math_mode()));
  }
  InitTrainNet();
  if (param_.snapshot_format() == SolverParameter_SnapshotFormat_HDF5) {
    hdf5_paths(net_->layer_names());  // throws now, not at the first snapshot
  }
  if (Caffe::root_solver()) InitTestNets();
  if (has_seed && !Caffe::root_solver()) Caffe::set_random_seed(seed + Caffe::solver_rank());
  LOG_IF(INFO, Caffe::root_solver()) << "Solver scaffolding done.";
  iter_ = 0;
  current_step_ = 0;
}

template <typename Dtype>
void Solver<Dtype>::InitTrainNet() {
  const SolverNet net = solver_train_net(param_);
  LOG_IF(INFO, Caffe::root_solver()) << "Creating training net " << net.source;
  net_ = std::make_shared<Net<Dtype>>(net.param);
  for (const string& list : param_.weights()) {
    for (const string& file : split_list(list, ',')) {
      LOG_IF(INFO, Caffe::root_solver()) << "Finetuning from " << file;
      net_->CopyTrainedLayersFrom(file);
    }
  }
}

template <typename Dtype>
void Solver<Dtype>::InitTestNets() {
  test_nets_.clear();
  for (const SolverNet& net : solver_test_nets(param_)) {
    LOG(INFO) << "Creating test net (#" << test_nets_.size() << ") specified by " << net.source;
    test_nets_.push_back(std::make_shared<Net<Dtype>>(net.param));
    test_nets_.back()->set_debug_info(param_.debug_info());
    for (const string& list : param_.weights()) {
      for (const string& file : split_list(list, ',')) {
        LOG(INFO) << "Finetuning from " << file;
        test_nets_.back()->CopyTrainedLayersFrom(file);
      }
    }
  }
}

// ---- training

template <typename Dtype>
void Solver<Dtype>::SetActionFunction(ActionCallback func) {
  action_request_function_ = std::move(func);
}

template <typename Dtype>
SolverAction::Enum Solver<Dtype>::GetRequestedAction() {
  return action_request_function_ ? action_request_function_() : SolverAction::NONE;
}

template <typename Dtype>
void Solver<Dtype>::Step(int iters) {
  if (together_ == nullptr) return step(iters);
  together_->guard([this, iters] { step(iters); });
}

template <typename Dtype>
void Solver<Dtype>::step(int iters) {
  if (together_ != nullptr && iters > 0) begin_together();
  start_iter_ = iter_;
  const int stop_iter = iter_ + iters;
  if (iters > 0) {
    CheckSettings();
    PrepareUpdates();
    check_loss_scale();
  }
  losses_.clear();
  smoothed_loss_ = 0;
  iterations_last_ = static_cast<float>(iter_);
  iteration_timer_.Stop();
  iteration_timer_.Start();

  while (iter_ < stop_iter) {
    ClearGradients();
    if (test_is_due() && (iter_ > 0 || param_.test_initialization())) {
      test_together();
      if (requested_early_exit_) break;
    }
    for (Callback* callback : callbacks_) callback->on_start();

    net_->set_debug_info(display_is_due() && param_.debug_info());
    if (Caffe::mode() == Caffe::GPU) {
      iterate_late();
    } else {
      iterate();
    }
    ++iter_;

    if (together_ == nullptr) take_request();
    const bool due = param_.snapshot() > 0 && iter_ % param_.snapshot() == 0;
    if (due || snapshot_requested_) snapshot_together();
    if (stop_requested_) {
      requested_early_exit_ = true;
      break;
    }
  }
}

template <typename Dtype>
bool Solver<Dtype>::test_is_due() const {
  return param_.test_interval() > 0 && iter_ % param_.test_interval() == 0;
}

template <typename Dtype>
void Solver<Dtype>::take_request() {
  const SolverAction::Enum request = GetRequestedAction();
  stop_requested_ = request == SolverAction::STOP;
  snapshot_requested_ = request == SolverAction::SNAPSHOT;
}

template <typename Dtype>
void Solver<Dtype>::iterate() {
  const Dtype loss = forward_backward();
  if (together_ == nullptr) {
    show(loss);
  } else {
    request_together();
    show_together(together_->finish(loss, !param_.continue_on_nonfinite_loss()));
  }
  for (Callback* callback : callbacks_) callback->on_gradients_ready();
  ApplyUpdate();
}

template <typename Dtype>
void Solver<Dtype>::check_loss_scale() {
  const bool needed = Caffe::mode() == Caffe::GPU && param_.math_mode() == SolverParameter::FP16;
  CAFFE_CHECK(!needed || GpuLossFactor() != nullptr,
              "math_mode FP16 scales the loss, and a solver class that has no GpuLossFactor() does "
              "not know that: use BF16, or one of SGD, Nesterov, AdaGrad, RMSProp, AdaDelta, Adam");
}

template <typename Dtype>
void Solver<Dtype>::show(Dtype loss, const string& where) {
  UpdateSmoothedLoss(loss, start_iter_, param_.average_loss());
  if (display_is_due()) display_iteration();
  check_loss(loss, where);
}

/// The mean loss of iter_size batches, whose gradients are summed.
template <typename Dtype>
Dtype Solver<Dtype>::forward_backward() {
  Dtype loss = 0;
  for (int i = 0; i < param_.iter_size(); ++i) {
    begin_pass(i);
    loss += net_->ForwardBackward();
  }
  return loss / param_.iter_size();
}

template <typename Dtype>
void Solver<Dtype>::check_loss(Dtype loss, const string& where) {
  if (std::isfinite(loss) || param_.continue_on_nonfinite_loss()) return;
  const string rate = DescribeRate();
  const bool half = param_.math_mode() == SolverParameter::FP16;
  CAFFE_FAIL("iteration " << iter_ << ": the training loss is " << loss << where
                          << (rate.empty() ? "" : " (" + rate + ")")
                          << ". The weights are still those of the last good iteration. Lower "
                             "base_lr, set clip_gradients, look for bad input"
                          << (half ? ", or use math_mode BF16 (in FP16, activations beyond 65504 "
                                     "are infinite)"
                                   : "")
                          << "; continue_on_nonfinite_loss: true in the solver continues training");
}

template <typename Dtype>
void Solver<Dtype>::display_iteration() {
  const float seconds = iteration_timer_.Seconds();
  const float done = iter_ - iterations_last_;
  const float per_second = done / (seconds > 0 ? seconds : 1);
  LOG_IF(INFO, Caffe::root_solver()) << "Iteration " << iter_ << " (" << per_second << " iter/s, "
                                     << std::round(seconds * 1e3F) / 1e3F << "s/"
                                     << param_.display() << " iters), loss = " << smoothed_loss_;
  iteration_timer_.Start();
  iterations_last_ = static_cast<float>(iter_);
  DisplayOutputBlobs(-1);
}

template <typename Dtype>
void Solver<Dtype>::DisplayOutputBlobs(const int net_id) {
  if (!Caffe::root_solver()) return;
  const Net<Dtype>& net = net_id < 0 ? *net_ : *test_nets_[net_id];
  const char* const title = net_id < 0 ? "Train" : "Test";
  int index = 0;
  for (int i = 0; i < net.num_outputs(); ++i) {
    const int blob = net.output_blob_indices()[i];
    const Dtype weight = net.blob_loss_weights()[blob];
    const Dtype* const values = net.output_blobs()[i]->cpu_data();
    for (int k = 0; k < net.output_blobs()[i]->count(); ++k) {
      LOG(INFO) << "    " << title << " net output #" << index++ << ": " << net.blob_names()[blob]
                << " = " << values[k] << loss_part(weight, values[k]);
    }
  }
}

template <typename Dtype>
void Solver<Dtype>::UpdateSmoothedLoss(Dtype loss, int start_iter, int average_loss) {
  if (static_cast<int>(losses_.size()) < average_loss) {
    losses_.push_back(loss);
  } else {
    losses_[(iter_ - start_iter) % average_loss] = loss;
  }
  double sum = 0;
  for (const Dtype one : losses_) sum += one;
  smoothed_loss_ = static_cast<Dtype>(sum / static_cast<double>(losses_.size()));
}

template <typename Dtype>
void Solver<Dtype>::Solve(const char* resume_file) {
  CAFFE_CHECK(Caffe::root_solver() || together_ != nullptr,
              "only the root solver can call Solve, or all ranks after TrainTogether");
  if (together_ == nullptr) return solve(resume_file);
  together_->guard([this, resume_file] { solve(resume_file); });
}

template <typename Dtype>
void Solver<Dtype>::solve(const char* resume_file) {
  const bool root = Caffe::root_solver();
  LOG_IF(INFO, root) << "Solving " << net_->name();
  LOG_IF(INFO, root) << "Learning Rate Policy: " << param_.lr_policy();
  requested_early_exit_ = false;
  if (param_.snapshot_after_train()) CheckSnapshotWritePermissions();
  if (resume_file != nullptr) {
    LOG_IF(INFO, root) << "Restoring previous solver status from " << resume_file;
    Restore(resume_file);
  }
  if (together_ != nullptr) begin_together();
  const int start_iter = iter_;
  step(param_.max_iter() - iter_);
  if (param_.snapshot_after_train() && (param_.snapshot() <= 0 || iter_ % param_.snapshot() != 0)) {
    snapshot_together();
  }
  if (requested_early_exit_) {
    LOG_IF(INFO, root) << "Optimization stopped early.";
    return;
  }
  if (display_is_due()) {
    Dtype loss = 0;
    net_->Forward(&loss);
    if (together_ != nullptr) loss = together_->mean(loss);
    UpdateSmoothedLoss(loss, start_iter, param_.average_loss());
    LOG_IF(INFO, root) << "Iteration " << iter_ << ", loss = " << smoothed_loss_;
  }
  if (test_is_due()) test_together();
  LOG_IF(INFO, root) << "Optimization Done.";
}

// ---- tests

template <typename Dtype>
void Solver<Dtype>::TestAll() {
  for (size_t i = 0; i < test_nets_.size() && !requested_early_exit_; ++i) {
    Test(static_cast<int>(i));
  }
}

template <typename Dtype>
bool Solver<Dtype>::go_on_testing() {
  for (;;) {
    switch (GetRequestedAction()) {
      case SolverAction::SNAPSHOT:
        write_snapshot();  // the statistics are averaged; the other ranks wait for the test's end
        continue;
      case SolverAction::STOP:
        requested_early_exit_ = true;
        return false;
      case SolverAction::NONE:
        return true;
    }
    CAFFE_FAIL("the action function returned an unknown action");
  }
}

template <typename Dtype>
void Solver<Dtype>::Test(const int test_net_id) {
  CAFFE_CHECK(Caffe::root_solver(), "only the root solver can call Test");
  LOG(INFO) << "Iteration " << iter_ << ", Testing net (#" << test_net_id << ")";
  Net<Dtype>& net = *test_nets_.at(test_net_id);
  net.ShareTrainedLayersWith(net_.get());
  const int batches = param_.test_iter(test_net_id);
  const vector<bool> evaluated = evaluations(net, param_);
  vector<DetectionScores> scores(net.num_outputs());
  vector<vector<double>> sums(net.num_outputs());
  double loss_sum = 0;
  for (int batch = 0; batch < batches; ++batch) {
    if (!go_on_testing()) {
      LOG(INFO) << "Test interrupted.";
      return;
    }
    Dtype loss = 0;
    net.Forward(&loss);
    loss_sum += loss;
    for (size_t i = 0; i < sums.size(); ++i) {
      const Blob<Dtype>& output = *net.output_blobs()[i];
      if (evaluated[i]) {
        scores[i].add(output);
        continue;
      }
      sums[i].resize(std::max<size_t>(sums[i].size(), output.count()));
      for (int k = 0; k < output.count(); ++k) sums[i][k] += output.cpu_data()[k];
    }
  }
  if (param_.test_compute_loss() && batches > 0) {
    LOG(INFO) << "Test loss: " << static_cast<Dtype>(loss_sum / batches);
  }
  int index = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    const int blob = net.output_blob_indices()[i];
    if (evaluated[i]) log_detections(scores[i], param_, index++, net.blob_names()[blob]);
    for (const double sum : sums[i]) {
      const Dtype mean = static_cast<Dtype>(sum / batches);
      LOG(INFO) << "    Test net output #" << index++ << ": " << net.blob_names()[blob] << " = "
                << mean << loss_part(net.blob_loss_weights()[blob], mean);
    }
  }
}

INSTANTIATE_CLASS(Solver);

}  // namespace caffe
