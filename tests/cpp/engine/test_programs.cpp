// The programs of Caffe's examples: convert_mnist_data, convert_mnist_siamese_data,
// convert_cifar_data and classification, started as by a user.

#include <cmath>
#include <filesystem>
#include <map>
#include <opencv2/imgcodecs.hpp>
#include <set>

#include "caffe/net.hpp"
#include "caffe/util/db.hpp"
#include "command_test.hpp"
#include "google/protobuf/text_format.h"
#include "image_kinds.hpp"

namespace caffe {

namespace {

typedef std::vector<std::pair<string, Datum>> Records;

bool has_leveldb() {
  return error_of([] { delete db::GetDB("leveldb"); }).empty();
}

/// Numbers as 4 bytes each, the highest first.
string big_endian(const std::vector<int>& numbers) {
  string bytes;
  for (const int number : numbers) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(number >> shift);
  }
  return bytes;
}

/// `n` bytes that differ from image to image.
string pixels(int image, int n) {
  string bytes{static_cast<char>(image), static_cast<char>(image >> 8)};
  while (static_cast<int>(bytes.size()) < n) bytes += static_cast<char>(image * 37 + bytes.size());
  return bytes;
}

class Programs : public CommandTest {
 protected:
  Records records(const string& name, const string& backend) {
    const std::unique_ptr<db::DB> db(db::GetDB(backend));
    db->Open(path(name), db::READ);
    const std::unique_ptr<db::Cursor> cursor(db->NewCursor());
    Records records;
    for (; cursor->valid(); cursor->Next()) {
      Datum datum;
      EXPECT_TRUE(datum.ParseFromString(cursor->value()));
      records.emplace_back(cursor->key(), datum);
    }
    return records;
  }
  /// The files images and labels: `n` images of 4 x 3 pixels, with labels 0, 1, 2, 0, 1 ...
  void write_mnist(int n) const {
    string images = big_endian({2051, n, 4, 3}), labels = big_endian({2049, n});
    for (int i = 0; i < n; ++i) {
      images += pixels(i, 12);
      labels += static_cast<char>(i % 3);
    }
    write("images", images);
    write("labels", labels);
  }
  void expect_error(const string& command, const string& error) const {
    const Finished run = shell(command);
    EXPECT_EQ(run.status, 1) << command;
    EXPECT_LOGGED(run, "] error: " + error) << run.log;
  }
};

// ---- MNIST

TEST_F(Programs, ConvertMnist) {
  write_mnist(2005);
  for (const string backend : {"lmdb", "leveldb"}) {
    if (backend == "leveldb" && !has_leveldb()) continue;
    const Finished run =
        shell("convert_mnist_data -backend " + backend + " images labels " + backend);
    ASSERT_EQ(run.status, 0) << run.log;
    EXPECT_LOGGED(run, "] A total of 2005 items.\n");
    EXPECT_LOGGED(run, "] Rows: 4 Cols: 3\n");
    EXPECT_LOGGED(run, "] Processed 2005 files.\n");
    const Records all = records(backend, backend);
    ASSERT_EQ(all.size(), 2005u);
    for (int i = 0; i < 2005; ++i) {
      Datum expected;
      expected.set_channels(1);
      expected.set_height(4);
      expected.set_width(3);
      expected.set_data(pixels(i, 12));
      expected.set_label(i % 3);
      EXPECT_EQ(all[i].first, string(8 - std::to_string(i).size(), '0') + std::to_string(i));
      EXPECT_EQ(all[i].second.SerializeAsString(), expected.SerializeAsString()) << i;
    }
  }
  EXPECT_EQ(shell("convert_mnist_data images labels unnamed").status, 0);
  EXPECT_EQ(records("unnamed", "lmdb").size(), 2005u);
  expect_error("convert_mnist_data images labels unnamed", "'unnamed' exists already");
}

TEST_F(Programs, MnistFilesThatAreNotWhole) {
  write_mnist(5);
  const string images = read("images"), labels = read("labels");
  write("short_images", images.substr(0, images.size() - 1));
  write("short_labels", labels.substr(0, labels.size() - 1));
  write("four_labels", big_endian({2049, 4}) + labels.substr(8, 4));
  write("header", images.substr(0, 10));
  write("compressed", "\x1F\x8B\x08 and more");
  write("none", "");
  write("no_images", big_endian({2051, 0, 4, 3}));
  write("no_labels", big_endian({2049, 0}));
  write("huge", big_endian({2051, 5, -1, -1}) + images.substr(16));
  for (const string program :
       {"convert_mnist_data ", "convert_mnist_siamese_data -backend lmdb "}) {
    expect_error(program + "short_images labels db",
                 "'short_images' is cut short: it has 75 bytes, its header says 76");
    expect_error(program + "images short_labels db",
                 "'short_labels' is cut short: it has 12 bytes, its header says 13");
    expect_error(program + "images four_labels db",
                 "'images' has 5 images, but 'four_labels' has 4 labels");
    expect_error(program + "header labels db", "'header' has 10 bytes, fewer than its header");
    expect_error(program + "compressed labels db", "'compressed' is compressed: run gunzip");
    expect_error(program + "none labels db", "'none' is not a file of MNIST's images: it begins");
    expect_error(program + "labels images db",
                 "'labels' is not a file of MNIST's images: it "
                 "begins with the number 2049, not with 2051");
    expect_error(program + "no_images no_labels db", "'no_images' has 0 images of 4 x 3 pixels");
    expect_error(program + "huge labels db", "'huge' is cut short");
    expect_error(program + "missing labels db", "'missing' cannot be read: No such file");
    EXPECT_FALSE(std::filesystem::exists(path("db"))) << program;
    EXPECT_LOGGED(shell(program + "images labels"), "input_image_file input_label_file");
  }
  expect_error("convert_mnist_data -backend oracle images labels db",
               "there is no database of "
               "type 'oracle'");
}

TEST_F(Programs, ConvertMnistToPairs) {
  write_mnist(1500);
  std::map<string, int> images;
  for (int i = 0; i < 1500; ++i) images[pixels(i, 12)] = i;
  std::vector<string> backends{"lmdb"};
  if (has_leveldb()) backends.push_back("leveldb");
  for (const string& backend : backends) {
    // The default is LevelDB.
    const string flag = backend == "lmdb" ? "-backend lmdb " : "";
    const Finished run = shell("convert_mnist_siamese_data " + flag + "images labels " + backend);
    ASSERT_EQ(run.status, 0) << run.log;
    const Records all = records(backend, backend);
    ASSERT_EQ(all.size(), 1500u);
    EXPECT_EQ(all[1499].first, "00001499");
    int same = 0;
    std::set<string> pairs;
    for (const auto& record : all) {
      const Datum& datum = record.second;
      ASSERT_EQ(datum.channels(), 2);
      ASSERT_EQ(datum.height(), 4);
      ASSERT_EQ(datum.width(), 3);
      ASSERT_EQ(datum.data().size(), 24u);
      const int i = images.at(datum.data().substr(0, 12)), j = images.at(datum.data().substr(12));
      EXPECT_EQ(datum.label(), i % 3 == j % 3);
      same += datum.label();
      pairs.insert(datum.data());
    }
    // A third of the pairs is of the same label: 500, with a standard deviation of 18.
    EXPECT_GT(same, 380);
    EXPECT_LT(same, 620);
    EXPECT_GT(pairs.size(), 1400u);
  }
}

// ---- CIFAR-10

string cifar_file(int file, int images) {
  string bytes;
  for (int i = 0; i < images; ++i) {
    bytes += static_cast<char>((file + i) % 10);
    bytes += pixels(10 * file + i, 3072);
  }
  return bytes;
}

TEST_F(Programs, ConvertCifar) {
  std::filesystem::create_directories(path("in"));
  std::filesystem::create_directories(path("out"));
  for (int file = 1; file <= 5; ++file) {
    write("in/data_batch_" + std::to_string(file) + ".bin", cifar_file(file, 3));
  }
  write("in/test_batch.bin", cifar_file(6, 2));
  for (const string backend : {"lmdb", "leveldb"}) {
    if (backend == "leveldb" && !has_leveldb()) continue;
    const Finished run = shell("convert_cifar_data in out " + backend);
    ASSERT_EQ(run.status, 0) << run.log;
    EXPECT_LOGGED(run, "] Writing Training data\n");
    EXPECT_LOGGED(run, "] Training Batch 5\n");
    EXPECT_LOGGED(run, "] Writing Testing data\n");
    EXPECT_LOGGED(run, "'in/test_batch.bin' has 2 images, not 10000");
    const Records train = records("out/cifar10_train_" + backend, backend);
    const Records test = records("out/cifar10_test_" + backend, backend);
    ASSERT_EQ(train.size(), 15u);
    ASSERT_EQ(test.size(), 2u);
    Datum expected;
    expected.set_channels(3);
    expected.set_height(32);
    expected.set_width(32);
    for (int file = 0; file < 5; ++file) {
      for (int i = 0; i < 3; ++i) {
        expected.set_data(pixels(10 * (file + 1) + i, 3072));
        expected.set_label((file + 1 + i) % 10);
        const auto& record = train[file * 3 + i];
        EXPECT_EQ(record.first, std::to_string(file) + "000" + std::to_string(i));
        EXPECT_EQ(record.second.SerializeAsString(), expected.SerializeAsString());
      }
    }
    EXPECT_EQ(test[1].first, "00001");
    EXPECT_EQ(test[1].second.label(), 7);
  }
}

TEST_F(Programs, CifarFilesThatAreNotWhole) {
  std::filesystem::create_directories(path("in"));
  std::filesystem::create_directories(path("out"));
  for (int file = 1; file <= 5; ++file) {
    write("in/data_batch_" + std::to_string(file) + ".bin", cifar_file(file, 1));
  }
  expect_error("convert_cifar_data in out lmdb", "'in/test_batch.bin' cannot be read: No such");
  write("in/test_batch.bin", cifar_file(6, 1).substr(1));
  expect_error("convert_cifar_data in out lmdb", "'in/test_batch.bin' has 3072 bytes: CIFAR-10's");
  write("in/test_batch.bin", "");
  expect_error("convert_cifar_data in out lmdb", "'in/test_batch.bin' has 0 bytes");
  write("in/test_batch.bin", string(3073 * 10001, 'x'));
  expect_error("convert_cifar_data in out lmdb", "'in/test_batch.bin' has 30733073 bytes");
  EXPECT_TRUE(std::filesystem::is_empty(path("out")));
  write("in/test_batch.bin", cifar_file(6, 1));
  expect_error("convert_cifar_data in out oracle", "there is no database of type 'oracle'");
  expect_error("convert_cifar_data in nowhere lmdb", "LMDB 'nowhere/cifar10_train_lmdb' cannot");
  EXPECT_LOGGED(shell("convert_cifar_data in out"), "convert_cifar_data input_folder");
}

// ---- classification

/// The score of class i is i times the first pixel's channel i % 3, less its mean (10, 20, 30),
/// times 0.01.
const char kClassifier[] =
    "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 10 dim: 3 dim: 16 "
    "dim: 24 } } } "
    "layer { name: 'score' type: 'InnerProduct' bottom: 'data' top: 'score' "
    "inner_product_param { num_output: 7 bias_term: false } }";

class Classification : public Programs {
 protected:
  void SetUp() override {
    Programs::SetUp();
    write("deploy.prototxt", kClassifier);
    weights([](int i, int c) { return c == i % 3 ? 0.01f * i : 0.f; });
    write_mean({10, 20, 30});
    write_labels();
  }
  void write_labels() const {
    string labels;
    for (int i = 0; i < 7; ++i) labels += label(i) + "\n";
    write("labels.txt", labels);
  }
  static string label(int i) { return "n0" + std::to_string(i) + " bird, \"common\" kind"; }
  /// Weights of class i for channel c of the first pixel.
  void weights(const std::function<float(int, int)>& weight) {
    Net<float> net(path("deploy.prototxt"), TEST);
    Blob<float>& blob = *net.params()[0];
    const int pixels = blob.shape(1) / 3;
    for (int i = 0; i < 7; ++i) {
      for (int c = 0; c < 3; ++c) {
        blob.mutable_cpu_data()[i * blob.shape(1) + c * pixels] = weight(i, c);
      }
    }
    NetParameter proto;
    net.ToProto(&proto);
    WriteProtoToBinaryFile(proto, path("net.caffemodel"));
  }
  /// A mean image of 2 x 2 pixels, whose values are 2 around these means.
  void write_mean(const std::vector<float>& means) const {
    BlobProto proto;
    proto.set_num(1);
    proto.set_channels(static_cast<int>(means.size()));
    proto.set_height(2);
    proto.set_width(2);
    for (const float mean : means) {
      for (const float difference : {-2, 2, 1, -1}) proto.add_data(mean + difference);
    }
    WriteProtoToBinaryFile(proto, path("mean.binaryproto"));
  }
  Finished classify(const string& image) const {
    return shell("classification deploy.prototxt net.caffemodel mean.binaryproto labels.txt " +
                 image);
  }
  void expect_error_of(const string& image, const string& error) const {
    expect_error(
        "classification deploy.prototxt net.caffemodel mean.binaryproto labels.txt " + image,
        error);
  }
};

TEST_F(Classification, PrintsTheFiveLikeliestClasses) {
  cv::imwrite(path("a.png"), cv::Mat(16, 24, CV_8UC3, cv::Scalar(110, 40, 230)));
  // Less the means: 100, 20, 200; so the scores are 0, 0.2, 4, 3, 0.8, 10, 6.
  const Finished run = classify("a.png");
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.log,
            "---------- Prediction for a.png ----------\n"
            "10.0000 - \"" +
                label(5) +
                "\"\n"
                "6.0000 - \"" +
                label(6) +
                "\"\n"
                "4.0000 - \"" +
                label(2) +
                "\"\n"
                "3.0000 - \"" +
                label(3) +
                "\"\n"
                "0.8000 - \"" +
                label(4) + "\"\n");
}

