"""Message classes from Caffe's schema, for any protobuf from 3.20 on.

Code that protoc generates for Python works with some releases of protobuf only, and registers its
file in the one pool of a process, where another package's caffe.proto may be already. Hence the
schema is kept as data (``schema.bin``, written by protoc during the build) and the classes are made
here, in a pool of their own.
"""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

_POOL = descriptor_pool.DescriptorPool()


def _fill_pool() -> None:
    path = Path(__file__).with_name("schema.bin")
    files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
    waiting = {file.name: file for file in files}
    while waiting:  # a file goes in after those that it imports
        ready = [file for file in waiting.values() if not waiting.keys() & set(file.dependency)]
        if not ready:
            raise ImportError(f"{path} is damaged: build pycaffe again")
        for file in ready:
            _POOL.AddSerializedFile(waiting.pop(file.name).SerializeToString())


def _message_class(descriptor: Any) -> Any:
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)


def _adopt(cls: Any, module: str, qualname: str) -> None:
    """Name the class after where it is found, so that its messages pickle."""
    cls.__module__ = module
    cls.__qualname__ = qualname
    for name, nested in cls.DESCRIPTOR.nested_types_by_name.items():
        inner = _message_class(nested)
        if getattr(cls, name, None) is not inner:
            setattr(cls, name, inner)
        _adopt(inner, module, f"{qualname}.{name}")


def names_of(file_name: str, module: str) -> dict[str, Any]:
    """What protoc's module for ``file_name`` has: DESCRIPTOR, messages, enums and their values,
    those of the files that it imports publicly as well.
    """
    file = _POOL.FindFileByName(file_name)
    names: dict[str, Any] = {}
    for public in file.public_dependencies:
        names.update(names_of(public.name, module))
    names["DESCRIPTOR"] = file
    for name, descriptor in file.message_types_by_name.items():
        names[name] = _message_class(descriptor)
        _adopt(names[name], module, name)
    for name, enum in file.enum_types_by_name.items():
        names[name] = EnumTypeWrapper(enum)
        names.update((value.name, value.number) for value in enum.values)
    return names


_fill_pool()
