#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <tuple>

#include "kernels/maap.pb.h"
#include "kernels/region.hpp"
#include "kernels/render.hpp"
#include "tests/cpp/caffe_layers/gradient_checker.hpp"
#include "tests/cpp/caffe_layers/layer_helpers.hpp"

namespace {

using caffe::EliminationParameter;

template <typename TypeParam>
class EliminationTest : public DeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype T;

  EliminationTest() : f_(2, 3, 4, 5), d_(2, 2, 9, 11) {
    // Image 0 attends to a blob in the middle, image 1 to its lower right corner.
    for (int n = 0; n < 2; ++n) {
      for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < 4; ++y) {
          for (int x = 0; x < 5; ++x) {
            const double dy = y - (n ? 3 : 1.5), dx = x - (n ? 4 : 2);
            f_.mutable_cpu_data()[f_.offset(n, c, y, x)] =
                T((c + 1) * std::exp(-(dy * dy + dx * dx) / 2));
          }
        }
      }
    }
    fill(&d_, random_values<T>(d_.count(), 8));
  }
  /// Runs forward with all four tops.
  void forward(const std::string& param) {
    layer_ = make_layer<T>("Elimination", param);
    layer_->SetUp({&f_, &d_}, {&d_star_, &r_, &a_, &s_});
    layer_->Forward({&f_, &d_}, {&d_star_, &r_, &a_, &s_});
  }
  std::vector<T> region(int n) const {
    return std::vector<T>(r_.cpu_data() + 4 * n, r_.cpu_data() + 4 * n + 4);
  }

  caffe::Blob<T> f_, d_, d_star_, r_, a_, s_;
  decltype(make_layer<T>("")) layer_;
};
TYPED_TEST_SUITE(EliminationTest, DtypesAndDevices);

