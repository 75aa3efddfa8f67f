# cmake -DFOLDER=src/serve -DSCRIPTS=a.js,b.js -DOUT=FOLDER -P page_join.cmake
# Writes page.html (page.html with page.css and the scripts in it), policy (the Content-Security-Policy that allows these
# two by their hashes) and page.c (both as C) to OUT.
cmake_minimum_required(VERSION 3.16)

# SHA-256 of a text in base 64, as policies want it.
function(page_hash text result)
  string(SHA256 hex "${text}")
  set(digits ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  set(hex "${hex}00") # 33 bytes: eleven groups of three
  set(out "")
  foreach(group RANGE 10)
    math(EXPR at "6 * ${group}")
    string(SUBSTRING ${hex} ${at} 6 three)
    foreach(shift 18 12 6 0)
      math(EXPR digit "(0x${three} >> ${shift}) & 63")
      string(SUBSTRING ${digits} ${digit} 1 digit)
      string(APPEND out ${digit})
    endforeach()
  endforeach()
  string(SUBSTRING ${out} 0 43 out)
  set(${result} "sha256-${out}=" PARENT_SCOPE)
endfunction()

file(READ ${FOLDER}/page.html page)
file(READ ${FOLDER}/page.css style)
set(script "\"use strict\";\n")
string(REPLACE "," ";" scripts "${SCRIPTS}")
foreach(name IN LISTS scripts)
  file(READ ${FOLDER}/${name} text)
  string(APPEND script "${text}")
endforeach()
foreach(text style script)
  if("${${text}}" MATCHES "</[sS]|<!--")
    message(FATAL_ERROR "the page's ${text} has a mark that would end it")
  endif()
endforeach()
page_hash("${style}" style_hash)
page_hash("${script}" script_hash)
string(REPLACE "@style@" "${style}" page "${page}")
string(REPLACE "@script@" "${script}" page "${page}")
string(CONCAT policy "default-src 'none'; script-src '${script_hash}'; style-src '${style_hash}'; img-src data:; "
       "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
       "require-trusted-types-for 'script'; trusted-types 'none'")

file(WRITE ${OUT}/page.html "${page}")
file(WRITE ${OUT}/policy "${policy}")
file(READ ${OUT}/page.html hex HEX)
string(LENGTH "${hex}" bytes)
math(EXPR bytes "${bytes} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUT}/page.c "/* made by cmake/page_join.cmake */
#include \"serve/page.h\"

const unsigned char serve_page[] = {
${hex}};
const size_t serve_page_bytes = ${bytes};
const char serve_page_policy[] = \"${policy}\";
")
