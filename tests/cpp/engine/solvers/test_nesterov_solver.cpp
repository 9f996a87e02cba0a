#include "tests/cpp/engine/solvers/solver_test.hpp"

namespace caffe {

template <typename T>
class NesterovSolverTest : public SolverTest<T> {};
TYPED_TEST_SUITE(NesterovSolverTest, DtypesAndDevices);

TYPED_TEST(NesterovSolverTest, FollowsItsRule) {
  for (const float momentum : {0.f, 0.5f, 0.9f}) {
    const double mu = momentum;
    this->template check_all<NesterovSolver<typename TypeParam::Dtype>>(
        "type: 'Nesterov' momentum: " + std::to_string(momentum),
        [=](double g, double rate, double* h, double*, int) {
          const double before = *h;
          *h = mu * before + rate * g;
          return *h + mu * (*h - before);
        });
  }
}

}  // namespace caffe
