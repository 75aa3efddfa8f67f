# Installation: program, headers, library (shared and static), pkg-config file, embedded model (which the program finds
# relative to itself), manual pages, completions of shells, documents. In three parts, for who installs some of it only:
# `cmake --install build --component program|library|development`.
include(GNUInstallDirs)
set(ENTROLLM_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "folder for the completion of zsh")

# The pkg-config file finds its folders relative to itself: the prefix may be chosen when installing.
file(RELATIVE_PATH pkgconfig_to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" pkgconfig_to_prefix "${pkgconfig_to_prefix}")
configure_file(${CMAKE_SOURCE_DIR}/cmake/entrollm.pc.in ${CMAKE_BINARY_DIR}/entrollm.pc @ONLY)

if(TARGET entrollm)
  install(TARGETS entrollm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/stories-4m DESTINATION ${CMAKE_INSTALL_DATADIR}/entrollm
          COMPONENT program)
endif()
if(TARGET entrollm_documents)
  install(DIRECTORY ${man_dir}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
  install(FILES ${completion_dir}/entrollm DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
          COMPONENT program)
  install(FILES ${completion_dir}/_entrollm DESTINATION ${ENTROLLM_ZSH_DIR} COMPONENT program)
endif()
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/CHANGELOG.md ${CMAKE_SOURCE_DIR}/LICENSE
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT program
        FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN report EXCLUDE)

install(TARGETS entrollm_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
        NAMELINK_COMPONENT development)
install(TARGETS entrollm_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(FILES ${CMAKE_SOURCE_DIR}/include/entrollm.h ${CMAKE_SOURCE_DIR}/include/entrollm_bench.h
              ${CMAKE_SOURCE_DIR}/include/entrollm_eval.h ${CMAKE_SOURCE_DIR}/include/entrollm_team.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES ${CMAKE_BINARY_DIR}/entrollm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