TYPED_TEST(EliminationTest, Gradient) {
  typedef typename TypeParam::Dtype T;
  for (const maap::AStar a_star : maap::kAStars) {
    for (const char* at : {"INPUT", "MAP"}) {
      const std::string param =
          std::string("a_star: ") + maap::name_of(a_star) + " threshold_at: " + at;
      SCOPED_TRACE(param);
      check_gradients<T>(make_layer<T>("Elimination", param).get(), {&this->f_, &this->d_},
                         {&this->d_star_}, {1});
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(EliminationTest, GradientWhenTheInputIsSmallerThanTheMapOrHasOneRow) {
  typedef typename TypeParam::Dtype T;
  for (const auto& shape :
       std::vector<std::vector<int>>{{2, 1, 3, 2}, {2, 2, 1, 6}, {2, 1, 8, 1}}) {
    this->d_.Reshape(shape);
    fill(&this->d_, random_values<T>(this->d_.count(), 9));
    for (const char* a_star : {"ROI", "REDUCE"}) {
      check_gradients<T>(make_layer<T>("Elimination", std::string("a_star: ") + a_star).get(),
                         {&this->f_, &this->d_}, {&this->d_star_}, {1});
    }
  }
}

TYPED_TEST(EliminationTest, NothingFlowsToTheFeatures) {
  typedef typename TypeParam::Dtype T;
  this->forward("a_star: ALLSOFT");
  fill(&this->f_, values(this->f_));
  for (auto* top : {&this->d_star_, &this->r_, &this->a_, &this->s_}) {
    std::fill_n(top->mutable_cpu_diff(), top->count(), T(3));
  }
  std::fill_n(this->f_.mutable_cpu_diff(), this->f_.count(), T(5));
  this->layer_->Backward({&this->d_star_, &this->r_, &this->a_, &this->s_}, {true, true},
                         {&this->f_, &this->d_});
  for (int i = 0; i < this->f_.count(); ++i) ASSERT_EQ(this->f_.cpu_diff()[i], 0);
  for (int i = 0; i < this->d_.count(); ++i) {  // the gradients of R, A and S change nothing
    const int pixel = i % 99 + i / 198 * 99;
    ASSERT_EQ(this->d_.cpu_diff()[i], 3 * this->a_.cpu_data()[pixel]);
  }
}

TYPED_TEST(EliminationTest, RegionsHoldThePeaks) {
  this->forward("");
  const auto middle = this->region(0), corner = this->region(1);
  EXPECT_LE(middle[0], 5);
  EXPECT_GT(middle[2], 6);
  EXPECT_GT(middle[0], 0);
  EXPECT_LT(middle[2], 11);
  EXPECT_EQ(corner[2], 11);
  EXPECT_EQ(corner[3], 9);
  EXPECT_GT(corner[0], 0);
  for (int n = 0; n < 2; ++n) EXPECT_EQ(this->s_.cpu_data()[5 * n + 4], 0);
}

TYPED_TEST(EliminationTest, AFlatMapMeansTheWholeImageAndSaysSo) {
  typedef typename TypeParam::Dtype T;
  std::fill_n(this->f_.mutable_cpu_data(), this->f_.count(), T(0.7));
  for (const char* at : {"INPUT", "MAP"}) {
    this->forward(std::string("threshold_at: ") + at);
    EXPECT_EQ((std::vector<T>{0, 0, 11, 9}), this->region(0));
    EXPECT_EQ(this->s_.cpu_data()[4], 1);
    EXPECT_EQ(this->s_.cpu_data()[0], this->s_.cpu_data()[1]);
    EXPECT_EQ(this->s_.cpu_data()[1], this->s_.cpu_data()[2]);
    EXPECT_EQ(values(this->d_), values(this->d_star_));
  }
}

TYPED_TEST(EliminationTest, ANaNOrAnInfinityNamesLayerAndImage) {
  typedef typename TypeParam::Dtype T;
  using Limits = std::numeric_limits<T>;
  for (const T bad : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
    const T good = this->f_.cpu_data()[this->f_.offset(1, 2, 3, 4)];
    this->f_.mutable_cpu_data()[this->f_.offset(1, 2, 3, 4)] = bad;
    const std::string message = message_of([&] { this->forward(""); });
    EXPECT_HAS(message, "'layer under test' (Elimination)");
    EXPECT_HAS(message, "image 1 in the batch holds a NaN or an infinity");
    this->f_.mutable_cpu_data()[this->f_.offset(1, 2, 3, 4)] = good;
  }
}

TYPED_TEST(EliminationTest, FollowsAChangeOfShape) {
  typedef typename TypeParam::Dtype T;
  this->forward("");
  this->d_.Reshape({2, 2, 40, 30});
  fill(&this->d_, random_values<T>(this->d_.count(), 8));
  this->layer_->Forward({&this->f_, &this->d_}, {&this->d_star_, &this->r_, &this->a_, &this->s_});
  EXPECT_EQ((std::vector<int>{2, 1, 40, 30}), this->a_.shape());
  EXPECT_EQ(this->region(1)[2], 30);
  EXPECT_EQ(this->region(1)[3], 40);
}

TYPED_TEST(EliminationTest, WrongParametersShapesAndNamesAreErrors) {
  typedef typename TypeParam::Dtype T;
  EXPECT_HAS(message_of([&] { this->forward("a_star: CROP"); }), "a_star: ROI | UNCORRELATED");
  EXPECT_HAS(message_of([&] { this->forward("a_star: 99"); }), "a_star: ROI | UNCORRELATED");
  EXPECT_HAS(message_of([&] { this->forward("threshold_at: 2"); }), "threshold_at: INPUT | MAP");
  EXPECT_HAS(message_of([&] { this->forward("astar: ROI"); }), "line 1, column 6");
  caffe::Blob<T> other(3, 2, 9, 11), flat(std::vector<int>{2, 9}), top;
  EXPECT_HAS(message_of([&] { make_layer<T>("Elimination")->SetUp({&this->f_, &other}, {&top}); }),
             "both need the same number of images");
  EXPECT_HAS(message_of([&] { make_layer<T>("Elimination")->SetUp({&this->f_, &flat}, {&top}); }),
             "bottom[1] 'bottom1' must be the input data");
  EXPECT_HAS(
      message_of([&] { make_layer<T>("Elimination")->SetUp({&this->f_, &this->d_}, {&this->d_}); }),
      "cannot work in place");
}

/// The numbers and names of the proto's enum are those of the kernels'.
TEST(EliminationParameters, AreTheKernels) {
  const auto* const a_stars = EliminationParameter::AStar_descriptor();
  ASSERT_EQ(a_stars->value_count(),
            static_cast<int>(std::distance(std::begin(maap::kAStars), std::end(maap::kAStars))));
  for (int i = 0; i < a_stars->value_count(); ++i) {
    EXPECT_EQ(a_stars->value(i)->number(), static_cast<int>(maap::kAStars[i]));
    EXPECT_EQ(a_stars->value(i)->name(), maap::name_of(maap::kAStars[i]));
  }
  const auto* const places = EliminationParameter::ThresholdAt_descriptor();
  ASSERT_EQ(places->value_count(), 2);
  for (int i = 0; i < places->value_count(); ++i) {
    EXPECT_EQ(places->value(i)->name(),
              maap::name_of(static_cast<maap::ThresholdAt>(places->value(i)->number())));
  }
}

}  // namespace
