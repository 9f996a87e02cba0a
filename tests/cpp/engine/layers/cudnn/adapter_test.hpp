#ifndef TESTS_CPP_ENGINE_LAYERS_CUDNN_ADAPTER_TEST_HPP_
#define TESTS_CPP_ENGINE_LAYERS_CUDNN_ADAPTER_TEST_HPP_

// Layers by cuDNN on the shadow device, with the stand-in of tests/shadow/cudnn, beside the plain
// layers there.

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "caffe/layers/cudnn/plan.hpp"
#include "layers/layer_test.hpp"
#include "tests/shadow/control.hpp"
#include "tests/shadow/cudnn/record.hpp"

namespace caffe {

/// An environment variable for the life of the object.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Setting() { unsetenv(name_); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  const char* name_;
};

template <typename TypeParam>
class AdapterTest : public LayerTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;
  typedef std::vector<cudnn::Convolution> Runs;

  void SetUp() override {
    LayerTest<TypeParam>::SetUp();
    shadow_cudnn::clear();
  }
  void TearDown() override {
    shadow_cudnn::clear();
    LayerTest<TypeParam>::TearDown();
  }

  /// What a forward and a backward pass compute, one vector for each blob: tops, the bottoms'
  /// gradients, the parameters' gradients (which had been 1).
  std::vector<std::vector<double>> results(const std::string& text) {
    Caffe::set_random_seed(7);
    this->top.clear();
    for (size_t i = 0; i < this->bottom.size(); ++i) this->add_top();
    auto layer = this->forward(text);
    for (const auto& blob : layer->blobs()) {
      std::fill_n(blob->mutable_cpu_diff(), blob->count(), Dtype(1));
    }
    std::vector<std::vector<double>> found;
    for (size_t i = 0; i < this->top.size(); ++i) {
      found.push_back(this->data(*this->top[i]));
      this->fill_random(this->top[i], 50 + static_cast<int>(i));
      std::copy_n(this->top[i]->cpu_data(), this->top[i]->count(),
                  this->top[i]->mutable_cpu_diff());
    }
    layer->Backward(this->top, std::vector<bool>(this->bottom.size(), true), this->bottom);
    for (const Blob<Dtype>* blob : this->bottom) found.push_back(this->diff(*blob));
    for (const auto& blob : layer->blobs()) found.push_back(this->diff(*blob));
    return found;
  }

  /// The passes that were run while the default engine computed what the plain layer computes; it
  /// must be the same. `text` has ENGINE where the engine belongs.
  Runs expect_the_plain_results(const std::string& text) {
    SCOPED_TRACE(text);
    const auto with_engine = [&text](const std::string& engine) {
      std::string filled = text;
      return filled.replace(filled.find("ENGINE"), 6, "engine: " + engine);
    };
    const auto expected = results(with_engine("CAFFE"));
    EXPECT_TRUE(shadow_cudnn::runs().empty());
    const auto found = results(with_engine("DEFAULT"));
    EXPECT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      SCOPED_TRACE("blob " + std::to_string(i));
      this->expect_near(found[i], expected[i], sizeof(Dtype) == 4 ? 2e-5 : 1e-12);
    }
    const Runs runs = shadow_cudnn::runs();
    shadow_cudnn::clear();
    return runs;
  }
};

}  // namespace caffe

#endif  // TESTS_CPP_ENGINE_LAYERS_CUDNN_ADAPTER_TEST_HPP_
