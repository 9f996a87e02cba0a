# MAAP_CUDA: whether GPU methods are built, from USE_CUDA = AUTO, ON, OFF or SHADOW. MAAP_SHADOW: whether they are built
# as C++ for the shadow device, which runs on the CPU.
#
# The toolkit is that of the nvcc which CMAKE_CUDA_COMPILER or the environment's CUDACXX names, or of the first one found
# on PATH, in /usr/local/cuda, or among the nvidia-* wheels of the Python that pycaffe is for (`pip install
# 'cuda-toolkit[nvcc,cudart,cublas,curand,crt,nvvm,cccl,nvrtc]'`, CUDA 13).

set(MAAP_CUDA OFF)
set(MAAP_SHADOW OFF)

# maap_find_nvcc(OUTPUT): an nvcc, or nothing.
function(maap_find_nvcc output)
  set(_found ${CMAKE_CUDA_COMPILER})
  if(NOT _found)
    set(_found $ENV{CUDACXX})
  endif()
  if(NOT _found)
    find_program(MAAP_NVCC nvcc PATHS /usr/local/cuda/bin)
    mark_as_advanced(MAAP_NVCC)
    set(_found ${MAAP_NVCC})
  endif()
  if(NOT _found)
    find_program(_python NAMES python3 NO_CACHE)
    if(Python_EXECUTABLE)
      set(_python ${Python_EXECUTABLE})
    endif()
    if(_python)
      execute_process(COMMAND ${_python} -c "import sysconfig; print(sysconfig.get_paths()['purelib'])"
                      OUTPUT_VARIABLE _site OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
      file(GLOB _wheels ${_site}/nvidia/cu*/bin/nvcc)
      list(SORT _wheels COMPARE NATURAL ORDER DESCENDING)
      if(_wheels)
        list(GET _wheels 0 _found)
      endif()
    endif()
  endif()
  set(${output} ${_found} PARENT_SCOPE)
endfunction()

# maap_link_wheels(NVCC): the wheels' libraries have no name without a version, by which linkers and CMake look for them,
# and lie in lib, where nvcc looks in lib64. Gives them such names in a folder of the build, and lets both look there.
function(maap_link_wheels nvcc)
  get_filename_component(_nvcc ${nvcc} REALPATH)
  if(NOT _nvcc MATCHES "/nvidia/cu[0-9]+/bin/nvcc$")
    return()
  endif()
  get_filename_component(_toolkit ${_nvcc} DIRECTORY)
  get_filename_component(_toolkit ${_toolkit} DIRECTORY)
  get_filename_component(_nvidia ${_toolkit} DIRECTORY)
  set(_links ${PROJECT_BINARY_DIR}/cuda_libraries)
  file(MAKE_DIRECTORY ${_links})
  file(GLOB _libraries ${_toolkit}/lib/*.so.* ${_nvidia}/cudnn/lib/*.so.* ${_nvidia}/nccl/lib/*.so.*)
  foreach(_library ${_libraries})
    get_filename_component(_name ${_library} NAME)
    string(REGEX REPLACE "\\.so\\..*" ".so" _name ${_name})
    file(CREATE_LINK ${_library} ${_links}/${_name} SYMBOLIC)
  endforeach()
  set(ENV{NVCC_APPEND_FLAGS} "$ENV{NVCC_APPEND_FLAGS} -L${_toolkit}/lib")  # CMake keeps what nvcc tells the linker
  list(PREPEND CMAKE_LIBRARY_PATH ${_links} ${_toolkit}/lib)
  list(PREPEND CMAKE_INCLUDE_PATH ${_nvidia}/cudnn/include ${_nvidia}/nccl/include)
  set(CMAKE_LIBRARY_PATH ${CMAKE_LIBRARY_PATH} PARENT_SCOPE)
  set(CMAKE_INCLUDE_PATH ${CMAKE_INCLUDE_PATH} PARENT_SCOPE)
  set(MAAP_CUDA_RPATH ${_toolkit}/lib ${_nvidia}/cudnn/lib ${_nvidia}/nccl/lib PARENT_SCOPE)
endfunction()

# maap_choose_architecture(): without a choice of the user's, that of this machine's GPU, which takes a fifth of the time.
function(maap_choose_architecture)
  if(CMAKE_CUDA_ARCHITECTURES OR NOT "$ENV{CUDAARCHS}" STREQUAL "")
    return()
  endif()
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                  OUTPUT_VARIABLE _answer RESULT_VARIABLE _status ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+\\.[0-9]" _answer "${_answer}")
  string(REPLACE "." "" _answer "${_answer}")
  list(REMOVE_DUPLICATES _answer)
  if(_status EQUAL 0 AND _answer)
    set(CMAKE_CUDA_ARCHITECTURES ${_answer} CACHE STRING "Architectures of GPUs")
  endif()
endfunction()

if(USE_CUDA STREQUAL "ON" OR (USE_CUDA STREQUAL "AUTO" AND NOT MAAP_PLUGIN))  # the plugin follows its Caffe
  maap_find_nvcc(_nvcc)
endif()
if(USE_CUDA STREQUAL "ON")
  set(MAAP_CUDA ON)
elseif(USE_CUDA STREQUAL "AUTO" AND NOT MAAP_PLUGIN)
  if(_nvcc AND EXISTS /dev/nvidiactl)
    set(MAAP_CUDA ON)
    maap_choose_architecture()
    message(STATUS "CUDA: ${_nvcc} and a GPU are here, so GPU methods are built, which takes minutes; -DUSE_CUDA=OFF "
                   "leaves them out")
  elseif(_nvcc)
    message(STATUS "CUDA: ${_nvcc} is here, but no GPU (/dev/nvidiactl): this builds for the CPU alone; -DUSE_CUDA=ON "
                   "builds GPU methods")
  endif()
elseif(USE_CUDA STREQUAL "SHADOW" AND NOT MAAP_PLUGIN)
  set(MAAP_CUDA ON)
  set(MAAP_SHADOW ON)
elseif(NOT USE_CUDA MATCHES "^(OFF|AUTO)$")
  message(FATAL_ERROR "USE_CUDA is AUTO, ON, OFF or (for the engine) SHADOW, not '${USE_CUDA}'")
endif()
if(MAAP_CUDA AND _nvcc)
  set(CMAKE_CUDA_COMPILER ${_nvcc} CACHE FILEPATH "nvcc")
  maap_link_wheels(${_nvcc})
endif()
