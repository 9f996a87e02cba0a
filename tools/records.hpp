#ifndef TOOLS_RECORDS_HPP_
#define TOOLS_RECORDS_HPP_

#include <memory>
#include <string>

#include "caffe/proto/caffe.pb.h"
#include "caffe/util/db.hpp"

namespace caffe_tool {

/// Writes Datums to a new database, 1000 in a transaction.
class RecordWriter {
 public:
  /// `backend` is "lmdb" or "leveldb". Throws if there is such a database already.
  RecordWriter(const std::string& backend, const std::string& path);
  /// Returns whether this filled a transaction, which is then in the database.
  bool put(const std::string& key, const caffe::Datum& datum);
  /// Writes the rest to the database; returns whether there was any.
  bool commit();
  size_t count() const { return count_; }

 private:
  std::unique_ptr<caffe::db::DB> db_;
  std::unique_ptr<caffe::db::Transaction> transaction_;
  size_t count_ = 0, committed_ = 0;
};

/// "00000042" for 42 and 8 digits.
std::string numbered(size_t number, int digits);

}  // namespace caffe_tool

#endif  // TOOLS_RECORDS_HPP_
