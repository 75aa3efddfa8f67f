# The library in its two forms, which export the same: what entrollm.h declares with ELLM_API.
#
# libentrollm.so hides the rest by visibility. An archive has no such thing, so its objects are linked into one first,
# and what is hidden becomes local to that one: a program may have a `hash64` or an `ellm_fail` of its own, and nobody
# can come to depend on ours.
get_property(layers GLOBAL PROPERTY entrollm_layers)
set(objects)
set(layer_targets)
foreach(layer ${layers})
  list(APPEND objects $<TARGET_OBJECTS:entrollm_${layer}>)
  list(APPEND layer_targets entrollm_${layer})
endforeach()
set(library_needs PkgConfig::JANSSON PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::XXHASH Threads::Threads m)

set(one_object ${CMAKE_BINARY_DIR}/entrollm_library.o)
add_custom_command(
  OUTPUT ${one_object}
  COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${one_object} ${objects}
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${one_object}
  DEPENDS ${objects} ${layer_targets}
  COMMENT "Linking the objects of the library into one"
  COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties(${one_object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_library(entrollm_static STATIC ${one_object})
set_target_properties(entrollm_static PROPERTIES OUTPUT_NAME entrollm LINKER_LANGUAGE C)
target_link_libraries(entrollm_static INTERFACE ${library_needs})

add_library(entrollm_shared SHARED ${objects})
set_target_properties(entrollm_shared PROPERTIES OUTPUT_NAME entrollm LINKER_LANGUAGE C SOVERSION ${ENTROLLM_ABI})
target_link_libraries(entrollm_shared PRIVATE ${library_needs})
add_dependencies(entrollm_shared ${layer_targets}) # CMake adds none for the objects of a static library
# A symbol that is nowhere is an error here and not where somebody uses the library. (The run-time library of a
# sanitizer is in the program only.)
if(NOT ENTROLLM_SANITIZE)
  target_link_options(entrollm_shared PRIVATE LINKER:--no-undefined)
endif()
foreach(target entrollm_static entrollm_shared)
  target_include_directories(${target} INTERFACE ${CMAKE_SOURCE_DIR}/include)
endforeach()
