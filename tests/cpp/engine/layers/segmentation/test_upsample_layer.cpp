#include "caffe/net.hpp"
#include "layers/layer_test.hpp"

namespace caffe {

template <typename TypeParam>
class UpsampleLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  /// Bottoms of shape {n, c, h, w}: values, and places in planes of `size` values. Without
  /// `repeats` each place occurs once.
  void add_places(const std::vector<int>& shape, int size, bool repeats) {
    this->add_bottom(shape);
    Blob<Dtype>* const places = this->add_bottom(shape);
    std::mt19937 random(5);
    const int values = places->count(2);
    for (int plane = 0; plane < places->count(0, 2); ++plane) {
      std::vector<int> all(size);
      for (int i = 0; i < size; ++i) all[i] = i;
      std::shuffle(all.begin(), all.end(), random);
      for (int i = 0; i < values; ++i) {
        places->mutable_cpu_data()[plane * values + i] = Dtype(all[repeats ? i % 3 : i]);
      }
    }
  }
  std::vector<double> put_back(int size) const {
    const std::vector<double> x = this->data(*this->bottom[0]);
    const std::vector<double> places = this->data(*this->bottom[1]);
    const int values = this->bottom[0]->count(2);
    std::vector<double> y(this->bottom[0]->count(0, 2) * size);
    for (size_t i = 0; i < x.size(); ++i) {
      if (places[i] >= 0) y[i / values * size + static_cast<size_t>(places[i])] = x[i];
    }
    return y;
  }
};
TYPED_TEST_SUITE(UpsampleLayerTest, DtypesAndDevices);

TYPED_TEST(UpsampleLayerTest, PutsMaximaBack) {
  this->add_bottom({1, 2, 1, 2}, {5, 6, 7, 8});
  this->add_bottom({1, 2, 1, 2}, {1, 6, 0, 3});
  this->forward("type: 'Upsample'");
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{1, 2, 2, 4}));
  EXPECT_EQ(this->data(*this->top[0]),
            (std::vector<double>{0, 5, 0, 0, 0, 0, 6, 0, 7, 0, 0, 8, 0, 0, 0, 0}));
}

TYPED_TEST(UpsampleLayerTest, SizesOfTheTop) {
  struct Case {
    const char* param;
    int height, width;
  };
  for (const Case& one : std::vector<Case>{{"", 6, 8},
                                           {"scale: 2 pad_out_h: true", 5, 8},
                                           {"pad_out_h: true pad_out_w: true", 5, 7},
                                           {"scale: 3", 9, 12},
                                           {"scale_h: 2 scale_w: 3 pad_out_h: true", 5, 12},
                                           {"scale: 4 upsample_h: 7 upsample_w: 2", 7, 2}}) {
    this->bottom.clear();
    this->top.clear();
    this->add_places({2, 3, 3, 4}, one.height * one.width, false);
    this->forward(std::string("type: 'Upsample' upsample_param { ") + one.param + " }");
    EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{2, 3, one.height, one.width})) << one.param;
    EXPECT_EQ(this->data(*this->top[0]), this->put_back(one.height * one.width)) << one.param;
  }
}

/// What Pooling takes, Upsample puts back where it was.
TYPED_TEST(UpsampleLayerTest, UndoesPooling) {
  typedef typename TypeParam::Dtype Dtype;
  NetParameter param;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 dim: 5 dim: 7 "
      "} } } layer { name: 'pool' type: 'Pooling' bottom: 'x' top: 'pool' top: 'places' "
      "pooling_param { kernel_size: 2 stride: 2 } } layer { name: 'up' type: 'Upsample' "
      "bottom: 'pool' bottom: 'places' top: 'up' upsample_param { scale: 2 upsample_h: 5 "
      "upsample_w: 7 } }",
      &param));
  param.set_force_backward(true);
  Net<Dtype> net(param);
  Blob<Dtype>* const x = net.input_blobs()[0];
  this->fill_random(x, 3);
  net.Forward();
  const Blob<Dtype>& pool = *net.blob_by_name("pool");
  const Blob<Dtype>& up = *net.blob_by_name("up");
  EXPECT_EQ(up.shape(), x->shape());
  int kept = 0;
  for (int i = 0; i < x->count(); ++i) {
    if (up.cpu_data()[i] == 0) continue;
    ++kept;
    EXPECT_EQ(up.cpu_data()[i], x->cpu_data()[i]);
  }
  EXPECT_EQ(kept, pool.count());
  this->fill_random(x, 4);
  std::copy(x->cpu_data(), x->cpu_data() + x->count(), net.output_blobs()[0]->mutable_cpu_diff());
  net.Backward();
  for (int i = 0; i < x->count(); ++i) {
    EXPECT_EQ(x->cpu_diff()[i], up.cpu_data()[i] == 0 ? Dtype(0) : up.cpu_diff()[i]);
  }
}

