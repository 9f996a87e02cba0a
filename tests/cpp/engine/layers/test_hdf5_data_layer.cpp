#include "caffe/util/hdf5.hpp"
#include "layers/layer_test.hpp"
#include "temp_dir.hpp"

namespace caffe {

template <typename TypeParam>
class HDF5DataLayerTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::vector<double> Values;

  /// A file with rows first, first + 1, ...: data [rows, 2, 3] and label [rows].
  void write(const string& name, int first, int rows, int width = 3) {
    Blob<Dtype> data(std::vector<int>{rows, 2, width}), label(std::vector<int>{rows});
    for (int i = 0; i < data.count(); ++i) {
      data.mutable_cpu_data()[i] = first * 2 * width + i;
    }
    for (int i = 0; i < rows; ++i) label.mutable_cpu_data()[i] = first + i;
    Hdf5File file(dir_ / name, Hdf5File::kCreate);
    hdf5_save_nd_dataset(file.id(), "data", data);
    hdf5_save_nd_dataset(file.id(), "label", label);
    file.Close();
    list_ += dir_ / name + "\n";
    write_file(dir_ / "list.txt", list_);
  }
  string text(const string& param, const string& tops = "top: 'data' top: 'label'") const {
    return "type: 'HDF5Data' " + tops + " hdf5_data_param { source: '" + dir_ / "list.txt' " +
           param + "}";
  }
  std::shared_ptr<Layer<Dtype>> start(const string& text, int tops = 2, Phase phase = TRAIN) {
    while (static_cast<int>(this->top.size()) < tops) this->add_top();
    std::shared_ptr<Layer<Dtype>> layer = this->make(text, phase);
    layer->SetUp(this->bottom, this->top);
    return layer;
  }
  Values labels(Layer<Dtype>* layer) {
    layer->Forward(this->bottom, this->top);
    for (int n = 0; n < this->top[1]->count(); ++n) {  // each with its own data
      EXPECT_EQ(this->top[0]->data_at({n, 1, 2}), this->top[1]->cpu_data()[n] * 6 + 5);
    }
    return this->data(*this->top[1]);
  }

  TempDir dir_;
  string list_;
};
TYPED_TEST_SUITE(HDF5DataLayerTest, DtypesAndDevices);

TYPED_TEST(HDF5DataLayerTest, RepeatsTheFiles) {
  this->write("a.h5", 0, 4);
  this->write("b.h5", 4, 5);
  const auto layer = this->start(this->text("batch_size: 4"));
  EXPECT_EQ(this->top[0]->shape(), (std::vector<int>{4, 2, 3}));
  EXPECT_EQ(this->top[1]->shape(), (std::vector<int>{4}));
  for (int batch = 0; batch < 10; ++batch) {
    std::vector<double> expected;
    for (int i = 0; i < 4; ++i) expected.push_back((4 * batch + i) % 9);
    EXPECT_EQ(this->labels(layer.get()), expected);
  }
}

TYPED_TEST(HDF5DataLayerTest, ShufflesFilesAndRows) {
  this->write("a.h5", 0, 10);
  this->write("b.h5", 10, 10);
  const auto run = [&](int seed) {
    Caffe::set_random_seed(seed);
    const auto layer = this->start(this->text("batch_size: 20 shuffle: true"));
    std::vector<std::vector<double>> orders;
    for (int epoch = 0; epoch < 8; ++epoch) orders.push_back(this->labels(layer.get()));
    return orders;
  };
  const auto orders = run(1);
  int first_file = 0;
  for (std::vector<double> order : orders) {
    first_file += order[0] < 10;
    for (int i = 1; i < 10; ++i) EXPECT_EQ(order[i] < 10, order[0] < 10);  // file by file
    std::sort(order.begin(), order.end());
    for (int i = 0; i < 20; ++i) EXPECT_EQ(order[i], i);
  }
  EXPECT_GT(first_file, 0);
  EXPECT_LT(first_file, 8);
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_EQ(run(1), orders);
  EXPECT_NE(run(2), orders);
}

/// A program may give more tops than the parameters name.
TYPED_TEST(HDF5DataLayerTest, TopsWithoutANameStayAsTheyAre) {
  this->write("a.h5", 0, 4);
  for (int i = 0; i < 3; ++i) this->add_top();
  this->top[2]->Reshape({1});
  this->top[2]->mutable_cpu_data()[0] = 7;
  const auto layer = this->start(this->text("batch_size: 3"), 3);
  EXPECT_EQ(this->labels(layer.get()), (std::vector<double>{0, 1, 2}));
  EXPECT_EQ(this->data(*this->top[2]), (std::vector<double>{7}));
}

TYPED_TEST(HDF5DataLayerTest, ListsOfOtherSystems) {
  this->write("a.h5", 0, 4);
  write_file(this->dir_ / "list.txt", "\xef\xbb\xbf" + this->dir_ / "a.h5\r\n\r\n");
  const auto layer = this->start(this->text("batch_size: 2"));
  EXPECT_EQ(this->labels(layer.get()), (std::vector<double>{0, 1}));
}

