#include "caffe/util/db_lmdb.hpp"

#include <cerrno>
#include <filesystem>
#include <mutex>

#include "caffe/util/lmdb_pages.hpp"

namespace caffe {
namespace db {

namespace fs = std::filesystem;

namespace {

constexpr size_t kFirstMapSize = size_t(64) << 20;

void check(int status, const string& path, const char* what) {
  CAFFE_CHECK(status == MDB_SUCCESS,
              "LMDB '" << path << "': " << what << ": " << mdb_strerror(status));
}

}  // namespace

void MDB_CHECK(int mdb_status) {
  CAFFE_CHECK(mdb_status == MDB_SUCCESS, "LMDB: " << mdb_strerror(mdb_status));
}

class LMDBEnvironment {
 public:
  LMDBEnvironment(const string& path, Mode mode);
  ~LMDBEnvironment() {
    if (is_ours()) mdb_env_close(env_);
  }
  /// Whether this process opened it, not the one from which it was forked.
  bool is_ours() const { return opened_in_ == maap::process_generation(); }

  /// An environment for reading, shared by all readers that have it open.
  static shared_ptr<LMDBEnvironment> Shared(const string& path);

  MDB_env* env() const { return env_; }
  MDB_dbi dbi() const { return dbi_; }
  const string& path() const { return path_; }
  string data_file() const {
    return fs::is_directory(path_) ? (fs::path(path_) / "data.mdb").string() : path_;
  }
  MDB_txn* Begin(unsigned int flags);
  /// No transaction may be open.
  void Enlarge(size_t at_least);

 private:
  void Open(unsigned int flags);
  void OpenTable();

  string path_;
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  int opened_in_ = maap::process_generation();

