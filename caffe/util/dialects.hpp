#ifndef CAFFE_UTIL_DIALECTS_HPP_
#define CAFFE_UTIL_DIALECTS_HPP_

// The other forks of Caffe: which of them has a layer type, a field or a value of the schema, and
// whose rules hold in a net. A dialect is a short name for one branch of one fork.
// caffe/proto/dialects.tsv lists them; docs/forks.md is for users.

#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// All dialects, in the order in which they are preferred when several fit a net equally well.
vector<string> known_dialects();
/// The dialects that have a layer type, a field of a message ("LayerParameter", "norm_param"), or a
/// value of an enum ("PoolingParameter.Engine", "MKLDNN"), of those that BVLC Caffe does not have.
/// Empty if there is none.
vector<string> dialects_of_type(const string& type);
vector<string> dialects_of_field(const string& message, const string& field);
vector<string> dialects_of_value(const string& enum_name, const string& value);
/// Names them in a sentence: "ssd, nv017, intel and 9 more".
string dialects_text(const vector<string>& dialects);

/// Sets the dialect of all nets that this process makes from now on; "" (the start): each net's own
/// types and fields decide. Throws an Error that lists the names if there is none of that name.
void set_dialect(const string& name);
string chosen_dialect();

/// Something in a net that BVLC Caffe does not have, and the dialects that have it.
struct ForkPart {
  string name;
  vector<string> dialects;
};

/// The dialect of a net, and the names of the parts that it was found from. Both are empty if the
/// net has nothing that BVLC Caffe lacks.
struct DialectFound {
  string name;
  vector<string> from;
};

/// The dialect that has most of the net's parts, or chosen_dialect() if that is set. `skipped`:
/// what the reader of the text left out.
DialectFound find_dialect(const NetParameter& net, const vector<ForkPart>& skipped = {});

/// Sets LayerParameter.dialect in layers whose type means different things in different forks to
/// the fork whose rules hold, one of
///   BN            pspnet, segnet
///   CTCLoss       textboxes, caffe_ocr
///   FocalLoss     focal_chuanqi305, focal_zimenglan, happynear
///   L1Loss        nv017, flownet2
///   Normalize     ssd, happynear
///   SmoothL1Loss  ssd, faster_rcnn
///   Upsample      segnet, yolo_eric612
/// What the field has already decides, then the chosen dialect if it has the type, then the layer's
/// own fields and bottoms, then the other layers. Where nothing does, the field stays unset. Throws
/// an Error for a layer whose dialect is not known.
void resolve_dialect(const DialectFound& found, NetParameter* net);

}  // namespace caffe

#endif  // CAFFE_UTIL_DIALECTS_HPP_
