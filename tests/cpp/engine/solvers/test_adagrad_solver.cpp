#include "tests/cpp/engine/solvers/solver_test.hpp"

namespace caffe {

template <typename T>
class AdaGradSolverTest : public SolverTest<T> {};
TYPED_TEST_SUITE(AdaGradSolverTest, DtypesAndDevices);

TYPED_TEST(AdaGradSolverTest, FollowsItsRule) {
  const double delta = 1e-3f;
  this->template check_all<AdaGradSolver<typename TypeParam::Dtype>>(
      "type: 'AdaGrad' delta: 1e-3", [=](double g, double rate, double* h, double*, int) {
        *h += g * g;
        return rate * g / (std::sqrt(*h) + delta);
      });
}

TYPED_TEST(AdaGradSolverTest, RefusesMomentum) {
  EXPECT_ERROR(AdaGradSolver<typename TypeParam::Dtype>(this->param("momentum: 0.9")), "momentum");
}

}  // namespace caffe
