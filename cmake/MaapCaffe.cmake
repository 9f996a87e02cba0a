# Finds the Caffe to build for and provides it as the target maap::caffe.

add_library(maap_caffe_host INTERFACE)
add_library(maap::caffe ALIAS maap_caffe_host)

if(Caffe_DIR)
  find_package(Caffe REQUIRED CONFIG)
  get_target_property(_includes caffe INTERFACE_INCLUDE_DIRECTORIES)
  get_target_property(_definitions caffe INTERFACE_COMPILE_DEFINITIONS)
  list(REMOVE_DUPLICATES _includes)
  if(NOT _definitions)
    set(_definitions "")
  endif()
  # Only the library, not everything that its config names: those are the library's own links, and some of them (static
  # protobuf code) must not be linked twice.
  set(_library $<TARGET_FILE:caffe>)
  set(_message "${Caffe_DIR}")
else()
  find_path(Caffe_INCLUDE_DIR caffe/layer.hpp DOC "Folder that holds caffe/layer.hpp")
  find_library(Caffe_LIBRARY caffe DOC "libcaffe.so")
  if(NOT Caffe_INCLUDE_DIR OR NOT Caffe_LIBRARY)
    message(FATAL_ERROR "No Caffe found. Debian 11: apt-get install libcaffe-dev. Own build: "
                        "-DCaffe_DIR=<folder of CaffeConfig.cmake>, or -DCaffe_INCLUDE_DIR=... "
                        "-DCaffe_LIBRARY=.../libcaffe.so")
  endif()
  set(_includes ${Caffe_INCLUDE_DIR})
  set(_definitions "")
  if(NOT MAAP_CUDA)
    set(_definitions CPU_ONLY)
  endif()
  set(_library ${Caffe_LIBRARY})
  set(_message "${Caffe_LIBRARY}")
endif()
if(MAAP_CUDA AND "CPU_ONLY" IN_LIST _definitions)
  message(FATAL_ERROR "USE_CUDA=ON, but the Caffe in ${_message} was built with CPU_ONLY")
endif()
message(STATUS "Caffe: ${_message} (${_definitions})")

# /usr/include may be in _includes; as a plain -I it would precede the compiler's own folders.
list(REMOVE_ITEM _includes /usr/include)
target_include_directories(maap_caffe_host SYSTEM INTERFACE ${_includes})
target_compile_definitions(maap_caffe_host INTERFACE ${_definitions})
target_link_libraries(maap_caffe_host INTERFACE ${_library} protobuf::libprotobuf)
# caffe/util/math_functions.hpp includes cblas.h.
find_path(Cblas_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas-pthread openblas-openmp openblas
          DOC "Folder that holds cblas.h")
if(NOT Cblas_INCLUDE_DIR)
  message(FATAL_ERROR "Caffe's headers need cblas.h, which is missing: apt-get install libopenblas-dev")
endif()
target_include_directories(maap_caffe_host SYSTEM INTERFACE ${Cblas_INCLUDE_DIR})
find_library(Glog_LIBRARY glog)
if(NOT Glog_LIBRARY)
  message(FATAL_ERROR "Caffe's headers log through glog, which is missing: apt-get install libgoogle-glog-dev")
endif()
target_link_libraries(maap_caffe_host INTERFACE ${Glog_LIBRARY})

# A caffe.pb.h that the installed protobuf cannot compile: Debian 11's libcaffe-dev ships one made by a newer protoc.
# The installed protoc generates it again from the descriptor in pycaffe.
if(NOT DEFINED MAAP_CAFFE_PB_WORKS)
  file(WRITE ${CMAKE_BINARY_DIR}/caffe_proto/check.cpp
       "#include \"caffe/proto/caffe.pb.h\"\nint main() { return caffe::LayerParameter().top_size(); }\n")
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)  # test compiling, not linking
  try_compile(MAAP_CAFFE_PB_WORKS ${CMAKE_BINARY_DIR}/caffe_proto/check
              ${CMAKE_BINARY_DIR}/caffe_proto/check.cpp
              CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${_includes};${Protobuf_INCLUDE_DIRS}")
  unset(CMAKE_TRY_COMPILE_TARGET_TYPE)
endif()
if(NOT MAAP_CAFFE_PB_WORKS)
  set(_proto_dir ${CMAKE_BINARY_DIR}/caffe_proto)
  if(NOT EXISTS ${_proto_dir}/include/caffe/proto/caffe.pb.h)
    message(STATUS "caffe.pb.h does not compile with protobuf ${Protobuf_VERSION}; generating it again")
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/regenerate_caffe_pb.py
                            --protoc ${Protobuf_PROTOC_EXECUTABLE} ${_proto_dir}/include
                    RESULT_VARIABLE _status)
    if(NOT _status EQUAL 0)
      message(FATAL_ERROR "caffe.pb.h could not be generated again: is python3-caffe installed?")
    endif()
  endif()
  target_include_directories(maap_caffe_host BEFORE INTERFACE ${_proto_dir}/include)
endif()
