# MAAP_CUDA: whether GPU methods are built, from USE_CUDA = AUTO, ON, OFF or SHADOW. MAAP_SHADOW: whether they are built
# as C++ for the shadow device, which runs on the CPU.

set(MAAP_CUDA OFF)
set(MAAP_SHADOW OFF)
if(USE_CUDA STREQUAL "ON")
  set(MAAP_CUDA ON)
elseif(USE_CUDA STREQUAL "AUTO" AND NOT MAAP_PLUGIN)  # the plugin follows the Caffe that it is built for
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(MAAP_CUDA ON)
  endif()
elseif(USE_CUDA STREQUAL "SHADOW" AND NOT MAAP_PLUGIN)
  set(MAAP_CUDA ON)
  set(MAAP_SHADOW ON)
elseif(NOT USE_CUDA MATCHES "^(OFF|AUTO)$")
  message(FATAL_ERROR "USE_CUDA is AUTO, ON, OFF or (for the engine) SHADOW, not '${USE_CUDA}'")
endif()
