#include "caffe/util/db.hpp"

#include <filesystem>

#include "caffe/util/db_leveldb.hpp"
#include "caffe/util/db_lmdb.hpp"

namespace caffe {
namespace db {

DB* GetDB(DataParameter::DB backend) {
  if (backend == DataParameter::LMDB) return new LMDB();
#ifdef USE_LEVELDB
  if (backend == DataParameter::LEVELDB) return new LevelDB();
#endif
  CAFFE_CHECK(backend != DataParameter::LEVELDB,
              "databases of type LEVELDB (the default of data_param.backend) are not in this "
              "build: set backend: LMDB if this is an LMDB, or install libleveldb-dev and build "
              "with USE_LEVELDB=ON");
  CAFFE_FAIL("there is no database of type " << static_cast<int>(backend)
                                             << ": the known types are LMDB and LEVELDB");
}

DB* GetDB(const string& backend) {
  if (backend == "lmdb") return GetDB(DataParameter::LMDB);
  if (backend == "leveldb") return GetDB(DataParameter::LEVELDB);
  CAFFE_FAIL("there is no database of type '" << backend
                                              << "': the known types are lmdb and leveldb");
}

string kind_of_db(const string& source) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::exists(fs::path(source) / "data.mdb", ignored)) return "LMDB";
  if (fs::exists(fs::path(source) / "CURRENT", ignored)) return "LevelDB";
  return "";
}

}  // namespace db
}  // namespace caffe
