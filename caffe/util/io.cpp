#include "caffe/util/io.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "caffe/util/file_kind.hpp"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl.h"
#include "google/protobuf/text_format.h"

namespace caffe {

namespace {

const int kBlock = 1 << 20;  // bytes of one read or write

string reason() {
  return std::strerror(errno);
}

/// A file descriptor, closed by the destructor.
class File {
 public:
  File(const string& name, int flags) : fd_(open(name.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }
  bool finish() {
    const int fd = fd_;
    fd_ = -1;
    return close(fd) == 0;
  }

 private:
  int fd_;
  DISABLE_COPY_AND_ASSIGN(File);
};

struct stat checked_stat(const string& filename, const File& file) {
  CAFFE_CHECK(file.fd() >= 0, filename << ": cannot be opened: " << reason());
  struct stat status;
  CAFFE_CHECK(fstat(file.fd(), &status) == 0, filename << ": cannot be read: " << reason());
  CAFFE_CHECK(!S_ISDIR(status.st_mode), filename << ": is a folder, not a file");
  return status;
}

/// Syncs the folder after a rename, if the file system supports it.
void sync_folder_of(const string& filename) {
  const size_t slash = filename.rfind('/');
  const File folder(slash == string::npos ? "." : filename.substr(0, slash + 1), O_RDONLY);
  if (folder.fd() >= 0) fsync(folder.fd());
}

/// The message that a file holds, as users know it.
string type_name(const Message& proto) {
  const string name = proto.GetTypeName();
  return name == "caffe.NetWeights" ? "caffe.NetParameter" : name;
}

bool is_special(const string& filename) {
  struct stat status;
  return stat(filename.c_str(), &status) == 0 && !S_ISREG(status.st_mode) &&
         !S_ISDIR(status.st_mode);
}

/// The target of a link, so that the file is replaced, not the link.
string resolved(const string& filename) {
  char* const path = realpath(filename.c_str(), nullptr);
  if (path == nullptr) return filename;
  const string target(path);
  std::free(path);
  return target;
}

void write_with(const string& filename, const std::function<bool(int)>& write) {
  File file(filename, O_WRONLY | O_CREAT | O_TRUNC);
  CAFFE_CHECK(file.fd() >= 0, filename << ": cannot be written: " << reason());
  errno = 0;
  CAFFE_CHECK(write(file.fd()), filename << ": writing failed: " << reason());
  CAFFE_CHECK(file.finish(), filename << ": writing failed: " << reason());
}

}  // namespace

void ReplaceFile(const string& filename, const std::function<void(const string&)>& write) {
  if (is_special(filename)) return write(filename);
  static std::atomic<int> number{0};
  const string target = resolved(filename);
  const string temporary =
      target + ".part-" + std::to_string(getpid()) + "-" + std::to_string(number++);
  {
    const File made(temporary, O_WRONLY | O_CREAT | O_TRUNC);  // the error names the file itself
    CAFFE_CHECK(made.fd() >= 0, filename << ": cannot be written: " << reason());
  }
  try {
    write(temporary);
    File written(temporary, O_RDONLY);
    CAFFE_CHECK(written.fd() >= 0 && fsync(written.fd()) == 0,
                filename << ": writing failed: " << reason());
    struct stat old;
    if (stat(target.c_str(), &old) == 0) fchmod(written.fd(), old.st_mode & 07777);
    CAFFE_CHECK(rename(temporary.c_str(), target.c_str()) == 0,
                filename << ": cannot be replaced: " << reason());
  } catch (...) {
    unlink(temporary.c_str());
    throw;
  }
  sync_folder_of(target);
}

bool ReadProtoFromTextFile(const string& filename, Message* proto) {
  const File file(filename, O_RDONLY);
  checked_stat(filename, file);
  string text;
  vector<char> block(kBlock);
  ssize_t bytes;
  while ((bytes = read(file.fd(), block.data(), block.size())) > 0) {
    text.append(block.data(), static_cast<size_t>(bytes));
    CAFFE_CHECK(text.size() <= INT_MAX,
                filename << ": a text of more than 2 GiB is not a prototxt");
  }
  CAFFE_CHECK(bytes == 0, filename << ": cannot be read: " << reason());
  ReadProtoFromText(text, filename, proto);
  return true;
}

bool ReadProtoFromBinaryFile(const string& filename, Message* proto) {
  const File file(filename, O_RDONLY);
  const struct stat status = checked_stat(filename, file);
  CAFFE_CHECK(!S_ISREG(status.st_mode) || status.st_size > 0,
              filename << ": is empty; is a download or a copy incomplete?");
  CAFFE_CHECK(
      status.st_size <= INT_MAX,
      filename << ": has " << status.st_size
               << " bytes; a binary message can have at most 2 GiB: use HDF5 for larger nets");
  google::protobuf::io::FileInputStream stream(file.fd(), kBlock);
  google::protobuf::io::CodedInputStream coded(&stream);
  coded.SetTotalBytesLimit(INT_MAX);
  const bool good = proto->ParsePartialFromCodedStream(&coded) && coded.ConsumedEntireMessage();
  CAFFE_CHECK(stream.GetErrno() == 0,
              filename << ": cannot be read: " << std::strerror(stream.GetErrno()));
  if (!good) {
    const string kind = S_ISREG(status.st_mode) ? kind_note(filename) : "";
    CAFFE_FAIL(filename << ": is not a binary " << type_name(*proto) << ", or a damaged one: "
                        << "parsing stopped at byte " << coded.CurrentPosition() << " of "
                        << status.st_size
                        << (kind.empty() ? "; is a download or a copy incomplete?" : kind));
  }
  CAFFE_CHECK(proto->IsInitialized(),
              filename << ": lacks required fields: " << proto->InitializationErrorString());
  return true;
}

void WriteProtoToTextFile(const Message& proto, const string& filename) {
  ReplaceFile(filename, [&](const string& temporary) {
    write_with(temporary, [&](int fd) {
      google::protobuf::io::FileOutputStream stream(fd, kBlock);
      if (google::protobuf::TextFormat::Print(proto, &stream) && stream.Flush()) return true;
      errno = stream.GetErrno();
      return false;
    });
  });
}

void WriteProtoToBinaryFile(const Message& proto, const string& filename) {
  CAFFE_CHECK(proto.ByteSizeLong() <= INT_MAX,
              filename << ": a message of " << proto.ByteSizeLong() << " bytes cannot be written, "
                       << "because the limit is 2 GiB: use snapshot_format: HDF5");
  ReplaceFile(filename, [&](const string& temporary) {
    write_with(temporary, [&](int fd) {
      google::protobuf::io::FileOutputStream stream(fd, kBlock);
      if (proto.SerializeToZeroCopyStream(&stream) && stream.Flush()) return true;
      errno = stream.GetErrno();
      return false;
    });
  });
}

void MakeTempDir(string* temp_dirname) {
  const char* const base = std::getenv("TMPDIR");
  string name = string(base != nullptr && *base != '\0' ? base : "/tmp") + "/caffe_XXXXXX";
  CAFFE_CHECK(mkdtemp(&name[0]) != nullptr, name << ": cannot be created: " << reason());
  *temp_dirname = name;
}

void MakeTempFilename(string* temp_filename) {
  static const string folder = [] {
    string name;
    MakeTempDir(&name);
    return name;
  }();
  static std::atomic<int> number{0};
  *temp_filename = folder + "/" + std::to_string(number++);
}

}  // namespace caffe
