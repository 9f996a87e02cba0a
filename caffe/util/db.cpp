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
              "data bases of type LEVELDB (the default of data_param.backend) are not in this "
              "build: set backend: LMDB if it is one, or build with USE_LEVELDB=ON");
  CAFFE_FAIL("there is no data base of type " << static_cast<int>(backend)
                                              << ": LMDB and LEVELDB are known");
}

DB* GetDB(const string& backend) {
  if (backend == "lmdb") return GetDB(DataParameter::LMDB);
  if (backend == "leveldb") return GetDB(DataParameter::LEVELDB);
  CAFFE_FAIL("there is no data base of type '" << backend << "': lmdb and leveldb are known");
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
