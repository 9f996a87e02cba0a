// A solver's snapshots; solvers/solver_state.cpp has the solverstate's contents.

#include <cstdio>

#include "caffe/parallel/data_parallel.hpp"
#include "caffe/solver.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

template <typename Dtype>
string Solver<Dtype>::SnapshotFilename(const string& extension) {
  CAFFE_CHECK(param_.has_snapshot_prefix(),
              "a snapshot is requested, but the solver has no snapshot_prefix: set it, or set "
              "snapshot_after_train: false and remove snapshot");
  return param_.snapshot_prefix() + "_iter_" + std::to_string(iter_) + extension;
}

template <typename Dtype>
void Solver<Dtype>::CheckSnapshotWritePermissions() {
  if (!Caffe::root_solver()) return;
  const string name = SnapshotFilename(".tempfile");
  const bool writable = static_cast<bool>(std::ofstream(name));
  std::remove(name.c_str());
  CAFFE_CHECK(writable, "cannot write to snapshot prefix '"
                            << param_.snapshot_prefix()
                            << "': make sure that the directory exists and is writable");
}

template <typename Dtype>
void Solver<Dtype>::Snapshot() {
  CAFFE_CHECK(Caffe::root_solver() || together_ != nullptr,
              "only the root solver can call Snapshot, or all ranks after TrainTogether");
  if (together_ != nullptr) together_->average_statistics();
  if (Caffe::root_solver()) write_snapshot();
}

template <typename Dtype>
void Solver<Dtype>::write_snapshot() {
  const bool hdf5 = param_.snapshot_format() == SolverParameter_SnapshotFormat_HDF5;
  SnapshotSolverState(hdf5 ? SnapshotToHDF5() : SnapshotToBinaryProto());
}

template <typename Dtype>
string Solver<Dtype>::SnapshotToBinaryProto() {
  const string model_filename = SnapshotFilename(".caffemodel");
  LOG(INFO) << "Snapshotting to binary proto file " << model_filename;
  NetParameter net_param;
  net_->ToProto(&net_param, param_.snapshot_diff());
  WriteProtoToBinaryFile(net_param, model_filename);
  return model_filename;
}

template <typename Dtype>
string Solver<Dtype>::SnapshotToHDF5() {
  const string model_filename = SnapshotFilename(".caffemodel.h5");
  LOG(INFO) << "Snapshotting to HDF5 file " << model_filename;
  net_->ToHDF5(model_filename, param_.snapshot_diff());
  return model_filename;
}

template <typename Dtype>
void Solver<Dtype>::Restore(const char* resume_file) {
  CAFFE_CHECK(resume_file != nullptr && *resume_file != '\0', "no solver state to restore from");
  const string state_file = resume_file;
  has_begun_together_ = false;
  if (IsHdf5File(state_file)) {
    RestoreSolverStateFromHDF5(state_file);
  } else {
    RestoreSolverStateFromBinaryProto(state_file);
  }
}

#define INSTANTIATE_SNAPSHOTS(Dtype)                              \
  template string Solver<Dtype>::SnapshotFilename(const string&); \
  template void Solver<Dtype>::CheckSnapshotWritePermissions();   \
  template void Solver<Dtype>::write_snapshot();                  \
  template void Solver<Dtype>::Snapshot();                        \
  template string Solver<Dtype>::SnapshotToBinaryProto();         \
  template string Solver<Dtype>::SnapshotToHDF5();                \
  template void Solver<Dtype>::Restore(const char*)
INSTANTIATE_SNAPSHOTS(float);
INSTANTIATE_SNAPSHOTS(double);

}  // namespace caffe