TEST_F(Classification, TakesEveryKindOfFile) {
  for (const ImageFile& file : image_files()) {
    const Finished run = classify(file.path());
    ASSERT_EQ(run.status, 0) << run.log;
    const cv::Vec3b color = picture_of(file, true).at<cv::Vec3b>(0, 0);
    double best = -100;
    for (int i = 0; i < 7; ++i) {
      best = std::max(best, 0.01 * i * (color[i % 3] - 10. * (i % 3 + 1)));
    }
    const double shown = std::stod(run.log.substr(run.log.find('\n') + 1));
    EXPECT_NEAR(shown, best, 0.06 * file.tolerance + 1e-4) << file.name;
  }
}

TEST_F(Classification, ResizesAndTakesGray) {
  string net = kClassifier;
  net.replace(net.find("dim: 3"), 6, "dim: 1");
  write("deploy.prototxt", net);
  Net<float> one(path("deploy.prototxt"), TEST);
  Blob<float>& blob = *one.params()[0];
  for (int i = 0; i < 7; ++i) blob.mutable_cpu_data()[i * blob.shape(1)] = i;
  NetParameter proto;
  one.ToProto(&proto);
  WriteProtoToBinaryFile(proto, path("net.caffemodel"));
  write_mean({50});
  cv::imwrite(path("large.png"), cv::Mat(40, 50, CV_8UC3, cv::Scalar(30, 60, 200)));
  // 0.114 * 30 + 0.587 * 60 + 0.299 * 200 = 98.44
  const Finished run = classify("large.png");
  EXPECT_LOGGED(run, "\n288.0000 - \"" + label(6)) << run.log;
}

