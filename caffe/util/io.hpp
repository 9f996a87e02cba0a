#ifndef CAFFE_UTIL_IO_HPP_
#define CAFFE_UTIL_IO_HPP_

// Files that hold messages of the schema, as text (.prototxt) and binary (.caffemodel,
// .binaryproto, .solverstate). Errors are caffe::Error and begin with the file's name.

#include <functional>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/format.hpp"
#include "caffe/util/io_image.hpp"
#include "google/protobuf/message.h"

namespace caffe {

using ::google::protobuf::Message;

/// Reads a text file; returns true. An error names line, column and field, and suggests the field
/// or value that may have been meant.
bool ReadProtoFromTextFile(const string& filename, Message* proto);

/// The same for text in memory; errors have `what` in place of a file's name.
void ReadProtoFromText(const string& text, const string& what, Message* proto);

/// Reads a binary file of up to 2 GiB, the limit for a message; returns true. Requests no more
/// memory than the file's size justifies.
bool ReadProtoFromBinaryFile(const string& filename, Message* proto);

/// Replace a file as a whole: the new content is written to a temporary file in the same folder,
/// synced, and renamed, so a full disk or a killed process leaves the old file unchanged.
void WriteProtoToTextFile(const Message& proto, const string& filename);
void WriteProtoToBinaryFile(const Message& proto, const string& filename);

/// The same for any format: `write` gets the name of a temporary file next to `filename`, and
/// throws if it cannot write. A device or pipe is written directly.
void ReplaceFile(const string& filename, const std::function<void(const string&)>& write);

/// Create a new folder under TMPDIR or /tmp, and return a name for a file in a new folder.
void MakeTempDir(string* temp_dirname);
void MakeTempFilename(string* temp_filename);

// Caffe's names; here these functions throw.
inline void ReadProtoFromTextFileOrDie(const string& filename, Message* proto) {
  ReadProtoFromTextFile(filename, proto);
}
inline void ReadProtoFromBinaryFileOrDie(const string& filename, Message* proto) {
  ReadProtoFromBinaryFile(filename, proto);
}

}  // namespace caffe

#endif  // CAFFE_UTIL_IO_HPP_
