// Writes a solver's state to .solverstate files and restores it. The format is BVLC Caffe's: a
// SolverState message, or its fields as datasets of an HDF5 file with the history as a group of
// blobs "0", "1" ...

#include <fstream>

#include "caffe/net_error.hpp"
#include "caffe/parallel/data_parallel.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/file_kind.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

namespace {

// Datasets of the policy "plateau"; named as SolverState's fields.
const char kMinimumLoss[] = "minimum_loss", kLastEvent[] = "iter_last_event";

void save_plateau(const Hdf5File& file, const Plateau& plateau) {
  Blob<float> minimum(vector<int>{1});
  minimum.mutable_cpu_data()[0] = plateau.minimum_loss;
  hdf5_save_nd_dataset(file.id(), kMinimumLoss, minimum);
  hdf5_save_int(file.id(), kLastEvent, plateau.iter_last_event);
}

Plateau load_plateau(const Hdf5File& file, const string& state_file) {
  Plateau plateau;
  if (!hdf5_exists(file.id(), kMinimumLoss) || !hdf5_exists(file.id(), kLastEvent)) return plateau;
  Blob<float> minimum;
  hdf5_load_nd_dataset(file.id(), kMinimumLoss, 1, 1, &minimum, true);
  CAFFE_CHECK(minimum.count() == 1,
              state_file << ": is damaged: minimum_loss has " << minimum.count() << " values");
  plateau.minimum_loss = minimum.cpu_data()[0];
  plateau.iter_last_event = hdf5_load_int(file.id(), kLastEvent);
  return plateau;
}

bool readable(const string& file) {
  return static_cast<bool>(std::ifstream(file));
}

/// The path of a state's model: the one in the state or, if there is no such file, the same name in
/// the state's folder, so that a folder of snapshots can be moved.
string find_model(const string& state_file, const string& model) {
  if (readable(model)) return model;
  const size_t slash = state_file.rfind('/');
  const string folder = slash == string::npos ? "" : state_file.substr(0, slash + 1);
  const string moved = folder + model.substr(model.rfind('/') + 1);
  CAFFE_CHECK(readable(moved), state_file << ": the weights that belong to it are in '" << model
                                          << "', which cannot be read; neither can '" << moved
                                          << "'");
  return moved;
}

[[noreturn]] void refuse(const string& file, const string& kind) {
  CAFFE_FAIL(
      file << ": is not a solver state" << kind << ". A snapshot's state is in the file "
           << "whose name has .solverstate; to begin with weights alone, give them as weights "
           << "(caffe train -weights)");
}

void check_count(const string& state_file, int found, size_t expected, const char* type) {
  CAFFE_CHECK(found == static_cast<int>(expected),
              state_file << ": has " << found << " history blobs, while solver " << type
                         << " keeps " << expected
                         << " for this net: the state belongs to a different solver or net");
}

void check_shape(const string& state_file, int index, bool equal, const string& found,
                 const string& expected) {
  CAFFE_CHECK(equal, state_file << ": history blob " << index << " is " << found
                                << ", while this net's parameter is " << expected
                                << ": the state belongs to a different net");
}

void check_place(const string& state_file, int iter, int current_step) {
  CAFFE_CHECK(iter >= 0 && current_step >= 0,
              state_file << ": is damaged: iter " << iter << ", current_step " << current_step);
}

string shape_of(const BlobProto& blob) {
  vector<int64_t> shape(blob.shape().dim().begin(), blob.shape().dim().end());
  if (!blob.has_shape()) shape = {blob.num(), blob.channels(), blob.height(), blob.width()};
  return shape_text(shape);
}

}  // namespace

template <typename Dtype>
void SGDSolver<Dtype>::SnapshotSolverState(const string& model_filename) {
  if (this->param_.snapshot_format() == SolverParameter_SnapshotFormat_HDF5) {
    SnapshotSolverStateToHDF5(model_filename);
  } else {
    SnapshotSolverStateToBinaryProto(model_filename);
  }
}

template <typename Dtype>
void SGDSolver<Dtype>::SnapshotSolverStateToBinaryProto(const string& model_filename) {
  SolverState state;
  state.set_iter(this->iter_);
  state.set_learned_net(model_filename);
  state.set_current_step(this->current_step_);
  if (this->param_.lr_policy() == "plateau") {
    state.set_minimum_loss(plateau_.minimum_loss);
    state.set_iter_last_event(plateau_.iter_last_event);
  }
  for (const auto& blob : history_) blob->ToProto(state.add_history());
  const string filename = this->SnapshotFilename(".solverstate");
  LOG(INFO) << "Snapshotting solver state to binary proto file " << filename;
  WriteProtoToBinaryFile(state, filename);
}