TEST_F(Classification, EqualScoresAndFewClasses) {
  weights([](int i, int c) { return c == 0 ? (i == 4 ? 2.f : 1.f) : 0.f; });
  cv::imwrite(path("a.png"), cv::Mat(16, 24, CV_8UC3, cv::Scalar(11, 0, 0)));
  std::ostringstream expected;
  expected << "---------- Prediction for a.png ----------\n";
  for (const int i : {4, 0, 1, 2, 3}) {
    expected << (i == 4 ? "2.0000" : "1.0000") << " - \"" << label(i) << "\"\n";
  }
  EXPECT_EQ(classify("a.png").log, expected.str());
  string net = kClassifier;
  net.replace(net.find("num_output: 7"), 13, "num_output: 2");
  write("deploy.prototxt", net);
  write("labels.txt", "\xEF\xBB\xBFone\r\ntwo\r\n\r\n");
  Net<float> two(path("deploy.prototxt"), TEST);
  NetParameter proto;
  two.ToProto(&proto);
  WriteProtoToBinaryFile(proto, path("net.caffemodel"));
  EXPECT_EQ(classify("a.png").log,
            "---------- Prediction for a.png ----------\n0.0000 - \"one\"\n0.0000 - \"two\"\n");
}

TEST_F(Classification, Errors) {
  cv::imwrite(path("a.png"), cv::Mat(16, 24, CV_8UC3, cv::Scalar(110, 40, 230)));
  write("text.png", "no image");
  expect_error_of("text.png", "'text.png' cannot be decoded as an image");
  expect_error_of("none.png", "'none.png' cannot be read: No such file or directory");
  EXPECT_LOGGED(classify(""), "deploy.prototxt network.caffemodel mean.binaryproto labels.txt");
  EXPECT_EQ(classify("a.png a.png").status, 1);
  write_mean({10});
  expect_error_of("a.png", "the mean image 'mean.binaryproto' has shape 1 1 2 2");
  write_mean({10, 20, 30});
  write("labels.txt", "one\ntwo\n");
  expect_error_of("a.png", "'labels.txt' has 2 labels, but the net has 7 classes");
  expect_error("classification deploy.prototxt net.caffemodel mean.binaryproto no.txt a.png",
               "the file of labels 'no.txt' cannot be opened");
  expect_error("classification deploy.prototxt net.caffemodel mean.binaryproto a.png a.png",
               "the file of labels 'a.png' is a PNG image: it must be text");
  write_labels();
  weights([](int i, int) { return i == 3 ? std::nanf("") : 1.f; });
  expect_error_of("a.png", "the net's scores for 'a.png' are not numbers");
  write("deploy.prototxt", string(kClassifier) +
                               "layer { name: 'more' type: 'Silence' bottom: 'data' } layer { "
                               "name: 'other' type: 'ReLU' bottom: 'data' top: 'other' }");
  expect_error_of("a.png", "'deploy.prototxt' has 1 inputs and 2 outputs");
  string net = kClassifier;
  write("deploy.prototxt", net.replace(net.find("dim: 3"), 6, "dim: 2"));
  weights([](int, int) { return 1.f; });
  expect_error_of("a.png", "the input of 'deploy.prototxt' has shape 10 2 16 24");
}

}  // namespace

}  // namespace caffe
