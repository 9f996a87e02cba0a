#include "caffe/layers/base_data_layer.hpp"

#include <future>

#include "caffe/net_error.hpp"
#include "caffe/util/device.hpp"

namespace caffe {

template <typename Dtype>
BaseDataLayer<Dtype>::BaseDataLayer(const LayerParameter& param)
    : Layer<Dtype>(param), transform_param_(param.transform_param()) {}

template <typename Dtype>
void BaseDataLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  output_labels_ = top.size() > 1;
  in_layer(*this, [&] {
    data_transformer_.reset(new DataTransformer<Dtype>(transform_param_, this->phase_));
    data_transformer_->InitRand();
    DataLayerSetUp(bottom, top);
  });
}

namespace {

/// The net's blob counts its users itself: the batch is not one of them. The batch keeps its own
/// GPU copy current, whatever happens to the net's, so that the next batch does not copy it back.
template <typename Dtype>
std::weak_ptr<void> lend_memory(const Blob<Dtype>& from, Blob<Dtype>* to) {
  to->ReshapeLike(from);
  const bool on_gpu = Caffe::mode() == Caffe::GPU;
  SyncedMemory* const block = from.data().get();
  const shared_ptr<void> memory = on_gpu ? block->share_gpu_data() : block->share_cpu_data();
  const shared_ptr<Dtype> lent(static_cast<Dtype*>(memory.get()), [memory](Dtype*) {});
  on_gpu ? to->set_gpu_data(lent) : to->set_cpu_data(lent);
  return lent;
}

template <typename Dtype>
void replace_if_used(const std::weak_ptr<void>& lent, Blob<Dtype>* blob) {
  if (lent.use_count() > 1) blob->ShareData(Blob<Dtype>(blob->shape()));
}

}  // namespace

template <typename Dtype>
void Batch<Dtype>::lend(Blob<Dtype>* data, Blob<Dtype>* label) {
  lent_data_ = lend_memory(data_, data);
  if (label != nullptr) lent_label_ = lend_memory(label_, label);
}

template <typename Dtype>
void Batch<Dtype>::take_back() {
  replace_if_used(lent_data_, &data_);
  replace_if_used(lent_label_, &label_);
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
    batch->data_.mutable_cpu_data();
    if (this->output_labels_) batch->label_.mutable_cpu_data();
  }
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
void BasePrefetchingDataLayer<Dtype>::InternalThreadEntry() {
  while (!must_stop()) {
    Batch<Dtype>* const batch = prefetch_free_.pop();
    batch->error_ = nullptr;
    try {
      load_batch(batch);
      if (Caffe::mode() == Caffe::GPU && device::count() > 0) {
        batch->data_.gpu_data();
        if (this->output_labels_) batch->label_.gpu_data();
      }
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
  const uint64_t first = images_;
  images_ += n;
  vector<int> shape;
  Dtype* data = nullptr;  // null: image 0 is missing
  std::promise<void> decided;
  const std::shared_future<void> known = decided.get_future().share();
  const Caffe::Brew mode = Caffe::mode();
  const auto make_room = [&](const Pixels& pixels) {
    Caffe::set_mode(mode);
    shape = this->data_transformer_->shape_of(pixels);
    shape[0] = n;
    batch->data_.Reshape(shape);
    data = batch->data_.mutable_cpu_data();
  };
  const auto load = [&](int i) {
    const Pixels pixels = [&] {
      const maap::NoFork while_reading;
      return read(i);
    }();
    if (i == 0) {
      make_room(pixels);
      decided.set_value();
    }
    known.wait();
    if (data == nullptr) return;
    const size_t values = static_cast<size_t>(shape[1]) * shape[2] * shape[3];
    ItemRandom random(seed_, first + i);
    const maap::NoFork while_transforming;
    this->data_transformer_->transform(pixels, &random, shape, data + i * values);
  };
  const auto load_or_let_go = [&](int i) {
    try {
      if (must_stop()) throw Interrupted();
      load(i);
    } catch (...) {
      if (i == 0 && data == nullptr) decided.set_value();
      throw;
    }
  };
  share_out(n, load_or_let_go, name_of);
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
  next_batch()->lend(top[0], this->output_labels_ ? top[1] : nullptr);
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::Forward_gpu(const Blobs& bottom, const Blobs& top) {
  Forward_cpu(bottom, top);
}

INSTANTIATE_CLASS(Batch);
INSTANTIATE_CLASS(BaseDataLayer);
INSTANTIATE_CLASS(BasePrefetchingDataLayer);

}  // namespace caffe
