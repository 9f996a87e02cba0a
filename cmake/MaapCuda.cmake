# MAAP_CUDA: whether GPU methods are built, from USE_CUDA = AUTO, ON or OFF.

set(MAAP_CUDA OFF)
if(USE_CUDA STREQUAL "ON")
  set(MAAP_CUDA ON)
elseif(USE_CUDA STREQUAL "AUTO" AND NOT MAAP_PLUGIN)  # the plugin follows the Caffe that it is built for
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(MAAP_CUDA ON)
  endif()
elseif(NOT USE_CUDA MATCHES "^(OFF|AUTO)$")
  message(FATAL_ERROR "USE_CUDA is AUTO, ON or OFF, not '${USE_CUDA}'")
endif()
