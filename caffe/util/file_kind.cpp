#include "caffe/util/file_kind.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "caffe/proto/caffe.pb.h"
#include "caffe/proto/weights.pb.h"

namespace caffe {

namespace {

const size_t kEnough = 64;  // bytes that tell every kind below

bool starts(const std::string& bytes, const std::string& mark, size_t at = 0) {
  return bytes.compare(std::min(at, bytes.size()), mark.size(), mark) == 0;
}

bool is_text(const std::string& bytes) {
  return !bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [](unsigned char c) {
    return c >= 0x20 || (c >= '\t' && c <= '\r');
  });
}

/// Whether a file is such a message and nothing else.
template <typename Message>
bool holds(const std::string& filename, Message* message) {
  std::ifstream file(filename, std::ios::binary);
  return message->ParsePartialFromIstream(&file) && message->unknown_fields().empty();
}

/// Whether a file holds a net's weights, of any fork of Caffe.
bool holds_weights(const std::string& filename) {
  std::ifstream file(filename, std::ios::binary);
  NetWeights net;
  if (!net.ParsePartialFromIstream(&file)) return false;
  for (const LayerWeights& layer : net.layer()) {
    if (layer.blobs_size() > 0) return true;
  }
  for (const V1LayerWeights& layer : net.layers()) {
    if (layer.blobs_size() > 0) return true;
  }
  return false;
}

}  // namespace

std::string kind_of_bytes(const std::string& bytes) {
  typedef std::vector<std::pair<std::string, const char*>> Marks;
  static const Marks texts = {{"<!DOCTYPE", "a web page"},
                              {"<!doctype", "a web page"},
                              {"<html", "a web page"},
                              {"version https://git-lfs", "a pointer of Git LFS, not the file"}};
  static const Marks binaries = {
      {"\x89HDF\r\n\x1a\n", "an HDF5 file"}, {"\x89PNG\r\n\x1a\n", "a PNG image"},
      {"\xff\xd8\xff", "a JPEG image"},      {"GIF8", "a GIF image"},
      {string("II*\0", 4), "a TIFF image"},  {string("MM\0*", 4), "a TIFF image"},
      {"\x93NUMPY", "a NumPy array"},        {"\x1f\x8b", "a gzip archive"},
      {"PK\x03\x04", "a zip archive"},       {"BZh", "a bzip2 archive"},
      {"\xfd\x37zXZ", "an xz archive"},      {"\xff\xfe", "text in UTF-16"},
      {"\xfe\xff", "text in UTF-16"}};
  // A line of text may begin like a binary file: "GIF8.png 3".
  const bool text = is_text(bytes);
  for (const auto& mark : text ? texts : binaries) {
    if (starts(bytes, mark.first)) return mark.second;
  }
  if (starts(bytes, "RIFF") && starts(bytes, "WEBP", 8)) return "a WebP image";
  return text ? "text" : "";
}

std::string kind_of_file(const std::string& filename) {
  std::error_code ignored;
  if (std::filesystem::is_directory(filename, ignored)) return "a folder";
  if (!std::filesystem::is_regular_file(filename, ignored)) return "";
  std::ifstream file(filename, std::ios::binary);
  std::string bytes(kEnough, '\0');
  file.read(&bytes[0], static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(file.gcount()));
  return kind_of_bytes(bytes);
}

std::string kind_of_message(const std::string& filename) {
  SolverState state;
  if (holds(filename, &state) && state.has_iter() &&
      (state.has_learned_net() || state.history_size() > 0)) {
    return "a solver state";
  }
  NetParameter net;
  if (holds(filename, &net) && net.layer_size() + net.layers_size() > 0) return "a net's weights";
  if (holds_weights(filename)) return "a net's weights";
  BlobProto blob;
  if (holds(filename, &blob) && blob.data_size() + blob.double_data_size() > 0) {
    return "a mean or another blob";
  }
  return "";
}

std::string kind_note(const std::string& filename) {
  const std::string mark = kind_of_file(filename);
  const std::string kind = mark.empty() ? kind_of_message(filename) : mark;
  return kind.empty() ? "" : "; it is " + kind;
}

void remove_byte_order_mark(std::string* text) {
  if (starts(*text, "\xef\xbb\xbf")) text->erase(0, 3);
}

}  // namespace caffe
