// Chains of layers: values passed from one to the next must not be converted.

#include <omp.h>

#include <cmath>
#include <sstream>

#include "caffe/layers/takes_followers.hpp"
#include "layers/onednn/net_pair.hpp"

namespace caffe {

class OneDnnChain : public OneDnn {
 protected:
  static std::string pool(const std::string& bottom, const std::string& top) {
    return layer("Pooling", bottom, top, "pooling_param { kernel_size: 3 stride: 2 }");
  }
  static std::string lrn(const std::string& bottom, const std::string& top) {
    return layer("LRN", bottom, top, "lrn_param { local_size: 5 alpha: 0.1 beta: 0.75 }");
  }
  // Before a BatchNorm, where a bias has no effect and its gradient is noise.
  static constexpr const char* kNoBias = "kernel_size: 3 pad: 1 bias_term: false";

  static std::string relu(const std::string& blob) { return layer("ReLU", blob, blob); }
  static std::string sum(const std::string& a, const std::string& b, const std::string& top,
                         const std::string& rest = "") {
    return "layer { name: '" + top + "' type: 'Eltwise' bottom: '" + a + "' bottom: '" + b +
           "' top: '" + top + "' " + rest + " }\n";
  }
  static std::string batch_norm(const std::string& bottom, const std::string& top) {
    return layer("BatchNorm", bottom, top) +
           layer("Scale", top, top, "scale_param { bias_term: true }");
  }
  static std::string alexnet_like() {
    return input(3, 3, 35, 35) + conv("x", "conv1", 32, "kernel_size: 5 stride: 2") +
           relu("conv1") + pool("conv1", "pool1") + lrn("pool1", "norm1") +
           conv("norm1", "conv2", 32, "kernel_size: 3 pad: 1 group: 2") + relu("conv2") +
           lrn("conv2", "norm2") + pool("norm2", "pool2") + conv("pool2", "conv3", 20) +
           relu("conv3");
  }
  /// Conversions in a backward pass of alexnet_like(): the gradient that the test gives is plain.
  /// The gradient of the images takes another one where oneDNN works on blocks of 8 channels: it
  /// has no fast code for 3 channels and a stride, and what conv.cpp does instead is the fastest
  /// (measured there).
  static int conversions_of_backward(const NetPair& pair) {
    return block_of(*pair.net.blob_by_name("conv1")) == 8 ? 2 : 1;
  }
  /// Sets the running sums of a BatchNorm to consistent values.
  static void set_statistics(NetPair* pair) {
    for (const auto& layer : pair->judge.layers()) {
      if (string(layer->type()) != "BatchNorm") continue;
      for (int i = 0; i < layer->blobs()[1]->count(); ++i) {
        layer->blobs()[1]->mutable_cpu_data()[i] = 1 + 0.1 * i;
      }
      layer->blobs()[2]->mutable_cpu_data()[0] = 2;
    }
    pair->copy_params();
  }
};

TEST_F(OneDnnChain, ConvertsNothingBetweenItsLayers) {
  SKIP_WITHOUT_BLOCKS();
  NetPair pair(alexnet_like());
  EXPECT_EQ(pair.forward(), 0);
  EXPECT_EQ(pair.backward(), conversions_of_backward(pair));
  pair.expect_equal();
}

/// As in training, without the gradient of the images.
TEST_F(OneDnnChain, ConvertsNothingBetweenItsLayersInTraining) {
  SKIP_WITHOUT_BLOCKS();
  NetPair pair("force_backward: false " + alexnet_like() +
               layer("Power", "conv3", "loss", "loss_weight: 1"));
  for (int iteration = 0; iteration < 2; ++iteration) {
    EXPECT_EQ(pair.forward(), 1) << "the Power layer is a plain one";
    EXPECT_EQ(pair.backward(), 1) << "and gives a plain gradient";
    pair.expect_equal();
  }
}

TEST_F(OneDnnChain, TakesPlainValuesOnlyFromWhoAsks) {
  SKIP_WITHOUT_BLOCKS();
  NetPair pair(alexnet_like());
  pair.forward();
  const Blob<float>& blob = *pair.net.blob_by_name("norm1");
  EXPECT_EQ(blob.data()->head(), SyncedMemory::HEAD_AT_FOREIGN);
  const int64_t before = reorder_count();
  blob.cpu_data();
  blob.cpu_data();
  EXPECT_EQ(reorder_count() - before, 1);
  EXPECT_EQ(pair.backward(), conversions_of_backward(pair)) << "a look makes nothing stale";
  pair.expect_equal();
}

TEST_F(OneDnnChain, WorksOnValuesWrittenInBetween) {
  NetPair pair(alexnet_like());
  pair.forward();
  const auto middle = pair.net.blob_by_name("pool1");
  const auto judges = pair.judge.blob_by_name("pool1");
  for (int i = 0; i < middle->count(); i += 3) {
    middle->mutable_cpu_data()[i] = 0.25f;
    judges->mutable_cpu_data()[i] = 0.25;
  }
  for (const auto name : {"norm1"}) {
    pair.net.ForwardFrom(pair.net.layer_names_index().at(name));
    pair.judge.ForwardFrom(pair.judge.layer_names_index().at(name));
  }
  pair.backward();
  pair.expect_equal();
}

TEST_F(OneDnnChain, KeepsArraysOfOthersUpToDate) {
  NetPair pair(alexnet_like());
  const auto held = pair.net.blob_by_name("conv2")->data()->share_cpu_data();
  pair.forward();
  pair.backward();
  const float* const values = static_cast<const float*>(held.get());
  EXPECT_EQ(values[5], pair.net.blob_by_name("conv2")->cpu_data()[5]);
  pair.expect_equal();
}

TEST_F(OneDnnChain, TakesAnotherBatchSizeInTheMiddle) {
  NetPair pair(alexnet_like());
  for (const int images : {3, 1, 5, 3}) {
    pair.net.input_blobs()[0]->Reshape(images, 3, 35, 35);
    pair.judge.input_blobs()[0]->Reshape(images, 3, 35, 35);
    pair.fill_inputs();
    EXPECT_EQ(pair.forward(), 0) << images;
    pair.backward();
    pair.expect_equal();
  }
}

TEST_F(OneDnnChain, GivesTheSameBitsAgain) {
  NetPair pair(alexnet_like());
  pair.run_and_compare();
  std::vector<std::vector<float>> first;
  for (int pass = 0; pass < 2; ++pass) {
    pair.net.ClearParamDiffs();
    pair.net.ForwardBackward();
    for (size_t i = 0; i < pair.net.params().size(); ++i) {
      const Blob<float>& param = *pair.net.params()[i];
      std::vector<float> gradient(param.cpu_diff(), param.cpu_diff() + param.count());
      if (pass == 0) first.push_back(gradient);
      EXPECT_EQ(gradient, first[i]) << "param " << i;
    }
  }
}

/// A residual block: a Split before, a sum after.
TEST_F(OneDnnChain, ConvertsNothingInResidualBlocks) {
  SKIP_WITHOUT_BLOCKS();
  const std::string text =
      input(2, 3, 12, 12) + conv("x", "a", 32, kNoBias) + batch_norm("a", "a") + relu("a") +
      conv("a", "b1", 16, "kernel_size: 1 bias_term: false") + batch_norm("b1", "b1") + relu("b1") +
      conv("b1", "b2", 32, kNoBias) + batch_norm("b2", "b2") + sum("a", "b2", "c") + relu("c") +
      conv("c", "d", 32) + sum("c", "d", "e", "eltwise_param { coeff: 0.5 coeff: 2 }");
  for (const Phase phase : {TRAIN, TEST}) {
    NetPair pair(text, phase);
    set_statistics(&pair);
    EXPECT_EQ(pair.forward(), 0);
    EXPECT_EQ(pair.backward(), 1);
    pair.expect_equal(3e-5);
    // The second iteration exchanges memory with the first.
    EXPECT_EQ(pair.forward(), 0);
    EXPECT_EQ(pair.backward(), 1);
    pair.expect_equal(3e-5);
  }
}

TEST_F(OneDnnChain, NormalisesOutOfPlace) {
  SKIP_WITHOUT_BLOCKS();
  for (const Phase phase : {TRAIN, TEST}) {
    NetPair pair(input(3, 3, 9, 9) + conv("x", "a", 48, kNoBias) + layer("BatchNorm", "a", "b") +
                     layer("Scale", "b", "c") + layer("ReLU", "c", "d") +
                     layer("Scale", "d", "e", "scale_param { bias_term: true }"),
                 phase);
    set_statistics(&pair);
    EXPECT_EQ(pair.forward(), 0);
    EXPECT_EQ(pair.backward(), 1);
    pair.expect_equal(3e-5);
  }
}

/// With given statistics and more pixels than are summed at once; with weights that do not learn.
TEST_F(OneDnnChain, NormalisesByGivenStatistics) {
  SKIP_WITHOUT_BLOCKS();
  for (const string learns : {"", "param { lr_mult: 0 } param { lr_mult: 0 }"}) {
    NetPair pair(input(3, 3, 19, 23) + conv("x", "a", 32, kNoBias) +
                 layer("BatchNorm", "a", "a", "batch_norm_param { use_global_stats: true }") +
                 layer("Scale", "a", "a", learns + " scale_param { bias_term: true }") + relu("a") +
                 conv("a", "b", 16, kNoBias) +
                 layer("BatchNorm", "b", "c", "batch_norm_param { use_global_stats: true }") +
                 layer("Scale", "c", "d", learns + " scale_param { bias_term: true }"));
    set_statistics(&pair);
    EXPECT_EQ(pair.forward(), 0);
    EXPECT_EQ(pair.backward(), 1);
    pair.backward();
    pair.expect_equal(3e-5);
  }
}

/// A BatchNorm and what is behind it, in place on "a" or from "a" to "b"; then one more layer.
class OneDnnNormalisation : public OneDnnChain {
 protected:
  struct Case {
    bool in_place, frozen;
    std::string behind;  // of the names Scale, ScaleOnly (no bias), Fixed (learns nothing), ReLU
  };
  static std::vector<Case> cases() {
    std::vector<Case> all;
    for (const bool in_place : {true, false}) {
      for (const bool frozen : {true, false}) {
        for (const char* const behind :
             {"Scale ReLU", "Scale", "ReLU", "ScaleOnly ReLU", "Fixed ReLU", ""}) {
          all.push_back({in_place, frozen, behind});
        }
      }
    }
    return all;
  }
  static std::string text_of(const Case& c) {
    const std::string y = c.in_place ? "a" : "b";
    std::string text =
        input(3, 3, 13, 17) + conv("x", "a", 32, kNoBias) +
        layer("BatchNorm", "a", y, c.frozen ? "batch_norm_param { use_global_stats: true }" : "");
    std::istringstream names(c.behind);
    for (std::string name; names >> name;) {
      if (name == "Scale") text += layer("Scale", y, y, "scale_param { bias_term: true }");
      if (name == "ScaleOnly") text += layer("Scale", y, y);
      if (name == "Fixed") {
        text += layer("Scale", y, y,
                      "param { lr_mult: 0 } param { lr_mult: 0 } scale_param { bias_term: true }");
      }
      if (name == "ReLU") text += relu(y);
    }
    return text + conv(y, "z", 16, "kernel_size: 1");
  }
  static std::string name_of(const Case& c) {
    return std::string(c.in_place ? "in place, " : "out of place, ") +
           (c.frozen ? "frozen, " : "learnt, ") + c.behind;
  }
  static size_t taken(const NetPair& pair) {
    return dynamic_cast<const TakesFollowers<float>&>(*pair.net.layers()[2]).taken();
  }
};

TEST_F(OneDnnNormalisation, TakesTheLayersBehindIt) {
  SKIP_WITHOUT_BLOCKS();
  for (const Case& c : cases()) {
    SCOPED_TRACE(name_of(c));
    NetPair pair(text_of(c));
    set_statistics(&pair);
    for (int iteration = 0; iteration < 2; ++iteration) {
      EXPECT_EQ(pair.forward(), 0);
      EXPECT_EQ(pair.backward(), 1);
      EXPECT_EQ(taken(pair), pair.net.layers().size() - 4);
      pair.expect_equal(3e-5);
    }
    pair.backward();
    pair.expect_equal(3e-5);
  }
}

/// Passes over parts of the layers: as one by one, and the averages count each pass once.
TEST_F(OneDnnNormalisation, StaysRightInPassesOverParts) {
  for (const Case& c : cases()) {
    for (int cut = 2; cut <= 5; ++cut) {
      SCOPED_TRACE(name_of(c) + ", cut at " + std::to_string(cut));
      NetPair pair(text_of(c));
      const int last = static_cast<int>(pair.net.layers().size()) - 1;
      if (cut > last) continue;
      set_statistics(&pair);
      pair.forward();
      pair.backward();
      pair.judge.BackwardTo(cut);
      pair.net.BackwardTo(cut);
      pair.expect_equal(3e-5);
      pair.judge.BackwardFromTo(cut - 1, 0);
      pair.net.BackwardFromTo(cut - 1, 0);
      pair.expect_equal(3e-5);
      pair.judge.ForwardTo(cut - 1);
      pair.net.ForwardTo(cut - 1);
      pair.expect_equal(3e-5);
      pair.judge.ForwardFrom(cut);
      pair.net.ForwardFrom(cut);
      pair.backward();
      pair.expect_equal(3e-5);
    }
  }
}

/// With gradients that nobody reads, the other gradients are the same.
TEST_F(OneDnnNormalisation, NeedsNoGradientsInBetween) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(name_of(c));
    NetPair pair(text_of(c));
    set_statistics(&pair);
    pair.net.KeepOnly({});
    pair.forward();
    pair.backward();
    for (size_t i = 0; i < pair.net.params().size(); ++i) {
      const Blob<float>& found = *pair.net.params()[i];
      const Blob<double>& expected = *pair.judge.params()[i];
      const double scale = std::max(1., static_cast<double>(expected.asum_diff()));
      for (int k = 0; k < found.count(); ++k) {
        ASSERT_NEAR(found.cpu_diff()[k], expected.cpu_diff()[k], 1e-6 * scale) << "param " << i;
      }
    }
    EXPECT_ERROR(pair.net.Backward(), "run forward again before backward");
  }
}

