#include "caffe/layers/memory_data_layer.hpp"

#include <algorithm>
#include <memory>
#include <opencv2/core/mat.hpp>

#include "caffe/net_error.hpp"
#include "caffe/util/device.hpp"

namespace caffe {

namespace {

template <typename Dtype>
shared_ptr<Dtype> shared_values(const Blob<Dtype>& blob) {
  const shared_ptr<void>& memory = blob.data()->share_cpu_data();
  return shared_ptr<Dtype>(memory, static_cast<Dtype*>(memory.get()));
}

}  // namespace

template <typename Dtype>
void MemoryDataLayer<Dtype>::DataLayerSetUp(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  const MemoryDataParameter& param = this->layer_param_.memory_data_param();
  batch_size_ = param.batch_size();
  channels_ = param.channels();
  height_ = param.height();
  width_ = param.width();
  CAFFE_CHECK(batch_size_ > 0 && channels_ > 0 && height_ > 0 && width_ > 0,
              "memory_data_param has batch_size " << batch_size_ << ", channels " << channels_
                                                  << ", height " << height_ << " and width "
                                                  << width_ << ": give each of them, 1 or more");
  top[0]->Reshape(batch_size_, channels_, height_, width_);
  top[1]->Reshape(batch_size_, 1, 1, 1);
  size_ = top[0]->count(1);
}

template <typename Dtype>
template <typename Image>
void MemoryDataLayer<Dtype>::add(const vector<Image>& images, const vector<int>& labels) {
  const int n = static_cast<int>(images.size());
  CAFFE_CHECK(!has_new_data_, this->name()
                                  << "not all images added before have been used: call Forward "
                                  << "until they are");
  CAFFE_CHECK(n > 0 && n % batch_size_ == 0,
              this->name() << n << " images were added: give a multiple of the batch size, "
                           << batch_size_ << ", or change it with set_batch_size");
  CAFFE_CHECK(labels.size() == images.size(),
              this->name() << n << " images have " << labels.size() << " labels");
  added_data_.Reshape(n, channels_, height_, width_);
  added_label_.Reshape({n});
  in_layer(*this, [&] { this->data_transformer_->Transform(images, &added_data_); });
  std::copy(labels.begin(), labels.end(), added_label_.mutable_cpu_data());
  Reset(shared_values(added_data_), shared_values(added_label_), n);
  has_new_data_ = true;
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::AddDatumVector(const vector<Datum>& datum_vector) {
  vector<int> labels;
  for (const Datum& datum : datum_vector) labels.push_back(datum.label());
  add(datum_vector, labels);
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::AddMatVector(const vector<cv::Mat>& mat_vector,
                                          const vector<int>& labels) {
  add(mat_vector, labels);
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::Reset(Dtype* data, Dtype* label, int n) {
  const auto leave_alone = [](Dtype*) {};
  Reset(shared_ptr<Dtype>(data, leave_alone), shared_ptr<Dtype>(label, leave_alone), n);
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::Reset(const shared_ptr<Dtype>& data, const shared_ptr<Dtype>& label,
                                   int n) {
  CAFFE_CHECK(data != nullptr && label != nullptr,
              this->name() << "data and labels must be given, not null pointers");
  CAFFE_CHECK(n > 0 && n % batch_size_ == 0,
              this->name() << n << " rows were given: give a multiple of the batch size, "
                           << batch_size_ << ", or change it with set_batch_size");
  if (this->layer_param_.has_transform_param() && data.get() != added_data_.cpu_data()) {
    LOG(WARNING) << this->name() << "transform_param does not apply to arrays";
  }
  data_ = data;
  labels_ = label;
  n_ = n;
  pos_ = 0;
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::set_batch_size(int new_size) {
  CAFFE_CHECK(!has_new_data_, this->name()
                                  << "the batch size cannot change before all added images "
                                  << "have been used: call Forward until they are");
  CAFFE_CHECK(new_size > 0, this->name() << "a batch size must be 1 or more, not " << new_size);
  batch_size_ = new_size;
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  CAFFE_CHECK(data_ != nullptr, this->name() << "there is no data: call Reset, AddDatumVector or "
                                             << "AddMatVector first");
  CAFFE_CHECK(n_ % batch_size_ == 0, this->name() << "the batch size is " << batch_size_ << " now: "
                                                  << n_ << " rows are not a multiple of it");
  top[0]->Reshape(batch_size_, channels_, height_, width_);
  top[1]->Reshape(batch_size_, 1, 1, 1);
  top[0]->set_cpu_data(shared_ptr<Dtype>(data_, data_.get() + pos_ * size_));
  top[1]->set_cpu_data(shared_ptr<Dtype>(labels_, labels_.get() + pos_));
  pos_ = (pos_ + batch_size_) % n_;
  if (pos_ == 0) has_new_data_ = false;
}

template <typename Dtype>
void MemoryDataLayer<Dtype>::Forward_gpu(const Blobs& bottom, const Blobs& top) {
  Forward_cpu(bottom, top);
  if (device::count() == 0) return;
  uploads_[turn_].give_back();
  turn_ = 1 - turn_;
  Upload& upload = uploads_[turn_];
  const size_t values = top[0]->count(), labels = top[1]->count();
  upload.clear();
  Dtype* const host = reinterpret_cast<Dtype*>(upload.host((values + labels) * sizeof(Dtype)));
  std::copy_n(top[0]->cpu_data(), values, host);
  std::copy_n(top[1]->cpu_data(), labels, host + values);
  upload.send();
  upload.receive();
  top[0]->data()->set_gpu_copy(upload.lend_gpu(0));
  top[1]->data()->set_gpu_copy(upload.lend_gpu(values * sizeof(Dtype)));
}

INSTANTIATE_CLASS(MemoryDataLayer);
REGISTER_LAYER_CLASS(MemoryData);

}  // namespace caffe
