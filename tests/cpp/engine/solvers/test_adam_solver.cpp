#include "tests/cpp/engine/solvers/solver_test.hpp"

namespace caffe {

template <typename T>
class AdamSolverTest : public SolverTest<T> {};
TYPED_TEST_SUITE(AdamSolverTest, DtypesAndDevices);

TYPED_TEST(AdamSolverTest, FollowsItsRule) {
  const double beta1 = 0.9f, beta2 = 0.99f, delta = 1e-3f;
  this->template check_all<AdamSolver<typename TypeParam::Dtype>>(
      "type: 'Adam' momentum: 0.9 momentum2: 0.99 delta: 1e-3",
      [=](double g, double rate, double* h, double* s, int t) {
        *h = beta1 * *h + (1 - beta1) * g;
        *s = beta2 * *s + (1 - beta2) * g * g;
        const double correction = std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
        return rate * correction * *h / (std::sqrt(*s) + delta);
      });
}

}  // namespace caffe
