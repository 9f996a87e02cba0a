// convert_mnist_siamese_data: makes a database of pairs of images from the files of MNIST, on which
// a siamese network learns whether two digits are the same.

#include "caffe/caffe.hpp"
#include "caffe/util/math_functions.hpp"
#include "tools/mnist.hpp"
#include "tools/tool.hpp"

DEFINE_string(backend, "leveldb", "The backend {leveldb, lmdb} for storing the result");

namespace {

/// As many records as there are images. Each holds two images drawn at random as the channels of a
/// Datum of shape 2 x rows x columns; the label is 1 if their labels are equal, otherwise 0.
void convert(const caffe_tool::Mnist& mnist, const std::string& db_name) {
  caffe_tool::write_records(mnist, FLAGS_backend, db_name, 2, [&](int, caffe::Datum* datum) {
    const int i = static_cast<int>(caffe::caffe_rng_rand() % mnist.count());
    const int j = static_cast<int>(caffe::caffe_rng_rand() % mnist.count());
    datum->set_data(std::string(mnist.image(i)).append(mnist.image(j)));
    datum->set_label(mnist.label(i) == mnist.label(j) ? 1 : 0);
  });
}

int run(int argc, char** argv) {
  if (argc != 4) {
    gflags::ShowUsageWithFlagsRestrict(argv[0], "tools/convert_mnist_siamese_data");
    return 1;
  }
  convert(caffe_tool::Mnist(argv[1], argv[2]), argv[3]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const usage =
      "Converts MNIST, or a set in its form, to a LevelDB or LMDB of random pairs of images, on\n"
      "which a siamese network is trained.\n"
      "Usage:\n"
      "    convert_mnist_siamese_data [FLAGS] input_image_file input_label_file output_db_file\n"
      "The files are train-images-idx3-ubyte and train-labels-idx1-ubyte, or those of the test\n"
      "part, t10k-..., after gunzip.\n";
  return caffe_tool::run(argc, argv, usage, 0, -1, run);
}
