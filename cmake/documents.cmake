# Manual pages and completions of shells, made from the tables of the program by running it. They are made with each
# build and not kept with the sources: there is no list to keep by hand, and they cannot be older than the program.
find_package(Python3 COMPONENTS Interpreter)
option(ENTROLLM_DOCUMENTS "make the manual pages and the completions of shells (needs Python 3)" ON)
# a program with a sanitizer may need an environment that a build has not, such as addresses that are not random
if(ENTROLLM_SANITIZE)
  set(ENTROLLM_DOCUMENTS OFF)
endif()
if(ENTROLLM_DOCUMENTS AND NOT Python3_FOUND)
  message(STATUS "python3 is missing: no manual pages, no completions of shells")
  set(ENTROLLM_DOCUMENTS OFF)
endif()
if(ENTROLLM_DOCUMENTS)
  set(man_dir ${CMAKE_BINARY_DIR}/man/man1)
  set(completion_dir ${CMAKE_BINARY_DIR}/completions)
  set(documents_made ${CMAKE_BINARY_DIR}/documents.stamp)
  add_custom_command(
    OUTPUT ${documents_made}
    COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tools/make_man.py $<TARGET_FILE:entrollm> ${man_dir}
    COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tools/make_completion.py $<TARGET_FILE:entrollm> ${completion_dir}
    COMMAND ${CMAKE_COMMAND} -E touch ${documents_made}
    DEPENDS entrollm ${CMAKE_SOURCE_DIR}/tools/make_man.py ${CMAKE_SOURCE_DIR}/tools/make_completion.py
            ${CMAKE_SOURCE_DIR}/tools/command_tables.py
    COMMENT "Making manual pages and completions"
    VERBATIM)
  add_custom_target(entrollm_documents ALL DEPENDS ${documents_made})
endif()
