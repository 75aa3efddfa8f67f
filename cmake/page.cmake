# The page of the server, joined and embedded in the program; page/page.html below the build folder is the same for tests.
set(page_folder ${CMAKE_SOURCE_DIR}/src/serve)
set(page_scripts markdown.js store.js client.js view.js page.js) # in this order
set(page_parts page.html page.css ${page_scripts})
list(TRANSFORM page_parts PREPEND ${page_folder}/)
set(page_out ${CMAKE_BINARY_DIR}/page)
string(REPLACE ";" "," page_script_list "${page_scripts}")
add_custom_command(
  OUTPUT ${page_out}/page.c ${page_out}/page.html ${page_out}/policy
  COMMAND ${CMAKE_COMMAND} -DFOLDER=${page_folder} -DSCRIPTS=${page_script_list} -DOUT=${page_out}
          -P ${CMAKE_SOURCE_DIR}/cmake/page_join.cmake
  DEPENDS ${page_parts} ${CMAKE_SOURCE_DIR}/cmake/page_join.cmake
  COMMENT "Joining the page" VERBATIM)
add_custom_target(page ALL DEPENDS ${page_out}/page.c)
add_dependencies(entrollm_program page)
target_sources(entrollm_program PRIVATE ${page_out}/page.c)
