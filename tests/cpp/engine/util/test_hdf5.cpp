#include "caffe/util/hdf5.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "files.hpp"
#include "fixtures.hpp"

namespace caffe {

namespace {

template <typename Dtype>
void count_up(Blob<Dtype>* blob) {
  for (int i = 0; i < blob->count(); ++i) blob->mutable_cpu_data()[i] = static_cast<Dtype>(i + 1);
}

/// A file with a dataset "x" of `shape` that is stored as `type`, in chunks if `level` >= 0,
/// compressed if > 0, and written only if `values` is given.
string hdf5_file(const vector<hsize_t>& shape, hid_t type, const void* values, hid_t memory_type,
                 int level = -1) {
  const string name = temp_name(".h5");
  const hid_t file = H5Fcreate(name.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  if (level >= 0) {
    vector<hsize_t> chunk(shape.size());
    for (size_t i = 0; i < shape.size(); ++i) chunk[i] = std::min<hsize_t>(shape[i], 64);
    H5Pset_chunk(plist, static_cast<int>(chunk.size()), chunk.data());
    if (level > 0) H5Pset_deflate(plist, level);
  }
  const hid_t set = H5Dcreate2(file, "x", type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  if (values != nullptr) H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  H5Dclose(set);
  H5Pclose(plist);
  H5Sclose(space);
  H5Fclose(file);
  return name;
}

template <typename Dtype>
vector<double> load(const string& name, vector<int>* shape = nullptr) {
  Blob<Dtype> blob;
  const Hdf5File file(name, Hdf5File::kRead);
  hdf5_load_nd_dataset(file.id(), "x", 0, kMaxBlobAxes, &blob, true);
  if (shape != nullptr) *shape = blob.shape();
  return vector<double>(blob.cpu_data(), blob.cpu_data() + blob.count());
}

}  // namespace

template <typename Dtype>
class Hdf5Test : public ::testing::Test {};
typedef ::testing::Types<float, double, int> Numbers;
TYPED_TEST_SUITE(Hdf5Test, Numbers);

TYPED_TEST(Hdf5Test, RoundTrip) {
  const string name = temp_name(".h5");
  Blob<TypeParam> blob(vector<int>{2, 3, 1, 4, 1}), scalar(vector<int>{}), none(vector<int>{0, 2});
  count_up(&blob);
  scalar.mutable_cpu_data()[0] = 7;
  {
    Hdf5File file(name, Hdf5File::kCreate);
    hdf5_save_nd_dataset(file.id(), "x", blob);
    const Hdf5Group group(file.id(), "a/b", Hdf5Group::kCreate);
    hdf5_save_nd_dataset(group.id(), "scalar", scalar);
    hdf5_save_nd_dataset(group.id(), "none", none);
    file.Close();
  }
  const Hdf5File file(name, Hdf5File::kRead);
  Blob<TypeParam> read;
  hdf5_load_nd_dataset(file.id(), "x", 5, 5, &read, true);
  EXPECT_EQ(read.shape(), blob.shape());
  for (int i = 0; i < blob.count(); ++i) EXPECT_EQ(read.cpu_data()[i], i + 1);
  hdf5_load_nd_dataset(file.id(), "a/b/scalar", 0, 1, &read, true);
  EXPECT_EQ(read.shape(), vector<int>());
  EXPECT_EQ(read.cpu_data()[0], 7);
  hdf5_load_nd_dataset(file.id(), "a/b/none", 2, 2, &read, true);
  EXPECT_EQ(read.shape(), vector<int>({0, 2}));
}

TYPED_TEST(Hdf5Test, ConvertsNumbers) {
  const double values[] = {1, -2, 3};
  const int integers[] = {1, -2, 3};
  const vector<double> expected(values, values + 3);
  EXPECT_EQ(load<TypeParam>(hdf5_file({3}, H5T_IEEE_F32BE, values, H5T_NATIVE_DOUBLE)), expected);
  EXPECT_EQ(load<TypeParam>(hdf5_file({3}, H5T_STD_I16LE, integers, H5T_NATIVE_INT)), expected);
}

TEST(Hdf5FileTest, DiffsAreSavedOnRequest) {
  const string name = temp_name(".h5");
  Blob<float> blob(vector<int>{2});
  blob.mutable_cpu_diff()[1] = 3;
  {
    Hdf5File file(name, Hdf5File::kCreate);
    hdf5_save_nd_dataset(file.id(), "x", blob, true);
  }
  EXPECT_EQ(load<float>(name), vector<double>({0, 3}));
}

TEST(Hdf5FileTest, ReadsCompressedData) {
  const vector<float> zeros(100000, 0);
  vector<int> shape;
  EXPECT_EQ(load<float>(hdf5_file({100000}, H5T_IEEE_F32LE, zeros.data(), H5T_NATIVE_FLOAT, 9)),
            vector<double>(100000, 0));
  load<float>(hdf5_file({100, 1000}, H5T_IEEE_F32LE, zeros.data(), H5T_NATIVE_FLOAT, 0), &shape);
  EXPECT_EQ(shape, vector<int>({100, 1000}));
}

TEST(Hdf5FileTest, AChunkMustBeComplete) {
  const hsize_t length = 100, chunk = 64;
  const vector<float> values(length, 3);
  const vector<unsigned char> raw(chunk * sizeof(float) - 1, 0);
  for (const bool compressed : {false, true}) {
    const string name = temp_name(".h5");
    const hid_t file = H5Fcreate(name.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(1, &length, nullptr);
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(plist, 1, &chunk);
    H5Pset_shuffle(plist);
    H5Pset_deflate(plist, 1);
    H5Pset_fletcher32(plist);
    const hid_t set = H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Fflush(file, H5F_SCOPE_LOCAL);
    EXPECT_EQ(load<float>(name), vector<double>(length, 3)) << "all three filters";
    const hsize_t second = chunk;  // its first value
    if (compressed) {              // a whole zlib stream (and a checksum), of too few bytes
      const unsigned char stream[] = {0x78, 0x9c, 0x63, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0};
      H5Dwrite_chunk(set, H5P_DEFAULT, 4 | 1, &second, sizeof(stream) - 4, stream);
    } else {
      H5Dwrite_chunk(set, H5P_DEFAULT, 7, &second, raw.size(), raw.data());
    }
    H5Dclose(set);
    H5Pclose(plist);
    H5Sclose(space);
    H5Fclose(file);
    EXPECT_ERROR(load<float>(name), compressed ? "has a chunk of 1 bytes, where 256 are needed"
                                               : "has a chunk of 255 bytes, where 256 are needed");
  }
}

TEST(Hdf5FileTest, ChecksShapes) {
  const vector<float> values(6, 1);
  const string name = hdf5_file({2, 3}, H5T_IEEE_F32LE, values.data(), H5T_NATIVE_FLOAT);
  const Hdf5File file(name, Hdf5File::kRead);
  EXPECT_EQ(hdf5_shape(file.id(), "x"), vector<int>({2, 3}));
  Blob<float> blob(vector<int>{3, 2});
  EXPECT_ERROR(hdf5_load_nd_dataset(file.id(), "x", 0, 9, &blob),
               name + ": data set '/x' has shape 2 3, but the blob to fill has shape 3 2 (6)");
  EXPECT_ERROR(hdf5_load_nd_dataset(file.id(), "x", 3, 4, &blob, true), "has 2 axes; 3 to 4");
  EXPECT_ERROR(hdf5_load_nd_dataset(file.id(), "y", 3, 4, &blob, true), "'/y' does not exist");
  EXPECT_EQ(blob.shape(), vector<int>({3, 2}));
}

TEST(Hdf5FileTest, AsksForNoMoreThanTheFileHolds) {
  // Claimed but never written: in chunks and in one piece.
  EXPECT_ERROR(load<float>(hdf5_file({1 << 30}, H5T_IEEE_F32LE, nullptr, 0, 1)),
               "claims 4294967296 bytes, more than are stored");
  EXPECT_ERROR(load<float>(hdf5_file({1 << 30}, H5T_IEEE_F32LE, nullptr, 0, 0)), "more than are");
  EXPECT_ERROR(load<float>(hdf5_file({1 << 30}, H5T_IEEE_F32LE, nullptr, 0)), "more than are");
  EXPECT_ERROR(load<double>(hdf5_file({1 << 20, 1 << 20}, H5T_IEEE_F32LE, nullptr, 0)),
               "of shape 1048576 1048576 has more than");
  EXPECT_ERROR(load<double>(hdf5_file({0, 1ull << 40}, H5T_IEEE_F32LE, nullptr, 0)), "has more");
}

TEST(Hdf5FileTest, RefusesOtherTypes) {
  const string name = temp_name(".h5");
  Hdf5File file(name, Hdf5File::kCreate);
  hdf5_save_string(file.id(), "text", "some text");
  Blob<float> blob;
  EXPECT_ERROR(hdf5_load_nd_dataset(file.id(), "text", 0, 1, &blob, true),
               "does not contain numbers");
  const Hdf5Group group(file.id(), "group", Hdf5Group::kCreate);
  EXPECT_ERROR(hdf5_load_nd_dataset(file.id(), "group", 0, 1, &blob, true), "cannot be opened");
}

TEST(Hdf5FileTest, IntsAndStrings) {
  const string name = temp_name(".h5");
  Hdf5File file(name, Hdf5File::kCreate);
  hdf5_save_int(file.id(), "iter", -5);
  hdf5_save_string(file.id(), "learned_net", "a.caffemodel");
  hdf5_save_string(file.id(), "empty", "");
  EXPECT_EQ(hdf5_load_int(file.id(), "iter"), -5);
  EXPECT_EQ(hdf5_load_string(file.id(), "learned_net"), "a.caffemodel");
  EXPECT_EQ(hdf5_load_string(file.id(), "empty"), "");
  EXPECT_ERROR(hdf5_load_string(file.id(), "iter"), "is not a string");
  EXPECT_ERROR(hdf5_load_int(file.id(), "nothing"), "data set '/nothing' does not exist");
  EXPECT_ERROR(hdf5_save_int(file.id(), "iter", 3), "name taken");
  EXPECT_EQ(hdf5_get_num_links(file.id()), 3);
  EXPECT_EQ(hdf5_get_name_by_idx(file.id(), 0), "empty");
  EXPECT_EQ(hdf5_names(file.id()), vector<string>({"empty", "iter", "learned_net"}));
  EXPECT_ERROR(hdf5_get_name_by_idx(file.id(), 3), "no entry 3");
}

TEST(Hdf5FileTest, KnowsItsFiles) {
  const string name = temp_name();
  Hdf5File(name, Hdf5File::kCreate).Close();
  EXPECT_TRUE(IsHdf5File(name));
  EXPECT_FALSE(IsHdf5File("/nowhere/a.caffemodel.h5"));
  EXPECT_FALSE(IsHdf5File(file_with("name: 'x'", ".h5")));  // the content decides
  EXPECT_ERROR(Hdf5File("/nowhere/a.h5", Hdf5File::kRead), "/nowhere/a.h5: cannot be opened");
  EXPECT_ERROR(Hdf5File("/nowhere/a.h5", Hdf5File::kCreate), "/nowhere/a.h5: cannot be written");
  EXPECT_ERROR(Hdf5File(file_with("text"), Hdf5File::kRead), "damaged; it is text");
  EXPECT_ERROR(Hdf5File(file_with("\xff\xd8\xff\xe0\1"), Hdf5File::kRead), "it is a JPEG image");
}

TEST(Hdf5FileTest, SurvivesDamage) {
  vector<float> values(500, 1);
  const string whole =
      contents(hdf5_file({500}, H5T_IEEE_F32LE, values.data(), H5T_NATIVE_FLOAT, 1));
  for (size_t length = 0; length < whole.size(); length += 97) {
    EXPECT_NE(error_of([&] { load<float>(file_with(whole.substr(0, length))); }), "") << length;
  }
  // Any byte may be wrong: values or an error, never a crash. In a separate process, because HDF5
  // 1.10 keeps parts of damaged files and reports them at its end.
  const string name = temp_name();
  const auto load_with = [&](size_t at, const string& bytes) {
    string damaged = whole;
    damaged.replace(at, bytes.size(), bytes);
    std::ofstream(name, std::ios::binary) << damaged;
    error_of([&] { load<float>(name); });
  };
  const pid_t child = fork();
  if (child == 0) {
    for (size_t i = 0; i < whole.size(); i += 11) {
      load_with(i, string(1, static_cast<char>(whole[i] ^ 0xff)));
    }
    // Any address may be one that overflows.
    for (size_t i = 0; i + 8 <= whole.size(); i += 8) load_with(i, string(8, '\xff'));
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace caffe
