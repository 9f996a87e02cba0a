#include "tests/cpp/engine/solvers/solver_test.hpp"

namespace caffe {

template <typename T>
class SGDSolverTest : public SolverTest<T> {};
TYPED_TEST_SUITE(SGDSolverTest, DtypesAndDevices);

TYPED_TEST(SGDSolverTest, WithoutMomentum) {
  this->template check_all<SGDSolver<typename TypeParam::Dtype>>(
      "", [](double g, double rate, double* h, double*, int) { return *h = rate * g; });
}

TYPED_TEST(SGDSolverTest, WithMomentum) {
  const double momentum = 0.9f;
  this->template check_all<SGDSolver<typename TypeParam::Dtype>>(
      "momentum: 0.9", [=](double g, double rate, double* h, double*, int) {
        return *h = momentum * *h + rate * g;
      });
}

}  // namespace caffe
