#ifndef CAFFE_UTIL_INSERT_SPLITS_HPP_
#define CAFFE_UTIL_INSERT_SPLITS_HPP_

#include <string>

#include "caffe/proto/caffe.pb.h"

namespace caffe {

using std::string;

/// The net with a Split layer after every top that several bottoms read, so that each reader writes
/// its gradient to a separate blob and the Split adds these up. A top with a loss weight counts as
/// having one more reader: the weight moves to the Split's first top. Throws if no earlier layer
/// makes a bottom.
void InsertSplits(const NetParameter& param, NetParameter* param_split);

/// Creates the Split of top `blob_idx` of a layer, for `split_count` readers.
void ConfigureSplitLayer(const string& layer_name, const string& blob_name, int blob_idx,
                         int split_count, float loss_weight, LayerParameter* split_layer_param);

/// "conv1_relu1_0_split" for top 0, conv1, of layer relu1.
string SplitLayerName(const string& layer_name, const string& blob_name, int blob_idx);

/// "conv1_relu1_0_split_1" is the blob that its second reader takes.
string SplitBlobName(const string& layer_name, const string& blob_name, int blob_idx,
                     int split_idx);

}  // namespace caffe

#endif  // CAFFE_UTIL_INSERT_SPLITS_HPP_
