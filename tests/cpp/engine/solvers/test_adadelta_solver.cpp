#include "tests/cpp/engine/solvers/solver_test.hpp"

namespace caffe {

template <typename T>
class AdaDeltaSolverTest : public SolverTest<T> {};
TYPED_TEST_SUITE(AdaDeltaSolverTest, DtypesAndDevices);

TYPED_TEST(AdaDeltaSolverTest, FollowsItsRule) {
  const double momentum = 0.95f, delta = 1e-4f;
  this->template check_all<AdaDeltaSolver<typename TypeParam::Dtype>>(
      "type: 'AdaDelta' momentum: 0.95 delta: 1e-4",
      [=](double g, double rate, double* h, double* s, int) {
        *h = momentum * *h + (1 - momentum) * g * g;
        const double v = g * std::sqrt((*s + delta) / (*h + delta));
        *s = momentum * *s + (1 - momentum) * v * v;
        return rate * v;
      });
}

}  // namespace caffe
