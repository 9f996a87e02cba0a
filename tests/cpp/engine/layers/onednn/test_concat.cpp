// Concat in blocked layouts, and layers that write into its top (caffe/net_joins.hpp).

#include <memory>
#include <string>
#include <vector>

#include "layers/onednn/net_pair.hpp"

namespace caffe {

class OneDnnConcat : public OneDnn {
 protected:
  /// A Fire module: 1x1 and 3x3 windows on the same bottom, side by side.
  static std::string fire(const std::string& bottom, const std::string& name, int outputs) {
    return conv(bottom, name + "1", outputs, "kernel_size: 1") + relu(name + "1") +
           conv(bottom, name + "3", outputs) + relu(name + "3") +
           concat({name + "1", name + "3"}, name);
  }
  static std::string pooling(const std::string& bottom, const std::string& top) {
    return layer("Pooling", bottom, top, "pooling_param { kernel_size: 3 pad: 1 }");
  }
  static std::string relu(const std::string& blob) { return layer("ReLU", blob, blob); }
  static std::string concat(const std::vector<std::string>& bottoms, const std::string& top,
                            const std::string& rest = "") {
    std::string text = "layer { name: '" + top + "' type: 'Concat' top: '" + top + "' " + rest;
    for (const std::string& bottom : bottoms) text += " bottom: '" + bottom + "'";
    return text + " }\n";
  }
  static std::string two_fires(int images = 1) {
    return input(images, 16, 9, 10) + fire("x", "a", 32) + fire("a", "b", 16) +
           conv("b", "y", 16, "kernel_size: 1");
  }

  static std::unique_ptr<NetPair> make(const std::string& text, bool keep = true) {
    auto pair = std::make_unique<NetPair>("force_backward: false " + text, TEST);
    if (keep) pair->net.KeepOnly(pair->net.blob_names());
    return pair;
  }

  /// Passes with other inputs each; all blobs are right after each.
  static void expect_right(NetPair* pair, int passes = 3) {
    for (int pass = 0; pass < passes; ++pass) {
      SCOPED_TRACE("pass " + std::to_string(pass));
      pair->fill_inputs();
      pair->forward();
      expect_same_data(*pair);
    }
  }
  static void expect_same_data(const NetPair& pair) {
    for (size_t i = 0; i < pair.net.blobs().size(); ++i) {
      expect_data(*pair.net.blobs()[i], *pair.judge.blobs()[i], pair.net.blob_names()[i]);
    }
  }
  static void expect_data(const Blob<float>& found, const Blob<double>& expected,
                          const std::string& name) {
    ASSERT_EQ(found.shape(), expected.shape());
    double scale = 1;
    for (int k = 0; k < found.count(); ++k) {
      scale = std::max(scale, std::abs(expected.cpu_data()[k]));
    }
    for (int k = 0; k < found.count(); ++k) {
      ASSERT_NEAR(found.cpu_data()[k], expected.cpu_data()[k], 1e-5 * scale)
          << name << ", element " << k;
    }
  }

