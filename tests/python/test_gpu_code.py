"""tools/gpu_code.py reads what cuobjdump prints."""

import sys
from pathlib import Path

import pytest
from loaded_scripts import load_script

REPO = Path(__file__).resolve().parents[2]


gpu_code = load_script(REPO / "tools/gpu_code.py")

# Cut from what cuobjdump 13.5 prints for kernels/render.cu and caffe/util/random_gpu.cu.
HEADER = """
Fatbin elf code:
================
arch = sm_{arch}
code version = [1,8]
host = linux
compile_size = 64bit
"""
RESOURCES = (
    HEADER
    + """
Resource usage:
 Common:
  GLOBAL:0
 Function _Z4fillIfEvPT_:
  REG:24 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:544 TEXTURE:0 SURFACE:0 SAMPLER:0
 Function _Z5gaussIfEvPT_:
  REG:62 STACK:40 SHARED:0 LOCAL:0 CONSTANT[2]:176 CONSTANT[0]:440 TEXTURE:0 SURFACE:0 SAMPLER:0
"""
)
CODE = (
    HEADER
    + """
\tcode for sm_{arch}
\t.target\tsm_{arch}

\t\tFunction : _Z5gaussIfEvPT_
\t.headerflags\t@"EF_CUDA_SM90 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM90)"
        /*0000*/                   LDC R1, c[0x0][0x28] ; /* 0x00000a00ff017b82 */
        /* 0x000fe20000000800 */
        /*0010*/              @!P0 DMUL R2, R2, R4 ; /* 0x0000000000027919 */
        /*0020*/                   I2F.F64.U64 R6, R8 ; /* 0x0000000000027919 */
        /*0030*/               @P0 STL.64 [R1], R2 ; /* 0x0000000000027919 */
        /*0040*/                   LDL R2, [R1] ; /* 0x0000000000027919 */
        /*0050*/                   MUFU.RCP64H R3, R5 ; /* 0x0000000000027919 */
        /*0060*/                   EXIT ; /* 0x000000000000794d */
\t\t..........

\t\tFunction : _Z4fillIfEvPT_
\t.headerflags\t@"EF_CUDA_SM90 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM90)"
        /*0000*/                   I2F.U64 R6, R8 ; /* 0x0000000000027919 */
        /*0010*/                   LDG.E.64 R4, desc[UR4][R2.64] ; /* 0x0000000000027919 */
        /*0020*/                   DEPBAR.LE SB0, 0x0 ; /* 0x0000000000027919 */
        /*0030*/                   F2F.F16.F32 R4, R2 ; /* 0x0000000000027919 */
        /*0040*/                   EXIT ; /* 0x000000000000794d */
"""
)


def both(text: str) -> str:
    """The output for a file with code for two architectures."""
    return text.replace("{arch}", "75") + text.replace("{arch}", "90")


def test_kernels_are_read():
    kernels = gpu_code.read_kernels(both(RESOURCES), both(CODE))
    named = {(k.name, k.architecture): k for k in kernels}
    assert len(named) == 4
    gauss, fill = named["_Z5gaussIfEvPT_", "sm_90"], named["_Z4fillIfEvPT_", "sm_75"]
    assert (gauss.registers, gauss.stack, gauss.local_accesses) == (62, 40, 2)
    assert gauss.fp64 == {"DMUL", "I2F.F64.U64", "MUFU.RCP64H"}
    assert (fill.registers, fill.stack, fill.local_accesses, fill.fp64) == (24, 0, 0, set())
    assert fill.faults() == {}


@pytest.mark.parametrize("missing", ["resources", "code"])
def test_a_kernel_missing_from_one_list_is_an_error(missing):
    cut = (
        RESOURCES.replace("_Z4fill", "_Z5other")
        if missing == "resources"
        else CODE.partition("\t\tFunction : _Z4fill")[0]
    )
    texts = (cut, CODE) if missing == "resources" else (RESOURCES, cut)
    with pytest.raises(ValueError, match="_Z4fill"):
        gpu_code.read_kernels(*texts)


