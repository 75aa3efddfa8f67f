# tests/<layer>/test_*.c, each a cmocka program linked to that layer only. A cross build, for which
# cmocka is not installed, takes the few macros of tests/standin instead.
if(CMOCKA_FOUND)
  add_library(entrollm_cmocka INTERFACE)
  target_link_libraries(entrollm_cmocka INTERFACE PkgConfig::CMOCKA)
elseif(CMAKE_CROSSCOMPILING)
  add_library(entrollm_cmocka INTERFACE)
  target_include_directories(entrollm_cmocka INTERFACE ${CMAKE_SOURCE_DIR}/tests/standin)
else()
  message(WARNING "cmocka missing: no tests are built")
  return()
endif()

enable_testing()
get_property(layers GLOBAL PROPERTY entrollm_layers)
foreach(layer ${layers})
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${layer}/test_*.c)
  foreach(source ${tests})
    get_filename_component(test ${source} NAME_WE)
    set(test ${layer}_${test})
    add_executable(${test} ${source})
    target_link_libraries(${test} PRIVATE entrollm_${layer} entrollm_cmocka)
    if(layer MATCHES "^(model|generate|eval)$")
      target_link_libraries(${test} PRIVATE entrollm_convert) # these make the files that they run
    endif()
    target_include_directories(${test} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_compile_definitions(${test} PRIVATE ENTROLLM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    set_target_properties(${test} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${test} COMMAND ${test} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endforeach()
endforeach()

# tests/program: what the rooms of the program share
if(TARGET entrollm_program_base)
  foreach(test failure)
    add_executable(program_test_${test} ${CMAKE_SOURCE_DIR}/tests/program/test_${test}.c)
    target_link_libraries(program_test_${test} PRIVATE entrollm_program_base entrollm_cmocka)
    set_target_properties(program_test_${test} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME program_test_${test} COMMAND program_test_${test} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endforeach()
endif()

# The kernels of AVX-VNNI in the encoding of AVX-512, for processors that have the one and not the other: these objects
# stand before those of the library. Elsewhere the set is not usable, and the rest is tested once more.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$" AND NOT ENTROLLM_SIMDE)
  set(evex_sources cpu.c x86/dot_avxvnni.c x86/fused_avxvnni.c x86/multiply_avxvnni.c)
  list(TRANSFORM evex_sources PREPEND ${CMAKE_SOURCE_DIR}/src/kernels/)
  add_executable(kernels_test_dot_evex ${CMAKE_SOURCE_DIR}/tests/kernels/test_dot.c ${evex_sources})
  target_link_libraries(kernels_test_dot_evex PRIVATE entrollm_kernels entrollm_cmocka)
  target_include_directories(kernels_test_dot_evex PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_compile_definitions(kernels_test_dot_evex PRIVATE KERNELS_EVEX)
  set_target_properties(kernels_test_dot_evex PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME kernels_test_dot_evex COMMAND kernels_test_dot_evex WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endif()

# tests/hub: models by name, of the program, too
if(TARGET entrollm_hub)
  add_executable(hub_test_names ${CMAKE_SOURCE_DIR}/tests/hub/test_names.c)
  target_link_libraries(hub_test_names PRIVATE entrollm_hub entrollm_cmocka)
  set_target_properties(hub_test_names PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME hub_test_names COMMAND hub_test_names WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endif()

# tests/serve: parts of the server, which belongs to the program and is no layer
function(entrollm_serve_test name)
  list(TRANSFORM ARGN PREPEND ${CMAKE_SOURCE_DIR}/src/serve/)
  add_executable(serve_test_${name} ${CMAKE_SOURCE_DIR}/tests/serve/test_${name}.c ${ARGN})
  target_link_libraries(serve_test_${name} PRIVATE entrollm_program_base entrollm_generate entrollm_cmocka)
  set_target_properties(serve_test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME serve_test_${name} COMMAND serve_test_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endfunction()
if(TARGET entrollm_generate)
  entrollm_serve_test(calls calls.c call_stream.c text.c)
  if(MICROHTTPD_FOUND)
    entrollm_serve_test(job job.c problem.c text.c)
    target_include_directories(serve_test_job PRIVATE ${MICROHTTPD_INCLUDE_DIRS})
  endif()
endif()

# tests/api: programs as others write them, with entrollm.h and the shared library and nothing else
file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/api/test_*.c)
foreach(source ${tests})
  get_filename_component(test ${source} NAME_WE)
  set(test api_${test})
  if(TARGET entrollm_shared)
    add_executable(${test} ${source})
    target_link_libraries(${test} PRIVATE entrollm_shared entrollm_cmocka)
    target_compile_definitions(${test} PRIVATE ENTROLLM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    set_target_properties(${test} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${test} COMMAND ${test} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endif()
endforeach()

# the tests that count calls of the allocator, and let them fail (tests/failing_allocator.h)
foreach(test generate_test_allocations generate_test_out_of_memory grammar_test_out_of_memory model_test_out_of_memory
             model_test_opening_out_of_memory)
  if(TARGET ${test})
    target_link_options(${test} PRIVATE
      LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
      LINKER:--wrap=aligned_alloc,--wrap=posix_memalign,--wrap=free)
  endif()
endforeach()

# random valid files, for tests/container/test_random_files.py
if(TARGET entrollm_container)
  add_executable(container_random_files ${CMAKE_SOURCE_DIR}/tests/container/random_files.c)
  target_link_libraries(container_random_files PRIVATE entrollm_container entrollm_kernels)
  set_target_properties(container_random_files PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
