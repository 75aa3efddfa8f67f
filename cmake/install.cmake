# The library in one archive, and installation: program, header, library, pkg-config file, embedded model
# (which the program finds relative to itself).
include(GNUInstallDirs)
set(library_layers base coder quant kernels json container checkpoint source arch text template convert model generate)
set(objects)
foreach(layer ${library_layers})
  list(APPEND objects $<TARGET_OBJECTS:entrollm_${layer}>)
endforeach()
add_library(entrollm_library STATIC ${objects})
set_target_properties(entrollm_library PROPERTIES OUTPUT_NAME entrollm LINKER_LANGUAGE C)

# The pkg-config file finds its folders relative to itself: the prefix may be chosen when installing.
file(RELATIVE_PATH pkgconfig_to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(${CMAKE_SOURCE_DIR}/cmake/entrollm.pc.in ${CMAKE_BINARY_DIR}/entrollm.pc @ONLY)
install(TARGETS entrollm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS entrollm_library ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/include/entrollm.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/entrollm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/stories-4m DESTINATION ${CMAKE_INSTALL_DATADIR}/entrollm)
