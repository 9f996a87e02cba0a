#include "caffe/layers/sequence/continuation_indicator_layer.hpp"

#include <cstdint>

#include "caffe/layers/in_place.hpp"
#include "caffe/layers/zero_gradients.hpp"
#include "caffe/util/active.hpp"

namespace caffe {

template <typename Dtype>
void ContinuationIndicatorLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const ContinuationIndicatorParameter& param = this->layer_param_.continuation_indicator_param();
  const int64_t count = static_cast<int64_t>(param.time_step()) * param.batch_size();
  CAFFE_CHECK(count > 0 && count <= INT_MAX,
              this->name() << "continuation_indicator_param must give time_step and batch_size, "
                           << "the steps and items of the sequences; they are " << param.time_step()
                           << " and " << param.batch_size());
  top[0]->Reshape({static_cast<int>(param.time_step()), static_cast<int>(param.batch_size())});
}

template <typename Dtype>
void ContinuationIndicatorLayer<Dtype>::Forward_any(const Blobs&, const Blobs& top) {
  const int items = top[0]->shape(1);
  Dtype* const y = top[0]->mutable_active_data();
  active_set(items, Dtype(0), y);
  active_set(top[0]->count() - items, Dtype(1), y + items);
}

template <typename Dtype>
void ContinuationIndicatorLayer<Dtype>::Backward_any(const Blobs&, const std::vector<bool>& down,
                                                     const Blobs& bottom) {
  zero_gradients(down, 0, bottom);
}

INSTANTIATE_CLASS(ContinuationIndicatorLayer);
REGISTER_LAYER_CLASS(ContinuationIndicator);

}  // namespace caffe