@pytest.mark.parametrize(
    ("instruction", "is_fp64"),
    [
        ("DADD", True),
        ("DFMA.RP", True),
        ("DSETP.GEU.AND", True),
        ("DMNMX", True),
        ("F2F.F64.F32", True),
        ("F2I.F64.TRUNC", True),
        ("MUFU.RSQ64H", True),
        ("DMMA.8x8x4", True),
        ("DEPBAR", False),
        ("FADD", False),
        ("I2F.S64", False),
        ("LDG.E.64", False),
        ("F2FP.BF16.F32.PACK_AB", False),
    ],
)
def test_fp64_instructions_are_known(instruction, is_fp64):
    assert bool(gpu_code.FP64.search(instruction)) == is_fp64


def kernel(name: str, **fields) -> object:
    return gpu_code.Kernel(name, "sm_75", **fields)


def test_a_kernel_of_doubles_may_compute_in_double():
    assert kernel("void run<Sum<double> >(long)", fp64={"DADD"}).faults() == {}
    assert kernel("void run<Sum<float> >(long)", fp64={"DADD"}).faults() == {"fp64": "DADD"}
    assert kernel("void run<doubled<int> >(long)", fp64={"DADD"}).faults() == {"fp64": "DADD"}


def test_exceptions_name_a_rule_and_kernels():
    exceptions = gpu_code.read_exceptions("# about\nfp64\t\\bOtsu<float>\tnumpy's\n")
    otsu = kernel("void run<Otsu<float> >(long)", fp64={"DADD"})
    assert gpu_code.judge([otsu], exceptions) == []
    assert exceptions[0].used
    spills = kernel("void run<Otsu<float> >(long)", stack=8, local_accesses=2)
    other = kernel("void run<NotOtsu<float> >(long)", fp64={"DADD"})
    faults = gpu_code.judge([spills, other], exceptions)
    assert [line.partition(":")[0] for line in faults] == ["memory", "fp64"]
    assert "8 bytes of stack, 2 accesses" in faults[0]


def test_an_exception_that_nothing_needs_is_unused():
    exceptions = gpu_code.read_exceptions("fp64\tOtsu\tnumpy's\n")
    gpu_code.judge([kernel("void run<Otsu<float> >(long)")], exceptions)
    assert not exceptions[0].used


@pytest.mark.parametrize("line", ["fp64\tOtsu", "speed\tOtsu\twhy", "fp64\tOtsu\t "])
def test_an_exception_without_a_reason_is_refused(line):
    with pytest.raises(ValueError, match="reason"):
        gpu_code.read_exceptions(line + "\n")


def test_the_exceptions_of_the_repository_are_few():
    assert len(gpu_code.read_exceptions(gpu_code.EXCEPTIONS.read_text())) <= 4


FAKE = """#!/bin/sh
case $1 in -res-usage) cat {folder}/resources ;; *) cat {folder}/code ;; esac
"""


def test_the_command(tmp_path, monkeypatch, capsys):
    program = tmp_path / "cuobjdump"
    program.write_text(FAKE.format(folder=tmp_path))
    program.chmod(0o755)
    (tmp_path / "resources").write_text(both(RESOURCES))
    (tmp_path / "code").write_text(both(CODE))
    allowed = tmp_path / "allowed.tsv"
    monkeypatch.setattr(gpu_code, "EXCEPTIONS", allowed)
    monkeypatch.setattr(sys, "argv", ["gpu_code", "--cuobjdump", str(program), "x.o"])

    def run(exceptions: str) -> tuple[int, str]:
        allowed.write_text(exceptions)
        status = gpu_code.main()
        return status, capsys.readouterr().out

    status, out = run("")
    assert status == 1
    assert out.count("memory: sm_") == out.count("fp64: sm_") == 2
    assert "4 kernels for sm_75, sm_90; most registers: 62" in out
    assert run("memory\tgauss\twhy\nfp64\tgauss\twhy\n")[0] == 0
    status, out = run("memory\tgauss\twhy\nfp64\tgauss\twhy\nfp64\tfill\twhy\n")
    assert status == 1
    assert "unused exception: fp64 fill" in out
