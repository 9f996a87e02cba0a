#ifndef CAFFE_UTIL_INSERT_SPLITS_HPP_
#define CAFFE_UTIL_INSERT_SPLITS_HPP_

#include <string>

#include "caffe/proto/caffe.pb.h"

namespace caffe {

using std::string;

/// The net with a Split layer behind every top that more than one bottom takes, so that each
/// reader writes its gradient to a blob of its own and the Split adds them up. A top with a loss
/// weight counts as one reader more: the weight moves to the Split's first top. Throws for a bottom
/// that no layer before makes.
void InsertSplits(const NetParameter& param, NetParameter* param_split);

/// Makes the Split of top `blob_idx` of a layer, for `split_count` readers.
void ConfigureSplitLayer(const string& layer_name, const string& blob_name, int blob_idx,
                         int split_count, float loss_weight, LayerParameter* split_layer_param);

/// "conv1_relu1_0_split" for top 0, conv1, of layer relu1.
string SplitLayerName(const string& layer_name, const string& blob_name, int blob_idx);

/// "conv1_relu1_0_split_1" is what its second reader takes.
string SplitBlobName(const string& layer_name, const string& blob_name, int blob_idx,
                     int split_idx);

}  // namespace caffe

#endif  // CAFFE_UTIL_INSERT_SPLITS_HPP_
