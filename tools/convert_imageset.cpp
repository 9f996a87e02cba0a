// convert_imageset: makes a database of Datums from images and their labels.

#include <algorithm>
#include <optional>
#include <sstream>

#include "caffe/caffe.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/rng.hpp"
#include "tools/records.hpp"
#include "tools/tool.hpp"

DEFINE_bool(gray, false, "When this option is on, treat images as grayscale ones");
DEFINE_bool(shuffle, false, "Randomly shuffle the order of images and their labels");
DEFINE_string(backend, "lmdb", "The backend {lmdb, leveldb} for storing the result");
DEFINE_int32(resize_width, 0, "Width images are resized to");
DEFINE_int32(resize_height, 0, "Height images are resized to");
DEFINE_bool(check_size, false,
            "When this option is on, check that all the datum have the same size");
DEFINE_bool(encoded, false,
            "Store the images encoded, a file as it is if it holds the image asked for (color or "
            "gray, 8 bits, without alpha, palette or CMYK, upright), otherwise encoded again");
DEFINE_string(encode_type, "",
              "Optional: the encoding ('png', 'jpg', ...); otherwise each file's own, by its "
              "content");

namespace {

using caffe::Datum;
using caffe::string;

/// Reads an image into a Datum; returns false if the file is not an image. Where -encode_type does
/// not say how to store it, this is the file's own encoding, or png if that cannot hold the image
/// that was asked for (webp has no gray, for example).
bool read(const string& file, int label, Datum* datum) {
  const auto read_as = [&](const string& encoding) {
    return caffe::ReadImageToDatum(file, label, std::max(0, FLAGS_resize_height),
                                   std::max(0, FLAGS_resize_width), !FLAGS_gray, encoding, datum);
  };
  if (!FLAGS_encoded || !FLAGS_encode_type.empty()) return read_as(FLAGS_encode_type);
  const string encoding = caffe::encoding_of_file(file);
  if (encoding.empty()) LOG(WARNING) << "Failed to guess the encoding of '" << file << "'";
  try {
    return read_as(encoding);
  } catch (const caffe::Error& error) {
    LOG_FIRST_N(WARNING, 3) << error.what() << ": it is stored as png";
  }
  return read_as("png");
}

string shape_of(const Datum& datum) {
  std::ostringstream text;
  text << datum.channels() << " " << datum.height() << " " << datum.width();
  return text.str();
}

/// Throws if a record's image has another shape than the first one's.
void check_size(Datum datum, const string& file) {
  static string first;
  caffe::DecodeDatumNative(&datum);
  if (first.empty()) first = shape_of(datum);
  CAFFE_CHECK(shape_of(datum) == first, "'" << file << "' has shape " << shape_of(datum)
                                            << ", the first image has shape " << first
                                            << ": resize them with -resize_height and "
                                            << "-resize_width");
}

void convert(const string& root, std::vector<caffe::ImageLine> lines, const string& db_name) {
  if (FLAGS_shuffle) {
    LOG(INFO) << "Shuffling data";
    caffe::shuffle(lines.begin(), lines.end());
  }
  LOG(INFO) << "A total of " << lines.size() << " images.";
  std::optional<caffe_tool::RecordWriter> records;  // none is left where no image can be read
  Datum datum;
  for (size_t i = 0; i < lines.size(); ++i) {
    const string& file = lines[i].file;
    if (!read(root + file, lines[i].label, &datum)) continue;
    if (FLAGS_check_size) check_size(datum, file);
    if (!records) records.emplace(FLAGS_backend, db_name);
    const bool committed = records->put(caffe_tool::numbered(i, 8) + "_" + file, datum);
    if (committed) LOG(INFO) << "Processed " << records->count() << " files.";
  }
  CAFFE_CHECK(records.has_value(),
              "none of the images could be read: is ROOTFOLDER '" << root << "' right?");
  if (records->commit()) LOG(INFO) << "Processed " << records->count() << " files.";
  const size_t left_out = lines.size() - records->count();
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
