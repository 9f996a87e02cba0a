# How a .cu file is compiled: by nvcc in a CUDA build, as plain C++ otherwise and for the shadow device.

if(MAAP_CUDA AND NOT MAAP_SHADOW)
  if(NOT CMAKE_CUDA_ARCHITECTURES AND "$ENV{CUDAARCHS}" STREQUAL "")
    set(CMAKE_CUDA_ARCHITECTURES 75 80 86 89 90)  # Turing to Hopper; newer ones take 90's PTX
  endif()
  enable_language(CUDA)
  # nvcc may use an older g++ (13 with Debian 13's CUDA, whose g++ is 14). CMake would then look for libstdc++ in that one's
  # folder first, and what the newer one compiled lacks symbols.
  foreach(folder ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES})
    if(folder MATCHES "/gcc/" AND NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
      list(REMOVE_ITEM CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES ${folder})
    endif()
  endforeach()
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
endif()

# With CMAKE_UNITY_BUILD, the compiler reads a group of files (caffe/CMakeLists.txt) at once, and their common headers
# once. That needs names that differ within a group. GPU methods are built file by file.
if(MAAP_CUDA)
  set(CMAKE_UNITY_BUILD OFF)
endif()

# maap_cu_sources(FILE...): the .cu files of the calling folder.
function(maap_cu_sources)
  if(MAAP_SHADOW)  # MAAP_CU_FILE: what nvcc would compile
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++;-DMAAP_CU_FILE")
  elseif(CMAKE_UNITY_BUILD)  # a file with options of its own would not be read together with others
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX)
  elseif(NOT MAAP_CUDA)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
  endif()
endfunction()

# The repository's folders without its root, for code that is built against an installed Caffe: with the root, caffe/
# would hide that Caffe's headers.
set(MAAP_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${MAAP_INCLUDE_DIR})
foreach(_folder bench caffe_layers kernels tests)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${_folder} ${MAAP_INCLUDE_DIR}/${_folder} SYMBOLIC)
endforeach()

# maap_compile_options(TARGET): optimisation and warnings. No fused multiply-add on either side: CPU and GPU then agree
# bit for bit, and so do machines with and without FMA. Ignoring floating-point traps and errno changes no result, but
# lets choices between two values vectorise: ReLU takes 0.1 ns per value instead of 8.
function(maap_compile_options target)
  target_include_directories(${target} PRIVATE ${MAAP_INCLUDE_DIR})
  set(_cxx -O3 -fopenmp -ffp-contract=off -fno-trapping-math -fno-math-errno -Wall -Wextra -Wno-unknown-pragmas
      -Werror=switch)
  if(CMAKE_UNITY_BUILD)  # a lambda in a file that another includes: no other object has it
    list(APPEND _cxx -Wno-subobject-linkage)
  endif()
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${_cxx}>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)  # ccache requires it
  endif()
  if(MAAP_SHADOW)
    target_link_libraries(${target} PRIVATE shadow)
  elseif(MAAP_CUDA)
    string(REPLACE ";" "," _host "${_cxx}")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false -Xcompiler=${_host}>)
    target_compile_definitions(${target} PRIVATE MAAP_CUDA)
  endif()
  target_link_libraries(${target} PRIVATE OpenMP::OpenMP_CXX)
endfunction()
