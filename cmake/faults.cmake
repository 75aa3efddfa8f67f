# build/tests/entrollm-faults: the program's own objects, linked once more so that every call of the system's memory,
# files, names, maps, threads and clock goes through tests/faults, which lets it fail on demand. Nothing of that is in
# the program or in the library. The functions that are led there are those that fault_calls.c defines as __wrap_NAME.
file(STRINGS ${CMAKE_SOURCE_DIR}/tests/faults/wrapped.txt wrapped REGEX "^[a-z_]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS tests/faults/wrapped.txt)
set(wraps)
foreach(name ${wrapped})
  list(APPEND wraps "LINKER:--wrap=${name}")
endforeach()
add_library(entrollm_fault_calls OBJECT ${CMAKE_SOURCE_DIR}/tests/faults/faults.c
            ${CMAKE_SOURCE_DIR}/tests/faults/fault_loss.c ${CMAKE_SOURCE_DIR}/tests/faults/fault_calls.c)
target_compile_options(entrollm_fault_calls PRIVATE -U_FILE_OFFSET_BITS -U_FORTIFY_SOURCE)
target_link_libraries(entrollm_fault_calls PRIVATE PkgConfig::JANSSON)
add_executable(entrollm_faults $<TARGET_OBJECTS:entrollm_program> src/cli/main.c $<TARGET_OBJECTS:entrollm_fault_calls>)
target_link_libraries(entrollm_faults PRIVATE entrollm_static ${program_needs})
target_link_options(entrollm_faults PRIVATE ${wraps})
set_target_properties(entrollm_faults PROPERTIES OUTPUT_NAME entrollm-faults
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
