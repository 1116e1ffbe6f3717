# Writes a C table of every kernel source: name, bytes (as numbers, so nothing needs escaping).
file(GLOB_RECURSE files RELATIVE ${FOLDER} ${FOLDER}/*.cl ${FOLDER}/*.clh)
list(SORT files)
set(arrays "")
set(rows "")
set(index 0)
foreach(name IN LISTS files)
  file(READ ${FOLDER}/${name} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char source_${index}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${name}\", (const char *)source_${index}, sizeof source_${index} - 1},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE ${OUT}.tmp "/* Generated from cl_kernels/ by embed_kernels.cmake. */
#include \"device/kernel_table.h\"
${arrays}
const qn_kernel_source qn__kernel_table[] = {
${rows}    {0, 0, 0},
};
")
file(RENAME ${OUT}.tmp ${OUT})
