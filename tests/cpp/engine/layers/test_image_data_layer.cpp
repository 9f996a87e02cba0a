#include <stdlib.h>

#include <opencv2/imgcodecs.hpp>

#include "caffe/util/io.hpp"
#include "image_kinds.hpp"
#include "images.hpp"
#include "layers/layer_test.hpp"
#include "temp_dir.hpp"

namespace caffe {

template <typename TypeParam>
class ImageDataLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::vector<double> Values;

  /// Different pictures 0.png, 1.png ..., with labels 0, 1, ...
  void write(int n, int height = 10, int width = 12) {
    string list;
    for (int i = 0; i < n; ++i) {
      const string name = std::to_string(i) + ".png";
      EXPECT_TRUE(cv::imwrite(dir_ / name, picture(3, height, width, i + 1)));
      list += name + " " + std::to_string(i) + "\n";
    }
    write_list(list);
  }
  void write_list(const string& list) { write_file(dir_ / "list.txt", list); }
  string text(const string& param, const string& transform = "") const {
    return "type: 'ImageData' image_data_param { source: '" + dir_ / "list.txt' root_folder: '" +
           dir_.path() + "/' " + param + "} transform_param {" + transform + "}";
  }
  std::shared_ptr<Layer<Dtype>> start(const string& text, Phase phase = TRAIN) {
    if (this->top.empty()) {
      this->add_top();
      this->add_top();
    }
    std::shared_ptr<Layer<Dtype>> layer = this->make(text, phase);
    layer->SetUp(this->bottom, this->top);
    return layer;
  }
  Values labels(Layer<Dtype>* layer) {
    layer->Forward(this->bottom, this->top);
    return this->data(*this->top[1]);
  }

  TempDir dir_;
};
TYPED_TEST_SUITE(ImageDataLayerTest, DtypesAndDevices);

TYPED_TEST(ImageDataLayerTest, RepeatsTheList) {
  this->write(5);
  const auto layer = this->start(this->text("batch_size: 3", "mean_value: 7"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{3, 3, 10, 12}));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{3}));
  int next = 0;
  for (int batch = 0; batch < 10; ++batch) {
    layer->Forward(this->bottom, this->top);
    for (int n = 0; n < 3; ++n, next = (next + 1) % 5) {
      EXPECT_EQ(this->top[1]->cpu_data()[n], next);
      EXPECT_EQ(this->top[0]->data_at(n, 1, 9, 4),
                picture(3, 10, 12, next + 1).ptr(9)[4 * 3 + 1] - 7);
    }
  }
}

TYPED_TEST(ImageDataLayerTest, ResizesAndTakesGray) {
  this->write(2);
  auto layer = this->start(this->text("batch_size: 1 new_height: 7 new_width: 5"));
  layer->Forward(this->bottom, this->top);
  ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{1, 3, 7, 5}));
  const cv::Mat image = ReadImageToCVMat(this->dir_ / "0.png", 7, 5);
  EXPECT_EQ(this->top[0]->data_at(0, 2, 6, 3), image.ptr(6)[3 * 3 + 2]);
  layer = this->start(this->text("batch_size: 1 is_color: false"));
  layer->Forward(this->bottom, this->top);
  ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{1, 1, 10, 12}));
  EXPECT_EQ(this->top[0]->data_at(0, 0, 6, 3),
            ReadImageToCVMat(this->dir_ / "0.png", false).ptr(6)[3]);
}

TYPED_TEST(ImageDataLayerTest, EveryKindOfFileInColorAndGray) {
  string list;
  for (const ImageFile& file : image_files()) list += file.path() + " 1\n";
  this->write_list(list);
  const int n = static_cast<int>(image_files().size());
  for (const bool is_color : {true, false}) {
    const auto layer = this->start("type: 'ImageData' image_data_param { source: '" +
                                   this->dir_ / "list.txt' batch_size: " + std::to_string(n) +
                                   (is_color ? "" : " is_color: false") + "}");
    layer->Forward(this->bottom, this->top);
    const int channels = is_color ? 3 : 1;
    ASSERT_EQ(this->top[0]->shape(), (std::vector<int>{n, channels, 16, 24}));
    for (int i = 0; i < n; ++i) {
      const ImageFile& file = image_files()[i];
      const cv::Mat expected = picture_of(file, is_color);
      for (int value = 0; value < channels * 16 * 24; ++value) {
        const int c = value / (16 * 24), h = value / 24 % 16, w = value % 24;
        EXPECT_NEAR(this->top[0]->data_at(i, c, h, w), expected.ptr(h)[w * channels + c],
                    tolerance_of(file, is_color))
            << file.name << " " << value;
      }
    }
  }
}

