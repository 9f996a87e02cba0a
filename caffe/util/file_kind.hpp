#ifndef CAFFE_UTIL_FILE_KIND_HPP_
#define CAFFE_UTIL_FILE_KIND_HPP_

#include <string>

namespace caffe {

/// What a file holds, told by its first bytes, whatever its name: "an HDF5 file", "a PNG image",
/// "a gzip archive", "text", "a folder" ... "" for a file that cannot be read or that begins like
/// none of these; binary messages (.caffemodel, .binaryproto, .solverstate) have no mark.
std::string kind_of_file(const std::string& filename);

/// The same for the first bytes of a file.
std::string kind_of_bytes(const std::string& bytes);

/// What a binary message without such a mark holds: "a net's weights", "a solver state", "a mean or
/// another blob", or "". Reads the whole file.
std::string kind_of_message(const std::string& filename);

/// "; it is an HDF5 file", for the end of a message about a file that does not fit; "" where
/// neither function above knows.
std::string kind_note(const std::string& filename);

/// Removes a UTF-8 byte-order mark, with which some editors begin a text.
void remove_byte_order_mark(std::string* text);

}  // namespace caffe

#endif  // CAFFE_UTIL_FILE_KIND_HPP_