/// Below frozen layers there is no gradient; the Scale still learns.
TEST_F(OneDnnNormalisation, LearnsAboveFrozenLayers) {
  for (const Case& c : cases()) {
    if (c.behind.find("Scale") == std::string::npos) continue;
    SCOPED_TRACE(name_of(c));
    std::string text = "force_backward: false " + text_of(c);
    const std::string first = "name: 'a' type: 'Convolution'";
    text.replace(text.find(first), first.size(), "param { lr_mult: 0 } " + first);
    NetPair pair(text + layer("Power", "z", "loss", "loss_weight: 1"));
    set_statistics(&pair);
    for (int iteration = 0; iteration < 2; ++iteration) {
      pair.forward();
      pair.backward();
      pair.expect_equal(3e-5);
    }
  }
}

TEST_F(OneDnnNormalisation, GivesTheSameBitsForAnyNumberOfThreads) {
  const int before = omp_get_max_threads();
  for (const Case& c : cases()) {
    std::vector<std::vector<float>> first;
    for (const int threads : {1, 2, 3}) {
      omp_set_num_threads(threads);
      NetPair pair(text_of(c));
      set_statistics(&pair);
      pair.forward();
      // The convolutions' gradients are oneDNN's.
      std::vector<std::vector<float>> found;
      const Blob<float>& y = *pair.net.blob_by_name(c.in_place ? "a" : "b");
      found.emplace_back(y.cpu_data(), y.cpu_data() + y.count());
      const auto& layers = pair.net.layers();
      for (const auto& blob : layers[2]->blobs()) {
        found.emplace_back(blob->cpu_data(), blob->cpu_data() + blob->count());
      }
      if (first.empty()) first = found;
      EXPECT_EQ(found, first) << name_of(c) << ", threads " << threads;
    }
  }
  omp_set_num_threads(before);
}

