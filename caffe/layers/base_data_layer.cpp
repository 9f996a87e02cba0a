#include "caffe/layers/base_data_layer.hpp"

#include <future>
#include <mutex>
#include <opencv2/core/mat.hpp>

#include "caffe/net_error.hpp"
#include "caffe/util/device.hpp"

namespace caffe {

namespace {

/// Which of SSD's transformations a layer leaves out. Those that move boxes are AnnotatedData's;
/// WindowData cuts its images itself.
void warn_of_unused(const TransformationParameter& param, const string& type, const string& name) {
  const bool changes_boxes =
      param.has_distort_param() || param.has_expand_param() || param.has_emit_constraint();
  const bool changes_images = param.has_resize_param() || param.has_noise_param() ||
                              param.crop_h() > 0 || param.crop_w() > 0;
  LOG_IF(WARNING, changes_boxes && type != "AnnotatedData")
      << name << "distort_param, expand_param and emit_constraint have an effect in layers of type "
      << "AnnotatedData only";
  LOG_IF(WARNING, changes_images && type == "WindowData")
      << name << "resize_param, noise_param, crop_h and crop_w have no effect in this type";
}

}  // namespace

template <typename Dtype>
BaseDataLayer<Dtype>::BaseDataLayer(const LayerParameter& param)
    : Layer<Dtype>(param), transform_param_(param.transform_param()) {}

template <typename Dtype>
void BaseDataLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  warn_of_unused(transform_param_, this->type(), this->name());
  output_labels_ = top.size() > 1;
  in_layer(*this, [&] {
    data_transformer_.reset(new DataTransformer<Dtype>(transform_param_, this->phase_));
    data_transformer_->InitRand();
    DataLayerSetUp(bottom, top);
  });
}

template <typename Dtype>
BasePrefetchingDataLayer<Dtype>::BasePrefetchingDataLayer(const LayerParameter& param)
    : BaseDataLayer<Dtype>(param), prefetch_(param.data_param().prefetch()) {
  for (shared_ptr<Batch<Dtype>>& batch : prefetch_) {
    batch.reset(new Batch<Dtype>());
    prefetch_free_.push(batch.get());
  }
}

