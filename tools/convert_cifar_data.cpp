// convert_cifar_data: makes two databases of Datums, for training and for testing, from the files
// of CIFAR-10.

#include "caffe/caffe.hpp"
#include "caffe/util/io.hpp"
#include "tools/records.hpp"
#include "tools/tool.hpp"

namespace {

constexpr int kChannels = 3, kSide = 32, kImagesOfAFile = 10000, kTrainingFiles = 5;
constexpr size_t kPixels = static_cast<size_t>(kChannels) * kSide * kSide;
constexpr size_t kBytesOfAnImage = 1 + kPixels;  // its label first

/// The content of a file of images. Throws if it has part of an image, none, or too many.
std::string read_batch(const std::string& file) {
  const std::string bytes = caffe::read_whole_file(file);
  const size_t images = bytes.size() / kBytesOfAnImage;
  CAFFE_CHECK(images > 0 && bytes.size() % kBytesOfAnImage == 0 && images <= kImagesOfAFile,
              "'" << file << "' has " << bytes.size() << " bytes: CIFAR-10's binary version has "
                  << kImagesOfAFile << " images of " << kBytesOfAnImage
                  << " bytes in a file; download it again");
  if (images < kImagesOfAFile) {
    LOG(WARNING) << "'" << file << "' has " << images << " images, not " << kImagesOfAFile;
  }
  return bytes;
}

/// Writes a file's images under the keys `first`, first + 1 ...
void put(const std::string& bytes, size_t first, caffe_tool::RecordWriter* records) {
  caffe::Datum datum;
  datum.set_channels(kChannels);
  datum.set_height(kSide);
  datum.set_width(kSide);
  for (size_t i = 0; i < bytes.size() / kBytesOfAnImage; ++i) {
    const char* const image = bytes.data() + i * kBytesOfAnImage;
    datum.set_label(static_cast<unsigned char>(*image));
    datum.set_data(image + 1, kPixels);
    records->put(caffe_tool::numbered(first + i, 5), datum);
  }
}

void convert(const std::string& from, const std::string& to, const std::string& db_type) {
  std::vector<std::string> training;
  for (int batch = 1; batch <= kTrainingFiles; ++batch) {
    training.push_back(read_batch(from + "/data_batch_" + std::to_string(batch) + ".bin"));
  }
  const std::string testing = read_batch(from + "/test_batch.bin");
  caffe_tool::RecordWriter train(db_type, to + "/cifar10_train_" + db_type);
  LOG(INFO) << "Writing Training data";
  for (int batch = 0; batch < kTrainingFiles; ++batch) {
    LOG(INFO) << "Training Batch " << batch + 1;
    put(training[batch], static_cast<size_t>(batch) * kImagesOfAFile, &train);
  }
  train.commit();
  LOG(INFO) << "Writing Testing data";
  caffe_tool::RecordWriter test(db_type, to + "/cifar10_test_" + db_type);
  put(testing, 0, &test);
  test.commit();
}

}  // namespace

int main(int argc, char** argv) {
  const char* const usage =
      "Converts CIFAR-10 to LMDBs or LevelDBs, Caffe's formats for data: cifar10_train_DB_TYPE "
      "and\n"
      "cifar10_test_DB_TYPE in the output folder.\n"
      "Usage:\n"
      "    convert_cifar_data input_folder output_folder db_type\n"
      "The input folder has the files of the binary version, cifar-10-binary.tar.gz: "
      "data_batch_1.bin\n"
      "to data_batch_5.bin and test_batch.bin. db_type is lmdb or leveldb.\n";
  return caffe_tool::run(argc, argv, usage, 3, 3, [](int, char** argv) {
    convert(argv[1], argv[2], argv[3]);
    return 0;
  });
}
