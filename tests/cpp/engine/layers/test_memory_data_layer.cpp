#include "caffe/layers/memory_data_layer.hpp"

#include <opencv2/core.hpp>

#include "caffe/util/io.hpp"
#include "images.hpp"
#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class MemoryDataLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  std::shared_ptr<MemoryDataLayer<Dtype>> start(const string& sizes, const string& more = "") {
    while (this->top.size() < 2) this->add_top();
    const auto layer = std::dynamic_pointer_cast<MemoryDataLayer<Dtype>>(
        this->make("type: 'MemoryData' memory_data_param {" + sizes + "}" + more));
    layer->SetUp(this->bottom, this->top);
    return layer;
  }
  static std::vector<cv::Mat> pictures(int n, int height = 5, int width = 4) {
    std::vector<cv::Mat> images;
    for (int i = 0; i < n; ++i) images.push_back(picture(3, height, width, i + 1));
    return images;
  }
  const string sizes_ = "batch_size: 2 channels: 3 height: 5 width: 4";
};
TYPED_TEST_SUITE(MemoryDataLayerTest, DtypesAndDevices);

TYPED_TEST(MemoryDataLayerTest, ReadsAnArray) {
  const auto layer = this->start(this->sizes_);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, 5, 4}));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{2, 1, 1, 1}));
  EXPECT_EQ(layer->batch_size(), 2);
  EXPECT_EQ(layer->channels(), 3);
  EXPECT_EQ(layer->height(), 5);
  EXPECT_EQ(layer->width(), 4);
  std::vector<typename TypeParam::Dtype> data(6 * 60), labels(6);
  for (size_t i = 0; i < data.size(); ++i) data[i] = i;
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = i;
  layer->Reset(data.data(), labels.data(), 6);
  for (int batch = 0; batch < 7; ++batch) {
    layer->Forward(this->bottom, this->top);
    for (int n = 0; n < 2; ++n) {
      const int row = (2 * batch + n) % 6;
      EXPECT_EQ(this->top[1]->cpu_data()[n], row);
      EXPECT_EQ(this->top[0]->data_at(n, 2, 4, 3), row * 60 + 59);
    }
  }
}

TYPED_TEST(MemoryDataLayerTest, HoldsArraysThatItIsGivenToHold) {
  typedef typename TypeParam::Dtype Dtype;
  auto layer = this->start("batch_size: 1 channels: 1 height: 1 width: 2");
  const shared_ptr<Dtype> data(new Dtype[4]{1, 2, 3, 4}, std::default_delete<Dtype[]>());
  const shared_ptr<Dtype> labels(new Dtype[2]{5, 6}, std::default_delete<Dtype[]>());
  layer->Reset(data, labels, 2);
  layer->Forward(this->bottom, this->top);
  layer->Forward(this->bottom, this->top);
  layer.reset();
  EXPECT_EQ(data.use_count(), 2) << "the top holds them";
  EXPECT_EQ(this->top[0]->cpu_data()[1], 4);
  EXPECT_EQ(this->top[1]->cpu_data()[0], 6);
}

TYPED_TEST(MemoryDataLayerTest, TransformsImages) {
  const auto layer = this->start(this->sizes_, "transform_param { scale: 0.5 }");
  std::vector<Datum> datums(4);
  for (int i = 0; i < 4; ++i) {
    CVMatToDatum(this->pictures(4)[i], &datums[i]);
    datums[i].set_label(10 + i);
  }
  for (int round = 0; round < 2; ++round) {
    if (round == 0) layer->AddDatumVector(datums);
    if (round == 1) layer->AddMatVector(this->pictures(4), {10, 11, 12, 13});
    for (int batch = 0; batch < 2; ++batch) {
      EXPECT_ERROR(layer->AddDatumVector(datums), "not all images added before have been used");
      EXPECT_ERROR(layer->set_batch_size(1), "before all added images have been used");
      layer->Forward(this->bottom, this->top);
      for (int n = 0; n < 2; ++n) {
        const int i = 2 * batch + n;
        EXPECT_EQ(this->top[1]->cpu_data()[n], 10 + i);
        EXPECT_EQ(this->top[0]->data_at(n, 1, 4, 2), this->pictures(4)[i].ptr(4)[2 * 3 + 1] / 2.);
      }
    }
  }
}

TYPED_TEST(MemoryDataLayerTest, TheBatchSizeMayChange) {
  const auto layer = this->start(this->sizes_);
  layer->set_batch_size(3);
  EXPECT_ERROR(layer->AddMatVector(this->pictures(4), {0, 1, 2, 3}), "multiple of the batch size");
  layer->AddMatVector(this->pictures(3), {0, 1, 2});
  layer->Forward(this->bottom, this->top);
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 3, 5, 4}));
  EXPECT_EQ(this->data(*this->top[1]), (std::vector<double>{0, 1, 2}));
  layer->set_batch_size(2);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "3 rows are not a multiple");
}

TYPED_TEST(MemoryDataLayerTest, Errors) {
  EXPECT_ERROR(this->start("batch_size: 2 channels: 3 height: 5"),
               "layer 'under_test' (MemoryData): memory_data_param");
  const auto layer = this->start(this->sizes_);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "there is no data");
  typename TypeParam::Dtype value = 0;
  EXPECT_ERROR(layer->Reset(nullptr, &value, 2), "null");
  EXPECT_ERROR(layer->Reset(&value, &value, 3), "3 rows");
  EXPECT_ERROR(layer->AddMatVector({}, {}), "0 images");
  EXPECT_ERROR(layer->AddMatVector(this->pictures(2), {1}), "2 images have 1 labels");
  EXPECT_ERROR(layer->AddMatVector(this->pictures(2, 5, 6), {1, 2}),
               "layer 'under_test' (MemoryData): an image of shape 3 5 6 does not fit");
}

}  // namespace caffe
