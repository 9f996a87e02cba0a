#include "caffe/layers/reshape_layer.hpp"

#include <algorithm>

#include "caffe/layers/in_place.hpp"

namespace caffe {

template <typename Dtype>
void ReshapeLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  int inferred = 0;
  for (const int64_t dim : this->layer_param_.reshape_param().shape().dim()) {
    CAFFE_CHECK(dim >= -1 && dim <= INT_MAX, this->name()
                                                 << "a dim of " << dim << " is not a length");
    inferred += dim == -1;
  }
  CAFFE_CHECK(inferred <= 1, this->name() << "has " << inferred << " dims of -1; only one can be "
                                          << "computed from the others");
}

/// [begin, end), the axes of the bottom to replace.
template <typename Dtype>
std::pair<int, int> ReshapeLayer<Dtype>::replaced(const Blob<Dtype>& bottom) const {
  const ReshapeParameter& param = this->layer_param_.reshape_param();
  const int axes = bottom.num_axes();
  // -1 is the position after the last axis, where a shape may be appended.
  const int begin = param.axis() < 0 ? axes + param.axis() + 1 : param.axis();
  CAFFE_CHECK(begin >= 0 && begin <= axes,
              this->name() << "axis is " << param.axis() << ", and the bottom has " << axes
                           << " axes (shape " << bottom.shape_string() << ")");
  const int64_t end = param.num_axes() == -1 ? axes : int64_t(begin) + param.num_axes();
  CAFFE_CHECK(param.num_axes() >= -1 && end <= axes,
              this->name() << "num_axes is " << param.num_axes() << " from axis " << begin
                           << " on, and the bottom has " << axes << " axes (shape "
                           << bottom.shape_string() << "); -1 means all");
  return {begin, static_cast<int>(end)};
}

template <typename Dtype>
void ReshapeLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  const Blob<Dtype>& x = *bottom[0];
  const BlobShape& wanted = this->layer_param_.reshape_param().shape();
  const std::pair<int, int> axes = replaced(x);
  std::vector<int> shape(x.shape().begin(), x.shape().begin() + axes.first);
  int inferred = -1;
  for (int i = 0; i < wanted.dim_size(); ++i) {
    const int dim = static_cast<int>(wanted.dim(i));
    if (dim == 0) {
      CAFFE_CHECK(axes.first + i < x.num_axes(),
                  this->name() << "dim " << i << " is 0, which copies axis " << axes.first + i
                               << " of the bottom; it has none (shape " << x.shape_string() << ")");
    }
    if (dim == -1) inferred = static_cast<int>(shape.size());
    shape.push_back(dim == 0 ? x.shape(axes.first + i) : dim);
  }
  shape.insert(shape.end(), x.shape().begin() + axes.second, x.shape().end());
  int64_t known = 1;
  for (const int dim : shape) {
    if (dim != -1) known = std::min(known * dim, int64_t(INT_MAX) + 1);  // a blob has fewer
  }
  const std::string shapes = this->name() + "the bottom of shape " + x.shape_string() +
                             " does not fit " + shape_text(shape);
  if (inferred >= 0) {
    CAFFE_CHECK(known > 0 && x.count() % known == 0,
                shapes << ": its count is not a multiple of " << known);
    shape[inferred] = static_cast<int>(x.count() / known);
  } else {
    CAFFE_CHECK(known == x.count(), shapes << ", which has " << known << " values");
  }
  top[0]->Reshape(shape);
  top[0]->ShareData(x);
  top[0]->ShareDiff(x);
}

INSTANTIATE_CLASS(ReshapeLayer);
REGISTER_LAYER_CLASS(Reshape);

}  // namespace caffe
