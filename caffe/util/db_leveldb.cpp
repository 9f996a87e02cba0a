#include "caffe/util/db_leveldb.hpp"
#ifdef USE_LEVELDB

#include <atomic>
#include <filesystem>

namespace caffe {
namespace db {

namespace {

void check(const leveldb::Status& status, const string& source, const char* what) {
  CAFFE_CHECK(status.ok(), "LevelDB '" << source << "' " << what << ": " << status.ToString());
}

/// In a forked child, if its parent has used LevelDB.
void check_thread(const string& source) {
  static std::atomic<int> first_process{-1};
  const int process = maap::process_generation();
  int none = -1;
  first_process.compare_exchange_strong(none, process);
  CAFFE_CHECK(first_process == process,
              "LevelDB '" << source << "' cannot be opened in this process: it was forked from one "
                          << "that used LevelDB, and does not have LevelDB's thread. Start it "
                          << "without a fork, or use an LMDB");
}

}  // namespace

string LevelDBCursor::key() {
  CAFFE_CHECK(valid(), "LevelDB '" << source_ << "': there is no record here");
  return iterator_->key().ToString();
}

string LevelDBCursor::value() {
  CAFFE_CHECK(valid(), "LevelDB '" << source_ << "': there is no record here");
  return iterator_->value().ToString();
}

void LevelDBCursor::CheckStatus() const {
  check(iterator_->status(), source_, "cannot be read; copy it again or create it again");
}

void LevelDBTransaction::Commit() {
  check(db_->Write(leveldb::WriteOptions(), &batch_), source_, "cannot be written to");
  batch_.Clear();
}

void LevelDB::Open(const string& source, Mode mode) {
  Close();
  std::error_code ignored;
  CAFFE_CHECK(mode != READ || kind_of_db(source) != "LMDB",
              "'" << source << "' is an LMDB, not a LevelDB: set backend: LMDB");
  CAFFE_CHECK(mode != READ || std::filesystem::exists(source, ignored),
              "LevelDB '" << source << "' does not exist; a relative path starts at "
                          << std::filesystem::current_path(ignored).string()
                          << ": correct the path");
  CAFFE_CHECK(mode != READ || kind_of_db(source) == "LevelDB",
              "'" << source
                  << "' is not a LevelDB, because it contains no file CURRENT: correct the "
                  << "path, or set data_param.backend, whose default is LEVELDB");
  // A folder without a database is good for one.
  CAFFE_CHECK(mode != NEW || !std::filesystem::exists(source, ignored) ||
                  (std::filesystem::is_directory(source, ignored) && kind_of_db(source).empty()),
              "'" << source << "' exists already: remove it or choose another name");
  leveldb::Options options;
  options.create_if_missing = mode != READ;
  options.error_if_exists = mode == NEW;
  options.paranoid_checks = true;
  options.max_open_files = 100;
  options.block_size = 65536;
  options.write_buffer_size = size_t(256) << 20;
  check_thread(source);
  leveldb::DB* db = nullptr;
  check(leveldb::DB::Open(options, source, &db), source, "cannot be opened");
  db_.reset(db);
  source_ = source;
  LOG_IF(INFO, Caffe::root_solver()) << "Opened leveldb " << source;
}

leveldb::DB* LevelDB::opened() const {
  CAFFE_CHECK(db_.get() != nullptr, "a LevelDB must be opened before it is used");
  return db_.get();
}

LevelDBCursor* LevelDB::NewCursor() {
  leveldb::ReadOptions options;
  options.verify_checksums = true;
  return new LevelDBCursor(opened()->NewIterator(options), source_);
}

LevelDBTransaction* LevelDB::NewTransaction() {
  return new LevelDBTransaction(opened(), source_);
}

}  // namespace db
}  // namespace caffe

#endif  // USE_LEVELDB
