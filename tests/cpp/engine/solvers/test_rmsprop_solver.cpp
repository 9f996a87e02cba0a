#include "tests/cpp/engine/solvers/solver_test.hpp"

namespace caffe {

template <typename T>
class RMSPropSolverTest : public SolverTest<T> {};
TYPED_TEST_SUITE(RMSPropSolverTest, DtypesAndDevices);

TYPED_TEST(RMSPropSolverTest, FollowsItsRule) {
  const double decay = 0.95f, delta = 1e-3f;
  this->template check_all<RMSPropSolver<typename TypeParam::Dtype>>(
      "type: 'RMSProp' rms_decay: 0.95 delta: 1e-3",
      [=](double g, double rate, double* h, double*, int) {
        *h = decay * *h + (1 - decay) * g * g;
        return rate * g / (std::sqrt(*h) + delta);
      });
}

TYPED_TEST(RMSPropSolverTest, RefusesWhatItCannotDo) {
  typedef RMSPropSolver<typename TypeParam::Dtype> Solver;
  EXPECT_ERROR(Solver(this->param("momentum: 0.9")), "momentum");
  EXPECT_ERROR(Solver(this->param("rms_decay: 1")), "rms_decay");
  EXPECT_ERROR(Solver(this->param("rms_decay: -0.5")), "rms_decay");
}

}  // namespace caffe
