#include "caffe/layers/filter_layer.hpp"

#include "caffe/layers/in_place.hpp"
#include "caffe/util/active.hpp"

namespace caffe {

template <typename Dtype>
void FilterLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  CAFFE_CHECK(bottom.size() == top.size() + 1,
              this->name() << "takes one bottom more than tops, the selector, and has "
                           << bottom.size() << " bottoms and " << top.size() << " tops");
  set_up_ = false;
}

template <typename Dtype>
void FilterLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& selector = *bottom.back();
  CAFFE_CHECK(
      selector.num_axes() >= 1 && selector.count() == selector.shape(0),
      this->name() << "the selector, its last bottom, needs one value per item; its shape is "
                   << selector.shape_string());
  std::vector<int> kept;
  for (int i = 0; i < selector.count(); ++i) {
    if (!set_up_ || selector.cpu_data()[i] != Dtype(0)) kept.push_back(i);
  }
  for (size_t t = 0; t < top.size(); ++t) {
    CAFFE_CHECK(bottom[t]->num_axes() >= 1 && bottom[t]->shape(0) == selector.shape(0),
                this->name() << "the selector has " << selector.shape(0)
                             << " values, and the shape of bottom " << t << " is "
                             << bottom[t]->shape_string());
    std::vector<int> shape = bottom[t]->shape();
    shape[0] = static_cast<int>(kept.size());
    top[t]->Reshape(shape);
  }
  kept_.set(kept);
  set_up_ = true;
}

template <typename Dtype>
void FilterLayer<Dtype>::Forward_any(const Blobs& bottom, const Blobs& top) {
  for (size_t t = 0; t < top.size(); ++t) {
    kept_.take(bottom[t]->count(1), bottom[t]->active_data(), top[t]->mutable_active_data());
  }
}

template <typename Dtype>
void FilterLayer<Dtype>::Backward_any(const Blobs& top, const std::vector<bool>& propagate_down,
                                      const Blobs& bottom) {
  CAFFE_CHECK(!propagate_down[top.size()], this->name() << "the selector has no gradient: give it "
                                                        << "propagate_down: false");
  for (size_t t = 0; t < top.size(); ++t) {
    if (!propagate_down[t]) continue;
    active_set(bottom[t]->count(), Dtype(0), bottom[t]->mutable_active_diff());
    kept_.add_back(bottom[t]->count(1), top[t]->active_diff(), bottom[t]->mutable_active_diff());
  }
}

INSTANTIATE_CLASS(FilterLayer);
REGISTER_LAYER_CLASS(Filter);

}  // namespace caffe
