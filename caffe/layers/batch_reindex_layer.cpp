#include "caffe/layers/batch_reindex_layer.hpp"

#include "caffe/layers/in_place.hpp"
#include "caffe/util/active.hpp"

namespace caffe {

template <typename Dtype>
void BatchReindexLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
}

template <typename Dtype>
void BatchReindexLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  CAFFE_CHECK(bottom[1]->num_axes() == 1 && bottom[0]->num_axes() >= 1,
              this->name() << "bottom 1, the indices, needs one axis and bottom 0 at least one; "
                           << "their shapes are " << bottom[1]->shape_string() << " and "
                           << bottom[0]->shape_string());
  std::vector<int> shape = bottom[0]->shape();
  shape[0] = bottom[1]->shape(0);
  top[0]->Reshape(shape);
}

template <typename Dtype>
void BatchReindexLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  index_.set(indices_of(*this, *bottom[1], bottom[0]->shape(0)));
  index_.take(bottom[0]->count(1), bottom[0]->active_data(), top[0]->mutable_active_data());
}

template <typename Dtype>
void BatchReindexLayer<Dtype>::Backward_any(const Blobs& top,
                                            const std::vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  CAFFE_CHECK(!propagate_down[1], this->name() << "bottom 1 holds indices, which have no gradient: "
                                               << "give it propagate_down: false");
  if (!propagate_down[0]) return;
  active_set(bottom[0]->count(), Dtype(0), bottom[0]->mutable_active_diff());
  index_.add_back(bottom[0]->count(1), top[0]->active_diff(), bottom[0]->mutable_active_diff());
}

INSTANTIATE_CLASS(BatchReindexLayer);
REGISTER_LAYER_CLASS(BatchReindex);

}  // namespace caffe
