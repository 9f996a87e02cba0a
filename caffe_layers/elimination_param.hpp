#ifndef CAFFE_LAYERS_ELIMINATION_PARAM_HPP_
#define CAFFE_LAYERS_ELIMINATION_PARAM_HPP_

#include "caffe/proto/caffe.pb.h"
#include "caffe_layers/maap.pb.h"

namespace maap {

/// The layer's parameters: LayerParameter.elimination_param where this Caffe has such a field, else
/// the same message as text in python_param.param_str; the defaults when neither is set. Throws
/// maap::Error with line, column and the values there are when the text does not parse, and when
/// both are set.
caffe::EliminationParameter elimination_param(const caffe::LayerParameter& layer);

}  // namespace maap

#endif  // CAFFE_LAYERS_ELIMINATION_PARAM_HPP_
