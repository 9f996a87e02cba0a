// compute_image_mean: computes the mean of a database's images, for transform_param's mean_file.

#include "caffe/caffe.hpp"
#include "caffe/util/db.hpp"
#include "caffe/util/io.hpp"
#include "tools/tool.hpp"

DEFINE_string(backend, "lmdb", "The backend {leveldb, lmdb} containing the images");

namespace {

using caffe::BlobProto;
using caffe::Datum;
using caffe::string;

/// The sum of images of one size. It is computed in float and in the order of the database, as in
/// any Caffe, so that the file is the same to the byte.
class Sum {
 public:
  void add(const Datum& datum) {
    const int values = datum.channels() * datum.height() * datum.width();
    const bool bytes = !datum.data().empty();
    const int held = bytes ? static_cast<int>(datum.data().size()) : datum.float_data_size();
    if (count_ == 0) {
      CAFFE_CHECK(values > 0, "it is empty");
      channels_ = datum.channels();
      height_ = datum.height();
      width_ = datum.width();
      sum_.resize(values);
    }
    CAFFE_CHECK(datum.channels() == channels_ && datum.height() == height_ &&
                    datum.width() == width_ && held == values,
                "it has shape " << datum.channels() << " " << datum.height() << " " << datum.width()
                                << " and " << held << " values, the first image has shape "
                                << channels_ << " " << height_ << " " << width_
                                << (datum.channels() == channels_
                                        ? ": convert_imageset resizes images with -resize_height "
                                          "and -resize_width"
                                        : ": convert_imageset stores all images with the same "
                                          "channels, so make the data base again with it"));
    if (bytes) {
      add_values(reinterpret_cast<const unsigned char*>(datum.data().data()));
    } else {
      add_values(datum.float_data().data());
    }
    ++count_;
  }
  int count() const { return count_; }

  BlobProto mean() const {
    BlobProto mean;
    mean.set_num(1);
    mean.set_channels(channels_);
    mean.set_height(height_);
    mean.set_width(width_);
    for (const float value : sum_) mean.add_data(value / static_cast<float>(count_));
    return mean;
  }

 private:
  template <typename T>
  void add_values(const T* values) {
    float* const sum = sum_.data();
    const size_t n = sum_.size();
    for (size_t i = 0; i < n; ++i) sum[i] += static_cast<float>(values[i]);
  }

  int channels_ = 0, height_ = 0, width_ = 0, count_ = 0;
  std::vector<float> sum_;
};

void log_channels(const BlobProto& mean) {
  const int size = mean.height() * mean.width();
  LOG(INFO) << "Number of channels: " << mean.channels();
  for (int c = 0; c < mean.channels(); ++c) {
    float sum = 0;
    for (int i = 0; i < size; ++i) sum += mean.data(c * size + i);
    LOG(INFO) << "mean_value channel [" << c << "]: " << sum / static_cast<float>(size);
  }
}

void compute(const string& db_name, const string& mean_file) {
  const std::unique_ptr<caffe::db::DB> db(caffe::db::GetDB(FLAGS_backend));
  db->Open(db_name, caffe::db::READ);
  const std::unique_ptr<caffe::db::Cursor> cursor(db->NewCursor());
  CAFFE_CHECK(cursor->valid(), "the database '" << db_name << "' is empty");
  LOG(INFO) << "Starting iteration";
  Sum sum;
  Datum datum;
  for (; cursor->valid(); cursor->Next()) {
    try {
      CAFFE_CHECK(datum.ParseFromString(cursor->value()), "it is not a Datum");
      caffe::DecodeDatumNative(&datum);
      sum.add(datum);
    } catch (const caffe::Error& error) {
      CAFFE_FAIL("record '" << cursor->key() << "' of '" << db_name << "': " << error.what());
    }
    if (sum.count() % 10000 == 0) LOG(INFO) << "Processed " << sum.count() << " files.";
  }
  if (sum.count() % 10000 != 0) LOG(INFO) << "Processed " << sum.count() << " files.";
  const BlobProto mean = sum.mean();
  if (!mean_file.empty()) {
    LOG(INFO) << "Write to " << mean_file;
    caffe::WriteProtoToBinaryFile(mean, mean_file);
  }
  log_channels(mean);
}

int run(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    gflags::ShowUsageWithFlagsRestrict(argv[0], "tools/compute_image_mean");
    return 1;
  }
  compute(argv[1], argc > 2 ? argv[2] : "");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const usage =
      "Compute the mean_image of a set of images given by a leveldb/lmdb\n"
      "Usage:\n"
      "    compute_image_mean [FLAGS] INPUT_DB [OUTPUT_FILE]\n";
  return caffe_tool::run(argc, argv, usage, 0, -1, run);
}
