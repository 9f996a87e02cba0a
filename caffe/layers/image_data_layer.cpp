#include "caffe/layers/image_data_layer.hpp"

#include <opencv2/core/mat.hpp>
#include <typeinfo>

#include "caffe/util/io.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

template <typename Dtype>
ImageDataLayer<Dtype>::~ImageDataLayer() {
  this->StopInternalThread();
}

template <typename Dtype>
void ImageDataLayer<Dtype>::DataLayerSetUp(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  CAFFE_CHECK((param.new_height() > 0) == (param.new_width() > 0),
              "image_data_param has new_height " << param.new_height() << " and new_width "
                                                 << param.new_width() << ": give both or neither");
  CAFFE_CHECK(param.batch_size() > 0, "image_data_param.batch_size is 0: give 1 or more");
  LOG_IF(INFO, Caffe::root_solver()) << "Opening file " << param.source();
  lines_ = read_image_list(param.source());
  if (param.shuffle()) {
    LOG_IF(INFO, Caffe::root_solver()) << "Shuffling data";
    prefetch_rng_.reset(new Caffe::RNG(caffe_rng_rand()));
    ShuffleImages();
  }
  LOG_IF(INFO, Caffe::root_solver()) << "A total of " << lines_.size() << " images.";
  if (param.rand_skip() > 0) {
    lines_id_ = caffe_rng_rand() % param.rand_skip();
    LOG_IF(INFO, Caffe::root_solver()) << "Skipping first " << lines_id_ << " data points.";
    CAFFE_CHECK(lines_id_ < lines_.size(),
                "rand_skip skips " << lines_id_ << " of " << lines_.size() << " images");
  }
  vector<int> shape;
  try {
    shape = this->data_transformer_->shape_of(read(lines_[lines_id_]));
  } catch (const Error& error) {
    throw Error(this->name() + name_of(lines_[lines_id_]) + ": " + error.what());
  }
  shape[0] = static_cast<int>(param.batch_size());
  this->reshape_all(shape, top);
  if (typeid(*this) == typeid(ImageDataLayer)) {
    this->pack_bytes(this->data_transformer_->pixel_transform());
  }
  records_.resize(param.batch_size());
}

template <typename Dtype>
void ImageDataLayer<Dtype>::ShuffleImages() {
  shuffle(lines_.begin(), lines_.end(), static_cast<rng_t*>(prefetch_rng_->generator()));
}

template <typename Dtype>
void ImageDataLayer<Dtype>::Next() {
  ++offset_;
  if (++lines_id_ < lines_.size()) return;
  LOG_IF(INFO, Caffe::root_solver()) << "Restarting data prefetching from start.";
  lines_id_ = 0;
  if (this->layer_param_.image_data_param().shuffle()) ShuffleImages();
}

template <typename Dtype>
Pixels ImageDataLayer<Dtype>::read(const ImageLine& line) const {
  static thread_local cv::Mat image;
  const ImageDataParameter& param = this->layer_param_.image_data_param();
  read_image(param.root_folder() + line.file, param.new_height(), param.new_width(),
             param.is_color(), &image);
  return this->data_transformer_->pixels_of(image);
}

template <typename Dtype>
string ImageDataLayer<Dtype>::name_of(const ImageLine& line) const {
  return "image '" + line.file + "' (line " + std::to_string(line.number) + " of '" +
         this->layer_param_.image_data_param().source() + "')";
}

template <typename Dtype>
void ImageDataLayer<Dtype>::load_batch(Batch<Dtype>* batch) {
  const int n = static_cast<int>(records_.size());
  const uint64_t count = Caffe::solver_count(), rank = Caffe::solver_rank();
  Dtype* const labels = batch->label_.mutable_cpu_data();
  for (int i = 0; i < n; ++i) {
    while (this->phase_ == TRAIN && offset_ % count != rank) Next();
    records_[i] = lines_[lines_id_];
    labels[i] = static_cast<Dtype>(records_[i].label);
    Next();
  }
  this->load_images(
      batch, n, [this](int i) { return read(records_[i]); },
      [this](int i) { return name_of(records_[i]); });
}

INSTANTIATE_CLASS(ImageDataLayer);
REGISTER_LAYER_CLASS(ImageData);

}  // namespace caffe
