"""tests/gpu/run starts every test of the engine that is skipped where there is no GPU."""

import fnmatch
import re
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
ENGINE = REPO / "tests/cpp/engine"
sys.path.insert(0, str(REPO / "tests/gpu"))
from checks import GPU_TESTS  # noqa: E402
from sanitizer import FEW_TESTS  # noqa: E402

#: Where a class or a test begins.
BLOCK = re.compile(
    r"^(?=(?:template <.*>\n)?(?:class|struct|TEST|TEST_F|TEST_P|TYPED_TEST)[ (])", re.M
)
CLASS = re.compile(r"(?:template <.*>\n)?(?:class|struct) (\w+)(?: final)?(?: : public ([\w:]+))?")
TEST = re.compile(r"(TEST|TEST_F|TEST_P|TYPED_TEST)\((\w+),\s*(\w+)\)")
SUITE = re.compile(r"TYPED_TEST_SUITE\((\w+),\s*(\w+)\)")
INSTANCE = re.compile(r"INSTANTIATE_TEST_SUITE_P\((\w*),\s*(\w+)")
#: A skip for want of a GPU. Those that ask for the type's device are of the typed tests, whose
#: types on a GPU the filter has by their numbers.
SKIP = re.compile(r"if \(([^;{]*)\)\s*\{?\s*GTEST_SKIP\(\) << \"no (?:GPU|NCCL)")
#: Numbers of the types on a GPU in the lists of tests/cpp/devices.hpp; other lists are of values.
ON_GPU = {"DtypesAndDevices": (2, 3), "DtypesDevicesAndEngines": (2, 3, 4, 5)}


def sources() -> list[str]:
    """Those of a build for a GPU: the tests in `shadow` are another program's."""
    endings = ("*.hpp", "*.cpp", "*.cu")
    files = [file for ending in endings for file in ENGINE.rglob(ending)]
    files.append(REPO / "tests/cpp/devices.hpp")
    return [file.read_text() for file in sorted(files) if "shadow" not in file.parts]


def matches(pattern: str, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, one) for one in pattern.split(":"))


class Sources:
    """What the sources say about tests and their fixtures."""

    def __init__(self, texts: list[str]) -> None:
        self.bases: dict[str, str] = {}
        self.skipping: set[str] = set()  # fixtures, and tests as Suite.Name
        self.tests: list[tuple[str, str, str]] = []  # kind, suite, name
        self.types: dict[str, str] = {}
        self.prefixes: dict[str, str] = {}
        for text in texts:
            self.types.update(SUITE.findall(text))
            self.prefixes.update((suite, prefix) for prefix, suite in INSTANCE.findall(text))
            for block in BLOCK.split(text):
                self.read(block)

    def read(self, block: str) -> None:
        key = ""
        if test := TEST.match(block):
            self.tests.append((test[1], test[2], test[3]))
            key = f"{test[2]}.{test[3]}"
        elif fixture := CLASS.match(block):
            key = fixture[1]
            self.bases[key] = (fixture[2] or "").rpartition("::")[2]
        if any("TypeParam::mode" not in skip for skip in SKIP.findall(block)):
            self.skipping.add(key)

    def skips(self, suite: str, name: str) -> bool:
        if f"{suite}.{name}" in self.skipping:
            return True
        while suite and suite not in self.skipping:
            suite = self.bases.get(suite, "")
        return bool(suite)

    def names(self, kind: str, suite: str, name: str) -> list[str]:
        """A test as googletest names it: by type, or by parameter."""
        if kind == "TEST_P":
            return [f"{self.prefixes[suite]}/{suite}.{name}/0"]
        if kind == "TYPED_TEST":
            numbers = ON_GPU.get(self.types[suite], (0, 1))
            return [f"{suite}/{number}.{name}" for number in numbers]
        return [f"{suite}.{name}"]

    def on_gpu(self) -> list[str]:
        """All names of the tests that need a GPU."""
        found = []
        for test in self.tests:
            of_devices = test[0] == "TYPED_TEST" and self.types[test[1]] in ON_GPU
            if of_devices or self.skips(*test[1:]):
                found += self.names(*test)
        return found


def test_every_test_that_needs_a_gpu_is_started():
    needed = Sources(sources()).on_gpu()
    assert [name for name in needed if not matches(GPU_TESTS, name)] == []


def test_they_are_found():
    """Those that once were left out, and one of each kind."""
    needed = Sources(sources()).on_gpu()
    assert len(needed) > 1000
    suites = {name.partition(".")[0] for name in needed}
    parameters = {"All/ChannelsLastFollowers", "All/ChannelsLastOthers"}
    typed = {
        "ChannelsLastTest/0",
        "ChannelsLastTest/1",
        "BatchNormChainInHalf/0",
        "BatchNormChain/2",
    }
    others = {"ChannelsLastJoined", "ChannelsLastPair", "UploadTest", "LateValuesTest", "Device"}
    assert parameters | typed | others <= suites
    assert not {"ValueOrder", "LateValuesWithoutGpu", "BatchNormChain/1"} & suites


def test_a_new_suite_would_be_missed():
    text = """class NewOne : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Caffe::FindDevice() < 0) GTEST_SKIP() << "no GPU";
  }
};
class Derived : public NewOne {};
TEST(Other, Name) {
}
TEST_F(Derived, Name) {
}
"""
    assert Sources([text]).on_gpu() == ["Derived.Name"]
    assert not matches(GPU_TESTS, "Derived.Name")


def test_the_sanitizers_tests_exist():
    needed = Sources(sources()).on_gpu()
    for pattern in FEW_TESTS.split(":"):
        assert any(matches(pattern, name) for name in needed), pattern