TYPED_TEST(ImageDataLayerTest, ShufflesInEachEpoch) {
  this->write(20);
  const auto epochs = [&](int seed) {
    Caffe::set_random_seed(seed);
    const auto layer = this->start(this->text("batch_size: 20 shuffle: true"));
    std::vector<std::vector<double>> orders;
    for (int i = 0; i < 3; ++i) orders.push_back(this->labels(layer.get()));
    return orders;
  };
  const auto orders = epochs(1);
  for (std::vector<double> order : orders) {
    std::sort(order.begin(), order.end());
    for (int i = 0; i < 20; ++i) EXPECT_EQ(order[i], i);
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_NE(orders[1], orders[2]);
  EXPECT_EQ(epochs(1), orders);
  EXPECT_NE(epochs(2), orders);
}

TYPED_TEST(ImageDataLayerTest, TheSameForAnyNumberOfThreads) {
  this->write(11);
  const auto run = [&](const char* threads) {
    setenv("CAFFE_DATA_THREADS", threads, 1);
    Caffe::set_random_seed(3);
    const auto layer =
        this->start(this->text("batch_size: 4 shuffle: true", "crop_size: 6 mirror: true"));
    std::vector<double> all;
    for (int i = 0; i < 6; ++i) {
      const std::vector<double> labels = this->labels(layer.get());
      const std::vector<double> data = this->data(*this->top[0]);
      all.insert(all.end(), labels.begin(), labels.end());
      all.insert(all.end(), data.begin(), data.end());
    }
    unsetenv("CAFFE_DATA_THREADS");
    return all;
  };
  const std::vector<double> one = run("1");
  for (const char* threads : {"2", "3", "4"}) EXPECT_EQ(run(threads), one) << threads;
}

TYPED_TEST(ImageDataLayerTest, EachSolverHasItsOwnImages) {
  this->write(5);
  Caffe::set_solver_count(2);
  for (int rank = 0; rank < 2; ++rank) {
    Caffe::set_solver_rank(rank);
    const auto layer = this->start(this->text("batch_size: 3"));
    EXPECT_EQ(this->labels(layer.get()),
              (std::vector<double>{double(rank), double(rank + 2), double((rank + 4) % 5)}));
  }
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(0);
}

TYPED_TEST(ImageDataLayerTest, NamesMayHaveSpacesAndLinesOtherEnds) {
  cv::imwrite(this->dir_ / "a b.png", picture(3, 10, 10));
  this->write_list("a b.png 3\r\n\n a b.png\t-4 \n");
  cv::imwrite(this->dir_ / " a b.png", picture(3, 10, 10));
  const auto layer = this->start(this->text("batch_size: 2"));
  EXPECT_EQ(this->labels(layer.get()), (std::vector<double>{3, -4}));
}

TYPED_TEST(ImageDataLayerTest, RandSkip) {
  this->write(4);
  std::set<double> first;
  for (int seed = 0; seed < 40; ++seed) {
    Caffe::set_random_seed(seed);
    const auto layer = this->start(this->text("batch_size: 1 rand_skip: 3"));
    first.insert(this->labels(layer.get())[0]);
  }
  EXPECT_EQ(first, (std::set<double>{0, 1, 2}));
  this->write(1);
  EXPECT_ERROR(this->start(this->text("batch_size: 1 rand_skip: 4000000")), "rand_skip skips");
}

TYPED_TEST(ImageDataLayerTest, ErrorsOfSetUp) {
  EXPECT_ERROR(this->start(this->text("")),
               "layer 'under_test' (ImageData): the list of images '" + this->dir_ / "list.txt'");
  this->write_list("\n\n");
  EXPECT_ERROR(this->start(this->text("")), "list.txt' is empty");
  for (const char* line : {"0.png", "0.png x", "0.png 1.5", "0.png 99999999999", "0.png 3x"}) {
    this->write_list("\n" + string(line));
    EXPECT_ERROR(this->start(this->text("")), "line 2 of '" + this->dir_ / "list.txt', \"" + line);
  }
  this->write(1);
  EXPECT_ERROR(this->start(this->text("new_height: 5")), "new_height 5 and new_width 0");
  EXPECT_ERROR(this->start(this->text("batch_size: 0")), "batch_size is 0");
  EXPECT_ERROR(this->start(this->text("", "crop_size: 11")),
               "image '0.png' (line 1 of '" + this->dir_ / "list.txt'): crop_size 11");
  this->write_list("none.png 1");
  EXPECT_ERROR(this->start(this->text("")), "none.png' cannot be read: No such file");
}

TYPED_TEST(ImageDataLayerTest, ErrorsOfTheThreads) {
  this->write(3);
  write_file(this->dir_ / "bad.jpg", "no image");
  cv::imwrite(this->dir_ / "large.png", picture(3, 20, 20));
  this->write_list("0.png 0\n1.png 1\n2.png 2\nbad.jpg 3\n0.png 4\nlarge.png 5\n");
  const auto layer = this->start(this->text("batch_size: 2"));
  for (int epoch = 0; epoch < 3; ++epoch) {
    EXPECT_EQ(this->labels(layer.get()), (std::vector<double>{0, 1}));
    EXPECT_ERROR(this->labels(layer.get()),
                 "layer 'under_test' (ImageData): image 'bad.jpg' "
                 "(line 4 of '" +
                     this->dir_ / "list.txt'): '");
    EXPECT_ERROR(this->labels(layer.get()),
                 "image 'large.png' (line 6 of '" +
                     this->dir_ /
                         "list.txt'): an image of shape "
                         "3 20 20 does not fit into a batch of shape 2 3 10 12");
  }
}

}  // namespace caffe
