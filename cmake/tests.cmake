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
    target_include_directories(${test} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_compile_definitions(${test} PRIVATE ENTROLLM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    set_target_properties(${test} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${test} COMMAND ${test} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endforeach()
endforeach()

# the test that counts calls of the allocator
if(TARGET model_test_allocations)
  target_link_options(model_test_allocations PRIVATE
    LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=posix_memalign,--wrap=strdup)
endif()
