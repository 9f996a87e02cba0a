// What a convolution computes for the layers behind it, and what it keeps.

#include <cmath>
#include <limits>

#include "caffe/layers/takes_followers.hpp"
#include "layers/onednn/net_pair.hpp"

namespace caffe {

class OneDnnFolding : public OneDnn {
 protected:
  static std::string in_place(const std::string& type, const std::string& blob,
                              const std::string& rest = "") {
    return layer(type, blob, blob, rest);
  }
  static std::string batch_norm_and_scale(const std::string& blob,
                                          const std::string& scale = "bias_term: true") {
    return in_place("BatchNorm", blob) + in_place("Scale", blob, "scale_param { " + scale + " }");
  }
  /// Two convolutions with all that can be folded.
  static std::string chain(const std::string& conv_param = "kernel_size: 3 pad: 1") {
    return input(2, 16, 9, 10) + conv("x", "a", 32, conv_param) + batch_norm_and_scale("a") +
           in_place("ReLU", "a") + in_place("Dropout", "a") +
           conv("a", "b", 16, "kernel_size: 1 bias_term: false") + batch_norm_and_scale("b");
  }

  /// A TEST net with sensible statistics.
  static std::unique_ptr<NetPair> make(const std::string& text, bool keep = true) {
    auto pair = std::make_unique<NetPair>(text, TEST);
    for (const auto& layer : pair->judge.layers()) {
      if (string(layer->type()) != "BatchNorm") continue;
      double* const variances = layer->blobs()[1]->mutable_cpu_data();
      for (int c = 0; c < layer->blobs()[1]->count(); ++c) variances[c] = 1 + 0.1 * c;
      layer->blobs()[2]->mutable_cpu_data()[0] = 2;
    }
    pair->copy_params();
    if (keep) pair->net.KeepOnly(pair->net.blob_names());
    return pair;
  }

  static size_t taken(const NetPair& pair, const std::string& name) {
    const auto layer = pair.net.layer_by_name(name);
    return dynamic_cast<const TakesFollowers<float>&>(*layer).taken();
  }

