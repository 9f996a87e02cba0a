#include "caffe/layers/embed_layer.hpp"

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/learnt.hpp"
#include "caffe/util/channel_sums.hpp"
#include "caffe/util/parallel.hpp"
#include "caffe/util/plain_terms.hpp"

namespace caffe {

namespace {

template <typename T>
struct AddToRows {
  int length;
  const T* b;  // [length]
  T* y;        // [rows, length]
  CAFFE_HD void operator()(int row, int i) const { y[i] += b[i - row * length]; }
};

template <typename T>
struct AddToBias {
  T* db;
  CAFFE_HD void operator()(int c, double sum, double) const { db[c] += static_cast<T>(sum); }
};

}  // namespace

template <typename Dtype>
void EmbedLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  const EmbedParameter& param = this->layer_param_.embed_param();
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(param.num_output() >= 1 && param.input_dim() >= 1,
              this->name() << "num_output is " << param.num_output() << " and input_dim "
                           << param.input_dim() << "; both must be at least 1");
  const int rows = static_cast<int>(param.input_dim()),
            length = static_cast<int>(param.num_output());
  std::vector<LearntBlob> wanted = {{"table", {rows, length}, param.weight_filler()}};
  if (param.bias_term()) wanted.push_back({"biases", {length}, param.bias_filler()});
  make_learnt(*this, wanted, &this->blobs_);
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void EmbedLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  std::vector<int> shape = bottom[0]->shape();
  shape.push_back(this->blobs_[0]->shape(1));
  top[0]->Reshape(shape);
}

template <typename Dtype>
void EmbedLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& table = *this->blobs_[0];
  const int length = table.shape(1);
  index_.set(indices_of(*this, *bottom[0], table.shape(0)));
  Dtype* const y = top[0]->mutable_active_data();
  index_.take(length, table.active_data(), y);
  if (this->blobs_.size() > 1) {
    parallel_planes(bottom[0]->count(), length,
                    AddToRows<Dtype>{length, this->blobs_[1]->active_data(), y});
  }
}

template <typename Dtype>
void EmbedLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) {
  CAFFE_CHECK(!propagate_down[0], this->name() << "its bottom holds indices, which have no "
                                               << "gradient: give the layer propagate_down: false");
  const Dtype* const dy = top[0]->active_diff();
  const int length = this->blobs_[0]->shape(1);
  if (this->param_propagate_down_[0]) {
    index_.add_back(length, dy, this->blobs_[0]->mutable_active_diff());
  }
  if (this->blobs_.size() > 1 && this->param_propagate_down_[1]) {
    channel_sums({bottom[0]->count(), length, 1}, PlainTerms<Dtype>{dy}, &sums_,
                 AddToBias<Dtype>{this->blobs_[1]->mutable_active_diff()});
  }
}

INSTANTIATE_CLASS(EmbedLayer);
REGISTER_LAYER_CLASS(Embed);

}  // namespace caffe
