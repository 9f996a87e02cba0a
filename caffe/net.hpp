#ifndef CAFFE_NET_HPP_
#define CAFFE_NET_HPP_

// A net: layers in the order of the prototxt, and the blobs between them.
//
// Construction filters the layers by phase, level and stage, inserts Splits, creates each layer and
// its tops, determines which layers a gradient must reach, and shares parameters by name
// (net_init.cpp, net_params.cpp). Running is a loop over the layers (net.cpp).
//
// A blob is known by its index in blobs(); a layer that works in place has the same blob as bottom
// and top. A parameter is known by its index in params(), in order of the layers; parameters with
// the same name share memory, and the first of them, the owner, is in learnable_params(), which is
// what a solver updates. params_lr() and params_weight_decay() have the same order as that list.
//
// The net owns layers and blobs by shared_ptr; the raw pointers it returns stay valid as long as
// the net exists. Errors are caffe::Error and name the layer.
//
// In GPU mode a pass waits for the GPU once, at its end: for its loss, its small outputs, and what
// its layers report late (caffe/util/late_values.hpp).

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

class LateValues;
template <typename Dtype>
class LateLoss;
template <typename Dtype>
struct NetPlan;

template <typename Dtype>
class Net {
 public:
  explicit Net(const NetParameter& param);
  /// Reads a prototxt, also in any of the old formats.
  explicit Net(const string& param_file, Phase phase, int level = 0,
               const vector<string>* stages = nullptr);
  virtual ~Net() = default;

  /// Called by the constructors, once.
  void Init(const NetParameter& param);

  // ---- what can be read from outside

  /// Gives up Caffe's promise that every blob can be read after a pass. From now on only the data
  /// of the inputs, of the outputs and of the blobs with these names can be, and the gradients of
  /// the inputs and of learnt blobs; the net may compute the others together, overwrite them or
  /// leave them out. Learnt values may be changed through their blob's methods, but not through a
  /// pointer that was asked for before the last pass. An unknown name is an error.
  void KeepOnly(const vector<string>& blobs);
  /// Whether every blob can be read: KeepOnly has not been called.
  bool keeps_all() const;
  /// Whether a blob's values can be read after a pass.
  bool is_kept(int blob) const;

  // ---- running

  /// Runs all layers; returns the blobs that no layer reads. The loss is the sum over all tops of
  /// loss weight times value.
  const vector<Blob<Dtype>*>& Forward(Dtype* loss = nullptr);
  const vector<Blob<Dtype>*>& ForwardPrefilled(Dtype* loss = nullptr) { return Forward(loss); }
  /// The same, after copying `bottom` to the input blobs.
  const vector<Blob<Dtype>*>& Forward(const vector<Blob<Dtype>*>& bottom, Dtype* loss = nullptr);

  /// Runs layers start to end, both included, in the order of the prototxt; returns their loss.
  Dtype ForwardFromTo(int start, int end);
  Dtype ForwardFrom(int start);
  Dtype ForwardTo(int end);
  /// The same without the loss: for a net within a layer. Within a LateValues::Scope it does not
  /// wait.
  void ForwardWithoutLoss(int start, int end);

  /// Adds to the gradients of the parameters; ClearParamDiffs sets them to 0.
  void Backward();
  /// start >= end: backward runs from the last layer to the first.
  void BackwardFromTo(int start, int end);
  void BackwardFrom(int start);
  void BackwardTo(int end);
  void ClearParamDiffs();
  Dtype ForwardBackward();
  /// Within a LateValues::Scope, on a GPU: without waiting, layers start to end, and then the whole
  /// backward pass. `loss` gets the loss.
  void ForwardLate(int start, int end, LateLoss<Dtype>* loss);
  void BackwardLate(LateLoss<Dtype>* loss);

  /// Lets every layer adapt to the shapes of its bottoms, without computing anything.
  void Reshape();
  /// Subtracts from every parameter its gradient.
  void Update();

  // ---- parameters

