#include "tools/records.hpp"

#include <iomanip>
#include <sstream>

namespace caffe_tool {

RecordWriter::RecordWriter(const std::string& backend, const std::string& path)
    : db_(caffe::db::GetDB(backend)) {
  db_->Open(path, caffe::db::NEW);
  transaction_.reset(db_->NewTransaction());
}

bool RecordWriter::put(const std::string& key, const caffe::Datum& datum) {
  constexpr size_t kRecordsOfATransaction = 1000;
  transaction_->Put(key, datum.SerializeAsString());
  return ++count_ % kRecordsOfATransaction == 0 && commit();
}

bool RecordWriter::commit() {
  if (count_ == committed_) return false;
  transaction_->Commit();
  committed_ = count_;
  return true;
}

std::string numbered(size_t number, int digits) {
  std::ostringstream text;
  text << std::setw(digits) << std::setfill('0') << number;
  return text.str();
}

}  // namespace caffe_tool