template <typename Dtype>
BasePrefetchingDataLayer<Dtype>::~BasePrefetchingDataLayer() {
  StopInternalThread();
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  CAFFE_CHECK(!prefetch_.empty(), this->name() << "data_param.prefetch is 0: give 1 or more");
  seed_ = caffe_rng_rand();
  team_.reset(new WorkerTeam(data_threads()));
  BaseDataLayer<Dtype>::LayerSetUp(bottom, top);
  // Memory is allocated here so that it suits this thread's mode.
  for (const shared_ptr<Batch<Dtype>>& batch : prefetch_) {
    batch->reserve(packs_bytes(), this->output_labels_, is_on_gpu());
  }
  if (packs_bytes()) values_.ReshapeLike(prefetch_[0]->data_);
  gpu_ = is_on_gpu() ? device::current() : -1;
  StartInternalThread();
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::reshape_all(const vector<int>& data_shape, const Blobs& top) {
  const vector<int> label_shape(1, data_shape[0]);
  transformed_data_.Reshape({1, data_shape[1], data_shape[2], data_shape[3]});
  top[0]->Reshape(data_shape);
  if (this->output_labels_) top[1]->Reshape(label_shape);
  for (const shared_ptr<Batch<Dtype>>& batch : prefetch_) {
    batch->data_.Reshape(data_shape);
    batch->label_.Reshape(label_shape);
  }
  LOG_IF(INFO, Caffe::root_solver())
      << "output data size: " << data_shape[0] << "," << data_shape[1] << "," << data_shape[2]
      << "," << data_shape[3];
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::pack_bytes(const PixelTransform<Dtype>& transform) {
  packs_bytes_ = true;
  pixel_transform_ = transform;
}

template <typename Dtype>
bool BasePrefetchingDataLayer<Dtype>::is_on_gpu() {
  return Caffe::mode() == Caffe::GPU && device::count() > 0;
}

/// Writes the images of one batch, each in any thread, as values or as bytes.
template <typename Dtype>
class BasePrefetchingDataLayer<Dtype>::ImageWriter {
 public:
  ImageWriter(BasePrefetchingDataLayer& layer, Batch<Dtype>* batch, int n)
      : transformer_(*layer.data_transformer_),
        packs_(layer.packs_bytes()),
        gpu_(is_on_gpu() ? device::current() : -1),
        mode_(Caffe::mode()),
        seed_(layer.seed_),
        first_(layer.global_number(layer.images_)),
        step_(layer.global_number(1) - layer.global_number(0)),
        batch_(batch),
        is_value_(n) {
    layer.images_ += n;
  }
  /// For the batch whose first image this is.
  void make_room(const Pixels& pixels) {
    shape_ = transformer_.shape_of(pixels);
    shape_[0] = static_cast<int>(is_value_.size());
    batch_->data_.Reshape(shape_);
    image_ = batch_->data_.count(1);
    if (packs_ && pixels.bytes != nullptr) {
      act_for_the_net();
      batch_->pack();
      how_ = batch_->how();
      bytes_ = batch_->pixels();
    } else {
      make_room_for_values();
    }
  }
  /// False: the first image is missing.
  bool has_room() const { return bytes_ != nullptr || values_ != nullptr; }
  ItemRandom random_of(int i) const { return ItemRandom(seed_, first_ + i * step_); }
  void write(const Pixels& pixels, int i, ItemRandom* random) {
    if (bytes_ != nullptr && pixels.bytes != nullptr) {
      how_[i] = transformer_.pack(pixels, random, shape_, bytes_ + i * image_);
      return;
    }
    if (bytes_ != nullptr) {
      std::call_once(once_, [this] { make_room_for_values(); });
      is_value_[i] = true;
    }
    transformer_.transform(pixels, random, shape_, values_ + i * image_);
  }
  /// If a batch of bytes has images of floats in it, all of it becomes values.
  void finish() {
    if (bytes_ == nullptr || values_ == nullptr) return;
    const PixelTransform<Dtype> transform = transformer_.pixel_transform();
    for (size_t i = 0; i < is_value_.size(); ++i) {
      if (!is_value_[i]) batch_->unpack(transform, static_cast<int>(i));
    }
    batch_->is_unpacked();
  }

 private:
  /// Memory must suit the net, whichever thread allocates it.
  void act_for_the_net() {
    Caffe::set_mode(mode_);
    if (gpu_ >= 0) device::select(gpu_);
  }
  void make_room_for_values() {
    act_for_the_net();
    values_ = batch_->data_.overwrite_cpu_data();
  }

  const DataTransformer<Dtype>& transformer_;
  const bool packs_;
  const int gpu_;
  const Caffe::Brew mode_;
  const unsigned int seed_;
  const uint64_t first_, step_;  // the global numbers
  Batch<Dtype>* const batch_;
  vector<char> is_value_;  // of each image, in a batch of bytes
  vector<int> shape_;
  size_t image_ = 0;  // values, or bytes
  PackedImage* how_ = nullptr;
  unsigned char* bytes_ = nullptr;
  Dtype* values_ = nullptr;
  std::once_flag once_;
};

/// This thread works for the device of the last Forward.
template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::follow_the_net() {
  const int gpu = gpu_;
  if (gpu >= 0) device::select(gpu);
  Caffe::set_mode(gpu >= 0 ? Caffe::GPU : Caffe::CPU);
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::InternalThreadEntry() {
  while (!must_stop()) {
    Batch<Dtype>* const batch = prefetch_free_.pop();
    batch->error_ = nullptr;
    try {
      follow_the_net();
      batch->clear();
      load_batch(batch);
      if (is_on_gpu()) batch->send(this->output_labels_);
    } catch (const Interrupted&) {
      throw;
    } catch (...) {
      batch->error_ = std::current_exception();
    }
    prefetch_full_.push(batch);
  }
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::load_images(Batch<Dtype>* batch, int n,
                                                  const std::function<Pixels(int)>& read,
                                                  const std::function<string(int)>& name_of) {
  ImageWriter writer(*this, batch, n);
  std::promise<void> decided;
  const std::shared_future<void> known = decided.get_future().share();
  const auto load = [&](int i) {
    static thread_local cv::Mat memory;
    ItemRandom random = writer.random_of(i);
    const Pixels pixels = [&] {
      const maap::NoFork while_reading;
      return this->data_transformer_->prepare(read(i), &random, &memory);
    }();
    if (i == 0) {
      writer.make_room(pixels);
      decided.set_value();
    }
    known.wait();
    const maap::NoFork while_transforming;
    if (writer.has_room()) writer.write(pixels, i, &random);
  };
  const auto load_or_let_go = [&](int i) {
    try {
      if (must_stop()) throw Interrupted();
      load(i);
    } catch (...) {
      if (i == 0 && !writer.has_room()) decided.set_value();
      throw;
    }
  };
  share_out(n, load_or_let_go, name_of);
  writer.finish();
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::share_out(int n, const std::function<void(int)>& work,
                                                const std::function<string(int)>& name_of) {
  team_->run(n, [&](int i) {
    try {
      work(i);
    } catch (const std::exception& error) {
      throw Error(this->name() + name_of(i) + ": " + error.what());
    }
  });
}

template <typename Dtype>
Batch<Dtype>* BasePrefetchingDataLayer<Dtype>::next_batch() {
  CAFFE_CHECK(
      team_->is_ours(),
      this->name() << "it reads its data in a thread, which a forked process does not have: "
                   << "create the net after the fork, or start the process without a fork "
                   << "(in Python: multiprocessing.get_context('spawn'))");
  if (prefetch_current_ != nullptr) {
    prefetch_current_->take_back();
    prefetch_free_.push(prefetch_current_);
  }
  prefetch_current_ = nullptr;
  prefetch_current_ = prefetch_full_.pop("Waiting for data");
  if (prefetch_current_->error_ != nullptr) std::rethrow_exception(prefetch_current_->error_);
  return prefetch_current_;
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  (void)bottom;
  gpu_ = is_on_gpu() ? device::current() : -1;
  next_batch()->lend(pixel_transform_, &values_, top[0], this->output_labels_ ? top[1] : nullptr,
                     &lent_);
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::Forward_gpu(const Blobs& bottom, const Blobs& top) {
  Forward_cpu(bottom, top);
}

INSTANTIATE_CLASS(BaseDataLayer);
INSTANTIATE_CLASS(BasePrefetchingDataLayer);

}  // namespace caffe
