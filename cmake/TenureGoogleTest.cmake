# GoogleTest: Debian's, or, where it is cross-compiled for another architecture, built here from the sources that the
# same package (libgtest-dev) brings.
if(NOT CMAKE_CROSSCOMPILING)
  find_package(GTest REQUIRED)
  return()
endif()

set(TENURE_GOOGLETEST_SOURCES /usr/src/googletest CACHE PATH "GoogleTest's sources, for a cross build")
if(NOT EXISTS ${TENURE_GOOGLETEST_SOURCES}/googletest/src/gtest-all.cc)
  message(FATAL_ERROR "${TENURE_GOOGLETEST_SOURCES} has no GoogleTest sources: install libgtest-dev")
endif()
find_package(Threads REQUIRED)
add_library(tenure_gtest STATIC EXCLUDE_FROM_ALL ${TENURE_GOOGLETEST_SOURCES}/googletest/src/gtest-all.cc)
target_include_directories(tenure_gtest SYSTEM PUBLIC ${TENURE_GOOGLETEST_SOURCES}/googletest/include
  PRIVATE ${TENURE_GOOGLETEST_SOURCES}/googletest)
target_compile_features(tenure_gtest PUBLIC cxx_std_17)
target_link_libraries(tenure_gtest PUBLIC Threads::Threads)
add_library(tenure_gtest_main STATIC EXCLUDE_FROM_ALL ${TENURE_GOOGLETEST_SOURCES}/googletest/src/gtest_main.cc)
target_link_libraries(tenure_gtest_main PUBLIC tenure_gtest)
add_library(GTest::gtest ALIAS tenure_gtest)
add_library(GTest::gtest_main ALIAS tenure_gtest_main)
