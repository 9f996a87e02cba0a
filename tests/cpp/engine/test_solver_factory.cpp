#include "caffe/solver_factory.hpp"

#include "tests/cpp/engine/fixtures.hpp"

namespace caffe {

TEST(SolverFactory, HasTheSix) {
  const std::vector<std::string> six = {"AdaDelta", "AdaGrad", "Adam",
                                        "Nesterov", "RMSProp", "SGD"};
  EXPECT_EQ(SolverRegistry<float>::SolverTypeList(), six);
  EXPECT_EQ(SolverRegistry<double>::SolverTypeList(), six);
}

TEST(SolverFactory, SaysWhatMayHaveBeenMeant) {
  SolverParameter param;
  param.set_type("Adm");
  EXPECT_ERROR(SolverRegistry<float>::CreateSolver(param), "did you mean 'Adam'?");
  EXPECT_ERROR(SolverRegistry<float>::CreateSolver(param), "RMSProp, SGD");
}

}  // namespace caffe
