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

# tests/hub: models by name, of the program, too
if(TARGET entrollm_hub)
  add_executable(hub_test_names ${CMAKE_SOURCE_DIR}/tests/hub/test_names.c)
  target_link_libraries(hub_test_names PRIVATE entrollm_hub entrollm_cmocka)
  set_target_properties(hub_test_names PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME hub_test_names COMMAND hub_test_names WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endif()

# tests/serve: parts of the server, which belongs to the program and is no layer
if(TARGET entrollm_generate)
  add_executable(serve_test_calls ${CMAKE_SOURCE_DIR}/tests/serve/test_calls.c ${CMAKE_SOURCE_DIR}/src/serve/calls.c
                 ${CMAKE_SOURCE_DIR}/src/serve/text.c)
  target_link_libraries(serve_test_calls PRIVATE entrollm_program_base entrollm_generate entrollm_cmocka)
  set_target_properties(serve_test_calls PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME serve_test_calls COMMAND serve_test_calls WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
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
