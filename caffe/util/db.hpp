#ifndef CAFFE_UTIL_DB_HPP_
#define CAFFE_UTIL_DB_HPP_

// Databases of records: each has a key and a value; they are in the order of the keys. Errors are
// caffe::Error and name the path.

#include <string>
#include <string_view>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {
namespace db {

/// NEW creates a database at a path that does not exist yet; WRITE adds to one, or creates it.
enum Mode { READ, WRITE, NEW };

/// A position among the records, initially the first. Several cursors may read one database, each
/// in its own thread.
class Cursor {
 public:
  Cursor() = default;
  virtual ~Cursor() = default;
  virtual void SeekToFirst() = 0;
  virtual void Next() = 0;
  virtual string key() = 0;
  virtual string value() = 0;
  /// False after the last record, and at once if there are none; key() and value() then throw.
  virtual bool valid() = 0;
  /// The value without a copy if the database allows that: valid as long as the cursor exists, also
  /// after Next(). Otherwise a copy in *storage.
  virtual std::string_view value_view(string* storage) {
    *storage = value();
    return *storage;
  }

  DISABLE_COPY_AND_ASSIGN(Cursor);
};

/// Records that are written together: all of them by Commit(), or none.
class Transaction {
 public:
  Transaction() = default;
  virtual ~Transaction() = default;
  /// Replaces an existing record with that key.
  virtual void Put(const string& key, const string& value) = 0;
  /// Writes the records that were put since the last Commit().
  virtual void Commit() = 0;

  DISABLE_COPY_AND_ASSIGN(Transaction);
};

/// The caller must delete cursors and transactions before the database closes.
class DB {
 public:
  DB() = default;
  virtual ~DB() = default;
  virtual void Open(const string& source, Mode mode) = 0;
  virtual void Close() = 0;
  virtual Cursor* NewCursor() = 0;
  virtual Transaction* NewTransaction() = 0;

  DISABLE_COPY_AND_ASSIGN(DB);
};

/// Creates a database object that is not open yet; the caller must delete it.
DB* GetDB(DataParameter::DB backend);
/// By name: "lmdb" or "leveldb".
DB* GetDB(const string& backend);

/// What a path holds, by its files: "LMDB", "LevelDB" or "" for neither.
string kind_of_db(const string& source);

}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_DB_HPP_