/// A mean far from 0 costs no precision; a value that is no number is not hidden.
TEST_F(OneDnnNormalisation, IsExactFarFromZero) {
  NetPair pair(input(2, 16, 19, 23) + conv("x", "a", 16, "kernel_size: 1") + batch_norm("a", "a") +
               relu("a"));
  pair.make_identity("a");
  Blob<double>& bias = *pair.judge.layer_by_name("a")->blobs()[1];
  for (int i = 0; i < bias.count(); ++i) bias.mutable_cpu_data()[i] = 3000;
  pair.copy_params();
  pair.forward();
  // The convolution itself rounds to 1e-4 here, where values have a spread of 0.6.
  pair.expect_equal(1e-3);
  pair.net.input_blobs()[0]->mutable_cpu_data()[5] = std::nanf("");
  pair.net.Forward();
  EXPECT_TRUE(std::isnan(pair.net.blob_by_name("a")->cpu_data()[5]));
}

TEST_F(OneDnnChain, NormalisesPaddedBlocksInThePlainLayer) {
  NetPair pair(input(3, 3, 9, 9) + conv("x", "a", 20, kNoBias) + batch_norm("a", "a") + relu("a") +
               conv("a", "b", 16));
  pair.run_and_compare(3e-5);
}

TEST_F(OneDnnChain, ScalesByOtherAxesInThePlainLayer) {
  NetPair pair(input(2, 16, 5, 5) + conv("x", "a", 16) +
               layer("Scale", "a", "b", "scale_param { axis: 2 bias_term: true }") +
               layer("Scale", "b", "c", "scale_param { axis: 0 num_axes: 0 }"));
  pair.run_and_compare();
}

