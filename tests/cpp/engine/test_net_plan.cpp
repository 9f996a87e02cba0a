#include "caffe/net_plan.hpp"

#include "toy_net.hpp"

namespace caffe {

namespace {

const char kNet[] =
    "name: 'small' "
    "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 2 dim: 3 } } } "
    "layer { name: 'one' type: 'AbsVal' bottom: 'data' top: 'a' } "
    "layer { name: 'two' type: 'AbsVal' bottom: 'a' top: 'b' } "
    "layer { name: 'three' type: 'AbsVal' bottom: 'b' top: 'c' } ";

/// Whether the blob of that name is kept.
bool keeps(const Net<float>& net, const string& name) {
  const auto& names = net.blob_names();
  return net.is_kept(static_cast<int>(std::find(names.begin(), names.end(), name) - names.begin()));
}

}  // namespace

TEST(NetPlan, EveryBlobIsKeptAsInCaffe) {
  const auto net = make_net(kNet);
  EXPECT_TRUE(net->keeps_all());
  for (const char* const name : {"data", "a", "b", "c"}) EXPECT_TRUE(keeps(*net, name)) << name;
}

TEST(NetPlan, KeepsInputsOutputsAndNamedBlobs) {
  const auto net = make_net(kNet);
  net->KeepOnly({"b"});
  EXPECT_FALSE(net->keeps_all());
  for (const char* const name : {"data", "b", "c"}) EXPECT_TRUE(keeps(*net, name)) << name;
  EXPECT_FALSE(keeps(*net, "a"));
  net->KeepOnly({"a"});
  for (const char* const name : {"a", "b"}) EXPECT_TRUE(keeps(*net, name)) << name;
}

TEST(NetPlan, AnUnknownNameIsAnError) {
  const auto net = make_net(kNet);
  EXPECT_ERROR(net->KeepOnly({"a", "nothing"}), "net 'small' has no blob 'nothing' to keep");
  EXPECT_TRUE(net->keeps_all());
}

}  // namespace caffe
