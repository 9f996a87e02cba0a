#ifndef CAFFE_SOLVER_FACTORY_HPP_
#define CAFFE_SOLVER_FACTORY_HPP_

// Solvers by name. A solver class registers itself when its library is loaded:
//
//   template <typename Dtype> class MySolver : public SGDSolver<Dtype> { ... };
//   INSTANTIATE_CLASS(MySolver);
//   REGISTER_SOLVER_CLASS(My);              // type: "My" in a solver's prototxt

#include <map>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

template <typename Dtype>
class Solver;

template <typename Dtype>
class SolverRegistry {
 public:
  typedef Solver<Dtype>* (*Creator)(const SolverParameter&);
  typedef std::map<string, Creator> CreatorRegistry;

  static CreatorRegistry& Registry();
  /// Registers a type. A second registration of the same name is ignored: this runs while a library
  /// loads, when nothing may be thrown.
  static void AddCreator(const string& type, Creator creator);
  /// The caller owns the solver. For an unknown type, throws an Error that lists the known types
  /// and suggests the nearest.
  static Solver<Dtype>* CreateSolver(const SolverParameter& param);
  /// All types, sorted.
  static vector<string> SolverTypeList();
};

template <typename Dtype>
class SolverRegisterer {
 public:
  SolverRegisterer(const string& type, typename SolverRegistry<Dtype>::Creator creator) {
    SolverRegistry<Dtype>::AddCreator(type, creator);
  }
};

}  // namespace caffe

#define REGISTER_SOLVER_CREATOR(type, creator)                                       \
  static ::caffe::SolverRegisterer<float> g_creator_f_##type(#type, creator<float>); \
  static ::caffe::SolverRegisterer<double> g_creator_d_##type(#type, creator<double>)

#define REGISTER_SOLVER_CLASS(type)                                                       \
  template <typename Dtype>                                                               \
  ::caffe::Solver<Dtype>* Creator_##type##Solver(const ::caffe::SolverParameter& param) { \
    return new type##Solver<Dtype>(param);                                                \
  }                                                                                       \
  REGISTER_SOLVER_CREATOR(type, Creator_##type##Solver)

#endif  // CAFFE_SOLVER_FACTORY_HPP_
