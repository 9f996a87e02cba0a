// convert_imageset: makes a database of Datums from images and their labels.

#include <algorithm>

#include "caffe/caffe.hpp"
#include "caffe/util/db.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/rng.hpp"
#include "tools/tool.hpp"

DEFINE_bool(gray, false, "When this option is on, treat images as grayscale ones");
DEFINE_bool(shuffle, false, "Randomly shuffle the order of images and their labels");
DEFINE_string(backend, "lmdb", "The backend {lmdb, leveldb} for storing the result");
DEFINE_int32(resize_width, 0, "Width images are resized to");
DEFINE_int32(resize_height, 0, "Height images are resized to");
DEFINE_bool(check_size, false,
            "When this option is on, check that all the datum have the same size");
DEFINE_bool(encoded, false, "When this option is on, the encoded image will be save in datum");
DEFINE_string(encode_type, "",
              "Optional: What type should we encode the image as ('png','jpg',...).");

namespace {

using caffe::Datum;
using caffe::string;

constexpr int kRecordsOfATransaction = 1000;

/// The encoding of a record: the requested one, otherwise the ending of the file's name.
string encoding_of(const string& file) {
  if (!FLAGS_encoded || !FLAGS_encode_type.empty()) return FLAGS_encode_type;
  const size_t dot = file.rfind('.');
  if (dot == string::npos) {
    LOG(WARNING) << "Failed to guess the encoding of '" << file << "'";
    return "";
  }
  string ending = file.substr(dot + 1);
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

/// Throws if a record's size differs from the first one's.
void check_size(const Datum& datum, const string& file) {
  static size_t size = 0;
  const size_t values = static_cast<size_t>(datum.channels()) * datum.height() * datum.width();
  CAFFE_CHECK(datum.data().size() == values, "'" << file << "': an encoded image has no size that "
                                                 << "-check_size could check");
  if (size == 0) size = values;
  CAFFE_CHECK(values == size, "'" << file << "' has " << values << " values, the first image has "
                                  << size << ": resize them with -resize_height and "
                                  << "-resize_width");
}

void convert(const string& root, std::vector<caffe::ImageLine> lines, const string& db_name) {
  if (FLAGS_shuffle) {
    LOG(INFO) << "Shuffling data";
    caffe::shuffle(lines.begin(), lines.end());
  }
  LOG(INFO) << "A total of " << lines.size() << " images.";
  const std::unique_ptr<caffe::db::DB> db(caffe::db::GetDB(FLAGS_backend));
  db->Open(db_name, caffe::db::NEW);
  const std::unique_ptr<caffe::db::Transaction> transaction(db->NewTransaction());
  Datum datum;
  int count = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const string& file = lines[i].file;
    if (!caffe::ReadImageToDatum(root + file, lines[i].label, std::max(0, FLAGS_resize_height),
                                 std::max(0, FLAGS_resize_width), !FLAGS_gray, encoding_of(file),
                                 &datum)) {
      continue;
    }
    if (FLAGS_check_size) check_size(datum, file);
    char number[16];
    std::snprintf(number, sizeof(number), "%08zu_", i);
    transaction->Put(number + file, datum.SerializeAsString());
    if (++count % kRecordsOfATransaction != 0) continue;
    transaction->Commit();
    LOG(INFO) << "Processed " << count << " files.";
  }
  if (count % kRecordsOfATransaction != 0) {
    transaction->Commit();
    LOG(INFO) << "Processed " << count << " files.";
  }
  const size_t left_out = lines.size() - count;
  CAFFE_CHECK(count > 0, "none of the images could be read: is ROOTFOLDER '" << root << "' right?");
  if (left_out > 0) LOG(WARNING) << left_out << " images could not be read and are skipped.";
}

int run(int argc, char** argv) {
  if (argc != 4) {
    gflags::ShowUsageWithFlagsRestrict(argv[0], "tools/convert_imageset");
    return 1;
  }
  convert(argv[1], caffe::read_image_list(argv[2]), argv[3]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const usage =
      "Convert a set of images to the leveldb/lmdb\n"
      "format used as input for Caffe.\n"
      "Usage:\n"
      "    convert_imageset [FLAGS] ROOTFOLDER/ LISTFILE DB_NAME\n"
      "Each line of LISTFILE has an image's path relative to ROOTFOLDER, a space and a label.\n";
  return caffe_tool::run(argc, argv, usage, 0, -1, run);
}
