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
  /// One image whose map has these values, all in (0, 1), and is as large as the input.
  void set_map(int height, int width, const std::vector<double>& map) {
    f_.Reshape({1, 1, height, width});
    d_.Reshape({1, 1, height, width});
    for (size_t i = 0; i < map.size(); ++i)
      f_.mutable_cpu_data()[i] = T(std::log(map[i] / (1 - map[i])));
    fill(&d_, random_values<T>(d_.count(), 8, 1, 2));
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

TYPED_TEST(EliminationTest, GradientWithOtherRegions) {
  typedef typename TypeParam::Dtype T;
  for (const std::string a_star : {"ROI", "ENHANCE", "DROP"}) {
    for (const char* rule :
         {"threshold: MEAN component: STRONGEST", "threshold: FRACTION fraction: 0.3 padding: 0.2",
          "connectivity: 4 border: 1 threshold_at: MAP"}) {
      const std::string param = "a_star: " + a_star + " " + rule;
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

/// Two rows of a large weak part on the left, a small strong one on the right, and a single pixel
/// that touches the first by a corner.
TYPED_TEST(EliminationTest, EveryOptionMovesTheRegion) {
  typedef typename TypeParam::Dtype T;
  this->set_map(4, 8, {0.6, 0.6, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1,  //
                       0.6, 0.6, 0.6, 0.1, 0.1, 0.1, 0.9, 0.1,  //
                       0.1, 0.1, 0.1, 0.6, 0.1, 0.1, 0.9, 0.1,  //
                       0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1});
  const std::map<std::string, std::vector<T>> expected = {
      {"", {0, 0, 4, 3}},
      {"connectivity: 4", {0, 0, 3, 2}},
      {"component: STRONGEST", {6, 1, 7, 3}},
      {"threshold: MEAN", {0, 0, 4, 3}},
      {"threshold: FRACTION fraction: 0.7", {6, 1, 7, 3}},
      {"threshold: FRACTION", {0, 0, 4, 3}},
      {"padding: 0.5", {0, 0, 6, 4}},
      {"component: STRONGEST padding: 0.5", {5, 0, 8, 4}},
      {"component: STRONGEST padding: 10", {0, 0, 8, 4}},
      {"component: STRONGEST border: 1", {6, 0, 8, 4}}};
  for (const auto& one : expected) {
    for (const char* at : {" threshold_at: INPUT", " threshold_at: MAP"}) {
      SCOPED_TRACE(one.first + at);
      this->forward(one.first + at);
      EXPECT_EQ(one.second, this->region(0));
    }
  }
}

TYPED_TEST(EliminationTest, TheBorderBecomesWhatLiesBesideIt) {
  typedef typename TypeParam::Dtype T;
  this->set_map(4, 4,
                {0.9, 0.9, 0.9, 0.9,  //
                 0.9, 0.1, 0.3, 0.9,  //
                 0.9, 0.2, 0.4, 0.9,  //
                 0.9, 0.9, 0.9, 0.9});
  this->forward("border: 1");
  const double expected[] = {0.1, 0.1, 0.3, 0.3, 0.1, 0.1, 0.3, 0.3,
                             0.2, 0.2, 0.4, 0.4, 0.2, 0.2, 0.4, 0.4};
  for (int i = 0; i < 16; ++i) EXPECT_NEAR(this->a_.cpu_data()[i], expected[i], 1e-6);
  EXPECT_NEAR(this->s_.cpu_data()[1], 0.1, 1e-6);
  EXPECT_NEAR(this->s_.cpu_data()[2], 0.4, 1e-6);
  EXPECT_EQ((std::vector<T>{2, 0, 4, 4}), this->region(0));
}

TYPED_TEST(EliminationTest, DropHidesWhatIsAboveTheThreshold) {
  typedef typename TypeParam::Dtype T;
  for (const char* rule : {"", " threshold: MEAN", " threshold_at: MAP threshold: FRACTION"}) {
    this->forward(std::string("a_star: DROP") + rule);
    int dropped = 0;
    for (int i = 0; i < this->d_.count(); ++i) {
      const int n = i / 198, pixel = i % 99 + n * 99;
      const bool above = this->a_.cpu_data()[pixel] > this->s_.cpu_data()[5 * n];
      EXPECT_EQ(this->d_star_.cpu_data()[i], above ? T(0) : this->d_.cpu_data()[i]);
      dropped += above;
    }
    EXPECT_GT(dropped, 0);
    EXPECT_LT(dropped, this->d_.count());
  }
}

TYPED_TEST(EliminationTest, AFlatMapIsKeptWholeByEveryRule) {
  typedef typename TypeParam::Dtype T;
  std::fill_n(this->f_.mutable_cpu_data(), this->f_.count(), T(0.7));
  for (const char* rule :
       {"threshold: MEAN padding: 1", "threshold: FRACTION component: STRONGEST connectivity: 4",
        "border: 1 threshold_at: MAP", "a_star: DROP", "a_star: DROP threshold_at: MAP"}) {
    SCOPED_TRACE(rule);
    this->forward(rule);
    EXPECT_EQ((std::vector<T>{0, 0, 11, 9}), this->region(0));
    EXPECT_EQ(this->s_.cpu_data()[4], 1);
    EXPECT_EQ(values(this->d_), values(this->d_star_));
  }
}

TYPED_TEST(EliminationTest, ANaNInTheBorderIsAnErrorToo) {
  typedef typename TypeParam::Dtype T;
  this->f_.mutable_cpu_data()[this->f_.offset(1, 0, 0, 0)] = std::numeric_limits<T>::quiet_NaN();
  EXPECT_HAS(message_of([&] { this->forward("border: 1"); }), "image 1 in the batch holds a NaN");
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
  EXPECT_HAS(
      message_of([&] { this->forward("threshold: MEDIAN"); }),
      "threshold: OTSU | MEAN | FRACTION; fraction: NUMBER; component: LARGEST | STRONGEST;");
  caffe::Blob<T> other(3, 2, 9, 11), flat(std::vector<int>{2, 9}), top;
  EXPECT_HAS(message_of([&] { make_layer<T>("Elimination")->SetUp({&this->f_, &other}, {&top}); }),
             "both need the same number of images");
  EXPECT_HAS(message_of([&] { make_layer<T>("Elimination")->SetUp({&this->f_, &flat}, {&top}); }),
             "bottom[1] 'bottom1' must be the input data");
  EXPECT_HAS(
      message_of([&] { make_layer<T>("Elimination")->SetUp({&this->f_, &this->d_}, {&this->d_}); }),
      "cannot work in place");
}

/// The messages name the layer.
TYPED_TEST(EliminationTest, RulesThatCannotBeAreErrors) {
  const std::string layer = "'layer under test' (Elimination): ";
  const std::map<std::string, std::string> expected = {
      {"fraction: 1", "fraction is 1; give a number of at least 0 and less than 1"},
      {"fraction: -0.25", "fraction is -0.25; give"},
      {"fraction: nan", "fraction is nan; give"},
      {"connectivity: 6", "connectivity is 6; give 8 (pixels that meet at a corner"},
      {"connectivity: 4294967295", "connectivity is 2147483647; give 8"},
      {"padding: 10.5", "padding is 10.5; give a number from 0 to 10"},
      {"padding: -1", "padding is -1; give"},
      {"padding: inf", "padding is inf; give"},
      {"border: 2",
       "border is 2 for a map of 4x5; give less than half of the smaller side: at most 1"},
      {"border: 4294967295", "border is 2147483647 for a map of 4x5"}};
  for (const auto& one : expected) {
    EXPECT_HAS(message_of([&] { this->forward(one.first); }), layer + one.second);
  }
}

/// The numbers and names of the proto's enum are those of the kernels'.
template <typename Enum>
void expect_names(const google::protobuf::EnumDescriptor& values, int count) {
  ASSERT_EQ(values.value_count(), count);
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(values.value(i)->name(), maap::name_of(static_cast<Enum>(values.value(i)->number())));
  }
}

TEST(EliminationParameters, AreTheKernels) {
  const auto* const a_stars = EliminationParameter::AStar_descriptor();
  ASSERT_EQ(a_stars->value_count(),
            static_cast<int>(std::distance(std::begin(maap::kAStars), std::end(maap::kAStars))));
  for (int i = 0; i < a_stars->value_count(); ++i) {
    EXPECT_EQ(a_stars->value(i)->number(), static_cast<int>(maap::kAStars[i]));
    EXPECT_EQ(a_stars->value(i)->name(), maap::name_of(maap::kAStars[i]));
  }
  expect_names<maap::ThresholdAt>(*EliminationParameter::ThresholdAt_descriptor(), 2);
  expect_names<maap::Threshold>(*EliminationParameter::Threshold_descriptor(), 3);
  expect_names<maap::Component>(*EliminationParameter::Component_descriptor(), 2);
}

TEST(EliminationParameters, HaveTheKernelsDefaults) {
  const EliminationParameter param;
  const maap::RegionRule rule;
  EXPECT_EQ(param.threshold_at(), static_cast<int>(rule.at));
  EXPECT_EQ(param.threshold(), static_cast<int>(rule.threshold));
  EXPECT_EQ(param.fraction(), rule.fraction);
  EXPECT_EQ(param.component(), static_cast<int>(rule.component));
  EXPECT_EQ(static_cast<int>(param.connectivity()), rule.connectivity);
  EXPECT_EQ(param.padding(), rule.padding);
  EXPECT_EQ(static_cast<int>(param.border()), rule.border);
}

}  // namespace
