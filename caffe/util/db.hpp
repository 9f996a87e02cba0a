#ifndef CAFFE_UTIL_DB_HPP
#define CAFFE_UTIL_DB_HPP

// Data bases of records: a key and a value each, in the order of the keys. Errors are caffe::Error
// and name the path.

#include <string>
#include <string_view>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {
namespace db {

/// NEW makes a data base where nothing is yet; WRITE adds to one, or makes it.
enum Mode { READ, WRITE, NEW };

/// A place among the records, at first the first one. Several cursors may read one data base, each
/// in a thread of its own.
class Cursor {
 public:
  Cursor() = default;
  virtual ~Cursor() = default;
  virtual void SeekToFirst() = 0;
  virtual void Next() = 0;
  virtual string key() = 0;
  virtual string value() = 0;
  /// False behind the last record, and at once where there is none; key() and value() then throw.
  virtual bool valid() = 0;
  /// The value without a copy where the data base allows that: valid while the cursor lives, even
  /// behind Next(). Otherwise a copy in *storage.
  virtual std::string_view value_view(string* storage) {
    *storage = value();
    return *storage;
  }

  DISABLE_COPY_AND_ASSIGN(Cursor);
};

/// Records that are written together: all by Commit(), none without it.
class Transaction {
 public:
  Transaction() = default;
  virtual ~Transaction() = default;
  /// A record with that key is replaced.
  virtual void Put(const string& key, const string& value) = 0;
  /// Writes what was put since the last Commit().
  virtual void Commit() = 0;

  DISABLE_COPY_AND_ASSIGN(Transaction);
};

/// Cursors and transactions are the caller's to delete, before the data base closes.
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

/// One that is not open yet; the caller's to delete.
DB* GetDB(DataParameter::DB backend);
/// By name: "lmdb" or "leveldb".
DB* GetDB(const string& backend);

/// What a path holds, by its files: "LMDB", "LevelDB" or "" for neither.
string kind_of_db(const string& source);

}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_DB_HPP
