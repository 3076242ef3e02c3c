# Tests that run an ordinary program under the preload library. The program links nothing of Tenure's: the allocator it
# meets is whatever LD_PRELOAD names, so the same program can be run by hand on any other allocator to see it fail.

include_guard()

# Whether preload tests make sense in this build: a sanitizer brings a malloc of its own, and LD_PRELOAD would reach the
# emulator instead of the emulated program.
function(tenure_preload_available result)
  if(TARGET tenure_preload AND NOT TENURE_SANITIZER AND NOT CMAKE_CROSSCOMPILING)
    set(${result} TRUE PARENT_SCOPE)
  else()
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()

# A program whose calls to malloc stay calls to malloc; some misuse the heap on purpose.
function(tenure_preload_program name)
  cmake_parse_arguments(PROGRAM "" "STANDARD" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT PROGRAM_STANDARD)
    set(PROGRAM_STANDARD 20)
  endif()
  find_package(Threads REQUIRED)
  add_executable(${name} ${PROGRAM_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${name} PRIVATE ${PROGRAM_LIBRARIES} Threads::Threads ${CMAKE_DL_LIBS})
  target_compile_features(${name} PRIVATE cxx_std_${PROGRAM_STANDARD})
  target_compile_options(${name} PRIVATE -fno-builtin -Wno-use-after-free ${TENURE_WARNINGS_LIST})
endfunction()

# add_test() under the preload library: tenure_add_preload_test(name LABELS kind COMMAND ... [ENVIRONMENT ...]).
function(tenure_add_preload_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT;SKIP_CODE" "COMMAND;ENVIRONMENT;LABELS;PROPERTIES" ${ARGN})
  tenure_preload_available(available)
  if(NOT available)
    return()
  endif()
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${TEST_COMMAND})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT} LABELS "preload;${TEST_LABELS}"
    ENVIRONMENT "LD_PRELOAD=$<TARGET_FILE:tenure_preload>;${TEST_ENVIRONMENT}" ${TEST_PROPERTIES})
endfunction()

# A GoogleTest program under the preload library, whose main() first asserts that Tenure serves it.
function(tenure_preload_unit_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT;STANDARD" "SOURCES;LIBRARIES;ENVIRONMENT;LABELS;PROPERTIES" ${ARGN})
  tenure_preload_program(${name} SOURCES ${TEST_SOURCES} ${CMAKE_SOURCE_DIR}/tests/support/preload_main.cc
    LIBRARIES ${TEST_LIBRARIES} GTest::gtest STANDARD ${TEST_STANDARD})
  target_compile_options(${name} PRIVATE ${TENURE_QUICK_TEST_OPTIONS})
  tenure_add_preload_test(${name} COMMAND ${name} TIMEOUT ${TEST_TIMEOUT} LABELS ${TEST_LABELS}
    ENVIRONMENT ${TEST_ENVIRONMENT} PROPERTIES ${TEST_PROPERTIES})
endfunction()
