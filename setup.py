# SPDX-License-Identifier: Apache-2.0
"""Builds the Python package: the declarations of include/entrollm.h for cffi, and the shared library by CMake.

Both go into the wheel only, never into the source tree. Version and ABI number are the header's. In the environment:
  ENTROLLM_SYSTEM_LIBRARY=1   build no library: the package loads the system's libentrollm.so.N (distributions)
  ENTROLLM_CMAKE_DIR=FOLDER   a build folder of CMake to use, instead of build/python/cmake
"""
import importlib.util
import os
import shutil
import subprocess

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

ROOT = os.path.dirname(os.path.abspath(__file__))
HEADER = os.path.join(ROOT, "include", "entrollm.h")
SYSTEM_LIBRARY = os.environ.get("ENTROLLM_SYSTEM_LIBRARY", "") not in ("", "0")
PRODUCTS = os.path.join("build", "python")  # beside what CMake builds there


def load_header():
    spec = importlib.util.spec_from_file_location("header", os.path.join(ROOT, "python", "entrollm", "_header.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.read_header(HEADER)


def build_library():
    """The path of the shared library. Built for any processor: the library chooses its kernels when it runs."""
    given = os.environ.get("ENTROLLM_CMAKE_DIR")
    folder = given or os.path.join(ROOT, PRODUCTS, "cmake")
    if not os.path.exists(os.path.join(folder, "CMakeCache.txt")):
        subprocess.run(["cmake", "-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=Release", "-DENTROLLM_TESTS=OFF",
                        "-DENTROLLM_PROGRAM=OFF"], check=True)
    jobs = str(len(os.sched_getaffinity(0)))
    if subprocess.run(["cmake", "--build", folder, "--target", "entrollm_shared", "-j", jobs]).returncode != 0:
        raise SystemExit("entrollm: the library cannot be built. It needs CMake, a C compiler, pkg-config, and "
                         "libjansson-dev, libpcre2-dev, libutf8proc-dev and libxxhash-dev (as Debian calls them)")
    return os.path.join(folder, "libentrollm.so")


class BuildPackage(build_py):
    def run(self):
        if getattr(self, "editable_mode", False):
            return super().run()  # the source tree itself: its header, and the library that ENTROLLM_LIBRARY names
        header = load_header()
        folder = os.path.join(self.build_lib, "entrollm")
        shutil.rmtree(folder, ignore_errors=True)  # nothing of an older build
        super().run()
        self.mkpath(folder)
        from cffi import FFI

        made = FFI()
        made.cdef(header.cdef)
        made.set_source("entrollm._declarations", None)
        made.emit_python_code(os.path.join(folder, "_declarations.py"))
        with open(os.path.join(folder, "_version.py"), "w", encoding="utf-8") as file:
            file.write(f"# made of entrollm.h: version, ABI number\nNUMBERS = {header.version!r}, {header.abi}\n")
        if not SYSTEM_LIBRARY:
            shutil.copyfile(build_library(), os.path.join(folder, f"libentrollm.so.{header.abi}"))


class WithLibrary(Distribution):
    """Its wheel is one of a platform, though of no version of Python."""

    def has_ext_modules(self):
        return not SYSTEM_LIBRARY


commands = {"build_py": BuildPackage}
try:
    from wheel.bdist_wheel import bdist_wheel
except ImportError:
    try:
        from setuptools.command.bdist_wheel import bdist_wheel
    except ImportError:
        bdist_wheel = None
if bdist_wheel is not None:

    class BuildWheel(bdist_wheel):
        def get_tag(self):
            python, abi, platform = super().get_tag()
            return ("py3", "none", "any" if SYSTEM_LIBRARY else platform)

    commands["bdist_wheel"] = BuildWheel

os.makedirs(os.path.join(ROOT, PRODUCTS), exist_ok=True)
setup(version=load_header().version, distclass=WithLibrary, cmdclass=commands,
      options={"build": {"build_base": PRODUCTS}, "egg_info": {"egg_base": PRODUCTS},
               "bdist_wheel": {"bdist_dir": os.path.join(PRODUCTS, "bdist")}})