  /// One forward pass; compares the data of all blobs.
  static void expect_forward(NetPair* pair, double tolerance = 1e-5) {
    pair->forward();
    for (size_t i = 0; i < pair->net.blobs().size(); ++i) {
      const Blob<float>& found = *pair->net.blobs()[i];
      const Blob<double>& expected = *pair->judge.blobs()[i];
      double scale = 1;
      for (int k = 0; k < found.count(); ++k) {
        scale = std::max(scale, std::abs(expected.cpu_data()[k]));
      }
      for (int k = 0; k < found.count(); ++k) {
        ASSERT_NEAR(found.cpu_data()[k], expected.cpu_data()[k], tolerance * scale)
            << pair->net.blob_names()[i] << ", element " << k;
      }
    }
  }
};

TEST_F(OneDnnFolding, ComputesTheLayersBehindAConvolution) {
  SKIP_UNLESS_X86();
  for (const char* const param :
       {"kernel_size: 3 pad: 1", "kernel_size: 3 bias_term: false", "kernel_size: 1",
        "kernel_size: 3 stride: 2 group: 2", "kernel_size: 5 pad: 2 group: 16"}) {
    SCOPED_TRACE(param);
    const auto pair = make(chain(param));
    for (int pass = 0; pass < 2; ++pass) {
      expect_forward(pair.get());
      EXPECT_EQ(taken(*pair, "a"), 4u);
      EXPECT_EQ(taken(*pair, "b"), 2u);
    }
  }
}

TEST_F(OneDnnFolding, TakesOnlyWhatItCanCompute) {
  SKIP_WITHOUT_BLOCKS();
  const struct {
    std::string followers;
    size_t count;
  } kCases[] = {
      {in_place("ReLU", "a", "relu_param { negative_slope: 0.25 }"), 1},
      {in_place("ReLU", "a") + batch_norm_and_scale("a"), 1},
      {in_place("ReLU", "a") + in_place("Sigmoid", "a"), 1},
      {in_place("Scale", "a", "scale_param { axis: -3 }") + in_place("ReLU", "a"), 2},
      {in_place("Scale", "a", "scale_param { axis: 0 num_axes: 1 }"), 0},
      {in_place("Scale", "a", "scale_param { axis: 1 num_axes: 2 }"), 0},
      {in_place("Scale", "a", "scale_param { axis: 2 num_axes: 1 }"), 0},
      {in_place("BatchNorm", "a", "batch_norm_param { use_global_stats: false }"), 0},
      {in_place("Sigmoid", "a") + in_place("ReLU", "a"), 0},
      {in_place("Dropout", "a", "dropout_param { scale_train: false }"), 0},
      {layer("ReLU", "a", "b"), 0},
  };
  for (const auto& each : kCases) {
    SCOPED_TRACE(each.followers);
    // As many rows as channels: an axis is told by its number, not by its length.
    const auto pair =
        make(input(16, 16, 16, 9) + conv("x", "a", 16, "kernel_size: 1") + each.followers);
    expect_forward(pair.get());
    EXPECT_EQ(taken(*pair, "a"), each.count);
  }
}

TEST_F(OneDnnFolding, ASlopeIsRightForEveryAlgorithm) {
  for (const int size : {3, 40}) {  // the larger one suits Winograd's
    const auto pair = make(input(2, 16, size, size) + conv("x", "a", 16) +
                           in_place("ReLU", "a", "relu_param { negative_slope: 0.25 }"));
    expect_forward(pair.get());
  }
}

TEST_F(OneDnnFolding, TakesAReluAloneIfWeightsMayNotBeKept) {
  SKIP_WITHOUT_BLOCKS();
  const auto pair = make(chain() + conv("b", "c", 16) + in_place("ReLU", "c"), false);
  expect_forward(pair.get());
  for (const char* const name : {"a", "b"}) EXPECT_EQ(taken(*pair, name), 0u) << name;
  EXPECT_EQ(taken(*pair, "c"), 1u);
}

/// Not a number stays one behind a ReLU, as in Caffe: a 0 would hide it.
TEST_F(OneDnnFolding, HidesNoNan) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const auto count_nan = [](const auto& blob) {
    int count = 0;
    for (int i = 0; i < blob.count(); ++i) count += std::isnan(blob.cpu_data()[i]);
    return count;
  };
  const std::string nets[] = {
      chain("kernel_size: 3 stride: 2"), chain("kernel_size: 1"),
      input(2, 16, 9, 10) + conv("x", "a", 16, "kernel_size: 1") + in_place("ReLU", "a")};
  for (const std::string& text : nets) {
    const bool has_scale = text.find("Scale") != std::string::npos;
    const int blobs = 1 + static_cast<int>(make(text)->net.params().size());
    for (const double value : {nan, inf, -inf}) {
      // The plain ReLU makes 0 * inf = NaN of -inf; one that another layer computes makes 0.
      if (has_scale && !std::isnan(value)) continue;
      for (int b = 0; b < blobs; ++b) {
        SCOPED_TRACE(text + std::to_string(value) + " in blob " + std::to_string(b));
        const auto pair = make(text);
        pair->forward();
        Blob<double>* const judge =
            b == 0 ? pair->judge.input_blobs()[0] : pair->judge.params()[b - 1].get();
        Blob<float>* const found =
            b == 0 ? pair->net.input_blobs()[0] : pair->net.params()[b - 1].get();
        judge->mutable_cpu_data()[0] = value;
        found->mutable_cpu_data()[0] = static_cast<float>(value);
        pair->forward();
        EXPECT_EQ(count_nan(*pair->net.blob_by_name("a")),
                  count_nan(*pair->judge.blob_by_name("a")));
      }
    }
  }
}

TEST_F(OneDnnFolding, TakesNoScaleWhileTraining) {
  NetPair pair(chain(), TRAIN);
  pair.net.KeepOnly(pair.net.blob_names());
  pair.net.Forward();
  EXPECT_EQ(taken(pair, "a"), 0u);
}

TEST_F(OneDnnFolding, TakesAReluWhileTraining) {
  SKIP_UNLESS_X86();
  for (const char* const param : {"kernel_size: 3 pad: 1", "kernel_size: 5 pad: 2 group: 2",
                                  "kernel_size: 3 stride: 2", "kernel_size: 3 bias_term: false"}) {
    for (const char* const slope : {"", "relu_param { negative_slope: 0.25 }"}) {
      SCOPED_TRACE(std::string(param) + " " + slope);
      NetPair pair(input(2, 16, 40, 40) + conv("x", "a", 64, param) + in_place("ReLU", "a", slope) +
                   in_place("Dropout", "a", "dropout_param { dropout_ratio: 0 }") +
                   conv("a", "b", 16));
      pair.run_and_compare();
      if (*slope == '\0') {
        EXPECT_EQ(taken(pair, "a"), 1u);
      }
    }
  }
}

/// A ReLU in oneDNN's kernel costs a look at the bottom.
TEST_F(OneDnnFolding, TakesNoReluOfAMuchLargerBottom) {
  NetPair pair(input(2, 64, 15, 15) + conv("x", "a", 8, "kernel_size: 3 stride: 2") +
               in_place("ReLU", "a"));
  pair.run_and_compare();
  EXPECT_EQ(taken(pair, "a"), 0u);
}

