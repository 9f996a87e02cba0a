// convert_mnist_data: makes a database of Datums from the files of MNIST.

#include "caffe/caffe.hpp"
#include "tools/mnist.hpp"
#include "tools/tool.hpp"

DEFINE_string(backend, "lmdb", "The backend for storing the result");

namespace {

/// One record per image, in their order: the key is its number, the Datum 1 x rows x columns.
void convert(const caffe_tool::Mnist& mnist, const std::string& db_name) {
  caffe_tool::write_records(mnist, FLAGS_backend, db_name, 1, [&](int i, caffe::Datum* datum) {
    const std::string_view image = mnist.image(i);
    datum->set_data(image.data(), image.size());
    datum->set_label(mnist.label(i));
  });
}

int run(int argc, char** argv) {
  if (argc != 4) {
    gflags::ShowUsageWithFlagsRestrict(argv[0], "tools/convert_mnist_data");
    return 1;
  }
  convert(caffe_tool::Mnist(argv[1], argv[2]), argv[3]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const usage =
      "Converts MNIST, or a set in its form, to an LMDB or LevelDB, Caffe's format for data.\n"
      "Usage:\n"
      "    convert_mnist_data [FLAGS] input_image_file input_label_file output_db_file\n"
      "The files are train-images-idx3-ubyte and train-labels-idx1-ubyte, or those of the test\n"
      "part, t10k-..., after gunzip.\n";
  return caffe_tool::run(argc, argv, usage, 0, -1, run);
}