  /// Whether the blob's values lie in the memory of the other's.
  static bool is_in(const NetPair& pair, const std::string& blob, const std::string& other) {
#ifdef USE_ONEDNN
    const auto part = onednn::current_copy(*pair.net.blob_by_name(blob));
    const auto whole = onednn::current_copy(*pair.net.blob_by_name(other));
    if (part == nullptr || whole == nullptr) return false;
    const char* const begin = static_cast<const char*>(whole->buffer().get());
    const char* const at = static_cast<const char*>(part->buffer().get());
    return at >= begin && at < begin + whole->layout().get_size();
#else
    (void)pair, (void)blob, (void)other;
    return false;
#endif
  }
  static int joined(NetPair* pair, const std::vector<std::string>& blobs,
                    const std::string& top = "a") {
    for (int pass = 0; pass < 3; ++pass) {
      pair->fill_inputs();
      pair->net.Forward();
    }
    int count = 0;
    for (const std::string& blob : blobs) count += is_in(*pair, blob, top);
    return count;
  }
};

TEST_F(OneDnnConcat, AgreesWithThePlainLayer) {
  for (const int images : {1, 3}) {
    NetPair pair(two_fires(images));
    pair.run_and_compare(1e-4);
    NetPair along_images(input(2, 16, 5, 5) + conv("x", "a", 16) + conv("x", "b", 16) +
                         concat({"a", "b"}, "y", "concat_param { axis: 0 }"));
    along_images.run_and_compare(1e-4);
  }
}

TEST_F(OneDnnConcat, ConvolutionsWriteIntoItsTop) {
  SKIP_WITHOUT_BLOCKS();
  const auto pair = make(two_fires());
  EXPECT_EQ(joined(pair.get(), {"a1", "a3"}), 2);
  EXPECT_EQ(joined(pair.get(), {"b1", "b3"}, "b"), 2);
  expect_right(pair.get());
}

/// A Sigmoid is a pass of its own, which leaves the place.
TEST_F(OneDnnConcat, TakesBottomsThatAnotherLayerHasChanged) {
  std::string text = two_fires();
  const std::string relu = "'ReLU'";
  for (size_t at; (at = text.find(relu)) != std::string::npos;) {
    text.replace(at, relu.size(), "'Sigmoid'");
  }
  const auto pair = make(text);
  EXPECT_EQ(joined(pair.get(), {"a1", "a3"}), 0);
  expect_right(pair.get());
}

TEST_F(OneDnnConcat, GivesTheSameBitsAsWithCopies) {
  const auto pair = make(two_fires());
  pair->net.Forward();  // the first pass copies
  std::vector<std::vector<float>> first;
  for (const auto& blob : pair->net.blobs()) {
    first.emplace_back(blob->cpu_data(), blob->cpu_data() + blob->count());
  }
  pair->net.Forward();
  pair->net.Forward();
  for (size_t i = 0; i < first.size(); ++i) {
    const Blob<float>& blob = *pair->net.blobs()[i];
    EXPECT_EQ(std::vector<float>(blob.cpu_data(), blob.cpu_data() + blob.count()), first[i]);
  }
}

/// The blobs in between are given up.
TEST_F(OneDnnConcat, WorksInANetThatKeepsNothing) {
  const auto pair = make(two_fires(), false);
  pair->net.KeepOnly({"b"});
  for (int pass = 0; pass < 4; ++pass) {
    pair->fill_inputs();
    pair->forward();
    for (const std::string name : {"b", "y"}) {
      expect_data(*pair->net.blob_by_name(name), *pair->judge.blob_by_name(name), name);
    }
  }
}

TEST_F(OneDnnConcat, TakesOtherBottomsAsWell) {
  SKIP_WITHOUT_BLOCKS();
  // A pooling, an input, and a blob that another layer reads, too.
  const std::string text = input(1, 16, 8, 8) + conv("x", "a1", 16) + relu("a1") +
                           conv("x", "q", 16) + pooling("q", "p") + conv("x", "c", 16) +
                           conv("c", "d", 16) + concat({"p", "a1", "c", "d"}, "a") +
                           conv("a", "y", 16);
  const auto pair = make(text);
  EXPECT_EQ(joined(pair.get(), {"p", "a1", "c", "d"}), 2);
  expect_right(pair.get());
}

TEST_F(OneDnnConcat, CopiesWhatDoesNotFit) {
  const std::string texts[] = {
      two_fires(2),                                                    // several images
      input(1, 16, 8, 8) + fire("x", "a", 20),                         // no full blocks
      input(1, 16, 8, 8) + fire("x", "a", 16) + relu("a"),             // changed in place
      input(1, 16, 8, 8) + pooling("x", "a1") + conv("x", "a3", 16) +  // one of them plain
          concat({"a1", "a3"}, "a"),
  };
  for (const std::string& text : texts) {
    SCOPED_TRACE(text);
    const auto pair = make(text);
    EXPECT_EQ(joined(pair.get(), {"a1", "a3"}), 0);
    expect_right(pair.get());
  }
}

/// Also by way of layers that share its memory.
TEST_F(OneDnnConcat, SeesThatALaterLayerChangesItsTop) {
  const auto pair =
      make(input(1, 16, 8, 8) + fire("x", "a", 16) + conv("a", "y", 16) +
           layer("Flatten", "a", "f") + layer("Power", "f", "f", "power_param { shift: 1 }"));
  EXPECT_EQ(joined(pair.get(), {"a1", "a3"}), 0);
  pair->fill_inputs();
  pair->forward();
  for (const std::string name : {"a1", "a3", "y"}) {
    expect_data(*pair->net.blob_by_name(name), *pair->judge.blob_by_name(name), name);
  }
}

TEST_F(OneDnnConcat, ADropoutBehindItDoesNothing) {
  SKIP_WITHOUT_BLOCKS();
  const std::string begin = input(1, 16, 8, 8) + fire("x", "a", 16);
  const std::string end = conv("a", "y", 16, "kernel_size: 1");
  const auto without = make(begin + end), pair = make(begin + layer("Dropout", "a", "a") + end);
  EXPECT_EQ(joined(pair.get(), {"a1", "a3"}), 2);
  expect_right(pair.get());
  EXPECT_EQ(pair->forward(), without->forward()) << "conversions";
}

/// What a pass does not compute stays as it was.
TEST_F(OneDnnConcat, APassOverAPartChangesNothingElse) {
  const auto pair = make(two_fires());
  expect_right(pair.get());
  const int layers = static_cast<int>(pair->net.layers().size());
  for (int end = 1; end < layers; ++end) {
    SCOPED_TRACE(pair->net.layer_names()[end]);
    pair->fill_inputs();
    pair->net.ForwardTo(end);
    pair->judge.ForwardTo(end);
    expect_same_data(*pair);
    if (end + 1 == layers) continue;
    pair->net.ForwardFrom(end + 1);
    pair->judge.ForwardFrom(end + 1);
    expect_same_data(*pair);
    pair->fill_inputs();
    pair->net.ForwardFromTo(end, end);
    pair->judge.ForwardFromTo(end, end);
    expect_same_data(*pair);
    pair->net.Forward();
    pair->judge.Forward();
  }
}

TEST_F(OneDnnConcat, SeesWhatAProgramWrites) {
  const auto pair = make(two_fires());
  expect_right(pair.get());
  const auto net_layer = [&](const std::string& name) {
    const auto& names = pair->net.layer_names();
    return static_cast<int>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  for (const std::string name : {"a1", "a3", "a"}) {
    SCOPED_TRACE(name);
    pair->net.blob_by_name(name)->mutable_cpu_data()[5] = 7;
    pair->judge.blob_by_name(name)->mutable_cpu_data()[5] = 7;
    expect_same_data(*pair);
    const int start = net_layer(name == "a" ? "b1" : "a");
    pair->net.ForwardFrom(start);
    pair->judge.ForwardFrom(start);
    expect_data(*pair->net.blob_by_name("y"), *pair->judge.blob_by_name("y"), "y");
    expect_right(pair.get());
  }
  const auto held = pair->net.blob_by_name("a1")->data()->share_cpu_data();
  expect_right(pair.get());
  const auto whole = pair->net.blob_by_name("b")->data()->share_cpu_data();
  expect_right(pair.get());
}

TEST_F(OneDnnConcat, TakesAnotherShape) {
  const auto pair = make(two_fires());
  for (const int size : {9, 4, 17, 9}) {
    for (const int images : {1, 2, 1}) {
      pair->net.input_blobs()[0]->Reshape(images, 16, size, 10);
      pair->judge.input_blobs()[0]->Reshape(images, 16, size, 10);
      expect_right(pair.get());
    }
  }
}

TEST_F(OneDnnConcat, IsCopiedIntoWhileSomebodyLooks) {
  struct Look : Net<float>::Callback {
    explicit Look(const Blob<float>& blob) : blob(blob) {}
    void run(int) override { values.push_back(blob.cpu_data()[0]); }
    const Blob<float>& blob;
    std::vector<float> values;
  };
  const auto pair = make(two_fires(), false);
  expect_right(pair.get());
  const int concat = 1 + static_cast<int>(std::find(pair->net.layer_names().begin(),
                                                    pair->net.layer_names().end(), "a3") -
                                          pair->net.layer_names().begin());
  const float before = pair->net.blob_by_name("a")->cpu_data()[0];
  Look look(*pair->net.blob_by_name("a"));
  pair->net.add_before_forward(&look);
  pair->fill_inputs();
  pair->net.Forward();
  for (int i = 0; i <= concat; ++i) EXPECT_EQ(look.values[i], before) << "layer " << i;
}

}  // namespace caffe
