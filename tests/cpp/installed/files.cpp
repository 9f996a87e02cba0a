// Files: io.hpp, format.hpp, db.hpp and its kinds, hdf5.hpp, upgrade_proto.hpp, insert_splits.hpp,
// data_transformer.hpp.

#include <opencv2/core/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

#include "caffe/data_transformer.hpp"
#include "caffe/util/db.hpp"
#include "caffe/util/db_leveldb.hpp"
#include "caffe/util/db_lmdb.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/insert_splits.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/upgrade_proto.hpp"

using namespace caffe;  // NOLINT(build/namespaces)

static string write_database(const string& folder) {
  shared_ptr<db::DB> database(db::GetDB("lmdb"));
  const string name = folder + "/images_lmdb";
  database->Open(name, db::NEW);
  shared_ptr<db::Transaction> txn(database->NewTransaction());
  cv::Mat image(4, 5, CV_8UC3, cv::Scalar(10, 20, 30));
  const string file = folder + "/image.png";
  CHECK(cv::imwrite(file, image));
  for (int i = 0; i < 3; ++i) {
    Datum datum;
    CHECK(ReadImageToDatum(file, i, &datum));
    string out;
    CHECK(datum.SerializeToString(&out));
    txn->Put(format_int(i, 8) + "_image", out);
  }
  txn->Commit();
  database->Close();
  return name;
}

static void read_database(const string& name) {
  shared_ptr<db::DB> database(db::GetDB(DataParameter::LMDB));
  database->Open(name, db::READ);
  shared_ptr<db::Cursor> cursor(database->NewCursor());
  TransformationParameter param;
  param.set_scale(2);
  DataTransformer<float> transformer(param, TEST);
  int count = 0;
  for (; cursor->valid(); cursor->Next(), ++count) {
    CHECK_EQ(cursor->key(), format_int(count, 8) + "_image");
    Datum datum;
    CHECK(datum.ParseFromString(cursor->value()));
    CHECK_EQ(datum.label(), count);
    Blob<float> blob(transformer.InferBlobShape(datum));
    transformer.Transform(datum, &blob);
    CHECK_EQ(blob.data_at(0, 2, 3, 4), 60);
  }
  CHECK_EQ(count, 3);
}

static void write_hdf5(const string& folder) {
  Blob<float> blob(1, 2, 1, 3), read;
  caffe_set(blob.count(), 5.f, blob.mutable_cpu_data());
  hid_t file = H5Fcreate((folder + "/x.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hdf5_save_nd_dataset(file, "data", blob);
  H5Fclose(file);
  file = H5Fopen((folder + "/x.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  CHECK_EQ(H5LTfind_dataset(file, "data"), 1);
  hdf5_load_nd_dataset(file, "data", 0, 4, &read, true);
  CHECK_EQ(read.asum_data(), 30);
  H5Fclose(file);
}

static void upgrade(const string& folder) {
  NetParameter old, split;
  V1LayerParameter* layer = old.add_layers();
  layer->set_name("ip");
  layer->set_type(V1LayerParameter_LayerType_INNER_PRODUCT);
  layer->add_top("ip");
  CHECK(NetNeedsUpgrade(old));
  WriteProtoToTextFile(old, folder + "/old.prototxt");
  NetParameter read;
  ReadNetParamsFromTextFileOrDie((folder + "/old.prototxt").c_str(), &read);
  CHECK_EQ(read.layer(0).type(), "InnerProduct");
  InsertSplits(read, &split);
  CHECK_EQ(split.layer_size(), 1);
  CHECK_EQ(SplitLayerName("ip", "ip", 0), "ip_ip_0_split");
}

int main(int argc, char** argv) {
  FLAGS_minloglevel = 1;
  GlobalInit(&argc, &argv);
  CHECK_EQ(argc, 2) << "folder";
  read_database(write_database(argv[1]));
  write_hdf5(argv[1]);
  upgrade(argv[1]);
  std::cout << "OK" << std::endl;
}
