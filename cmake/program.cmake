# Models of the hub by name: of the program, not of the library.
file(GLOB hub_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/hub/*.c)
add_library(entrollm_hub STATIC ${hub_sources})
target_include_directories(entrollm_hub PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(entrollm_hub PUBLIC entrollm_program_base PkgConfig::JANSSON PkgConfig::CURL PkgConfig::CRYPTO)

# The program. It sees entrollm.h and what the library exports, and nothing else: it is linked with the archive, in which
# the rest is local, so that it runs from anywhere without a path to a shared library.
set(program_needs entrollm_hub entrollm_program_base PkgConfig::JANSSON PkgConfig::EDIT PkgConfig::MICROHTTPD) # beside the library
add_library(entrollm_program OBJECT ${cli_sources})
target_include_directories(entrollm_program PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(entrollm_program PRIVATE ${program_needs})
add_executable(entrollm $<TARGET_OBJECTS:entrollm_program> src/cli/main.c)
option(ENTROLLM_SHARED_PROGRAM "link the program with libentrollm.so, as packages of distributions do" OFF)
if(ENTROLLM_SHARED_PROGRAM)
  target_link_libraries(entrollm PRIVATE entrollm_shared ${program_needs} m)
else()
  target_link_libraries(entrollm PRIVATE entrollm_static ${program_needs})
endif()

# The same with libentrollm.so, for a test.
add_executable(entrollm_with_shared $<TARGET_OBJECTS:entrollm_program> src/cli/main.c)
target_link_libraries(entrollm_with_shared PRIVATE entrollm_shared ${program_needs} m)
set_target_properties(entrollm_with_shared PROPERTIES OUTPUT_NAME entrollm-shared
                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

# The program of several processes, where there is an MPI.
option(ENTROLLM_MPI "build entrollm-mpi where MPI is found" ON)
if(ENTROLLM_MPI)
  find_package(MPI COMPONENTS C QUIET)
endif()
if(ENTROLLM_MPI AND MPI_C_FOUND)
  file(GLOB mpi_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/mpi/*.c)
  add_executable(entrollm_mpi $<TARGET_OBJECTS:entrollm_program> ${mpi_sources})
  set_target_properties(entrollm_mpi PROPERTIES OUTPUT_NAME entrollm-mpi)
  target_link_libraries(entrollm_mpi PRIVATE entrollm_static ${program_needs} MPI::MPI_C)
endif()
if(TARGET entrollm_mpi AND ENTROLLM_TESTS)
  add_library(slow_network SHARED tests/mpi/slow_network.c) # for bench/scale.py and tests/mpi
  target_link_libraries(slow_network PRIVATE MPI::MPI_C)
  set_target_properties(slow_network PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