template <typename Dtype>
void SGDSolver<Dtype>::SnapshotSolverStateToHDF5(const string& model_filename) {
  const string filename = this->SnapshotFilename(".solverstate.h5");
  LOG(INFO) << "Snapshotting solver state to HDF5 file " << filename;
  ReplaceFile(filename, [&](const string& name) {
    Hdf5File file(name, Hdf5File::kCreate);
    hdf5_save_int(file.id(), "iter", this->iter_);
    hdf5_save_string(file.id(), "learned_net", model_filename);
    hdf5_save_int(file.id(), "current_step", this->current_step_);
    if (this->param_.lr_policy() == "plateau") save_plateau(file, plateau_);
    {
      const Hdf5Group group(file.id(), "history", Hdf5Group::kCreate);
      for (size_t i = 0; i < history_.size(); ++i) {
        hdf5_save_nd_dataset(group.id(), std::to_string(i), *history_[i]);
      }
    }
    file.Close();
  });
}

template <typename Dtype>
void SGDSolver<Dtype>::RestoreSolverStateFromBinaryProto(const string& state_file) {
  SolverState state;
  ReadProtoFromBinaryFile(state_file, &state);
  if (!state.has_iter()) refuse(state_file, kind_note(state_file));
  check_place(state_file, state.iter(), state.current_step());
  check_count(state_file, state.history_size(), history_.size(), this->type());
  for (int i = 0; i < state.history_size(); ++i) {
    check_shape(state_file, i, history_[i]->ShapeEquals(state.history(i)),
                shape_of(state.history(i)), shape_text(history_[i]->shape()));
  }
  vector<shared_ptr<Blob<Dtype>>> history;
  for (const BlobProto& stored : state.history()) {
    history.push_back(std::make_shared<Blob<Dtype>>());
    in_file(state_file, [&] { history.back()->FromProto(stored); });
  }
  if (state.has_learned_net()) {
    in_file(state_file, [&] {
      this->net_->CopyTrainedLayersFrom(find_model(state_file, state.learned_net()));
    });
  }
  LOG_IF(INFO, Caffe::root_solver()) << "SGDSolver: restoring history";
  for (size_t i = 0; i < history_.size(); ++i) {
    history[i]->ReshapeLike(*history_[i]);  // a legacy shape may have more axes
    history_[i]->CopyFrom(*history[i]);
  }
  find_zero_history();
  this->iter_ = state.iter();
  this->current_step_ = state.current_step();
  plateau_.minimum_loss = state.minimum_loss();
  plateau_.iter_last_event = state.iter_last_event();
}

template <typename Dtype>
void SGDSolver<Dtype>::RestoreSolverStateFromHDF5(const string& state_file) {
  const Hdf5File file(state_file, Hdf5File::kRead);
  if (!hdf5_exists(file.id(), "iter")) {
    refuse(state_file, hdf5_exists(file.id(), "data") ? "; it is a net's weights" : "");
  }
  const int iter = hdf5_load_int(file.id(), "iter");
  const int current_step = hdf5_load_int(file.id(), "current_step");
  check_place(state_file, iter, current_step);
  const Plateau plateau = load_plateau(file, state_file);
  const Hdf5Group group(file.id(), "history");
  check_count(state_file, hdf5_get_num_links(group.id()), history_.size(), this->type());
  vector<shared_ptr<Blob<Dtype>>> history;
  for (size_t i = 0; i < history_.size(); ++i) {
    history.push_back(std::make_shared<Blob<Dtype>>());
    hdf5_load_nd_dataset(group.id(), std::to_string(i).c_str(), 0, kMaxBlobAxes, history[i].get(),
                         true);
    check_shape(state_file, static_cast<int>(i), history[i]->shape() == history_[i]->shape(),
                shape_text(history[i]->shape()), shape_text(history_[i]->shape()));
  }
  if (hdf5_exists(file.id(), "learned_net")) {
    const string model = hdf5_load_string(file.id(), "learned_net");
    in_file(state_file, [&] { this->net_->CopyTrainedLayersFrom(find_model(state_file, model)); });
  }
  LOG_IF(INFO, Caffe::root_solver()) << "SGDSolver: restoring history";
  for (size_t i = 0; i < history_.size(); ++i) history_[i]->CopyFrom(*history[i]);
  find_zero_history();
  this->iter_ = iter;
  this->current_step_ = current_step;
  plateau_ = plateau;
}

template <typename Dtype>
void SGDSolver<Dtype>::BroadcastState(DataParallel<Dtype>* ranks) {
  Solver<Dtype>::BroadcastState(ranks);
  for (const auto& blob : history_) ranks->broadcast(blob.get());
  ranks->broadcast(&plateau_.minimum_loss);
  ranks->broadcast(&plateau_.iter_last_event);
  find_zero_history();
}

#define INSTANTIATE_STATE(Dtype)                                                    \
  template void SGDSolver<Dtype>::BroadcastState(DataParallel<Dtype>*);             \
  template void SGDSolver<Dtype>::SnapshotSolverState(const string&);               \
  template void SGDSolver<Dtype>::SnapshotSolverStateToBinaryProto(const string&);  \
  template void SGDSolver<Dtype>::SnapshotSolverStateToHDF5(const string&);         \
  template void SGDSolver<Dtype>::RestoreSolverStateFromBinaryProto(const string&); \
  template void SGDSolver<Dtype>::RestoreSolverStateFromHDF5(const string&)
INSTANTIATE_STATE(float);
INSTANTIATE_STATE(double);

}  // namespace caffe
