#include "caffe/layers/input_layer.hpp"

namespace caffe {

template <typename Dtype>
void InputLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs& top) {
  const InputParameter& param = this->layer_param_.input_param();
  const int tops = static_cast<int>(top.size());
  const int shapes = param.shape_size();
  CAFFE_CHECK(shapes <= 1 || shapes == tops,
              this->name() << "has " << shapes << " shapes and " << tops
                           << " tops: give one shape for all, one for each top, or none");
  for (int i = 0; i < tops && shapes > 0; ++i) top[i]->Reshape(param.shape(shapes == 1 ? 0 : i));
}

INSTANTIATE_CLASS(InputLayer);
REGISTER_LAYER_CLASS(Input);

}  // namespace caffe