  /// Makes every parameter that is shared by name use its owner's memory.
  void ShareWeights();
  /// Uses the other net's memory for the layers that both nets have, matched by name.
  void ShareTrainedLayersWith(const Net* other);
  /// Copies the values of the layers that both have, matched by name. Layers that only the source
  /// has are skipped and logged; if blobs differ in number or shape, nothing is copied and the
  /// error names the layer, the blob and both shapes.
  void CopyTrainedLayersFrom(const NetParameter& param);
  /// Reads a caffemodel or an HDF5 file; the content decides which it is.
  void CopyTrainedLayersFrom(const string& trained_filename);
  void CopyTrainedLayersFromBinaryProto(const string& trained_filename);
  void CopyTrainedLayersFromHDF5(const string& trained_filename);
  void ToProto(NetParameter* param, bool write_diff = false) const;
  /// Writes groups `data` and `diff`; each has a group per layer with a dataset "0", "1" ... per
  /// parameter. Data that an owner already stores is not repeated.
  void ToHDF5(const string& filename, bool write_diff = false) const;

  // ---- accessors

  const string& name() const { return name_; }
  Phase phase() const { return phase_; }
  const vector<string>& layer_names() const { return layer_names_; }
  const vector<string>& blob_names() const { return blob_names_; }
  const map<string, int>& layer_names_index() const { return layer_names_index_; }
  const map<string, int>& blob_names_index() const { return blob_names_index_; }
  const vector<shared_ptr<Blob<Dtype>>>& blobs() const { return blobs_; }
  const vector<shared_ptr<Layer<Dtype>>>& layers() const { return layers_; }
  /// [layer][i]
  const vector<vector<Blob<Dtype>*>>& bottom_vecs() const { return bottom_vecs_; }
  const vector<vector<Blob<Dtype>*>>& top_vecs() const { return top_vecs_; }
  const vector<vector<bool>>& bottom_need_backward() const { return bottom_need_backward_; }
  /// Indices of blobs.
  const vector<int>& bottom_ids(int layer) const;
  const vector<int>& top_ids(int layer) const;
  const vector<Dtype>& blob_loss_weights() const { return blob_loss_weights_; }
  const vector<bool>& layer_need_backward() const { return layer_need_backward_; }

  const vector<shared_ptr<Blob<Dtype>>>& params() const { return params_; }
  const vector<Blob<Dtype>*>& learnable_params() const { return learnable_params_; }
  /// Multipliers of the learning rate and the decay, and whether the prototxt sets them.
  const vector<float>& params_lr() const { return params_lr_; }
  const vector<bool>& has_params_lr() const { return has_params_lr_; }
  const vector<float>& params_weight_decay() const { return params_weight_decay_; }
  const vector<bool>& has_params_decay() const { return has_params_decay_; }
  /// Index of the owner in params().
  const map<string, int>& param_names_index() const { return param_names_index_; }
  /// For each of params(): -1, or the index of its owner.
  const vector<int>& param_owners() const { return param_owners_; }
  /// The name or, if there is none, the index within the layer.
  const vector<string>& param_display_names() const { return param_display_names_; }

  int num_inputs() const { return static_cast<int>(net_input_blobs_.size()); }
  int num_outputs() const { return static_cast<int>(net_output_blobs_.size()); }
  const vector<Blob<Dtype>*>& input_blobs() const { return net_input_blobs_; }
  const vector<Blob<Dtype>*>& output_blobs() const { return net_output_blobs_; }
  const vector<int>& input_blob_indices() const { return net_input_blob_indices_; }
  const vector<int>& output_blob_indices() const { return net_output_blob_indices_; }

  bool has_blob(const string& blob_name) const;
  /// nullptr, with a warning in the log, if there is none of that name.
  shared_ptr<Blob<Dtype>> blob_by_name(const string& blob_name) const;
  bool has_layer(const string& layer_name) const;
  shared_ptr<Layer<Dtype>> layer_by_name(const string& layer_name) const;

  /// For each parameter of a layer, the index of its owner in learnable_params().
  vector<int> LearntBy(int layer) const;
  /// Calls use(i) in every backward pass as soon as layer i has added its gradients, for all layers
  /// from the last to the first; {}: no more. Unlike a callback it changes nothing of how the net
  /// computes.
  void OnGradients(std::function<void(int layer)> use) { on_gradients_ = std::move(use); }

  /// Logs the mean absolute value of every blob in every pass.
  void set_debug_info(bool value) { debug_info_ = value; }

  // ---- rules

  /// The layers that param.state() includes.
  static void FilterNet(const NetParameter& param, NetParameter* param_filtered);
  /// Whether all conditions of the rule hold; logs the first that does not.
  static bool StateMeetsRule(const NetState& state, const NetStateRule& rule,
                             const string& layer_name);

  // ---- callbacks: run(layer) around each layer's pass. The caller owns them.

  class Callback {
   public:
    virtual ~Callback() = default;

