#ifndef CAFFE_UTIL_DB_LMDB_HPP_
#define CAFFE_UTIL_DB_LMDB_HPP_

#include <lmdb.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/util/db.hpp"

namespace caffe {
namespace db {

/// Throws unless the status is MDB_SUCCESS.
void MDB_CHECK(int mdb_status);

/// An open file, shared by all its readers in this process, as LMDB requires. In a forked child it
/// is the parent's: the child opens the file again, and leaves what it inherited as it is, because
/// the entry in the file's table of readers is the parent's, too.
class LMDBEnvironment;
class LMDBPages;

/// Reads with every byte checked (caffe/util/lmdb_pages.hpp), so that a damaged file is an error.
class LMDBCursor : public Cursor {
 public:
  explicit LMDBCursor(const shared_ptr<LMDBEnvironment>& environment);
  ~LMDBCursor() override;
  void SeekToFirst() override;
  void Next() override;
  string key() override;
  string value() override;
  bool valid() override;
  /// Never makes a copy.
  std::string_view value_view(string* storage) override;

 private:
  const LMDBPages& record() const;
  void Begin();

  shared_ptr<LMDBEnvironment> environment_;
  MDB_txn* mdb_txn_ = nullptr;
  std::unique_ptr<LMDBPages> pages_;
};

/// Keeps the records in memory until Commit, which enlarges the map as far as necessary.
class LMDBTransaction : public Transaction {
 public:
  explicit LMDBTransaction(const shared_ptr<LMDBEnvironment>& environment)
      : environment_(environment) {}
  void Put(const string& key, const string& value) override { records_.emplace_back(key, value); }
  void Commit() override;

 private:
  /// False if the map is full; then nothing is written.
  bool TryCommit();

  shared_ptr<LMDBEnvironment> environment_;
  vector<std::pair<string, string>> records_;
};

/// A folder that contains data.mdb or, for reading only, such a file itself.
class LMDB : public DB {
 public:
  void Open(const string& source, Mode mode) override;
  void Close() override { environment_.reset(); }
  LMDBCursor* NewCursor() override;
  LMDBTransaction* NewTransaction() override;

 private:
  const shared_ptr<LMDBEnvironment>& opened() const;

  shared_ptr<LMDBEnvironment> environment_;
};

}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_DB_LMDB_HPP_
