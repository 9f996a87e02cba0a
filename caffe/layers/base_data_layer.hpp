#ifndef CAFFE_LAYERS_BASE_DATA_LAYER_HPP_
#define CAFFE_LAYERS_BASE_DATA_LAYER_HPP_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/data_transformer.hpp"
#include "caffe/internal_thread.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/batch.hpp"
#include "caffe/util/blocking_queue.hpp"
#include "caffe/util/worker_team.hpp"

namespace caffe {

/// A layer that gives a net its data: no bottoms, nothing to propagate back to. The first top is
/// the data, transformed by transform_param; the second, if there is one, holds the labels.
template <typename Dtype>
class BaseDataLayer : public Layer<Dtype> {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit BaseDataLayer(const LayerParameter& param);
  /// Creates the transformer, then calls DataLayerSetUp, in which a layer shapes its tops.
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;
  virtual void DataLayerSetUp(const Blobs& bottom, const Blobs& top) {
    (void)bottom;
    (void)top;
  }
  void Reshape(const Blobs& bottom, const Blobs& top) override {
    (void)bottom;
    (void)top;
  }
  void Backward_cpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    (void)top;
    (void)propagate_down;
    (void)bottom;
  }
  void Backward_gpu(const Blobs& top, const vector<bool>& propagate_down,
                    const Blobs& bottom) override {
    (void)top;
    (void)propagate_down;
    (void)bottom;
  }

 protected:
  TransformationParameter transform_param_;
  shared_ptr<DataTransformer<Dtype>> data_transformer_;
  bool output_labels_ = false;
};

/// Prepares batches in a separate thread while the net computes. A derived layer implements
/// load_batch, which that thread calls, and stops the thread in its destructor. The tops share the
/// memory of a batch until the next Forward; an array in Python that does, keeps it unchanged.
/// For a net on a GPU the thread also copies the batches there, beside the computation. Forward
/// rethrows what load_batch throws. In a forked child, which does not have the thread,
/// Forward throws an Error.
template <typename Dtype>
class BasePrefetchingDataLayer : public BaseDataLayer<Dtype>, public InternalThread {
 public:
  using typename Layer<Dtype>::Blobs;
  explicit BasePrefetchingDataLayer(const LayerParameter& param);
  ~BasePrefetchingDataLayer() override;
  /// Sets up the base class, then starts the thread. DataLayerSetUp also shapes the blobs of
  /// prefetch_.
  void LayerSetUp(const Blobs& bottom, const Blobs& top) override;

  void Forward_cpu(const Blobs& bottom, const Blobs& top) override;
  void Forward_gpu(const Blobs& bottom, const Blobs& top) override;

 protected:
  void InternalThreadEntry() override;
  virtual void load_batch(Batch<Dtype>* batch) = 0;

  /// For load_batch to use. Fills batch->data_ with n images in order, using several threads:
  /// `read(i)` returns the i-th image, in memory that the thread may use until its next call. The
  /// first image determines the shape. Random choices for an image depend on the layer's seed and
  /// on its global number alone, so the result is the same for any number of threads. An
  /// error begins with the layer's name and `name_of(i)`, "image 'x.jpg'". After pack_bytes(), and
  /// if the net is on a GPU, the images are packed instead.
  void load_images(Batch<Dtype>* batch, int n, const std::function<Pixels(int)>& read,
                   const std::function<string(int)>& name_of);
  /// Calls work(i) for each i in [0, n), in several threads; long work should throw Interrupted
  /// when must_stop(). Errors begin as those of load_images do.
  void share_out(int n, const std::function<void(int)>& work,
                 const std::function<string(int)>& name_of);
  /// For DataLayerSetUp: batches go to a GPU as bytes, whose transformation is computed there. Only
  /// for a class whose load_batch is known not to be overridden: batch->data_ may have no values.
  void pack_bytes(const PixelTransform<Dtype>& transform);
  /// Whether load_batch should pack bytes into this batch.
  bool packs_bytes() const { return packs_bytes_ && is_on_gpu(); }
  /// The number of this layer's i-th image among those of all ranks while training, if each has its
  /// turn as in DataLayer: what one rank with a batch of all would draw for it, a rank draws too.
  /// Not for other threads than the one of load_batch.
  uint64_t global_number(uint64_t i) const {
    if (this->phase_ != TRAIN) return i;
    return i * static_cast<uint64_t>(Caffe::solver_count()) +
           static_cast<uint64_t>(Caffe::solver_rank());
  }
  /// Shapes the tops and the batches from the first image.
  void reshape_all(const vector<int>& data_shape, const Blobs& top);

  vector<shared_ptr<Batch<Dtype>>> prefetch_;
  BlockingQueue<Batch<Dtype>*> prefetch_free_;
  BlockingQueue<Batch<Dtype>*> prefetch_full_;
  Batch<Dtype>* prefetch_current_ = nullptr;
  Lent lent_;
  Blob<Dtype> transformed_data_;

 private:
  /// Whether the calling thread's net is on a GPU.
  static bool is_on_gpu();
  class ImageWriter;
  void follow_the_net();
  Batch<Dtype>* next_batch();

  std::unique_ptr<WorkerTeam> team_;
  unsigned int seed_ = 0;
  uint64_t images_ = 0;       // loaded so far
  std::atomic<int> gpu_{-1};  // of the last Forward; -1: none
  bool packs_bytes_ = false;
  PixelTransform<Dtype> pixel_transform_;
  Blob<Dtype> values_;  // of packed images
};

}  // namespace caffe

#endif  // CAFFE_LAYERS_BASE_DATA_LAYER_HPP_