TEST_F(OneDnnChain, ConcatenatesBlocks) {
  SKIP_WITHOUT_BLOCKS();
  for (const int channels : {32, 20}) {
    NetPair pair(input(2, 3, 9, 9) + conv("x", "a", 16) + conv("x", "b", channels) + relu("b") +
                 "layer { name: 'c' type: 'Concat' bottom: 'a' bottom: 'b' top: 'c' }" +
                 conv("c", "d", 16));
    const int64_t in_forward = pair.forward();
    const int64_t in_backward = pair.backward();
    pair.expect_equal();
    if (channels == 32) {
      EXPECT_EQ(in_forward, 0);
      EXPECT_EQ(in_backward, 1);
    }
  }
}

TEST_F(OneDnnChain, PassesFromAndToPlainLayers) {
  NetPair pair(input(2, 16, 8, 8) + layer("TanH", "x", "t") + conv("t", "a", 16) +
               layer("TanH", "a", "b") + layer("ReLU", "b", "c") + conv("c", "d", 20) +
               pool("d", "e") +
               layer("InnerProduct", "e", "f", "inner_product_param { num_output: 7 }"));
  pair.run_and_compare();
}

/// Bottoms of a sum that get the same gradient share its memory; a layer in place that writes one
/// of them leaves the other alone.
TEST_F(OneDnnChain, BottomsOfASumShareAGradient) {
  for (const std::string coeffs : {"", "coeff: 2 coeff: 2", "coeff: 2 coeff: 1"}) {
    for (const bool with_relu : {false, true}) {
      SCOPED_TRACE(coeffs + (with_relu ? " with a ReLU" : ""));
      NetPair pair(input(2, 3, 9, 8) + conv("x", "a", 32, kNoBias) + batch_norm("a", "a") +
                   conv("x", "b", 32, kNoBias) + batch_norm("b", "b") + relu("b") +
                   sum("a", "b", "c", "eltwise_param { " + coeffs + " }") +
                   (with_relu ? relu("c") : "") + conv("c", "d", 16));
      pair.run_and_compare(3e-5);
      // An array that holds the memory of one of them.
      const auto held = pair.net.blob_by_name("b")->diff()->share_cpu_data();
      pair.run_and_compare(3e-5);
    }
  }
}

