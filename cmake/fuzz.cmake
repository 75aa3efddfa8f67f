# fuzz/fuzz_NAME.c, each with LLVMFuzzerTestOneInput: with clang a libFuzzer program, else one that
# replays the files and folders named to it. Corpora lie in fuzz/corpus/NAME.
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/fuzz_*.c)
foreach(source ${fuzz_sources})
  get_filename_component(target ${source} NAME_WE)
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE entrollm_generate)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(CMAKE_C_COMPILER_ID MATCHES Clang)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/fuzz/replay.c)
  endif()
endforeach()

# the server's reading of requests belongs to the program and to no layer
if(TARGET fuzz_request)
  foreach(part text problem fields messages request calls call_stream grammars)
    target_sources(fuzz_request PRIVATE ${CMAKE_SOURCE_DIR}/src/serve/${part}.c)
  endforeach()
  target_link_libraries(fuzz_request PRIVATE entrollm_program_base)
  target_compile_definitions(fuzz_request PRIVATE ENTROLLM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
endif()

# so do the hub's parsers, which need neither the network nor the disk
if(TARGET fuzz_hub)
  foreach(part answers list names choose)
    target_sources(fuzz_hub PRIVATE ${CMAKE_SOURCE_DIR}/src/hub/${part}.c)
  endforeach()
  target_link_libraries(fuzz_hub PRIVATE entrollm_program_base)
endif()