   protected:
    virtual void run(int layer) = 0;

    template <typename T>
    friend class Net;
  };
  const vector<Callback*>& before_forward() const { return before_forward_; }
  void add_before_forward(Callback* value) { before_forward_.push_back(value); }
  const vector<Callback*>& after_forward() const { return after_forward_; }
  void add_after_forward(Callback* value) { after_forward_.push_back(value); }
  const vector<Callback*>& before_backward() const { return before_backward_; }
  void add_before_backward(Callback* value) { before_backward_.push_back(value); }
  const vector<Callback*>& after_backward() const { return after_backward_; }
  void add_after_backward(Callback* value) { after_backward_.push_back(value); }

 protected:
  // net_init.cpp
  void AddLayer(const LayerParameter& param);
  void AddBottom(int layer_id, int bottom_id);
  void AddTop(int layer_id, int top_id, const string& blob_name);
  void AddAutoTops(int layer_id);
  void SetUpLayer(int layer_id);
  void ChooseBackward(bool force);
  void ChooseOutputs();
  // net_params.cpp
  void AddParams(int layer_id);
  void AddParam(int layer_id, int param_id);
  void JoinParam(int param, int owner, const ParamSpec& spec);
  void MergeMultipliers(int learnable, const ParamSpec& spec);
  vector<string> learning_layers() const;
  void LoadHDF5(int layer_id, int64_t group, bool checking);
  void SaveHDF5(int64_t file, const string& kind, bool diff) const;
  // net.cpp
  void CheckRange(int first, int last) const;
  template <typename RunLayer>
  void RunLayers(int start, int end, const RunLayer& run_layer);
  void RunForward(int start, int end, LateLoss<Dtype>* loss);
  void RunBackward(int start, int end);
  template <typename Work>
  void WaitOnce(const Work& work);
  template <typename Pass>
  void RunPass(const Pass& run);
  static void Run(const vector<Callback*>& callbacks, int layer);
  void ForwardDebugInfo(int layer_id) const;
  void BackwardDebugInfo(int layer_id) const;
  void ParamsDebugInfo() const;

  string name_;
  Phase phase_ = TRAIN;
  bool debug_info_ = false;
  shared_ptr<NetPlan<Dtype>> plan_;
  size_t memory_used_ = 0;  // bytes of all tops' data

  // [layer]
  vector<shared_ptr<Layer<Dtype>>> layers_;
  vector<string> layer_names_;
  map<string, int> layer_names_index_;
  vector<bool> layer_need_backward_;
  vector<vector<Blob<Dtype>*>> bottom_vecs_;
  vector<vector<int>> bottom_id_vecs_;
  vector<vector<bool>> bottom_need_backward_;
  vector<vector<Blob<Dtype>*>> top_vecs_;
  vector<vector<int>> top_id_vecs_;
  vector<vector<int>> param_id_vecs_;

  // [blob]
  vector<shared_ptr<Blob<Dtype>>> blobs_;
  vector<string> blob_names_;
  map<string, int> blob_names_index_;  // without the tops that layers add themselves
  vector<bool> blob_need_backward_;    // whether a layer below it learns
  vector<Dtype> blob_loss_weights_;
  set<int> unread_blobs_;  // during construction: tops that no bottom reads yet

  vector<int> net_input_blob_indices_;
  vector<int> net_output_blob_indices_;
  vector<Blob<Dtype>*> net_input_blobs_;
  vector<Blob<Dtype>*> net_output_blobs_;

  // [param]
  vector<shared_ptr<Blob<Dtype>>> params_;
  vector<int> param_owners_;
  vector<string> param_display_names_;
  vector<pair<int, int>> param_layer_indices_;  // layer, index within it
  vector<int> learnable_param_ids_;             // the owner's index in learnable_params_
  map<string, int> param_names_index_;

  // [learnable param]
  vector<Blob<Dtype>*> learnable_params_;
  vector<float> params_lr_;
  vector<bool> has_params_lr_;
  vector<float> params_weight_decay_;
  vector<bool> has_params_decay_;

  shared_ptr<LateValues> late_values_;  // of passes that wait

  vector<Callback*> before_forward_;
  vector<Callback*> after_forward_;
  vector<Callback*> before_backward_;
  vector<Callback*> after_backward_;
  std::function<void(int)> on_gradients_;

  DISABLE_COPY_AND_ASSIGN(Net);
};

}  // namespace caffe

#endif  // CAFFE_NET_HPP_
