#include "caffe/solver_factory.hpp"

namespace caffe {

/// Created at the first use, since libraries register in any order, and never destroyed.
template <typename Dtype>
typename SolverRegistry<Dtype>::CreatorRegistry& SolverRegistry<Dtype>::Registry() {
  static CreatorRegistry* const all = new CreatorRegistry();
  return *all;
}

template <typename Dtype>
void SolverRegistry<Dtype>::AddCreator(const string& type, Creator creator) {
  Registry().insert(std::make_pair(type, creator));
}

template <typename Dtype>
Solver<Dtype>* SolverRegistry<Dtype>::CreateSolver(const SolverParameter& param) {
  const auto found = Registry().find(param.type());
  if (found == Registry().end()) {
    const vector<string> known = SolverTypeList();
    const string nearest = nearest_name(param.type(), known);
    CAFFE_FAIL("unknown solver type '"
               << param.type() << "'"
               << (nearest.empty() ? "" : "; did you mean '" + nearest + "'?")
               << " (known types: " << join(known) << ")");
  }
  return found->second(param);
}

template <typename Dtype>
vector<string> SolverRegistry<Dtype>::SolverTypeList() {
  vector<string> types;
  for (const auto& entry : Registry()) types.push_back(entry.first);
  return types;
}

template class SolverRegistry<float>;
template class SolverRegistry<double>;

}  // namespace caffe
