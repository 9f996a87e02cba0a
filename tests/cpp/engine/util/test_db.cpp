#include "caffe/util/db.hpp"

#include <unistd.h>

#include <random>

#include "fixtures.hpp"
#include "forked.hpp"
#include "temp_dir.hpp"

namespace caffe {
namespace {

typedef std::map<string, string> Records;

std::unique_ptr<db::DB> open(const string& backend, const string& path, db::Mode mode) {
  std::unique_ptr<db::DB> db(db::GetDB(backend));
  db->Open(path, mode);
  return db;
}

void write(const string& backend, const string& path, const Records& records,
           db::Mode mode = db::NEW) {
  const auto db = open(backend, path, mode);
  const std::unique_ptr<db::Transaction> transaction(db->NewTransaction());
  for (const auto& record : records) transaction->Put(record.first, record.second);
  transaction->Commit();
}

Records read(const string& backend, const string& path) {
  const auto db = open(backend, path, db::READ);
  const std::unique_ptr<db::Cursor> cursor(db->NewCursor());
  Records records;
  string storage;
  for (; cursor->valid(); cursor->Next()) {
    EXPECT_EQ(cursor->value(), cursor->value_view(&storage));
    records[cursor->key()] = cursor->value();
  }
  return records;
}

/// `n` records of about `bytes` each.
Records some_records(int n, int bytes) {
  Records records;
  for (int i = 0; i < n; ++i) {
    records["key" + std::to_string(i)] = string(bytes, 'a') + std::to_string(i);
  }
  return records;
}

class DBTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (contains(error_of([&] { delete db::GetDB(GetParam()); }), "not in this build")) {
      GTEST_SKIP() << "built without LevelDB";
    }
  }
  string path() const { return dir_ / "db"; }
  TempDir dir_;
};
INSTANTIATE_TEST_SUITE_P(Backends, DBTest, ::testing::Values("lmdb", "leveldb"));

/// The child leaves what it inherited as it is. An LMDB it can open again; LevelDB has a thread.
TEST_P(DBTest, InAForkedChild) {
  const Records records = some_records(20, 10);
  write(GetParam(), path(), records);
  auto db = open(GetParam(), path(), db::READ);
  std::unique_ptr<db::Cursor> cursor(db->NewCursor());
  const bool again = string(GetParam()) == "lmdb";
  EXPECT_EQ(status_in_child([&] {
              const string old = again ? error_of([&] { delete db->NewCursor(); }) : "was forked";
              cursor.reset();
              db.reset();
              Records found;
              const string failure = error_of([&] { found = read(GetParam(), path()); });
              const bool right = again ? found == records : contains(failure, "it was forked from");
              return contains(old, "was forked") && right ? 0 : 1;
            }),
            0);
  EXPECT_EQ(cursor->key(), "key0");
  cursor->Next();
  EXPECT_EQ(cursor->key(), "key1");
  cursor.reset();
  db.reset();
  EXPECT_EQ(read(GetParam(), path()), records);
}

TEST_P(DBTest, ReadsWhatWasWrittenInTheOrderOfKeys) {
  const Records records{{"b", "2"}, {"a", "1"}, {"c", string("3\0x", 3)}};
  write(GetParam(), path(), records);
  EXPECT_EQ(read(GetParam(), path()), records);
  const auto db = open(GetParam(), path(), db::READ);
  const std::unique_ptr<db::Cursor> cursor(db->NewCursor());
  EXPECT_EQ(cursor->key(), "a");
  cursor->Next();
  EXPECT_EQ(cursor->key(), "b");
  cursor->SeekToFirst();
  EXPECT_EQ(cursor->key(), "a");
}

TEST_P(DBTest, AddsAndReplaces) {
  write(GetParam(), path(), {{"a", "1"}, {"b", "2"}});
  write(GetParam(), path(), {{"b", "two"}, {"c", "3"}}, db::WRITE);
  EXPECT_EQ(read(GetParam(), path()), (Records{{"a", "1"}, {"b", "two"}, {"c", "3"}}));
}

TEST_P(DBTest, WritesNothingWithoutCommit) {
  write(GetParam(), path(), {{"a", "1"}});
  {
    const auto db = open(GetParam(), path(), db::WRITE);
    const std::unique_ptr<db::Transaction> transaction(db->NewTransaction());
    transaction->Put("b", "2");
  }
  EXPECT_EQ(read(GetParam(), path()), (Records{{"a", "1"}}));
}

TEST_P(DBTest, TwoReadersAtOnce) {
  write(GetParam(), path(), some_records(10, 10));
  const auto db = open(GetParam(), path(), db::READ);
  const std::unique_ptr<db::Cursor> one(db->NewCursor());
  const std::unique_ptr<db::Cursor> other(db->NewCursor());
  one->Next();
  EXPECT_EQ(one->key(), "key1");
  EXPECT_EQ(other->key(), "key0");
}

TEST_P(DBTest, AnEmptyOneHasNoRecord) {
  write(GetParam(), path(), {});
  const auto db = open(GetParam(), path(), db::READ);
  const std::unique_ptr<db::Cursor> cursor(db->NewCursor());
  EXPECT_FALSE(cursor->valid());
  EXPECT_ERROR(cursor->key(), path());
  EXPECT_ERROR(cursor->value(), "no record");
}

TEST_P(DBTest, RefusesToReplaceADatabase) {
  write(GetParam(), path(), {{"a", "1"}});
  EXPECT_ERROR(open(GetParam(), path(), db::NEW), "exists already");
  EXPECT_EQ(read(GetParam(), path()), (Records{{"a", "1"}}));
}

