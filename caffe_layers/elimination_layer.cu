#include "caffe_layers/elimination_layer.hpp"

#include "caffe_layers/elimination_param.hpp"
#include "caffe_layers/layer_support.hpp"
#include "kernels/attention.hpp"

namespace caffe {

using maap::Device;

namespace {

template <typename Dtype>
maap::ImageShape image_shape(const Blob<Dtype>& d) {
  return {d.shape(0), d.shape(1), d.shape(2), d.shape(3)};
}

void grow(std::unique_ptr<SyncedMemory>* memory, size_t size) {
  if (!*memory || (*memory)->size() < size) memory->reset(new SyncedMemory(size));
}

/// On a GPU this is all that is copied back: N ints for the whole batch.
void require_finite(const std::string& layer, const std::string& blob, int images, const int* bad) {
  for (int n = 0; n < images; ++n) {
    if (bad[n]) {
      throw maap::Error(
          layer + "the attention map of image " + std::to_string(n) +
          " in the batch holds a NaN or an infinity; blob '" + blob +
          "' is not finite there: the training has diverged or the weights are damaged");
    }
  }
}

}  // namespace

template <typename Dtype>
void EliminationLayer<Dtype>::LayerSetUp(const std::vector<Blob<Dtype>*>& bottom,
                                         const std::vector<Blob<Dtype>*>& top) {
  const EliminationParameter param = maap::elimination_param(this->layer_param_);
  a_star_ = static_cast<maap::AStar>(param.a_star());
  rule_ = maap::region_rule(param);
  for (Blob<Dtype>* t : top) {
    if (t == bottom[0] || t == bottom[1]) {
      throw maap::Error(maap::name_of(this->layer_param_) +
                        "cannot work in place; give every top a name that no bottom has");
    }
  }
}

template <typename Dtype>
void EliminationLayer<Dtype>::Reshape(const std::vector<Blob<Dtype>*>& bottom,
                                      const std::vector<Blob<Dtype>*>& top) {
  const Blob<Dtype>&f = *bottom[0], &d = *bottom[1];
  maap::require_image_blob(this->layer_param_, f, 0, "a feature map");
  maap::require_image_blob(this->layer_param_, d, 1, "the input data");
  if (f.shape(0) != d.shape(0)) {
    throw maap::Error(maap::name_of(this->layer_param_) + "the feature map has shape " +
                      f.shape_string() + " and the input has shape " + d.shape_string() +
                      ": both need the same number of images");
  }
  shape_ = {f.shape(0), f.shape(2), f.shape(3), d.shape(2), d.shape(3)};
  maap::check_rule(rule_, shape_, maap::name_of(this->layer_param_));
  map_.Reshape({shape_.n, 1, shape_.map_height, shape_.map_width});
  attention_.Reshape({shape_.n, 1, shape_.height, shape_.width});
  regions_.Reshape({shape_.n, 4});
  stats_.Reshape({shape_.n, maap::kStatsSize});
  top[0]->ReshapeLike(d);
  if (top.size() > 1) top[1]->ReshapeLike(regions_);
  if (top.size() > 2) top[2]->ReshapeLike(attention_);
  if (top.size() > 3) top[3]->ReshapeLike(stats_);
  grow(&bad_, shape_.n * sizeof(int));
}

template <typename Dtype>
void EliminationLayer<Dtype>::forward(Device device, const std::vector<Blob<Dtype>*>& bottom,
                                      const std::vector<Blob<Dtype>*>& top) {
  const Blob<Dtype>&f = *bottom[0], &d = *bottom[1];
  grow(&workspace_, maap::region_workspace(device, shape_));
  maap::attention_map(device, {f.shape(0), f.shape(1), f.count(2)}, maap::data(f, device),
                      maap::mutable_data(&map_, device));
  maap::find_regions(device, shape_, rule_, maap::data(map_, device),
                     maap::mutable_data(&attention_, device), maap::mutable_data(&regions_, device),
                     maap::mutable_data(&stats_, device),
                     static_cast<int*>(maap::mutable_data(bad_.get(), device)),
                     maap::mutable_data(workspace_.get(), device));
  maap::check_flags(
      bad_.get(), shape_.n, device,
      [name = maap::name_of(this->layer_param_), images = shape_.n,
       blob = this->layer_param_.bottom_size() > 0 ? this->layer_param_.bottom(0) : std::string()](
          const int* bad) { require_finite(name, blob, images, bad); });
  maap::render(device, image_shape(d), a_star_, maap::data(d, device),
               maap::data(attention_, device), maap::data(regions_, device),
               maap::data(stats_, device), maap::mutable_data(top[0], device));
  if (top.size() > 1) top[1]->CopyFrom(regions_);
  if (top.size() > 2) top[2]->CopyFrom(attention_);
  if (top.size() > 3) top[3]->CopyFrom(stats_);
}

template <typename Dtype>
void EliminationLayer<Dtype>::backward(Device device, const Blob<Dtype>& top,
                                       const std::vector<bool>& propagate_down,
                                       const std::vector<Blob<Dtype>*>& bottom) {
  if (propagate_down[0]) {
    Dtype* gradient = maap::mutable_diff(bottom[0], device);
    maap::fill_zero(device, bottom[0]->count(), gradient);
  }
  if (propagate_down[1]) {
    maap::render_backward(device, image_shape(*bottom[1]), a_star_, maap::diff(top, device),
                          maap::data(attention_, device), maap::data(regions_, device),
                          maap::data(stats_, device), maap::mutable_diff(bottom[1], device));
  }
}

template <typename Dtype>
void EliminationLayer<Dtype>::Forward_cpu(const std::vector<Blob<Dtype>*>& bottom,
                                          const std::vector<Blob<Dtype>*>& top) {
  forward(Device::kCPU, bottom, top);
}

template <typename Dtype>
void EliminationLayer<Dtype>::Forward_gpu(const std::vector<Blob<Dtype>*>& bottom,
                                          const std::vector<Blob<Dtype>*>& top) {
  forward(Device::kGPU, bottom, top);
}

template <typename Dtype>
void EliminationLayer<Dtype>::Backward_cpu(const std::vector<Blob<Dtype>*>& top,
                                           const std::vector<bool>& propagate_down,
                                           const std::vector<Blob<Dtype>*>& bottom) {
  backward(Device::kCPU, *top[0], propagate_down, bottom);
}

template <typename Dtype>
void EliminationLayer<Dtype>::Backward_gpu(const std::vector<Blob<Dtype>*>& top,
                                           const std::vector<bool>& propagate_down,
                                           const std::vector<Blob<Dtype>*>& bottom) {
  backward(Device::kGPU, *top[0], propagate_down, bottom);
}

INSTANTIATE_CLASS(EliminationLayer);

}  // namespace caffe
