# fuzz/fuzz_NAME.c, each with LLVMFuzzerTestOneInput: with clang a libFuzzer program, else one that
# replays the files and folders named to it. Corpora lie in fuzz/corpus/NAME.
if(ENTROLLM_FUZZ_ENGINE)
  enable_language(CXX) # of most engines
endif()
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/fuzz_*.c)
foreach(source ${fuzz_sources})
  get_filename_component(target ${source} NAME_WE)
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE entrollm_eval entrollm_convert)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(CMAKE_C_COMPILER_ID MATCHES Clang)
    if(ENTROLLM_FUZZ_ENGINE)
      target_link_libraries(${target} PRIVATE ${ENTROLLM_FUZZ_ENGINE})
      set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
    else()
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    endif()
    target_compile_definitions(${target} PRIVATE ENTROLLM_LIBFUZZER)
    string(REGEX REPLACE "^fuzz_" "${CMAKE_SOURCE_DIR}/fuzz/mutate_" mutator ${target}.c)
    if(EXISTS ${mutator}) # how libFuzzer changes inputs that have a structure
      target_sources(${target} PRIVATE ${mutator})
    endif()
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

# and the reading of words of the command line
if(TARGET fuzz_options)
  foreach(part options messages output input target describe team signals files)
    target_sources(fuzz_options PRIVATE ${CMAKE_SOURCE_DIR}/src/cli/${part}.c)
  endforeach()
  target_link_libraries(fuzz_options PRIVATE entrollm_program_base)
endif()
