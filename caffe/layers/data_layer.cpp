#include "caffe/layers/data_layer.hpp"

#include <opencv2/core/mat.hpp>
#include <typeinfo>

namespace caffe {

template <typename Dtype>
DataLayer<Dtype>::~DataLayer() {
  this->StopInternalThread();
}

template <typename Dtype>
void DataLayer<Dtype>::open() {
  const DataParameter& param = this->layer_param_.data_param();
  const int batch_size = param.batch_size();
  CAFFE_CHECK(param.has_source(), "data_param has no source: give the database's path");
  CAFFE_CHECK(batch_size > 0, "data_param.batch_size is " << batch_size << ": give 1 or more");
  if (param.force_encoded_color()) {
    LOG(WARNING) << this->name() << "force_encoded_color has no effect: set force_color in "
                 << "transform_param";
  }
  db_.reset(db::GetDB(param.backend()));
  db_->Open(param.source(), db::READ);
  cursor_.reset(db_->NewCursor());
  CAFFE_CHECK(cursor_->valid(), "the database '" << param.source() << "' is empty");
  if (param.rand_skip() > 0) {
    const unsigned int skip = caffe_rng_rand() % param.rand_skip();
    LOG_IF(INFO, Caffe::root_solver()) << "Skipping first " << skip << " data points.";
    for (unsigned int i = 0; i < skip; ++i) Next();
    offset_ = 0;
  }
  records_.resize(batch_size);
}

template <typename Dtype>
void DataLayer<Dtype>::DataLayerSetUp(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  open();
  Record record;
  take(&record);
  Datum datum;
  vector<int> shape;
  try {
    parse(record, &datum);
    shape = this->data_transformer_->InferBlobShape(datum);
  } catch (const Error& error) {
    throw Error(this->name() + name_of(record) + ": " + error.what());
  }
  shape[0] = static_cast<int>(records_.size());
  this->reshape_all(shape, top);
  const bool has_bytes = datum.encoded() || !datum.data().empty();
  if (has_bytes && typeid(*this) == typeid(DataLayer)) {
    this->pack_bytes(this->data_transformer_->pixel_transform());
  }
}

template <typename Dtype>
void DataLayer<Dtype>::take(Record* record) {
  record->key = cursor_->key();
  record->value = cursor_->value_view(&record->storage);
}

template <typename Dtype>
void DataLayer<Dtype>::parse(const Record& record, Datum* datum) {
  CAFFE_CHECK(datum->ParseFromArray(record.value.data(), static_cast<int>(record.value.size())),
              "its " << record.value.size()
                     << " bytes are not a Datum: the database is damaged, or "
                     << "was not made by convert_imageset or a program like it");
  CAFFE_CHECK(!datum->data().empty() || datum->float_data_size() > 0,
              "it is a Datum without an image; if convert_annoset made the database, its records "
              "are AnnotatedDatums: use a layer of type AnnotatedData");
}

template <typename Dtype>
string DataLayer<Dtype>::name_of(const Record& record) const {
  return "record '" + record.key + "' of '" + this->layer_param_.data_param().source() + "'";
}

template <typename Dtype>
bool DataLayer<Dtype>::Skip() {
  const uint64_t count = Caffe::solver_count(), rank = Caffe::solver_rank();
  return this->phase_ == TRAIN && offset_ % count != rank;
}

template <typename Dtype>
void DataLayer<Dtype>::Next() {
  cursor_->Next();
  if (!cursor_->valid()) {
    LOG_IF(INFO, Caffe::root_solver()) << "Restarting data prefetching from start.";
    cursor_->SeekToFirst();
  }
  ++offset_;
}

template <typename Dtype>
void DataLayer<Dtype>::take_batch() {
  try {
    for (Record& record : records_) {
      while (Skip()) Next();
      take(&record);
      Next();
    }
  } catch (const Error& error) {
    throw Error(this->name() + error.what());
  }
}

template <typename Dtype>
void DataLayer<Dtype>::load_batch(Batch<Dtype>* batch) {
  take_batch();
  const int n = static_cast<int>(records_.size());
  Dtype* const labels = this->output_labels_ ? batch->label_.mutable_cpu_data() : nullptr;
  const auto read = [&](int i) {
    static thread_local Datum datum;
    static thread_local cv::Mat decoded;
    parse(records_[i], &datum);
    if (labels != nullptr) labels[i] = static_cast<Dtype>(datum.label());
    return this->data_transformer_->pixels_of(datum, &decoded);
  };
  this->load_images(batch, n, read, [&](int i) { return name_of(records_[i]); });
}

INSTANTIATE_CLASS(DataLayer);
REGISTER_LAYER_CLASS(Data);

}  // namespace caffe
