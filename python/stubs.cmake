# Copies the stubs NAMES that protoc wrote under FROM to the messages' folder in Python, TO.
foreach(name ${NAMES})
  file(READ ${FROM}/${name}.pyi text)
  string(REPLACE "from kernels import maap_pb2" "from caffe.proto import maap_pb2" text "${text}")
  get_filename_component(file ${name} NAME)
  file(WRITE ${TO}/${file}.pyi "${text}")
endforeach()
