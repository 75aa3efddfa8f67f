# Kernels: one folder an instruction set family. Only the files of a set get its flags, so that
# no instruction of it can leak into code that runs before the processor was asked.
option(ENTROLLM_SIMDE "tests: compile the AVX-512 kernels for AVX2 by way of SIMDe" OFF)

entrollm_layer(kernels DEPENDS entrollm_coder entrollm_quant)
set(kernels_dir ${CMAKE_SOURCE_DIR}/src/kernels)
target_sources(entrollm_kernels PRIVATE ${kernels_dir}/scalar/float_scalar.c
               ${kernels_dir}/scalar/dot_scalar.c)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(avx2_flags -mavx2 -mfma -mf16c -mbmi -mpopcnt)
  set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi -mavx512vbmi2 -mavx512vnni
      -mprefer-vector-width=512)
  target_compile_definitions(entrollm_kernels PUBLIC KERNELS_X86)
  if(ENTROLLM_SIMDE)
    set(avx512_flags ${avx2_flags} -Wno-psabi)
    target_compile_definitions(entrollm_kernels PRIVATE KERNELS_SIMDE)
    target_include_directories(entrollm_kernels PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  endif()
  # AVX-VNNI is AVX2 with one instruction more, which is written out.
  set(avx2_sources ${kernels_dir}/x86/decode_avx2.c ${kernels_dir}/x86/float_avx2.c ${kernels_dir}/x86/dot_avx2.c
      ${kernels_dir}/x86/fused_avx2.c ${kernels_dir}/x86/multiply_avx2.c
      ${kernels_dir}/x86/dot_avxvnni.c ${kernels_dir}/x86/fused_avxvnni.c ${kernels_dir}/x86/multiply_avxvnni.c)
  set(avx512_sources ${kernels_dir}/x86/decode_avx512.c ${kernels_dir}/x86/float_avx512.c
      ${kernels_dir}/x86/dot_avx512.c ${kernels_dir}/x86/fused_avx512.c ${kernels_dir}/x86/multiply_avx512.c)
  set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "${avx2_flags}")
  set_source_files_properties(${avx512_sources} PROPERTIES COMPILE_OPTIONS "${avx512_flags}")
  target_sources(entrollm_kernels PRIVATE ${avx2_sources} ${avx512_sources})
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  target_compile_definitions(entrollm_kernels PUBLIC KERNELS_ARM)
  target_sources(entrollm_kernels PRIVATE ${kernels_dir}/arm/decode_neon.c ${kernels_dir}/arm/merge_table.c
                 ${kernels_dir}/arm/float_neon.c
                 ${kernels_dir}/arm/dot_neon.c ${kernels_dir}/arm/fused_neon.c
                 ${kernels_dir}/arm/dot_neon_dotprod.c ${kernels_dir}/arm/dot_neon_i8mm.c)
  set_source_files_properties(${kernels_dir}/arm/dot_neon_dotprod.c PROPERTIES COMPILE_OPTIONS
                              -march=armv8.2-a+dotprod)
  set_source_files_properties(${kernels_dir}/arm/dot_neon_i8mm.c PROPERTIES COMPILE_OPTIONS -march=armv8.2-a+dotprod+i8mm)
endif()