/// Where a blob has two readers, and is a sum itself: with and without its ReLU, and in a net that
/// keeps nothing, whose ReLU's gradient is computed in the same pass.
TEST_F(OneDnnChain, AddsTwoGradientsWhereTheyAreUsed) {
  for (const bool with_relu : {false, true}) {
    for (const bool keeps_all : {false, true}) {
      SCOPED_TRACE(testing::Message() << "ReLU " << with_relu << ", keeps all " << keeps_all);
      const auto block = [&](const std::string& from, const std::string& to) {
        return conv(from, from + to, 32) + sum(from, from + to, to) + (with_relu ? relu(to) : "");
      };
      NetPair pair(input(2, 3, 9, 8) + conv("x", "a", 32) + block("a", "b") + block("b", "c") +
                   layer("TanH", "b", "p") + block("c", "d") + pool("d", "y"));
      if (!keeps_all) pair.net.KeepOnly({});
      for (int iteration = 0; iteration < 2; ++iteration) {
        pair.forward();
        pair.backward();
        for (size_t i = 0; i < pair.net.params().size(); ++i) {
          const Blob<float>& found = *pair.net.params()[i];
          const Blob<double>& expected = *pair.judge.params()[i];
          double scale = 1;
          for (int k = 0; k < found.count(); ++k) {
            scale = std::max(scale, std::abs(expected.cpu_diff()[k]));
          }
          for (int k = 0; k < found.count(); ++k) {
            ASSERT_NEAR(found.cpu_diff()[k], expected.cpu_diff()[k], 3e-5 * scale) << "param " << i;
          }
        }
      }
      if (keeps_all) pair.expect_equal(3e-5);
    }
  }
}

TEST_F(OneDnnChain, SplitSumsAnyGradientsOfItsReaders) {
  NetPair pair(input(2, 3, 8, 8) + conv("x", "a", 16) + conv("a", "b", 16) +
               layer("TanH", "a", "c") + layer("TanH", "a", "d") + layer("ReLU", "a", "e"));
  pair.run_and_compare();
}

}  // namespace caffe
