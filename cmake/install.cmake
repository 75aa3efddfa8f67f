# Installation: program, header, library (static and shared), pkg-config file, embedded model (which the program finds
# relative to itself).
include(GNUInstallDirs)

# The pkg-config file finds its folders relative to itself: the prefix may be chosen when installing.
file(RELATIVE_PATH pkgconfig_to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(${CMAKE_SOURCE_DIR}/cmake/entrollm.pc.in ${CMAKE_BINARY_DIR}/entrollm.pc @ONLY)
install(TARGETS entrollm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS entrollm_static entrollm_shared ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/include/entrollm.h ${CMAKE_SOURCE_DIR}/include/entrollm_bench.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/entrollm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/stories-4m DESTINATION ${CMAKE_INSTALL_DATADIR}/entrollm)
