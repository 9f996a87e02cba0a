#ifndef CAFFE_UTIL_IO_H_
#define CAFFE_UTIL_IO_H_

// Files that hold messages of the schema, as text (.prototxt) and binary (.caffemodel,
// .binaryproto, .solverstate). Errors are caffe::Error and begin with the file's name.

#include <functional>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/io_image.hpp"
#include "google/protobuf/message.h"

namespace caffe {

using ::google::protobuf::Message;

/// Reads a text file; returns true. An error names line, column and field, and the field or value
/// that may have been meant.
bool ReadProtoFromTextFile(const string& filename, Message* proto);

/// The same for text that a program has; `what` stands where errors have a file's name.
void ReadProtoFromText(const string& text, const string& what, Message* proto);

/// Reads a binary file of up to 2 GiB, the most a message can have; returns true. No more memory
/// is asked for than the file's size justifies.
bool ReadProtoFromBinaryFile(const string& filename, Message* proto);

/// Replace a file as a whole: it is written beside its place, synced, and renamed, so that a full
/// disk or a killed process leaves the old file as it was.
void WriteProtoToTextFile(const Message& proto, const string& filename);
void WriteProtoToBinaryFile(const Message& proto, const string& filename);

/// The same for anything: `write` gets the name of a file beside `filename` to write and throws
/// where it cannot. A device or pipe is written in place.
void ReplaceFile(const string& filename, const std::function<void(const string&)>& write);

/// A folder of its own under TMPDIR or /tmp, and a name for a file in one.
void MakeTempDir(string* temp_dirname);
void MakeTempFilename(string* temp_filename);

// Caffe's names; here they throw.
inline void ReadProtoFromTextFileOrDie(const string& filename, Message* proto) {
  ReadProtoFromTextFile(filename, proto);
}
inline void ReadProtoFromBinaryFileOrDie(const string& filename, Message* proto) {
  ReadProtoFromBinaryFile(filename, proto);
}

}  // namespace caffe

#endif  // CAFFE_UTIL_IO_H_