TYPED_TEST(HDF5DataLayerTest, SeveralFilesInALine) {
  this->write("a.h5", 0, 2);
  this->write("b c.h5", 2, 1);
  this->write("b", 3, 2);
  const string a = this->dir_ / "a.h5", blank = this->dir_ / "b c.h5", b = this->dir_ / "b";
  write_file(this->dir_ / "list.txt", "  " + blank + "\n\t" + a + " \t" + b + "\n");
  const auto layer = this->start(this->text("batch_size: 5"));
  EXPECT_EQ(this->labels(layer.get()), (std::vector<double>{2, 0, 1, 3, 4}));
  write_file(this->dir_ / "list.txt", a + " " + b + " none.h5\n");
  EXPECT_ERROR(this->start(this->text("batch_size: 1")), a + " " + b + " none.h5: cannot be");
}

TYPED_TEST(HDF5DataLayerTest, AListThatIsNoList) {
  this->write("a.h5", 0, 2);
  const string source = this->text("batch_size: 1");
  write_file(this->dir_ / "list.txt", read_file(this->dir_ / "a.h5"));
  EXPECT_ERROR(this->start(source), "list.txt' is an HDF5 file itself: write its path into a text");
  write_file(this->dir_ / "list.txt", string("\x89PNG\r\n\x1a\n\0", 9));
  EXPECT_ERROR(this->start(source), "list.txt' is a PNG image");
  std::filesystem::remove(this->dir_ / "list.txt");
  std::filesystem::create_directory(this->dir_ / "list.txt");
  EXPECT_ERROR(this->start(source), "list.txt' is a folder");
}

TYPED_TEST(HDF5DataLayerTest, EachSolverHasItsOwnRows) {
  this->write("a.h5", 0, 5);
  Caffe::set_solver_count(2);
  Caffe::set_solver_rank(1);
  const auto train = this->start(this->text("batch_size: 3"));
  EXPECT_EQ(this->labels(train.get()), (std::vector<double>{1, 3, 0}));
  const auto test = this->start(this->text("batch_size: 3"), 2, TEST);
  EXPECT_EQ(this->labels(test.get()), (std::vector<double>{0, 1, 2}));
  Caffe::set_solver_count(1);
  Caffe::set_solver_rank(0);
}

TYPED_TEST(HDF5DataLayerTest, Errors) {
  const string name = "layer 'under_test' (HDF5Data): ";
  EXPECT_ERROR(this->start(this->text("batch_size: 1")), name + "the list of HDF5 files '");
  write_file(this->dir_ / "list.txt", "\n");
  EXPECT_ERROR(this->start(this->text("batch_size: 1")), "is empty");
  write_file(this->dir_ / "list.txt", this->dir_ / "none.h5");
  EXPECT_ERROR(this->start(this->text("batch_size: 1")), this->dir_ / "none.h5");
  this->write("a.h5", 0, 2);
  EXPECT_ERROR(this->start(this->text("")), "batch_size is 0");
  EXPECT_ERROR(this->start(this->text("batch_size: 1") + "transform_param { scale: 2 }"),
               "remove transform_param");
  EXPECT_ERROR(this->start(this->text("batch_size: 1", "top: 'data' top: 'more'")), "'/more'");
  EXPECT_ERROR(this->start(this->text("batch_size: 1", "")), "tops have no names");
  this->write("b.h5", 2, 2, 4);  // found when the file is read
  const auto layer = this->start(this->text("batch_size: 1"));
  layer->Forward(this->bottom, this->top);
  EXPECT_ERROR(layer->Forward(this->bottom, this->top), "b.h5: a row of data set 'data'");
}

TYPED_TEST(HDF5DataLayerTest, ReadsWhatTheOutputLayerWrites) {
  this->write("a.h5", 0, 5);
  const auto source = this->start(this->text("batch_size: 2"));
  const string file = this->dir_ / "out.h5";
  const std::vector<Blob<typename TypeParam::Dtype>*> blobs = this->top;
  {
    const auto sink =
        this->make("type: 'HDF5Output' hdf5_output_param { file_name: '" + file + "' }");
    sink->SetUp(blobs, {});
    for (int i = 0; i < 3; ++i) {
      source->Forward({}, blobs);
      sink->Forward(blobs, {});
      sink->Backward({}, {false, false}, blobs);
    }
  }
  write_file(this->dir_ / "list.txt", file);
  const auto again = this->start(this->text("batch_size: 6"));
  EXPECT_EQ(this->labels(again.get()), (std::vector<double>{0, 1, 2, 3, 4, 0}));
}

TYPED_TEST(HDF5DataLayerTest, ErrorsOfTheOutputLayer) {
  this->add_bottom({2, 3});
  this->add_bottom({3});
  auto layer = this->make("type: 'HDF5Output'");
  EXPECT_ERROR(layer->SetUp(this->bottom, {}), "no file_name");
  layer = this->make("type: 'HDF5Output' hdf5_output_param { file_name: '" +
                     this->dir_ / "no/such/place.h5' }");
  EXPECT_ERROR(layer->SetUp(this->bottom, {}), "layer 'under_test' (HDF5Output): ");
  layer =
      this->make("type: 'HDF5Output' hdf5_output_param { file_name: '" + this->dir_ / "out.h5' }");
  layer->SetUp(this->bottom, {});
  EXPECT_ERROR(layer->Forward(this->bottom, {}), "the same number of rows");
}

}  // namespace caffe
