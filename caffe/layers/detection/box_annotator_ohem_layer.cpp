#include "caffe/layers/detection/box_annotator_ohem_layer.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "caffe/layers/in_place.hpp"

namespace caffe {

template <typename Dtype>
void BoxAnnotatorOHEMLayer<Dtype>::LayerSetUp(const Blobs& bottom, const Blobs& top) {
  refuse_in_place(*this, bottom, top);
  const BoxAnnotatorOHEMParameter& param = this->layer_param_.box_annotator_ohem_param();
  CAFFE_CHECK(param.roi_per_img() > 0,
              this->name() << "box_annotator_ohem_param needs roi_per_img, above 0");
}

template <typename Dtype>
void BoxAnnotatorOHEMLayer<Dtype>::Reshape(const Blobs& bottom, const Blobs& top) {
  for (int b = 0; b < 4; ++b) {
    const Blob<Dtype>& blob = *bottom[b];
    const int channels = b == 0 ? 5 : b == 3 ? -1 : 1;
    const bool fits = blob.num_axes() >= 2 && blob.shape(0) == bottom[0]->shape(0) &&
                      blob.count(2) == bottom[0]->count(2) &&
                      (channels < 0 || blob.shape(1) == channels);
    CAFFE_CHECK(fits, this->name()
                          << "takes regions N x 5 x H x W, losses and labels N x 1 x H x W and "
                          << "weights N x K x H x W; bottom " << b << " is " << blob.shape_string()
                          << ", bottom 0 " << bottom[0]->shape_string());
  }
  top[0]->ReshapeLike(*bottom[2]);
  top[1]->ReshapeLike(*bottom[3]);
}

template <typename Dtype>
std::vector<int> BoxAnnotatorOHEMLayer<Dtype>::hardest(const Blob<Dtype>& regions,
                                                       const Blob<Dtype>& losses) const {
  const int inner = losses.count(2);
  const Dtype* const loss = losses.cpu_data();
  const Dtype* const region = regions.cpu_data();
  std::vector<int> order(losses.count());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [=](int a, int b) {
    const bool none = std::isnan(loss[b]);
    return !std::isnan(loss[a]) && (none || loss[a] > loss[b]);
  });
  const unsigned most = this->layer_param_.box_annotator_ohem_param().roi_per_img();
  std::map<Dtype, unsigned> taken;
  std::vector<int> kept;
  for (const int i : order) {
    const Dtype image = region[int64_t(i / inner) * 5 * inner + i % inner];
    CAFFE_CHECK(std::isfinite(image), this->name()
                                          << "place " << i << " of bottom 0 is of image " << image);
    if (taken[image]++ < most) kept.push_back(i);
  }
  return kept;
}

template <typename Dtype>
void BoxAnnotatorOHEMLayer<Dtype>::Forward_cpu(const Blobs& bottom, const Blobs& top) {
  const int ignore = this->layer_param_.box_annotator_ohem_param().ignore_label();
  const int inner = bottom[2]->count(2), channels = bottom[3]->shape(1);
  const Dtype *labels = bottom[2]->cpu_data(), *weights = bottom[3]->cpu_data();
  Dtype *kept_labels = top[0]->mutable_cpu_data(), *kept_weights = top[1]->mutable_cpu_data();
  std::fill_n(kept_labels, top[0]->count(), Dtype(ignore));
  std::fill_n(kept_weights, top[1]->count(), Dtype(0));
  for (const int i : hardest(*bottom[0], *bottom[1])) {
    kept_labels[i] = labels[i];
    for (int c = 0; c < channels; ++c) {
      const int64_t at = (int64_t(i / inner) * channels + c) * inner + i % inner;
      kept_weights[at] = weights[at];
    }
  }
}

template <typename Dtype>
void BoxAnnotatorOHEMLayer<Dtype>::Backward_cpu(const Blobs&,
                                                const std::vector<bool>& propagate_down,
                                                const Blobs& bottom) {
  for (size_t b = 0; b < bottom.size(); ++b) {
    if (propagate_down[b]) {
      std::fill_n(bottom[b]->mutable_cpu_diff(), bottom[b]->count(), Dtype(0));
    }
  }
}

INSTANTIATE_CLASS(BoxAnnotatorOHEMLayer);
REGISTER_LAYER_CLASS(BoxAnnotatorOHEM);

}  // namespace caffe
