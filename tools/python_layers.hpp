#ifndef TOOLS_PYTHON_LAYERS_HPP_
#define TOOLS_PYTHON_LAYERS_HPP_

namespace caffe_command {

/// Whether a net that -solver or -model names may have layers in Python (its text has the word as a
/// value), and this process cannot make such layers. A file that cannot be read needs nothing.
bool named_nets_need_python();

/// Continues as `caffe ARGUMENTS` inside of a Python that has pycaffe (python/caffe/command.py):
/// the one that CAFFE_PYTHON in the environment names, otherwise the `python3` on PATH. Returns if
/// there is no Python, or CAFFE_PYTHON is "off": a net may name such layers for another phase only.
/// `arguments` is an argv: the program's name first, null last.
void start_in_python(char** arguments);

}  // namespace caffe_command

#endif  // TOOLS_PYTHON_LAYERS_HPP_
