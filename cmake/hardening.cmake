# What a release build does against faults that nobody has found yet: addresses at random (PIE), tables of the linker that
# are read-only once the program runs (RELRO, now), no stack that is executed, a stack whose ends are watched, and the
# checked forms of functions of the C library (FORTIFY). tests/cli/test_hardening.py looks for all of it. Not for builds
# with sanitizers, which have checks of their own, nor without optimization, which FORTIFY needs.
option(ENTROLLM_HARDEN "harden release builds (PIE, RELRO, stack protector, FORTIFY)" ON)
if(NOT ENTROLLM_HARDEN OR ENTROLLM_SANITIZE)
  return()
endif()
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(release $<OR:$<CONFIG:Release>,$<CONFIG:RelWithDebInfo>,$<CONFIG:MinSizeRel>>)
# some compilers define it themselves
add_compile_options($<${release}:-U_FORTIFY_SOURCE> $<${release}:-D_FORTIFY_SOURCE=2>)
foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  string(MAKE_C_IDENTIFIER "takes${flag}" takes)
  check_c_compiler_flag("-Werror ${flag}" ${takes})
  if(${takes})
    add_compile_options($<${release}:${flag}>)
  endif()
endforeach()
foreach(flag relro now noexecstack)
  add_link_options($<${release}:LINKER:-z,${flag}>)
endforeach()
