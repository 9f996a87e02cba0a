#include "caffe/util/insert_splits.hpp"

#include "caffe/util/io.hpp"
#include "fixtures.hpp"

namespace caffe {

namespace {

/// InsertSplits must turn `layers` into `expected`; both are text.
void expect_split(const string& layers, const string& expected) {
  NetParameter in, out, wanted;
  ReadProtoFromText(layers, "test", &in);
  ReadProtoFromText(expected, "expected", &wanted);
  InsertSplits(in, &out);
  EXPECT_EQ(out.DebugString(), wanted.DebugString());
  NetParameter again;
  InsertSplits(out, &again);
  EXPECT_EQ(again.DebugString(), out.DebugString()) << "splits are split again";
}

const char kData[] = "layer { name: 'd' type: 'Input' top: 'data' top: 'label' } ";

}  // namespace

TEST(InsertSplitsTest, LeavesSingleReadersAlone) {
  const string net = string(kData) +
                     "layer { name: 'a' bottom: 'data' top: 'a' }"
                     "layer { name: 'b' bottom: 'a' top: 'a' }"
                     "layer { name: 'c' bottom: 'a' bottom: 'label' top: 'c' loss_weight: 2 }";
  expect_split(net, net);
}

TEST(InsertSplitsTest, SplitsAfterTheProducer) {
  expect_split(string("name: 'n' ") + kData +
                   "layer { name: 'a' bottom: 'label' bottom: 'label' top: 'a' }"
                   "layer { name: 'b' bottom: 'label' }",
               string("name: 'n' ") + kData +
                   "layer { name: 'label_d_1_split' type: 'Split' bottom: 'label'"
                   "  top: 'label_d_1_split_0' top: 'label_d_1_split_1' top: 'label_d_1_split_2' }"
                   "layer { name: 'a' bottom: 'label_d_1_split_0' bottom: 'label_d_1_split_1' "
                   "  top: 'a' }"
                   "layer { name: 'b' bottom: 'label_d_1_split_2' }");
}

TEST(InsertSplitsTest, SplitsAfterTheLastLayerThatWorksInPlace) {
  expect_split(string(kData) +
                   "layer { name: 'a' bottom: 'data' top: 'a' }"
                   "layer { name: 'relu' bottom: 'a' top: 'a' }"
                   "layer { name: 'b' bottom: 'a' top: 'b' }"
                   "layer { name: 'c' bottom: 'a' top: 'c' }",
               string(kData) +
                   "layer { name: 'a' bottom: 'data' top: 'a' }"
                   "layer { name: 'relu' bottom: 'a' top: 'a' }"
                   "layer { name: 'a_relu_0_split' type: 'Split' bottom: 'a' "
                   "  top: 'a_relu_0_split_0' top: 'a_relu_0_split_1' }"
                   "layer { name: 'b' bottom: 'a_relu_0_split_0' top: 'b' }"
                   "layer { name: 'c' bottom: 'a_relu_0_split_1' top: 'c' }");
}

TEST(InsertSplitsTest, ALossIsAReader) {
  expect_split(string(kData) +
                   "layer { name: 'a' bottom: 'data' top: 'x' top: 'y' loss_weight: 0.5 "
                   "  loss_weight: 3 }"
                   "layer { name: 'b' bottom: 'y' }",
               string(kData) +
                   "layer { name: 'a' bottom: 'data' top: 'x' top: 'y' loss_weight: 0.5 "
                   "  loss_weight: 0 }"
                   "layer { name: 'y_a_1_split' type: 'Split' bottom: 'y' top: 'y_a_1_split_0' "
                   "  top: 'y_a_1_split_1' loss_weight: 3 loss_weight: 0 }"
                   "layer { name: 'b' bottom: 'y_a_1_split_1' }");
}

TEST(InsertSplitsTest, NamesUnknownBottoms) {
  NetParameter in, out;
  ReadProtoFromText(string(kData) + "layer { name: 'a' bottom: 'label' bottom: 'dat' }", "test",
                    &in);
  EXPECT_ERROR(InsertSplits(in, &out),
               "unknown bottom blob 'dat' (layer 'a', bottom index 1); did you mean 'data'?");
  in.mutable_layer(1)->set_bottom(1, "something_else");
  EXPECT_ERROR(InsertSplits(in, &out), "no earlier layer has that top");
  ReadProtoFromText("layer { name: 'late' bottom: 'x' } layer { name: 'x' top: 'x' }", "test", &in);
  EXPECT_ERROR(InsertSplits(in, &out), "unknown bottom blob 'x' (layer 'late', bottom index 0)");
}

}  // namespace caffe
