#include "caffe/layers/dummy_data_layer.hpp"

#include <memory>

namespace caffe {

namespace {

bool is_constant(const FillerParameter& filler) {
  return filler.type() == "constant";
}

template <typename Dtype>
void fill(const FillerParameter& filler, Blob<Dtype>* blob) {
  const std::unique_ptr<Filler<Dtype>> maker(GetFiller<Dtype>(filler));
  maker->Fill(blob);
}

void check_amount(const string& layer, const char* what, int given, int tops) {
  CAFFE_CHECK(given == 1 || given == tops, layer << "has " << given << " of dummy_data_param."
                                                 << what << " and " << tops
                                                 << " tops: give one for all, or one for each");
}

}  // namespace

/// One per top.
template <typename Dtype>
std::vector<BlobShape> DummyDataLayer<Dtype>::shapes(int tops) const {
  const DummyDataParameter& param = this->layer_param_.dummy_data_param();
  std::vector<BlobShape> all(tops);
  if (param.num_size() + param.channels_size() + param.height_size() + param.width_size() == 0) {
    check_amount(this->name(), "shape", param.shape_size(), tops);
    for (int i = 0; i < tops; ++i) all[i] = param.shape(param.shape_size() == 1 ? 0 : i);
    return all;
  }
  CAFFE_CHECK(param.shape_size() == 0,
              this->name() << "has both shape and num, channels, height or width: keep shape");
  const auto take = [&](const char* what, const auto& lengths) {
    check_amount(this->name(), what, lengths.size(), tops);
    for (int i = 0; i < tops; ++i) all[i].add_dim(lengths.Get(lengths.size() == 1 ? 0 : i));
  };
  take("num", param.num());
  take("channels", param.channels());
  take("height", param.height());
  take("width", param.width());
  return all;
}

template <typename Dtype>
void DummyDataLayer<Dtype>::LayerSetUp(const Blobs&, const Blobs& top) {
  const DummyDataParameter& param = this->layer_param_.dummy_data_param();
  const int tops = static_cast<int>(top.size());
  const std::vector<BlobShape> wanted = shapes(tops);
  fillers_.assign(tops, FillerParameter());
  if (param.data_filler_size() > 0) {
    check_amount(this->name(), "data_filler", param.data_filler_size(), tops);
    for (int i = 0; i < tops; ++i) {
      fillers_[i] = param.data_filler(param.data_filler_size() == 1 ? 0 : i);
    }
  }
  for (int i = 0; i < tops; ++i) {
    top[i]->Reshape(wanted[i]);
    if (is_constant(fillers_[i])) fill(fillers_[i], top[i]);
  }
}

template <typename Dtype>
void DummyDataLayer<Dtype>::Forward_cpu(const Blobs&, const Blobs& top) {
  for (size_t i = 0; i < top.size(); ++i) {
    if (is_constant(fillers_[i])) continue;
    top[i]->overwrite_cpu_data();
    fill(fillers_[i], top[i]);
  }
}

INSTANTIATE_CLASS(DummyDataLayer);
REGISTER_LAYER_CLASS(DummyData);

}  // namespace caffe
