#ifndef CAFFE_UTIL_UPGRADE_PROTO_HPP_
#define CAFFE_UTIL_UPGRADE_PROTO_HPP_

// Upgrades older forms of nets and solvers to the current one when they are loaded:
//   V0     layers { layer { type: "conv" ... } }, from 2013, with padding layers
//   V1     layers { type: CONVOLUTION ... }, from 2014
//   data   scale, mean_file, crop_size and mirror in data_param and others; now transform_param
//   input  input and input_dim or input_shape of the net; now an Input layer
//   BatchNorm with three param { }: their multipliers become 0, as the blobs are statistics
//   solver_type: ADAM; now type: "Adam"
// What cannot be upgraded is an Error or, if the net works without it, an error in the log; the
// functions then return false.

#include <string>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

bool NetNeedsUpgrade(const NetParameter& net_param);
/// Upgrades older forms; `param_file` is used in messages.
bool UpgradeNetAsNeeded(const string& param_file, NetParameter* param);

/// Read and upgrade; they throw an Error that names the file.
void ReadNetParamsFromTextFileOrDie(const string& param_file, NetParameter* param);
void ReadNetParamsFromBinaryFileOrDie(const string& param_file, NetParameter* param);

bool NetNeedsV0ToV1Upgrade(const NetParameter& net_param);
/// From V0 to V1.
bool UpgradeV0Net(const NetParameter& v0_net_param, NetParameter* net_param);
/// Moves the pad of "padding" layers, which no longer exist, into the convolutions and poolings
/// that read them.
void UpgradeV0PaddingLayers(const NetParameter& param, NetParameter* param_upgraded_pad);
bool UpgradeV0LayerParameter(const V1LayerParameter& v0_layer_connection,
                             V1LayerParameter* layer_param);
V1LayerParameter_LayerType UpgradeV0LayerType(const string& type);

bool NetNeedsDataUpgrade(const NetParameter& net_param);
void UpgradeNetDataTransformation(NetParameter* net_param);

bool NetNeedsV1ToV2Upgrade(const NetParameter& net_param);
bool UpgradeV1Net(const NetParameter& v1_net_param, NetParameter* net_param);
bool UpgradeV1LayerParameter(const V1LayerParameter& v1_layer_param, LayerParameter* layer_param);
/// "" for NONE.
const char* UpgradeV1LayerType(V1LayerParameter_LayerType type);

bool NetNeedsInputUpgrade(const NetParameter& net_param);
/// Turns input fields into an Input layer. Weights (a layer has blobs) may name inputs without a
/// shape, as the published VGG-19 and ResNet-152 do; those are dropped. In any other net they are
/// an Error.
void UpgradeNetInput(NetParameter* net_param);

bool NetNeedsBatchNormUpgrade(const NetParameter& net_param);
void UpgradeNetBatchNorm(NetParameter* net_param);

bool SolverNeedsTypeUpgrade(const SolverParameter& solver_param);
bool UpgradeSolverType(SolverParameter* solver_param);
bool UpgradeSolverAsNeeded(const string& param_file, SolverParameter* param);
/// Without snapshot_prefix, snapshots get the solver file's path without its ending; where
/// snapshot_prefix is a folder, the file's name without its ending in that folder.
void CompleteSnapshotPrefix(const string& param_file, SolverParameter* param);
void ReadSolverParamsFromTextFileOrDie(const string& param_file, SolverParameter* param);

}  // namespace caffe

#endif  // CAFFE_UTIL_UPGRADE_PROTO_HPP_
