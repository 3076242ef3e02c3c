# A room is a CMake target of its own which sees only the include folders of the rooms it names, so that a wrong include
# does not compile. layers.toml holds the same table and tools/check_layers.py holds the sources against it.

# Headers are seen through a folder of links: <build>/rooms/<target>/<wing>/<room> leads to src/<wing>/<room>. A room
# has on its include path its own such folder and those of the rooms that it names, and no others.
function(tenure_room wing room)
  cmake_parse_arguments(ROOM "" "STANDARD" "SOURCES;ROOMS;LIBRARIES;OPTIONS" ${ARGN})
  set(target tenure_${room})
  if(ROOM_SOURCES)
    add_library(${target} STATIC ${ROOM_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  set(view ${Tenure_BINARY_DIR}/rooms/${target}/${wing})
  file(MAKE_DIRECTORY ${view})
  file(CREATE_LINK ${Tenure_SOURCE_DIR}/src/${wing}/${room} ${view}/${room} SYMBOLIC)
  # Included as "wing/room/file.h"; wire/, which stands between the wings, as "wire/file.h".
  target_include_directories(${target} ${scope} ${Tenure_BINARY_DIR}/rooms/${target})
  foreach(other IN LISTS ROOM_ROOMS)
    target_link_libraries(${target} ${scope} tenure_${other})
  endforeach()
  if(ROOM_SOURCES)
    target_link_libraries(${target} PUBLIC ${ROOM_LIBRARIES})
    target_compile_options(${target} PRIVATE ${ROOM_OPTIONS} ${TENURE_WARNINGS_LIST})
    target_compile_features(${target} PUBLIC cxx_std_${ROOM_STANDARD})
  endif()
endfunction()

set(TENURE_TEST_OPTIONS "" CACHE STRING "Flags of all unit tests")
set(TENURE_QUICK_TEST_OPTIONS "" CACHE STRING "Flags of unit tests that need not be fast")
separate_arguments(TENURE_WARNINGS_LIST UNIX_COMMAND "${TENURE_WARNINGS}")

# Where the headers of the standard library are most of what there is to compile, the sources of a target are compiled
# several at a time as one: the names in them must differ, those in unnamed namespaces too. With TENURE_UNITY=OFF, as in
# the preset `dev`, each is compiled by itself.
function(tenure_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${TENURE_UNITY} UNITY_BUILD_BATCH_SIZE 10)
  # g++ takes the sources for headers, in which a class should have nothing of an unnamed namespace.
  if(TENURE_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
endfunction()

# The tests of a folder likewise: there one file's globals may have the names of another's locals.
function(tenure_compile_tests_together target)
  tenure_compile_together(${target})
  if(TENURE_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -Wno-shadow -Wshadow=local)
  endif()
endfunction()

# What may run inside malloc: no exceptions, no RTTI, no thread-safe statics, links libc only.
set(TENURE_CORE_OPTIONS
  -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden -fno-stack-protector
  -fno-omit-frame-pointer -momit-leaf-frame-pointer -fno-plt -fcf-protection=none -fno-builtin-malloc)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(REMOVE_ITEM TENURE_CORE_OPTIONS -fcf-protection=none)
endif()

function(tenure_core_room room)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS;OPTIONS" ${ARGN})
  tenure_room(core ${room} STANDARD 20 SOURCES ${ROOM_SOURCES} ROOMS ${ROOM_ROOMS}
    OPTIONS ${TENURE_CORE_OPTIONS} ${ROOM_OPTIONS})
endfunction()

function(tenure_instrument_room room)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  tenure_room(instruments ${room} STANDARD 23 SOURCES ${ROOM_SOURCES} ROOMS ${ROOM_ROOMS}
    LIBRARIES ${ROOM_LIBRARIES})
  if(ROOM_SOURCES)
    tenure_compile_together(tenure_${room})
  endif()
endfunction()

# What C++ programs include: the standard library, exceptions and RTTI. Of its symbols the loader sees those that
# include/tenure marks with TENURE_API. A room reaches the core's state through the C ABI only, which it links as an
# archive here and as part of libtenure.so there.
set(TENURE_LIBRARY_OPTIONS -fvisibility=hidden -fvisibility-inlines-hidden)

function(tenure_library_room room)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS" ${ARGN})
  tenure_room(library ${room} STANDARD 20 SOURCES ${ROOM_SOURCES} ROOMS ${ROOM_ROOMS}
    LIBRARIES tenure_library_base OPTIONS ${TENURE_LIBRARY_OPTIONS})
  if(ROOM_SOURCES)
    tenure_compile_together(tenure_${room})
    target_link_libraries(tenure_${room} INTERFACE tenure_interface)
  else()
    target_link_libraries(tenure_${room} INTERFACE tenure_library_base tenure_interface)
  endif()
  set_property(GLOBAL APPEND PROPERTY TENURE_LIBRARY_ROOMS tenure_${room})
endfunction()

# A shared library of the core without its override and of the rooms given, all of them whole:
# tenure_shared_library(target ROOMS targets...). No flag here may bind tenure_* within the library: they are called
# through the loader, so that the core which comes first in the process serves them.
function(tenure_shared_library target)
  cmake_parse_arguments(LIBRARY "" "" "ROOMS" ${ARGN})
  add_library(${target} SHARED $<TARGET_OBJECTS:tenure_interface>)
  foreach(room IN LISTS LIBRARY_ROOMS)
    get_target_property(kind ${room} TYPE)
    if(kind STREQUAL STATIC_LIBRARY)
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:${room}>)
    endif()
  endforeach()
  find_package(Threads REQUIRED)
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX
    LINK_DEPENDS ${Tenure_SOURCE_DIR}/src/library/exports.map)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${Tenure_SOURCE_DIR}/include>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PRIVATE
    tenure_scan tenure_heap tenure_pages tenure_telemetry tenure_budget tenure_os tenure_base Threads::Threads)
  # Never unloaded: threads have its memory in their caches.
  target_link_options(${target} PRIVATE -Wl,-z,nodelete -Wl,-z,now
    -Wl,--version-script=${Tenure_SOURCE_DIR}/src/library/exports.map)
  if(NOT TENURE_SANITIZER)
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
endfunction()

