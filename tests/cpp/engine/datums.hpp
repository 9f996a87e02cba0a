#ifndef TESTS_CPP_ENGINE_DATUMS_HPP_
#define TESTS_CPP_ENGINE_DATUMS_HPP_

#include <memory>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

#include "caffe/util/db.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

inline Datum raw(const cv::Mat& image, int label) {
  Datum datum;
  CVMatToDatum(image, &datum);
  datum.set_label(label);
  return datum;
}

inline Datum encoded(const cv::Mat& image, int label, const char* format = ".png") {
  std::vector<unsigned char> bytes;
  cv::imencode(format, image, bytes);
  Datum datum;
  datum.set_encoded(true);
  datum.set_data(bytes.data(), bytes.size());
  datum.set_label(label);
  return datum;
}

/// The same values as float_data, and a quarter more so that no byte can hold them.
inline Datum floats(const cv::Mat& image, int label) {
  Datum datum = raw(image, label);
  for (const char c : datum.data()) datum.add_float_data(static_cast<unsigned char>(c) + 0.25f);
  datum.clear_data();
  return datum;
}

/// A new database whose keys are in the order of the values.
inline void write_database(const std::string& path, const std::vector<std::string>& values,
                           const std::string& backend = "lmdb") {
  const std::unique_ptr<db::DB> db(db::GetDB(backend));
  db->Open(path, db::NEW);
  const std::unique_ptr<db::Transaction> transaction(db->NewTransaction());
  for (size_t i = 0; i < values.size(); ++i) {
    transaction->Put("key" + std::to_string(100 + i), values[i]);
  }
  transaction->Commit();
}

inline void write_database(const std::string& path, const std::vector<Datum>& datums,
                           const std::string& backend = "lmdb") {
  std::vector<std::string> values;
  for (const Datum& datum : datums) values.push_back(datum.SerializeAsString());
  write_database(path, values, backend);
}

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_DATUMS_HPP_