/// LevelDB makes its database in a folder that is there already.
TEST_P(DBTest, NewInAFolderWithoutADatabase) {
  if (string(GetParam()) == "lmdb") GTEST_SKIP() << "LMDB's folder must be new";
  std::filesystem::create_directory(path());
  write(GetParam(), path(), {{"a", "1"}});
  EXPECT_EQ(read(GetParam(), path()), (Records{{"a", "1"}}));
  const string other = dir_ / "other";
  std::filesystem::create_directory(other);
  write_file(other + "/notes.txt", "not a database");
  write(GetParam(), other, {{"b", "2"}});
  EXPECT_EQ(read(GetParam(), other), (Records{{"b", "2"}}));
  write("lmdb", dir_ / "taken", {{"c", "3"}});
  EXPECT_ERROR(open(GetParam(), dir_ / "taken", db::NEW), "exists already");
  EXPECT_ERROR(open(GetParam(), other + "/notes.txt", db::NEW), "exists already");
}

TEST_P(DBTest, SaysWhatIsMissing) {
  EXPECT_ERROR(open(GetParam(), path(), db::READ), "'" + path() + "' does not exist");
  EXPECT_ERROR(open(GetParam(), path() + "/deeper/down", db::NEW), "deeper/down");
  std::unique_ptr<db::DB> db(db::GetDB(GetParam()));
  EXPECT_ERROR(db->NewCursor(), "opened");
  EXPECT_ERROR(db->NewTransaction(), "opened");
}

TEST_P(DBTest, NamesTheOtherKind) {
  const bool lmdb = string(GetParam()) == "lmdb";
  std::filesystem::create_directory(path());
  write_file(path() + (lmdb ? "/CURRENT" : "/data.mdb"), "x");
  EXPECT_ERROR(open(GetParam(), path(), db::READ),
               lmdb ? "set backend: LEVELDB" : "set backend: LMDB");
}

TEST_P(DBTest, AFolderWithoutADatabase) {
  std::filesystem::create_directory(path());
  const string kind = string(GetParam()) == "lmdb" ? "an LMDB" : "a LevelDB";
  EXPECT_ERROR(open(GetParam(), path(), db::READ), "'" + path() + "' is not " + kind + ", because");
  EXPECT_TRUE(std::filesystem::is_empty(path()));
}

TEST(DB, UnknownBackend) {
  EXPECT_ERROR(db::GetDB("sqlite"), "'sqlite'");
  EXPECT_ERROR(db::GetDB("LMDB"), "lmdb and leveldb");
}

class LMDBTest : public ::testing::Test {
 protected:
  string path() const { return dir_ / "db"; }
  string file() const { return path() + "/data.mdb"; }
  TempDir dir_;
};

TEST_F(LMDBTest, TheMapGrows) {
  const Records records = some_records(70, 1 << 20);  // 70 MB
  write("lmdb", path(), records);
  EXPECT_TRUE(read("lmdb", path()) == records);
}

TEST_F(LMDBTest, RefusesAKeyThatIsTooLong) {
  EXPECT_ERROR(write("lmdb", path(), {{string(600, 'k'), "1"}}), "511");
}

TEST_F(LMDBTest, ReadsAFileWithoutFolder) {
  write("lmdb", path(), {{"a", "1"}});
  std::filesystem::rename(file(), dir_ / "alone.mdb");
  EXPECT_EQ(read("lmdb", dir_ / "alone.mdb"), (Records{{"a", "1"}}));
}

TEST_F(LMDBTest, ReadsInAFolderThatCannotBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  write("lmdb", path(), {{"a", "1"}});
  std::filesystem::remove(path() + "/lock.mdb");
  std::filesystem::permissions(path(), std::filesystem::perms(0555));
  EXPECT_EQ(read("lmdb", path()), (Records{{"a", "1"}}));
  std::filesystem::permissions(path(), std::filesystem::perms(0755));
}

TEST_F(LMDBTest, ATruncatedFileIsAnErrorAtAnyLength) {
  write("lmdb", path(), some_records(50, 5000));
  const string whole = read_file(file());
  for (size_t bytes : {size_t(0), size_t(1), size_t(100), size_t(4096), size_t(4200), size_t(8192),
                       whole.size() / 2, whole.size() - 4096}) {
    write_file(file(), whole.substr(0, bytes));
    EXPECT_ERROR(read("lmdb", path()), "LMDB '" + path());
  }
  write_file(file(), whole);
  EXPECT_EQ(read("lmdb", path()).size(), 50u);
}

TEST_F(LMDBTest, OtherFilesAreErrors) {
  std::filesystem::create_directory(path());
  EXPECT_ERROR(read("lmdb", path()), "no data.mdb");
  write_file(file(), string(20000, 'x'));
  EXPECT_ERROR(read("lmdb", path()), "not an LMDB file");
}

TEST_F(LMDBTest, DamageNeverEndsTheProcess) {
  write("lmdb", path(), some_records(60, 2500));
  const string whole = read_file(file());
  std::mt19937 random(1);
  int errors = 0;
  for (int round = 0; round < 150; ++round) {
    string damaged = whole;
    const size_t reach = round % 2 == 0 ? damaged.size() : 8192 + 300;  // all, or the heads
    for (int i = 0; i < 1 << (round % 10); ++i) {
      damaged[random() % reach] = static_cast<char>(random());
    }
    write_file(file(), damaged);
    errors += !error_of([&] { read("lmdb", path()); }).empty();
  }
  EXPECT_GT(errors, 0);
}

}  // namespace
}  // namespace caffe
