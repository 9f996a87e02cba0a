// Runs a network and writes some of its blobs, one Datum per image, to databases.

#include <algorithm>
#include <cstdio>

#include "caffe/caffe.hpp"
#include "caffe/util/db.hpp"
#include "tools/tool.hpp"

namespace {

const char kUsage[] =
    "This program takes in a trained network and an input data layer, and then extract features of "
    "the input data produced by the net.\n"
    "Usage: extract_features  pretrained_net_param  feature_extraction_proto_file  "
    "extract_feature_blob_name1[,name2,...]  save_feature_dataset_name1[,name2,...]  "
    "num_mini_batches  db_type  [CPU/GPU] [DEVICE_ID=0]\n"
    "Note: you can extract multiple features in one pass by specifying multiple feature blob names "
    "and dataset names separated by ','. The names cannot contain white space characters and the "
    "number of blobs and datasets must be equal.";

constexpr int kRecordsACommit = 1000;

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::stringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

int number(const std::string& what, const std::string& text, int least) {
  const bool digits = !text.empty() && text.size() < 10 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  CAFFE_CHECK(digits && std::stoi(text) >= least,
              what << " is '" << text << "': it must be a number, " << least << " or more");
  return std::stoi(text);
}

void choose_device(int argc, char** argv) {
  const std::string mode = argc > 7 ? argv[7] : "CPU";
  CAFFE_CHECK(mode == "CPU" || mode == "GPU", "'" << mode << "': must be CPU or GPU");
  if (mode == "GPU") {
    const int device = argc > 8 ? number("DEVICE_ID", argv[8], 0) : 0;
    LOG(INFO) << "Using GPU, Device_id=" << device;
    caffe::Caffe::SetDevice(device);
    caffe::Caffe::set_mode(caffe::Caffe::GPU);
  } else {
    LOG(INFO) << "Using CPU";
  }
}

/// A blob of the net and the database for its values.
class Extraction {
 public:
  Extraction(const std::string& blob, const std::string& path, const std::string& type)
      : name(blob), db_(caffe::db::GetDB(type)) {
    LOG(INFO) << "Opening dataset " << path;
    db_->Open(path, caffe::db::NEW);
    transaction_.reset(db_->NewTransaction());
  }

  void add(const caffe::Blob<float>& blob) {
    CAFFE_CHECK(blob.num_axes() > 0 && blob.num_axes() <= 4,
                "blob '" << name << "' has " << blob.num_axes()
                         << " axes; a Datum needs 1 to 4, the first for the image");
    const int images = blob.shape(0);
    const int values = images > 0 ? blob.count() / images : 0;
    caffe::Datum datum;
    datum.set_channels(blob.channels());
    datum.set_height(blob.height());
    datum.set_width(blob.width());
    for (int n = 0; n < images; ++n, ++count) {
      const float* const begin = blob.cpu_data() + static_cast<size_t>(n) * values;
      datum.clear_float_data();
      for (int i = 0; i < values; ++i) datum.add_float_data(begin[i]);
      char key[16];
      std::snprintf(key, sizeof(key), "%010d", count);
      transaction_->Put(key, datum.SerializeAsString());
      if (count % kRecordsACommit == kRecordsACommit - 1) {
        transaction_->Commit();
        transaction_.reset(db_->NewTransaction());
      }
    }
  }

  void finish() {
    if (count % kRecordsACommit != 0) transaction_->Commit();
    transaction_.reset();
    db_->Close();
    LOG(INFO) << "Extracted features of " << count << " query images for feature blob " << name;
  }

  const std::string name;
  int count = 0;

 private:
  std::unique_ptr<caffe::db::DB> db_;
  std::unique_ptr<caffe::db::Transaction> transaction_;
};

int extract(int argc, char** argv) {
  const std::string weights = argv[1], model = argv[2];
  const std::vector<std::string> blobs = split(argv[3]), paths = split(argv[4]);
  const int batches = number("num_mini_batches", argv[5], 1);
  CAFFE_CHECK(blobs.size() == paths.size() && !blobs.empty(),
              blobs.size() << " blobs and " << paths.size()
                           << " datasets are named: give one dataset for each blob");
  choose_device(argc, argv);
  caffe::Net<float> net(model, caffe::TEST);
  net.CopyTrainedLayersFrom(weights);
  for (const std::string& blob : blobs) {
    if (net.has_blob(blob)) continue;
    const std::string nearest = caffe::nearest_name(blob, net.blob_names());
    CAFFE_FAIL(model << ": the net has no blob '" << blob << "'"
                     << (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
  }
  net.KeepOnly(blobs);
  std::vector<std::unique_ptr<Extraction>> extractions;
  for (size_t i = 0; i < blobs.size(); ++i) {
    extractions.emplace_back(new Extraction(blobs[i], paths[i], argv[6]));
  }
  LOG(INFO) << "Extracting Features";
  for (int batch = 0; batch < batches; ++batch) {
    net.Forward();
    for (const auto& one : extractions) one->add(*net.blob_by_name(one->name));
  }
  for (const auto& one : extractions) one->finish();
  LOG(INFO) << "Successfully extracted the features!";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return caffe_tool::run(argc, argv, kUsage, 6, 8, extract);
}
