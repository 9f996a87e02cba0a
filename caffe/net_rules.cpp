// Chooses the layers of a prototxt by rules on phase, level and stage.

#include <algorithm>

#include "caffe/net.hpp"

namespace caffe {

namespace {

bool has_stage(const NetState& state, const string& stage) {
  return std::find(state.stage().begin(), state.stage().end(), stage) != state.stage().end();
}

/// Why the state does not meet the rule, in the words of Caffe's log; "" if it does.
string unmet(const NetState& state, const NetStateRule& rule) {
  std::ostringstream text;
  if (rule.has_phase() && rule.phase() != state.phase()) {
    text << "The NetState phase (" << state.phase() << ") differed from the phase (" << rule.phase()
         << ")";
  } else if (rule.has_min_level() && state.level() < rule.min_level()) {
    text << "The NetState level (" << state.level() << ") is below the min_level ("
         << rule.min_level() << ")";
  } else if (rule.has_max_level() && state.level() > rule.max_level()) {
    text << "The NetState level (" << state.level() << ") is above the max_level ("
         << rule.max_level() << ")";
  }
  if (!text.str().empty()) return text.str();
  for (const string& stage : rule.stage()) {
    if (!has_stage(state, stage)) return "The NetState did not contain stage '" + stage + "'";
  }
  for (const string& stage : rule.not_stage()) {
    if (has_stage(state, stage)) return "The NetState contained a not_stage '" + stage + "'";
  }
  return "";
}

}  // namespace

template <typename Dtype>
bool Net<Dtype>::StateMeetsRule(const NetState& state, const NetStateRule& rule,
                                const string& layer_name) {
  const string why = unmet(state, rule);
  if (why.empty()) return true;
  LOG_IF(INFO, Caffe::root_solver()) << why << " specified by a rule in layer " << layer_name;
  return false;
}

template <typename Dtype>
void Net<Dtype>::FilterNet(const NetParameter& param, NetParameter* param_filtered) {
  const NetState& state = param.state();
  param_filtered->CopyFrom(param);
  param_filtered->clear_layer();
  for (const LayerParameter& layer : param.layer()) {
    CAFFE_CHECK(layer.include_size() == 0 || layer.exclude_size() == 0,
                "layer '" << layer.name() << "' (" << layer.type() << "): has include rules and "
                          << "exclude rules: give only one kind");
    const auto meets = [&](const NetStateRule& rule) {
      return StateMeetsRule(state, rule, layer.name());
    };
    const bool in = layer.include_size() > 0
                        ? std::any_of(layer.include().begin(), layer.include().end(), meets)
                        : std::none_of(layer.exclude().begin(), layer.exclude().end(), meets);
    if (in) param_filtered->add_layer()->CopyFrom(layer);
  }
}

template void Net<float>::FilterNet(const NetParameter&, NetParameter*);
template void Net<double>::FilterNet(const NetParameter&, NetParameter*);
template bool Net<float>::StateMeetsRule(const NetState&, const NetStateRule&, const string&);
template bool Net<double>::StateMeetsRule(const NetState&, const NetStateRule&, const string&);

}  // namespace caffe