  DISABLE_COPY_AND_ASSIGN(LMDBEnvironment);
};

namespace {

/// LMDB calls this if a file is inconsistent, and ends the process if it returns.
void on_damage(MDB_env* env, const char* what) {
  const char* path = "";
  mdb_env_get_path(env, &path);
  CAFFE_FAIL("LMDB '" << path << "' is damaged (" << what << "): create it again or copy it again");
}

void check_readable(const string& path) {
  std::error_code ignored;
  CAFFE_CHECK(fs::exists(path, ignored),
              "LMDB '" << path << "' does not exist; a relative path starts at "
                       << fs::current_path(ignored).string() << ": correct the path, or create the "
                       << "database with convert_imageset or, with boxes, caffe.convert_annoset");
  CAFFE_CHECK(!fs::is_directory(path, ignored) || kind_of_db(path) == "LMDB",
              "'" << path << "' is not an LMDB, because it contains no data.mdb"
                  << (kind_of_db(path) == "LevelDB" ? ": it is a LevelDB, set backend: LEVELDB"
                                                    : ": correct the path, or create the database "
                                                      "with convert_imageset or, with boxes, "
                                                      "caffe.convert_annoset"));
}

void make_folder(const string& path, Mode mode) {
  std::error_code failure;
  const bool made = fs::create_directory(path, failure);
  CAFFE_CHECK(!failure, "LMDB '" << path << "' cannot be created: " << failure.message()
                                 << ": its parent folder must exist and be writable");
  CAFFE_CHECK(made || mode != NEW,
              "'" << path << "' exists already: remove it or choose another name");
}

}  // namespace

LMDBEnvironment::LMDBEnvironment(const string& path, Mode mode) : path_(path) {
  if (mode == READ) {
    check_readable(path);
  } else {
    make_folder(path, mode);
  }
  std::error_code ignored;
  const bool has_data = fs::exists(data_file(), ignored) && !fs::is_empty(data_file(), ignored);
  if (mode == READ || has_data) LMDBPages checked(data_file());
  check(mdb_env_create(&env_), path_, "cannot be opened");
  try {
    Open(mode == READ ? MDB_RDONLY | MDB_NOTLS : 0);
    if (mode != READ) OpenTable();
  } catch (...) {
    mdb_env_close(env_);
    throw;
  }
}

void LMDBEnvironment::Open(unsigned int flags) {
  if (!fs::is_directory(path_)) flags |= MDB_NOSUBDIR;
  int status = mdb_env_open(env_, path_.c_str(), flags, 0664);
  if (status == EACCES && (flags & MDB_RDONLY)) {  // the lock file cannot be written
    mdb_env_close(env_);
    env_ = nullptr;
    check(mdb_env_create(&env_), path_, "cannot be opened");
    status = mdb_env_open(env_, path_.c_str(), flags | MDB_NOLOCK, 0664);
  }
  check(status, path_, "cannot be opened");
}

void LMDBEnvironment::OpenTable() {
  check(mdb_env_set_assert(env_, on_damage), path_, "cannot be opened");
  MDB_txn* const txn = Begin(0);
  int status = mdb_dbi_open(txn, nullptr, 0, &dbi_);
  if (status == MDB_SUCCESS) {
    status = mdb_txn_commit(txn);
  } else {
    mdb_txn_abort(txn);
  }
  check(status, path_, "cannot be opened");
  Enlarge(kFirstMapSize);
}

MDB_txn* LMDBEnvironment::Begin(unsigned int flags) {
  CAFFE_CHECK(is_ours(), "LMDB '" << path_ << "' was opened by the process from which this one was "
                                  << "forked: open it again here");
  MDB_txn* txn = nullptr;
  check(mdb_txn_begin(env_, nullptr, flags, &txn), path_, "no transaction can begin");
  return txn;
}

void LMDBEnvironment::Enlarge(size_t at_least) {
  MDB_envinfo info;
  check(mdb_env_info(env_, &info), path_, "cannot be read");
  if (info.me_mapsize >= at_least) return;
  check(mdb_env_set_mapsize(env_, at_least), path_, "cannot grow");
}

shared_ptr<LMDBEnvironment> LMDBEnvironment::Shared(const string& path) {
  static std::mutex mutex;
  static map<string, std::weak_ptr<LMDBEnvironment>> open;
  std::error_code ignored;
  const string name = fs::weakly_canonical(path, ignored).string();
  const maap::NoFork while_locked;
  const std::lock_guard<std::mutex> lock(mutex);
  shared_ptr<LMDBEnvironment> environment = open[name].lock();
  if (environment == nullptr || !environment->is_ours()) {
    open.erase(name);
    environment = std::make_shared<LMDBEnvironment>(path, READ);
    open[name] = environment;
  }
  return environment;
}

LMDBCursor::LMDBCursor(const shared_ptr<LMDBEnvironment>& environment) : environment_(environment) {
  try {
    Begin();
    SeekToFirst();
  } catch (...) {
    if (mdb_txn_ != nullptr) mdb_txn_abort(mdb_txn_);
    throw;
  }
}

/// The next snapshot but one overwrites a snapshot's head. Another process may write that many
/// before the transaction holds the snapshot and its head is read.
void LMDBCursor::Begin() {
  for (int attempt = 0; attempt < 100; ++attempt) {
    mdb_txn_ = environment_->Begin(MDB_RDONLY);
    pages_.reset(new LMDBPages(environment_->data_file()));
    if (pages_->Select(mdb_txn_id(mdb_txn_))) return;
    mdb_txn_abort(mdb_txn_);
    mdb_txn_ = nullptr;
  }
  CAFFE_FAIL("LMDB '" << environment_->path()
                      << "' cannot be read, because another process writes to it too fast");
}

LMDBCursor::~LMDBCursor() {
  if (environment_->is_ours()) mdb_txn_abort(mdb_txn_);
}

void LMDBCursor::SeekToFirst() {
  pages_->SeekToFirst();
}

void LMDBCursor::Next() {
  pages_->Next();
}

bool LMDBCursor::valid() {
  return pages_->valid();
}

const LMDBPages& LMDBCursor::record() const {
  CAFFE_CHECK(pages_->valid(), "LMDB '" << environment_->path() << "': there is no record here");
  return *pages_;
}

string LMDBCursor::key() {
  return string(record().key());
}

string LMDBCursor::value() {
  return string(record().value());
}

std::string_view LMDBCursor::value_view(string* storage) {
  (void)storage;
  return record().value();
}

void LMDBTransaction::Commit() {
  while (!TryCommit()) {
    MDB_envinfo info;
    check(mdb_env_info(environment_->env(), &info), environment_->path(), "cannot be read");
    environment_->Enlarge(2 * info.me_mapsize);
  }
  records_.clear();
}

bool LMDBTransaction::TryCommit() {
  MDB_txn* const txn = environment_->Begin(0);
  int status = MDB_SUCCESS;
  const string* key = nullptr;
  for (std::pair<string, string>& record : records_) {
    key = &record.first;
    MDB_val k{record.first.size(), &record.first[0]};
    MDB_val v{record.second.size(), &record.second[0]};
    status = mdb_put(txn, environment_->dbi(), &k, &v, 0);
    if (status != MDB_SUCCESS) break;
  }
  if (status == MDB_SUCCESS) {
    key = nullptr;
    status = mdb_txn_commit(txn);
  } else {
    mdb_txn_abort(txn);
  }
  if (status == MDB_MAP_FULL) return false;
  CAFFE_CHECK(status == MDB_SUCCESS,
              "LMDB '" << environment_->path()
                       << "': " << (key == nullptr ? "the records" : "the record '" + *key + "'")
                       << " cannot be written: " << mdb_strerror(status)
                       << (status == MDB_BAD_VALSIZE ? " (a key has 1 to 511 bytes)" : ""));
  return true;
}

void LMDB::Open(const string& source, Mode mode) {
  Close();
  environment_ = mode == READ ? LMDBEnvironment::Shared(source)
                              : std::make_shared<LMDBEnvironment>(source, mode);
  LOG_IF(INFO, Caffe::root_solver()) << "Opened lmdb " << source;
}

const shared_ptr<LMDBEnvironment>& LMDB::opened() const {
  CAFFE_CHECK(environment_ != nullptr, "an LMDB must be opened before it is used");
  return environment_;
}

LMDBCursor* LMDB::NewCursor() {
  return new LMDBCursor(opened());
}

LMDBTransaction* LMDB::NewTransaction() {
  return new LMDBTransaction(opened());
}

}  // namespace db
}  // namespace caffe
