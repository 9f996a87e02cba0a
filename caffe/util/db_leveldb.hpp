#ifndef CAFFE_UTIL_DB_LEVELDB_HPP_
#define CAFFE_UTIL_DB_LEVELDB_HPP_
#ifdef USE_LEVELDB

#include <leveldb/db.h>
#include <leveldb/write_batch.h>

#include <memory>
#include <string>

#include "caffe/util/db.hpp"

namespace caffe {
namespace db {

class LevelDBCursor : public Cursor {
 public:
  /// Takes ownership of the iterator.
  LevelDBCursor(leveldb::Iterator* iterator, const string& source)
      : iterator_(iterator), source_(source) {
    SeekToFirst();
  }
  void SeekToFirst() override {
    iterator_->SeekToFirst();
    CheckStatus();
  }
  void Next() override {
    iterator_->Next();
    CheckStatus();
  }
  string key() override;
  string value() override;
  bool valid() override { return iterator_->Valid(); }

 private:
  void CheckStatus() const;

  maap::OfProcess<leveldb::Iterator> iterator_;
  string source_;
};

class LevelDBTransaction : public Transaction {
 public:
  LevelDBTransaction(leveldb::DB* db, const string& source) : db_(db), source_(source) {}
  void Put(const string& key, const string& value) override { batch_.Put(key, value); }
  void Commit() override;

 private:
  leveldb::DB* db_;
  string source_;
  leveldb::WriteBatch batch_;
};

/// Works with a thread of LevelDB's, which a forked child does not have: a child can only open
/// databases if its parent never has.
class LevelDB : public DB {
 public:
  void Open(const string& source, Mode mode) override;
  void Close() override { db_.reset(); }
  LevelDBCursor* NewCursor() override;
  LevelDBTransaction* NewTransaction() override;

 private:
  leveldb::DB* opened() const;

  maap::OfProcess<leveldb::DB> db_;
  string source_;
};

}  // namespace db
}  // namespace caffe

#endif  // USE_LEVELDB
#endif  // CAFFE_UTIL_DB_LEVELDB_HPP_
