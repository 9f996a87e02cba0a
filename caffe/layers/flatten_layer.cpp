#include "caffe/layers/flatten_layer.hpp"

#include "caffe/layers/axis.hpp"
#include "caffe/layers/in_place.hpp"

namespace caffe {

template <typename Dtype>
void FlattenLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
}

template <typename Dtype>
void FlattenLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const FlattenParameter& param = this->layer_param_.flatten_param();
  const int begin = axis_of(*this, *bottom[0], param.axis());
  const int last = axis_of(*this, *bottom[0], param.end_axis());
  CAFFE_CHECK(begin <= last, this->name() << "flattens from axis " << begin << " to axis " << last
                                          << ", which comes before it (bottom of shape "
                                          << bottom[0]->shape_string() << ")");
  std::vector<int> shape(bottom[0]->shape().begin(), bottom[0]->shape().begin() + begin);
  shape.push_back(bottom[0]->count(begin, last + 1));
  shape.insert(shape.end(), bottom[0]->shape().begin() + last + 1, bottom[0]->shape().end());
  top[0]->Reshape(shape);
  top[0]->ShareData(*bottom[0]);
  top[0]->ShareDiff(*bottom[0]);
}

INSTANTIATE_CLASS(FlattenLayer);
REGISTER_LAYER_CLASS(Flatten);

}  // namespace caffe
