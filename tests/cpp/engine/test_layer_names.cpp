#include "caffe/layer_names.hpp"

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

typedef vector<string> Names;

TEST(LayerFinder, TakesLayersOfOneNameInTheirOrder) {
  LayerFinder finder({"a", "b", "a", "c"});
  EXPECT_EQ(finder.find("a"), 0);
  EXPECT_EQ(finder.find("x"), -1);
  EXPECT_EQ(finder.find("c"), 3);
  EXPECT_EQ(finder.find("a"), 2);
  EXPECT_EQ(finder.find("a"), 0);  // the file has more of them than the net
}

TEST(Hdf5Paths, AreTheNamesExceptThoseThatHdf5Changes) {
  const Names kept = {"conv1", "inception_3a/1x1", "a b", "..", "1", "100%", "a/1x1", "\xc3\xbc"};
  EXPECT_EQ(hdf5_paths(kept), kept);
  EXPECT_EQ(hdf5_paths({"./b", "a/./b", "a//b", "/b", "b/", ".", "", "b/0", "0/12"}),
            Names({"%2E/b", "a/%2E/b", "a/%/b", "%/b", "b/%", "%2E", "%", "b/%0", "0/%12"}));
  EXPECT_EQ(hdf5_paths({"x", "x", "", "", "x"}), Names({"x", "x%2", "%", "%%2", "x%3"}));
  EXPECT_ERROR(hdf5_paths({"x", "x%2", "x"}),
               "layers 'x%2' and 'x' would be one group, 'x%2', in an HDF5 file of weights");
}

}  // namespace caffe
