#include "caffe/layers/hdf5_data_layer.hpp"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <sstream>

#include "caffe/net_error.hpp"
#include "caffe/util/file_kind.hpp"
#include "caffe/util/hdf5.hpp"

namespace caffe {

namespace {

bool exists(const string& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

// The files that a line of a list names: one, whose name may have blanks in it, or several with
// blanks between them.
vector<string> names_in(const string& line) {
  std::istringstream stream(line);
  vector<string> words;
  for (string word; stream >> word;) words.push_back(word);
  if (words.empty()) return words;
  const size_t begin = line.find(words.front());
  string whole = line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
  if (!exists(whole) && std::all_of(words.begin(), words.end(), exists)) return words;
  return {std::move(whole)};
}

}  // namespace

template <typename Dtype>
void HDF5DataLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  const HDF5DataParameter& param = this->layer_param_.hdf5_data_param();
  CAFFE_CHECK(!this->layer_param_.has_transform_param(),
              this->name() << "HDF5 data is not transformed: remove transform_param");
  CAFFE_CHECK(param.batch_size() > 0, this->name()
                                          << "hdf5_data_param.batch_size is 0: give 1 or more");
  const int names = this->layer_param_.top_size();
  CAFFE_CHECK(names > 0 && names <= static_cast<int>(top.size()),
              this->name() << "its tops have no names, which must be those of the datasets");
  read_list();
  file_permutation_.resize(hdf_filenames_.size());
  std::iota(file_permutation_.begin(), file_permutation_.end(), 0);
  if (param.shuffle()) {
    random_.seed(caffe_rng_rand());
    shuffle(file_permutation_.begin(), file_permutation_.end(), &random_);
  }
  load_file();
  for (size_t i = 0; i < hdf_blobs_.size(); ++i) {
    vector<int> shape = hdf_blobs_[i]->shape();
    shape[0] = static_cast<int>(param.batch_size());
    top[i]->Reshape(shape);
  }
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::read_list() {
  const string& source = this->layer_param_.hdf5_data_param().source();
  LOG_IF(INFO, Caffe::root_solver()) << "Loading list of HDF5 filenames from: " << source;
  std::ifstream list(source);
  CAFFE_CHECK(list, this->name() << "the list of HDF5 files '" << source << "' "
                                 << "(hdf5_data_param.source) cannot be opened: correct the path");
  const string kind = kind_of_file(source);
  CAFFE_CHECK(
      kind.empty() || kind == "text",
      this->name() << "hdf5_data_param.source must be a text file that lists HDF5 files, one "
                   << "per line, and '" << source << "' is " << kind
                   << (kind == "an HDF5 file"
                           ? " itself: write its path into a text file, and give that"
                           : ""));
  string line;
  while (std::getline(list, line)) {
    if (hdf_filenames_.empty()) remove_byte_order_mark(&line);
    for (string& name : names_in(line)) hdf_filenames_.push_back(std::move(name));
  }
  CAFFE_CHECK(!hdf_filenames_.empty(), this->name()
                                           << "the list of HDF5 files '" << source << "' is empty");
  LOG_IF(INFO, Caffe::root_solver()) << "Number of HDF5 files: " << hdf_filenames_.size();
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::load_file() {
  in_layer(*this,
           [this] { LoadHDF5FileData(hdf_filenames_[file_permutation_[current_file_]].c_str()); });
  restart_file();
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::restart_file() {
  current_row_ = 0;
  if (!this->layer_param_.hdf5_data_param().shuffle()) return;
  shuffle(data_permutation_.begin(), data_permutation_.end(), &random_);
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::LoadHDF5FileData(const char* filename) {
  const Hdf5File file(filename, Hdf5File::kRead);
  vector<shared_ptr<Blob<Dtype>>> blobs;
  for (const string& name : this->layer_param_.top()) {
    blobs.push_back(std::make_shared<Blob<Dtype>>());
    hdf5_load_nd_dataset(file.id(), name.c_str(), 1, INT_MAX, blobs.back().get(), true);
    const Blob<Dtype>& blob = *blobs.back();
    CAFFE_CHECK(blob.shape(0) > 0, filename << ": data set '" << name << "' has no rows");
    CAFFE_CHECK(blob.shape(0) == blobs[0]->shape(0),
                filename << ": data set '" << name << "' has " << blob.shape(0) << " rows, '"
                         << this->layer_param_.top(0) << "' has " << blobs[0]->shape(0));
    const size_t i = blobs.size() - 1;
    CAFFE_CHECK(hdf_blobs_.empty() ||
                    std::equal(blob.shape().begin() + 1, blob.shape().end(),
                               hdf_blobs_[i]->shape().begin() + 1, hdf_blobs_[i]->shape().end()),
                filename << ": a row of data set '" << name
                         << "' has a different shape than before: " << blob.shape_string()
                         << " and " << hdf_blobs_[i]->shape_string());
  }
  hdf_blobs_.swap(blobs);
  data_permutation_.resize(hdf_blobs_[0]->shape(0));
  std::iota(data_permutation_.begin(), data_permutation_.end(), 0);
}

template <typename Dtype>
bool HDF5DataLayer<Dtype>::Skip() const {
  const uint64_t count = Caffe::solver_count(), rank = Caffe::solver_rank();
  return this->phase_ == TRAIN && offset_ % count != rank;
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::Next() {
  ++offset_;
  if (++current_row_ < data_permutation_.size()) return;
  if (hdf_filenames_.size() == 1) return restart_file();
  if (++current_file_ == hdf_filenames_.size()) {
    current_file_ = 0;
    if (this->layer_param_.hdf5_data_param().shuffle()) {
      shuffle(file_permutation_.begin(), file_permutation_.end(), &random_);
    }
    VLOG(1) << "Looping around to first file.";
  }
  load_file();
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  const int batch_size = this->layer_param_.hdf5_data_param().batch_size();
  vector<Dtype*> to;
  for (size_t j = 0; j < hdf_blobs_.size(); ++j) to.push_back(top[j]->overwrite_cpu_data());
  for (int i = 0; i < batch_size; ++i) {
    while (Skip()) Next();
    for (size_t j = 0; j < hdf_blobs_.size(); ++j) {
      const size_t length = top[j]->count(1), row = data_permutation_[current_row_];
      const Dtype* const values = hdf_blobs_[j]->cpu_data() + row * length;
      std::copy(values, values + length, to[j] + i * length);
    }
    Next();
  }
}

INSTANTIATE_CLASS(HDF5DataLayer);
REGISTER_LAYER_CLASS(HDF5Data);

}  // namespace caffe