TYPED_TEST(UpsampleLayerTest, TheLastOfAPlaceCounts) {
  this->add_bottom({1, 1, 1, 4}, {1, 2, 3, 4});
  this->add_bottom({1, 1, 1, 4}, {5, 0, 5, -1});
  auto layer = this->forward("type: 'Upsample'");
  EXPECT_EQ(this->data(*this->top[0]),
            (std::vector<double>{2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  for (int i = 0; i < 16; ++i) this->top[0]->mutable_cpu_diff()[i] = i + 1;
  std::fill_n(this->bottom[1]->mutable_cpu_diff(), 4, 7);
  layer->Backward(this->top, {true, true}, this->bottom);
  EXPECT_EQ(this->diff(*this->bottom[0]), (std::vector<double>{0, 1, 6, 0}));
  EXPECT_EQ(this->diff(*this->bottom[1]), std::vector<double>(4, 0));
}

/// Many values of a plane for one place, where threads of a GPU meet.
TYPED_TEST(UpsampleLayerTest, TheLastOfManyCounts) {
  this->add_places({3, 5, 30, 31}, 60 * 62, true);
  this->forward("type: 'Upsample'");
  EXPECT_EQ(this->data(*this->top[0]), this->put_back(60 * 62));
}

TYPED_TEST(UpsampleLayerTest, RepeatsValues) {
  this->add_bottom({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6});
  this->forward("type: 'Upsample' upsample_param { scale: 2 }");
  EXPECT_EQ(this->data(*this->top[0]), (std::vector<double>{1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3,
                                                            4, 4, 5, 5, 6, 6, 4, 4, 5, 5, 6, 6}));
  this->forward("type: 'Upsample'");  // scale is 1
  EXPECT_EQ(this->data(*this->top[0]), this->data(*this->bottom[0]));
}

TYPED_TEST(UpsampleLayerTest, RepeatsOverTheLastTwoAxes) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{3, 4}, {2, 3, 4}, {2, 3, 5, 7}, {2, 2, 1, 3, 2}}) {
    this->bottom.clear();
    this->top.clear();
    const auto* x = this->add_bottom(shape);
    this->forward("type: 'Upsample' upsample_param { scale: 3 }");
    const int axes = x->num_axes(), height = x->shape(-2) * 3, width = x->shape(-1) * 3;
    EXPECT_EQ(this->top[0]->shape(-2), height);
    EXPECT_EQ(this->top[0]->shape(-1), width);
    EXPECT_EQ(this->top[0]->num_axes(), axes);
    for (int i = 0; i < this->top[0]->count(); ++i) {
      const int w = i % width, h = i / width % height, plane = i / width / height;
      ASSERT_EQ(this->top[0]->cpu_data()[i],
                x->cpu_data()[(plane * (height / 3) + h / 3) * (width / 3) + w / 3]);
    }
  }
}

TYPED_TEST(UpsampleLayerTest, AnotherBatchAndSize) {
  this->add_bottom({2, 3, 2, 5});
  auto layer = this->forward("type: 'Upsample' upsample_param { scale: 2 }");
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{4, 3, 2, 5}, {1, 3, 3, 2}, {0, 3, 3, 2}}) {
    this->bottom[0]->Reshape(shape);
    layer->Forward(this->bottom, this->top);
    EXPECT_EQ(this->top[0]->shape(),
              (std::vector<int>{shape[0], shape[1], 2 * shape[2], 2 * shape[3]}));
  }
  this->bottom.clear();
  this->top.clear();
  this->add_places({2, 3, 3, 4}, 48, false);
  auto second = this->forward("type: 'Upsample'");
  for (const int images : {5, 1}) {
    auto* const x = this->bottom[0];
    this->bottom = {x};
    x->Reshape({images, 3, 2, 6});
    this->fill_random(x, 8);
    this->add_places({images, 3, 2, 6}, 48, false);
    this->bottom = {this->bottom[1], this->bottom[2]};
    second->Forward(this->bottom, this->top);
    EXPECT_EQ(this->data(*this->top[0]), this->put_back(48));
  }
}

TYPED_TEST(UpsampleLayerTest, Gradient) {
  this->add_bottom({2, 2, 3, 2});
  this->check_gradient("type: 'Upsample' upsample_param { scale: 3 }");
  for (const bool repeats : {false, true}) {
    this->bottom.clear();
    this->top.clear();
    this->add_places({2, 2, 3, 2}, 20, repeats);
    this->check_gradient("type: 'Upsample' upsample_param { upsample_h: 5 upsample_w: 4 }");
  }
}

TYPED_TEST(UpsampleLayerTest, APlaceOutsideThePlaneIsAnError) {
  for (const double bad : {16., 1e9, -2., 0.5, std::nan("")}) {
    this->bottom.clear();
    this->top.clear();
    this->add_bottom({1, 2, 2, 2});
    this->add_bottom({1, 2, 2, 2}, {0, 1, 2, 3, 0, 1, bad, bad});
    EXPECT_ERROR(this->forward("type: 'Upsample'"),
                 "layer 'under_test' (Upsample): bottom 1 has a place outside of the top's plane, "
                 "for value 2 of plane 1");
  }
}

TYPED_TEST(UpsampleLayerTest, Errors) {
  this->add_bottom({1, 2, 3, 4});
  this->add_top();
  const auto error = [&](const std::string& param) {
    return error_of([&] {
      this->make("type: 'Upsample' upsample_param { " + param + " }")
          ->SetUp(this->bottom, this->top);
    });
  };
  EXPECT_PRED2(contains, error("scale: 0"), "scale is 0");
  EXPECT_PRED2(contains, error("scale: 2000000000"), "is too large");
  EXPECT_PRED2(contains, error("upsample_h: 6 upsample_w: 8"), "need a second bottom");
  this->add_bottom({1, 2, 3, 4});
  EXPECT_PRED2(contains, error("upsample_h: 6"), "give upsample_h and upsample_w both");
  EXPECT_PRED2(contains, error("scale_w: 6"), "give scale_h and scale_w both");
  EXPECT_PRED2(contains, error("scale: 3 pad_out_w: true"), "need a scale of 2");
  EXPECT_PRED2(contains, error("upsample_h: 0 upsample_w: 8"), "must be at least 1; one is 0");
  EXPECT_PRED2(contains, error("scale: 2000000000"), "is too large");
  this->bottom[1]->Reshape({1, 2, 4, 3});
  EXPECT_PRED2(contains, error(""), "must have that of bottom 0, 1 2 3 4");
}

}  // namespace caffe