# A test of CTest that is a unit test; its program is of what the target `unit_tests` builds.
function(tenure_add_unit_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT;PROGRAM" "LABELS;ARGUMENTS" ${ARGN})
  if(NOT TEST_PROGRAM)
    set(TEST_PROGRAM ${name})
  endif()
  add_test(NAME ${name} COMMAND ${TEST_PROGRAM} ${TEST_ARGUMENTS})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT} LABELS "unit;${TEST_LABELS}")
  add_dependencies(unit_tests ${TEST_PROGRAM})
endfunction()

# A GoogleTest program for rooms, without a test of CTest: tenure_unit_test_program(name SOURCES ... ROOMS ...
# LIBRARIES ... [AS_RELEASED]). The rooms are built as the preset says; the program itself with TENURE_TEST_OPTIONS and
# with less optimisation (TENURE_QUICK_TEST_OPTIONS), which takes half the time to compile, but AS_RELEASED: where it
# races.
function(tenure_unit_test_program name)
  cmake_parse_arguments(UNIT "AS_RELEASED" "STANDARD" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  if(NOT UNIT_STANDARD)
    set(UNIT_STANDARD 20)
  endif()
  add_executable(${name} ${UNIT_SOURCES})
  foreach(room IN LISTS UNIT_ROOMS)
    target_link_libraries(${name} PRIVATE tenure_${room})
  endforeach()
  target_link_libraries(${name} PRIVATE ${UNIT_LIBRARIES} GTest::gtest)
  target_include_directories(${name} PRIVATE ${Tenure_SOURCE_DIR}/tests)
  target_compile_features(${name} PRIVATE cxx_std_${UNIT_STANDARD})
  target_compile_options(${name} PRIVATE ${TENURE_WARNINGS_LIST} ${TENURE_TEST_OPTIONS})
  if(NOT UNIT_AS_RELEASED)
    target_compile_options(${name} PRIVATE ${TENURE_QUICK_TEST_OPTIONS})
  endif()
endfunction()

# One test with a program of its own: tenure_unit_test(name SOURCES ... ROOMS ... LIBRARIES ...).
function(tenure_unit_test name)
  cmake_parse_arguments(UNIT "" "STANDARD;TIMEOUT" "SOURCES;ROOMS;LIBRARIES;LABELS" ${ARGN})
  if(NOT UNIT_TIMEOUT)
    set(UNIT_TIMEOUT 300)
  endif()
  set(as_released "")
  if("stress" IN_LIST UNIT_LABELS)
    set(as_released AS_RELEASED)
  endif()
  tenure_unit_test_program(${name} STANDARD ${UNIT_STANDARD} SOURCES ${UNIT_SOURCES} ROOMS ${UNIT_ROOMS}
    LIBRARIES ${UNIT_LIBRARIES} GTest::gtest_main ${as_released})
  tenure_add_unit_test(${name} TIMEOUT ${UNIT_TIMEOUT} LABELS ${UNIT_LABELS})
endfunction()

# The tests of a folder in one program, compiled together: tenure_unit_tests(program TESTS ... ROOMS ... LIBRARIES ...
# [STANDARD ...]). Each of TESTS is a test of CTest with a process of its own, of the source that is called like it, or
# of those that are named: "os_test=barrier_test.cc,clock_test.cc".
function(tenure_unit_tests program)
  cmake_parse_arguments(UNIT "" "STANDARD" "TESTS;ROOMS;LIBRARIES" ${ARGN})
  tenure_unit_test_program(${program} STANDARD ${UNIT_STANDARD} ROOMS ${UNIT_ROOMS} LIBRARIES ${UNIT_LIBRARIES}
    SOURCES ${Tenure_SOURCE_DIR}/tests/support/sources_main.cc)
  tenure_compile_tests_together(${program})
  foreach(test IN LISTS UNIT_TESTS)
    string(REPLACE "=" ";" test "${test}")
    list(GET test 0 name)
    list(LENGTH test parts)
    if(parts EQUAL 1)
      set(sources ${name}.cc)
    else()
      list(GET test 1 sources)
    endif()
    tenure_add_unit_test(${name} PROGRAM ${program} ARGUMENTS --sources=${sources} TIMEOUT 300)
    string(REPLACE "," ";" sources "${sources}")
    target_sources(${program} PRIVATE ${sources})
  endforeach()
endfunction()
