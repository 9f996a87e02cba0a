#ifndef MAAP_LAYERS_ELIMINATION_PARAM_HPP_
#define MAAP_LAYERS_ELIMINATION_PARAM_HPP_

#include "caffe/proto/caffe.pb.h"
#include "kernels/maap.pb.h"
#include "kernels/region.hpp"

namespace maap {

/// The layer's parameters: LayerParameter.elimination_param if this Caffe has such a field,
/// otherwise the same message as text in python_param.param_str; the defaults if neither is set.
/// Throws maap::Error if both are set, if a value is one that maap.proto does not have, or if the
/// text does not parse, in this case with line, column and the possible values.
caffe::EliminationParameter elimination_param(const caffe::LayerParameter& layer);

/// How the parameters want a region found; check_rule says whether that can be.
RegionRule region_rule(const caffe::EliminationParameter& param);

/// LayerParameter.elimination_param; null if it is not set, or if this Caffe has no such field.
/// Defined by in_engine.cpp or in_other_caffe.cpp, whichever the build compiles.
const caffe::EliminationParameter* elimination_field(const caffe::LayerParameter& layer);

}  // namespace maap

#endif  // MAAP_LAYERS_ELIMINATION_PARAM_HPP_