TEST_F(OneDnnFolding, SeesEveryChangeOfALearntBlob) {
  const auto pair = make(chain());
  expect_forward(pair.get());
  for (size_t p = 0; p < pair->net.params().size(); ++p) {
    SCOPED_TRACE("parameter " + std::to_string(p));
    pair->judge.params()[p]->mutable_cpu_data()[0] += 0.5;
    pair->net.params()[p]->mutable_cpu_data()[0] += 0.5f;
    expect_forward(pair.get());
    pair->judge.params()[p]->scale_data(0.75);
    pair->net.params()[p]->scale_data(0.75f);
    expect_forward(pair.get());
  }
  for (const auto& param : pair->judge.params()) param->scale_data(1.25);
  pair->copy_params();
  expect_forward(pair.get());
}

TEST_F(OneDnnFolding, SeesWhatAHolderWrites) {
  const auto pair = make(chain());
  for (size_t p = 0; p < pair->net.params().size(); ++p) {
    SCOPED_TRACE("parameter " + std::to_string(p));
    const auto held = pair->net.params()[p]->data()->share_cpu_data();
    for (int pass = 0; pass < 3; ++pass) {
      expect_forward(pair.get());
      pair->judge.params()[p]->mutable_cpu_data()[0] += 0.25;
      static_cast<float*>(held.get())[0] += 0.25f;
    }
  }
  expect_forward(pair.get());
}

TEST_F(OneDnnFolding, SeesWhatTheOwnerOfGivenMemoryWrites) {
  const auto pair = make(chain());
  std::vector<std::vector<float>> given;
  for (const auto& param : pair->net.params()) {
    given.emplace_back(param->cpu_data(), param->cpu_data() + param->count());
    param->set_cpu_data(given.back().data());
  }
  expect_forward(pair.get());
  for (size_t p = 0; p < given.size(); ++p) {
    SCOPED_TRACE("parameter " + std::to_string(p));
    pair->judge.params()[p]->mutable_cpu_data()[0] += 0.25;
    given[p][0] += 0.25f;
    expect_forward(pair.get());
  }
}

/// As in Caffe, if nobody has said that it does not happen.
TEST_F(OneDnnFolding, SeesWhatIsWrittenThroughAnOldPointer) {
  const auto pair = make(chain(), false);
  std::vector<float*> pointers;
  for (const auto& param : pair->net.params()) pointers.push_back(param->mutable_cpu_data());
  expect_forward(pair.get());
  for (size_t p = 0; p < pointers.size(); ++p) {
    SCOPED_TRACE("parameter " + std::to_string(p));
    pair->judge.params()[p]->mutable_cpu_data()[0] += 0.25;
    pointers[p][0] += 0.25f;
    expect_forward(pair.get());
  }
}

TEST_F(OneDnnFolding, NetsThatShareWeightsSeeEachOthersChanges) {
  const auto one = make(chain()), two = make(chain());
  two->net.ShareTrainedLayersWith(&one->net);
  for (int step = 0; step < 3; ++step) {
    for (size_t p = 0; p < one->net.params().size(); ++p) {
      const double change = 0.125 * (step + 1);
      one->judge.params()[p]->mutable_cpu_data()[0] += change;
      two->judge.params()[p]->CopyFrom(*one->judge.params()[p]);
      one->net.params()[p]->mutable_cpu_data()[0] += static_cast<float>(change);
    }
    for (int pass = 0; pass < 2; ++pass) {
      expect_forward(one.get());
      expect_forward(two.get());
    }
  }
}

TEST_F(OneDnnFolding, TakesAnotherShape) {
  const auto pair = make(chain());
  for (const int images : {2, 1, 5, 2}) {
    pair->net.input_blobs()[0]->Reshape(images, 16, 7 + images, 10);
    pair->judge.input_blobs()[0]->Reshape(images, 16, 7 + images, 10);
    pair->fill_inputs();
    expect_forward(pair.get());
  }
}

TEST_F(OneDnnFolding, ABackwardPassIsRight) {
  const auto pair = make(chain());
  pair->run_and_compare();
  pair->run_and_compare();
}

TEST_F(OneDnnFolding, APassOverAPartEndsWhereItShould) {
  const auto pair = make(chain());
  expect_forward(pair.get());
  const int layers = static_cast<int>(pair->net.layers().size());
  for (int end = 1; end < layers; ++end) {
    SCOPED_TRACE(pair->net.layer_names()[end]);
    pair->net.ForwardTo(end);
    pair->judge.ForwardTo(end);
    const Blob<float>& found = *pair->net.top_vecs()[end][0];
    const Blob<double>& expected = *pair->judge.top_vecs()[end][0];
    for (int k = 0; k < found.count(); ++k) {
      ASSERT_NEAR(found.cpu_data()[k], expected.cpu_data()[k], 1e-4) << "element " << k;
    }
    if (end + 1 < layers) {
      pair->net.ForwardFrom(end + 1);
      pair->judge.ForwardFrom(end + 1);
    }
    EXPECT_NEAR(pair->net.output_blobs()[0]->cpu_data()[3],
                pair->judge.output_blobs()[0]->cpu_data()[3], 1e-4);
  }
}

}  // namespace caffe
